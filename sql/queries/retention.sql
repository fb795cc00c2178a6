-- Retention and compression.

-- name: ensure_partition
-- Make one day's partition when it is missing.
select ensure_event_partition(%(day)s)

-- name: drop_partitions
-- Drop whole days before a day.
select drop_event_partitions(%(before)s)

-- name: prune_dagster_events
-- Events without a run (ticks' materializations and observations); the newest of each asset and kind stays.
delete from dagster.event_logs e
where e.run_id = '' and e.timestamp < %(before)s
  and exists (select from dagster.event_logs n
              where n.run_id = '' and n.asset_key is not distinct from e.asset_key
                and n.dagster_event_type = e.dagster_event_type and n.partition is not distinct from e.partition and n.id > e.id)

-- name: set_compression
-- Columnstore settings of events: one segment a series, newest first.
alter table events set (timescaledb.compress, timescaledb.compress_segmentby = 'tenant, series_id', timescaledb.compress_orderby = 'ts desc, event_id')

-- name: compression_policy
-- Compress chunks of this age, as a background job of the server.
select add_compression_policy('events', compress_after => %(after)s::interval, if_not_exists => true)
