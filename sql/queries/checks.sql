-- name: write_verdict
-- What one rule said about one asset's rows of a period.
insert into checks (checked_at, asset, check_name, severity, blocking, passed, checked_rows, failed_rows, observed,
                    advice, period_from, period_to, run_id)
values (%(checked_at)s, %(asset)s, %(check_name)s, %(severity)s, %(is_blocking)s, %(passed)s, %(checked_rows)s,
        %(failed_rows)s, %(observed)s, %(advice)s, %(period_from)s, %(period_to)s, %(run_id)s)
returning check_id

-- name: latest_verdicts
-- The latest verdict of every rule, of one asset or (null) of all.
select distinct on (asset, check_name)
       asset, check_name, severity, blocking, passed, checked_rows, failed_rows, observed, advice,
       checked_at, period_from, period_to, run_id
from checks
where %(asset)s::text is null or asset = %(asset)s::text
order by asset, check_name, checked_at desc, check_id desc

-- name: write_tenant_verdicts
-- What a verdict says about each tenant.
insert into tenant_verdicts (check_id, tenant, passed, checked_rows, failed_rows)
select %(check_id)s, t.* from unnest(%(tenants)s::text[], %(passed)s::boolean[], %(checked)s::bigint[], %(failed)s::bigint[])
    as t (tenant, passed, checked_rows, failed_rows)

-- name: refresh_scores
-- The scores of days from the latest verdict of each check that covers the day (docs/quality.md).
with days as (
    select day::date as day from generate_series(%(day_from)s::date, %(day_to)s::date - 1, interval '1 day') day
), latest as (
    select distinct on (d.day, c.asset, c.check_name) d.day, c.check_id, c.passed, coalesce(c.checked_rows, 0) as checked_rows,
           coalesce(c.failed_rows, 0) as failed_rows, c.blocking,
           case when c.blocking then 4 when c.severity = 'error' then 2 else 1 end as weight
    from days d
    join checks c on c.period_from <= d.day::timestamp at time zone 'UTC'
                 and c.period_to >= (d.day + 1)::timestamp at time zone 'UTC'
    order by d.day, c.asset, c.check_name, c.checked_at desc, c.check_id desc
), of_tenants as (
    select l.day, l.blocking, l.weight, v.tenant, v.passed, v.checked_rows, v.failed_rows
    from latest l join tenant_verdicts v using (check_id)
), tenants as (
    select distinct day, tenant from of_tenants where checked_rows > 0
), judged as (
    select o.* from of_tenants o join tenants using (day, tenant)
    union all
    select l.day, l.blocking, l.weight, t.tenant, l.passed, l.checked_rows, l.failed_rows
    from latest l join tenants t using (day)
    where not exists (select from tenant_verdicts v where v.check_id = l.check_id)
), credited as (
    select *, case when passed then 1 when blocking or checked_rows = 0 then 0
                   else greatest(0, 1 - failed_rows::numeric / checked_rows) end as credit
    from judged where checked_rows > 0 or not passed
), scores as (
    select day, tenant, round(100 * sum(weight * credit) / sum(weight), 4) as score, count(*) as checks,
           count(*) filter (where not passed) as failed_checks, sum(checked_rows) as checked_rows,
           sum(failed_rows) as failed_rows
    from credited group by day, tenant order by day, tenant
), gone as (
    delete from quality_scores q
    where q.day >= %(day_from)s and q.day < %(day_to)s
      and not exists (select from scores s where s.day = q.day and s.tenant = q.tenant)
)
insert into quality_scores (day, tenant, score, checks, failed_checks, checked_rows, failed_rows, computed_at)
select *, %(computed_at)s from scores
on conflict (day, tenant) do update
set score = excluded.score, checks = excluded.checks, failed_checks = excluded.failed_checks,
    checked_rows = excluded.checked_rows, failed_rows = excluded.failed_rows, computed_at = excluded.computed_at

-- name: lock_scores
-- One writer of scores at a time: verdicts of two runs at once would each miss the other's.
select pg_advisory_xact_lock(hashtextextended('lah.quality_scores', 0))

-- name: clear_suspects
-- What a check found suspect in a period and passes now.
update suspect_windows set cleared_at = %(at)s
where asset = %(asset)s and check_name = %(check_name)s and cleared_at is null
  and period_from >= %(period_from)s and period_to <= %(period_to)s

-- name: mark_suspects
-- The windows of rows that fail a check: each its own, or beyond 10,000 one a series and metric; what passes now is cleared.
with batch as ({batch}), failing as ({failing}), named as (
    select bucket_start, series_id, metric, {bucket_end} as bucket_end from failing where series_id is not null
), counted as (
    select count(*) as windows from named
), ranges as (
    select series_id, metric, bucket_start as period_from, bucket_end as period_to from named, counted
    where windows <= 10000
    union all
    select series_id, metric, min(bucket_start), max(bucket_end) from named, counted where windows > 10000
    group by series_id, metric
), owned as (
    select distinct coalesce(s.tenant, '') as tenant, r.* from ranges r left join series s using (series_id)
), cleared as (
    update suspect_windows w set cleared_at = %(at)s
    where w.asset = %(asset)s and w.check_name = %(check_name)s and w.cleared_at is null
      and w.period_from >= %(period_from)s and w.period_to <= %(period_to)s
      and not exists (select from owned o where o.series_id = w.series_id and o.metric = w.metric
                      and o.period_from = w.period_from and o.period_to = w.period_to)
)
insert into suspect_windows
    (tenant, series_id, metric, window_name, window_rank, period_from, period_to, asset, check_name, advice, since)
select tenant, series_id, metric, %(window_name)s, %(window_rank)s, period_from, period_to, %(asset)s, %(check_name)s,
       %(advice)s, %(at)s
from owned
on conflict (series_id, metric, period_from, window_rank, asset, check_name) where cleared_at is null do nothing

-- name: learn_shapes
-- The fields of a sample of days' payloads, in the place of what was learned of these days; 90 days are kept.
with shapes as ({shapes}), gone as (
    delete from payload_shapes where day < %(keep_from)s
)
insert into payload_shapes (day, tenant, source_module, event_type, subtype, field, json_type, events, present)
select day, tenant, source_module, event_type, subtype, field, json_type, events, present from shapes
on conflict (day, tenant, source_module, event_type, subtype, field, json_type) do update
set events = excluded.events, present = excluded.present

-- name: forget_shapes
-- What was learned of days, before they are learned again.
delete from payload_shapes where day >= %(day_from)s and day < %(day_to)s

-- name: failing_rows
-- Rows that fail a rule, of a tenant ('*': of all).
with batch as ({batch}), failing as ({failing}), told as (
    select to_jsonb(failing) as row from failing
)
select t.row from told t
left join series s on t.row ->> 'tenant' is null and s.series_id = (t.row ->> 'series_id')::bigint
where %(tenant)s::text = '*' or coalesce(t.row ->> 'tenant', s.tenant) = %(tenant)s::text
limit %(limit)s
