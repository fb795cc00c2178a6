-- A backfill of the rollups may be one of some metrics only.
-- Locks: backfill_requests, exclusively, for a moment.

alter table backfill_requests add column metrics text[];
comment on column backfill_requests.metrics is 'Rollups only: the metrics to compute again; null: all of them.';
