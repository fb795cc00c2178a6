-- The live stream: what changed goes into live_inbox, gets its position in live_changes, and is read from there.

-- name: final_before
-- The watermark, held until the transaction ends: it does not move while rows behind it are being merged.
select nullif(final_before, '-infinity') from rollup_state for share

-- name: tenants_of_series
-- The tenant of each series.
select series_id, tenant from series where series_id = any(%(series_ids)s)

-- name: note
-- One entry of rows or objects that changed alike.
insert into live_inbox (kind, change, tenant, window_name, starts, series_ids, metrics, object_ids, period_from, period_to)
values (%(kind)s, %(change)s, %(tenant)s, %(window)s, %(starts)s, %(series_ids)s, %(metrics)s, %(object_ids)s, %(from)s, %(to)s)

-- name: note_closed
-- The rows of a window whose buckets start in [from, to), as one entry a tenant.
insert into live_inbox (kind, change, tenant, window_name, starts, series_ids, metrics)
select 'rollup', 'closed', s.tenant, %(window)s, array_agg(r.bucket_start order by r.bucket_start, r.series_id, r.metric),
       array_agg(r.series_id order by r.bucket_start, r.series_id, r.metric),
       array_agg(r.metric order by r.bucket_start, r.series_id, r.metric)
from {table} r join series s using (series_id)
where r.bucket_start >= %(from)s and r.bucket_start < %(to)s
group by s.tenant

-- name: make_before
-- How objects were before they are written again; emptied by each transaction.
create temporary table if not exists live_before (object_id uuid, state jsonb, tenant text) on commit delete rows

-- name: remember_anomalies
-- The anomalies that are about to be replaced.
insert into live_before
select anomaly_id, to_jsonb(a) - 'detected_at', tenant from anomalies a
where (window_name = %(window)s and ended_at > %(start)s and started_at < %(end)s) or anomaly_id = any(%(ids)s)

-- name: remember_incidents
-- The incidents that are about to be replaced.
insert into live_before
select incident_id, to_jsonb(i) - 'detected_at', tenant from incidents i
where (ended_at > %(start)s and started_at < %(end)s) or incident_id = any(%(ids)s)

-- name: note_anomalies
-- What became of them: new, changed or withdrawn; nothing of those that are as they were.
with now_there as (select anomaly_id as object_id, to_jsonb(a) - 'detected_at' as state, tenant from anomalies a where anomaly_id = any(%(ids)s)),
differing as (
    select object_id, coalesce(n.tenant, b.tenant) as tenant,
           case when b.object_id is null then 'new' when n.object_id is null then 'withdrawn' else 'changed' end as change
    from now_there n full join live_before b using (object_id) where n.state is distinct from b.state)
insert into live_inbox (kind, change, tenant, object_ids)
select 'anomaly', change, tenant, array_agg(object_id order by object_id) from differing group by change, tenant

-- name: note_incidents
-- The same of incidents.
with now_there as (select incident_id as object_id, to_jsonb(i) - 'detected_at' as state, tenant from incidents i where incident_id = any(%(ids)s)),
differing as (
    select object_id, coalesce(n.tenant, b.tenant) as tenant,
           case when b.object_id is null then 'new' when n.object_id is null then 'withdrawn' else 'changed' end as change
    from now_there n full join live_before b using (object_id) where n.state is distinct from b.state)
insert into live_inbox (kind, change, tenant, object_ids)
select 'alert', change, tenant, array_agg(object_id order by object_id) from differing group by change, tenant

-- name: note_check
-- What became of a rule of severity error by its last verdict: it fails, fails otherwise, or holds again.
with verdicts as (
    select passed, failed_rows, observed, row_number() over (order by checked_at desc, check_id desc) as place
    from checks where asset = %(asset)s and check_name = %(check_name)s and severity = 'error'
    order by checked_at desc, check_id desc limit 2)
insert into live_inbox (kind, change, tenant, object_ids)
select 'alert', case when n.passed then 'withdrawn' when coalesce(b.passed, true) then 'new' else 'changed' end, '*',
       array[md5('check ' || %(asset)s::text || ' ' || %(check_name)s::text)::uuid]
from verdicts n left join verdicts b on b.place = 2
where n.place = 1 and (not n.passed or not coalesce(b.passed, true))
  and (n.passed, n.failed_rows, n.observed) is distinct from (b.passed, b.failed_rows, b.observed)

