-- Retention and compression.

-- name: ensure_partition
-- Make one day's partition when it is missing.
select ensure_event_partition(%(day)s)

-- name: prune_dagster_events
-- Events without a run (ticks' materializations and observations); the newest of each asset and kind stays.
delete from dagster.event_logs e
where e.run_id = '' and e.timestamp < %(before)s
  and exists (select from dagster.event_logs n
              where n.run_id = '' and n.asset_key is not distinct from e.asset_key
                and n.dagster_event_type = e.dagster_event_type and n.partition is not distinct from e.partition and n.id > e.id)

-- name: prune_dagster_checks
-- Verdicts as Dagster keeps them beside its event log; the newest of each check stays, and the table checks has them all.
delete from dagster.asset_check_executions e
where e.create_timestamp < %(before)s
  and exists (select from dagster.asset_check_executions n
              where n.asset_key = e.asset_key and n.check_name = e.check_name and n.id > e.id)

-- name: is_hypertable
-- Whether TimescaleDB keeps the events in chunks; native partitions make it a partitioned table.
select relkind <> 'p' from pg_class where oid = 'lah.events'::regclass

-- name: compression_age
-- The age at which chunks are compressed; no row when that was never set.
select (config ->> 'compress_after')::interval from timescaledb_information.jobs
where hypertable_schema = 'lah' and hypertable_name = 'events' and proc_name = 'policy_compression'

-- name: set_compression
-- Columnstore settings of events: one segment a series, newest first.
alter table events set (timescaledb.compress, timescaledb.compress_segmentby = 'tenant, series_id', timescaledb.compress_orderby = 'ts desc, event_id')

-- name: drop_compression_policy
-- A policy's age cannot be changed by adding it again.
select remove_compression_policy('events', if_exists => true)

-- name: compression_policy
-- Compress chunks of this age, as a background job of the server.
select add_compression_policy('events', compress_after => %(after)s::interval)
