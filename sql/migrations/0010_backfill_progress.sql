-- How far a requested backfill is, in days, for whoever waits for it.
-- Locks: backfill_requests, exclusively, for a moment; the default is not written into its rows.

alter table backfill_requests add column days_done integer not null default 0 check (days_done >= 0);
comment on column backfill_requests.days_done is
    'UTC days of the range that the run has computed so far; all of them once it succeeded. Stays 0 until then for tables that are computed in one piece.';