-- name: is_waiting
-- Whether anything waits for its position.
select exists (select from live_inbox)

-- name: take_turn
-- One gives positions at a time, until its transaction has committed; false: somebody does just now.
select pg_try_advisory_xact_lock(hashtextextended('lah.live', 0))

-- name: give_positions
-- Move what has been committed, the earliest first.
with moved as (
    delete from live_inbox where entry_id in (select entry_id from live_inbox order by entry_id limit 1000) returning *)
insert into live_changes (kind, change, tenant, window_name, starts, series_ids, metrics, object_ids, period_from, period_to, noted_at)
select kind, change, tenant, window_name, starts, series_ids, metrics, object_ids, period_from, period_to, noted_at
from moved order by entry_id

-- name: forget
-- What is older than that, but for the last: it says where the stream is.
delete from live_changes where noted_at < now() - %(kept)s::interval and position < (select max(position) from live_changes)

-- name: ends
-- The oldest and the newest position, and how many rows or objects the newest has.
select (select min(position) from live_changes), position, greatest(coalesce(cardinality(starts), cardinality(object_ids)), 1)
from live_changes order by position desc limit 1

-- name: changes_after
-- Each row or object that changed behind (position, ordinal), to the head; at most so many.
select c.position, coalesce(k.ordinal, 1), c.kind, c.change, c.tenant, c.window_name, k.bucket_start, k.series_id,
       k.metric, k.object_id, c.period_from, c.period_to, case when c.kind = 'recomputed' then c.metrics end, c.noted_at
from live_changes c
left join lateral unnest(c.starts, c.series_ids, case when c.kind <> 'recomputed' then c.metrics end, c.object_ids)
    with ordinality as k (bucket_start, series_id, metric, object_id, ordinal) on true
where c.position >= %(position)s and c.position <= %(head)s
  and (c.position, coalesce(k.ordinal, 1)) > (%(position)s, %(ordinal)s)
  and (%(tenant)s::text = '*' or c.tenant in (%(tenant)s::text, '*'))
order by 1, 2
limit %(limit)s

-- name: rollups
-- Rollup rows by their keys, as the lists show them.
select bucket_start, bucket_end, tenant, event_type, subtype, model, environment, service, region, team, series_id,
       source_module, provider, tags, metric, count, sum, avg, min, max, stddev, p50, p95, p99, revision, computed_at,
       is_final, is_live, is_suspect
from unnest(%(starts)s::timestamptz[], %(series_ids)s::bigint[], %(metrics)s::text[]) as k (bucket_start, series_id, metric)
join {view} m using (bucket_start, series_id, metric)

-- name: anomalies
-- Anomalies by their ids, as the lists show them.
select a.anomaly_id, a.tenant, a.series_id, a.metric, a.window_name as "window", a.anomaly_type, a.method,
       a.started_at, a.peak_at, a.ended_at, a.score, a.baseline, a.observed, a.deviation, a.impact, a.explanation,
       a.detected_at, d.dismissed_at, s.event_type, s.subtype, s.model, s.environment, s.service, s.region, s.team,
       s.source_module, s.provider, s.tags
from anomalies a
left join series s on s.series_id = a.series_id
left join anomaly_dismissals d on d.anomaly_id = a.anomaly_id
where a.anomaly_id = any(%(ids)s)

-- name: incidents
-- Incidents by their ids, as the lists show them, with whom they hurt.
select incident_id, tenant, title, severity, is_open, started_at, ended_at, root_cause, root_cause_confidence, cost_usd,
       detected_at, story -> 'hurts' as hurts
from incidents where incident_id = any(%(ids)s)

-- name: corrections
-- How often closed windows changed, by tenant.
select tenant, corrections from corrections

-- name: checks
-- The last verdicts of rules by the ids that alerts of them have, without what they counted over all tenants.
select distinct on (asset, check_name) md5('check ' || asset || ' ' || check_name)::uuid as alert_id, asset, check_name,
       checked_at, severity, blocking, passed, advice, period_from, period_to, run_id
from checks
where severity = 'error' and md5('check ' || asset || ' ' || check_name)::uuid = any(%(ids)s)
order by asset, check_name, checked_at desc, check_id desc
