-- Dagster's runs, from its own tables (schema dagster of the same database).

-- name: has_runs
-- Whether Dagster keeps its runs in this database.
select to_regclass('dagster.runs') is not null and to_regclass('dagster.event_logs') is not null

-- name: runs
-- Runs, the latest first, with the assets and partitions they were started for.
select r.id, r.run_id, r.pipeline_name as job, lower(r.status) as status, r.create_timestamp at time zone 'UTC' as created_at,
       to_timestamp(r.start_time) as started_at, to_timestamp(r.end_time) as ended_at,
       coalesce(a.assets, '{}') as assets, coalesce(t.first, t.only, a.first) as first_partition,
       coalesce(t.last, t.only, a.last) as last_partition, t.requested_by, t.request_id
from dagster.runs r
left join lateral (
    select array_agg(distinct array_to_string(array(select jsonb_array_elements_text(e.asset_key::jsonb)), '/')) as assets,
           min(e.partition) as first, max(e.partition) as last
    from dagster.event_logs e
    where e.run_id = r.run_id and e.dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED' and e.asset_key is not null
) a on true
left join lateral (
    select max(value) filter (where key = 'dagster/asset_partition_range_start') as first,
           max(value) filter (where key = 'dagster/asset_partition_range_end') as last,
           max(value) filter (where key = 'dagster/partition') as only,
           max(value) filter (where key = 'lah/requested_by') as requested_by,
           max(value) filter (where key = 'lah/backfill_request') as request_id
    from dagster.run_tags t where t.run_id = r.run_id
) t on true
where r.id < %(after_0)s::bigint
  and (%(status)s::text is null or r.status = upper(%(status)s::text))
  and (%(job)s::text is null or r.pipeline_name = %(job)s::text)
order by r.id desc
limit %(limit)s
