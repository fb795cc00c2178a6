-- What the signals read and write.

-- name: linked_events
-- Events that say what caused them or what they belong to, and all security and governance events. The cost event of a
-- request names its usage event as parent by routine: that link is bookkeeping, not a cause.
select event_id::text, ts, tenant, event_type, subtype, severity::text, correlation_id::text, parent_event_id::text, series_id,
       coalesce(payload ->> 'resource_id', payload ->> 'target_resource', payload ->> 'resource') as resource,
       source_module
from events
where ts >= %(start)s and ts < %(end)s
  and (event_type in ('security', 'governance', 'audit', 'alert', 'lifecycle')
       or ((parent_event_id is not null or correlation_id is not null)
           and subtype not in ('token_usage', 'token_cost', 'latency', 'throughput')))

-- name: anomalies
-- Anomalies that overlap a period, with their series' dimensions.
select a.anomaly_id::text, a.tenant, a.series_id, a.metric, a.window_name, a.anomaly_type, a.started_at, a.peak_at,
       a.ended_at, a.score, a.deviation, s.event_type, s.subtype, s.model
from anomalies a join series s using (series_id)
where a.ended_at > %(start)s and a.started_at < %(end)s

-- name: lock
-- One writer of a signals table at a time: two at once would each insert the same rows.
select pg_advisory_xact_lock(hashtextextended('lah.' || %(table)s, 0))

-- name: delete_anomalies
-- One window's episodes that overlap a period, and earlier states of those that grew, before they are written again.
delete from anomalies
where (window_name = %(window)s and ended_at > %(start)s and started_at < %(end)s) or anomaly_id = any(%(ids)s)

-- name: delete_forecasts
-- The forecasts of some series and metrics from one origin each, before they are written again.
delete from forecasts f
using unnest(%(series_ids)s::bigint[], %(metrics)s::text[], %(origins)s::timestamptz[]) as o (series_id, metric, origin)
where f.series_id = o.series_id and f.metric = o.metric and f.window_name = %(window)s and f.trained_through = o.origin

-- name: delete_forecast_models
-- What those forecasts were made of.
delete from forecast_models f
using unnest(%(series_ids)s::bigint[], %(metrics)s::text[], %(origins)s::timestamptz[]) as o (series_id, metric, origin)
where f.series_id = o.series_id and f.metric = o.metric and f.window_name = %(window)s and f.trained_through = o.origin

-- name: forget_forecasts
-- Forecasts of origins before a time; what they were made of and how they came out stays.
delete from forecasts where window_name = %(window)s and trained_through < %(before)s

-- name: unjudged_forecasts
-- Forecasts of metrics for buckets of [start, end) that may not all have been compared with what came about.
select f.series_id, f.metric, f.method, f.trained_through, f.target_start, f.value, f.lower, f.upper, f.lower_80,
       f.upper_80, m.naive_step
from forecasts f
join forecast_models m using (series_id, metric, window_name, trained_through, method)
where f.window_name = %(window)s and f.metric = any(%(metrics)s) and m.judged_buckets < m.horizon
  and f.target_start >= %(start)s and f.target_start < %(end)s and m.trained_through >= %(start)s

-- name: judge_forecasts
-- How forecasts came out.
update forecast_models m
set judged_buckets = j.judged_buckets, mape = j.mape, smape = j.smape, wape = j.wape, mase = j.mase,
    coverage_80 = j.coverage_80, coverage_95 = j.coverage_95, judged_at = %(judged_at)s
from unnest(%(series_id)s::bigint[], %(metric)s::text[], %(method)s::text[], %(trained_through)s::timestamptz[],
            %(judged_buckets)s::bigint[], %(mape)s::float8[], %(smape)s::float8[], %(wape)s::float8[], %(mase)s::float8[],
            %(coverage_80)s::float8[], %(coverage_95)s::float8[])
     as j (series_id, metric, method, trained_through, judged_buckets, mape, smape, wape, mase, coverage_80, coverage_95)
where m.series_id = j.series_id and m.metric = j.metric and m.method = j.method and m.window_name = %(window)s
  and m.trained_through = j.trained_through

-- name: delete_correlations
-- Correlations that ended in a period, and those found again, before they are written again; members go with them.
delete from correlations where (ended_at > %(start)s and ended_at <= %(end)s) or correlation_id = any(%(ids)s)

-- name: tenants_of_series
-- The tenant of each series.
select series_id, tenant from series where series_id = any(%(series_ids)s)

-- name: anomaly_of
-- One anomaly of a tenant ('*': of any), as it is dismissed.
select tenant, series_id, metric, anomaly_type, started_at, deviation from anomalies
where anomaly_id = %(anomaly_id)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)

-- name: dismiss_anomaly
-- An anomaly called nothing; nothing is returned when it was dismissed before.
insert into anomaly_dismissals (anomaly_id, tenant, series_id, metric, anomaly_type, started_at, deviation, dismissed_by, note)
select anomaly_id, tenant, series_id, metric, anomaly_type, started_at, deviation, %(actor)s, %(note)s
from anomalies where anomaly_id = %(anomaly_id)s
on conflict (anomaly_id) do nothing
returning dismissal_id

-- name: dismissal
-- The dismissal of one anomaly.
select anomaly_id, tenant, series_id, metric, anomaly_type, started_at, deviation, dismissed_at, dismissed_by, note
from anomaly_dismissals where anomaly_id = %(anomaly_id)s

-- name: dismissals
-- What was dismissed of series that are judged, of anomalies that started before a time.
select series_id, metric, anomaly_type, started_at, deviation from anomaly_dismissals
where started_at < %(end)s and started_at >= %(start)s

-- name: add_maintenance
-- A time in which nothing is told.
insert into maintenance_windows (tenant, model, starts_at, ends_at, reason, created_by)
values (%(tenant)s, %(model)s, %(starts_at)s, %(ends_at)s, %(reason)s, %(actor)s)
returning maintenance_id, tenant, model, starts_at, ends_at, reason, created_by, created_at

-- name: maintenance
-- Maintenance that overlaps a period.
select tenant, model, starts_at, ends_at from maintenance_windows where ends_at > %(start)s and starts_at < %(end)s

-- name: maintenance_listed
-- Maintenance that has not ended long ago, the next first.
select maintenance_id, tenant, model, starts_at, ends_at, reason, created_by, created_at from maintenance_windows
where ends_at > %(since)s and (%(tenant)s::text = '*' or tenant in ('*', %(tenant)s::text))
order by starts_at, maintenance_id limit %(limit)s

-- name: remove_maintenance
-- One maintenance window of a tenant ('*': of any), taken back.
delete from maintenance_windows
where maintenance_id = %(maintenance_id)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
returning tenant, model, starts_at, ends_at, reason

-- name: learning_series
-- Series and metrics with too few hours in a period to be judged yet, the longest known first.
select s.tenant, r.series_id, r.metric, s.event_type, s.subtype, s.model, count(*) as hours
from rollup_1h r join series s using (series_id)
where r.bucket_start >= %(start)s and r.bucket_start < %(end)s
group by s.tenant, r.series_id, r.metric, s.event_type, s.subtype, s.model
having count(*) <= %(needed)s
order by hours desc, r.series_id, r.metric

-- name: incident_anomalies
-- Anomalies that overlap a period, with what an incident tells of them.
select a.anomaly_id::text, a.tenant, a.series_id, a.metric, a.anomaly_type, a.started_at, a.ended_at, a.deviation, a.impact,
       a.explanation, s.model, s.service, s.team
from anomalies a join series s using (series_id)
where a.ended_at > %(start)s and a.started_at < %(end)s

-- name: correlations_of_period
-- Correlations that overlap a period with their members in order.
select c.correlation_id, c.tenant, c.correlation_type, c.started_at, c.ended_at, c.strength, c.confidence, c.explanation,
       c.evidence, m.roles, m.types, m.ids, m.metrics, m.times
from correlations c
join lateral (
    select array_agg(role order by position) as roles, array_agg(member_type order by position) as types,
           array_agg(member_id order by position) as ids, array_agg(metric order by position) as metrics,
           array_agg(at order by position) as times
    from correlation_members m where m.correlation_id = c.correlation_id
) m on m.ids is not null
where c.ended_at > %(start)s and c.started_at < %(end)s

-- name: component_telemetry
-- Requests, mean latency in seconds and share of failures by five minutes, service and model.
select s.tenant, r.bucket_start as at, s.service, s.model,
       greatest(coalesce(sum(r.count) filter (where r.metric = 'latency_ms'), 0),
                coalesce(sum(r.sum_exact) filter (where r.metric = 'total_requests'), 0))::float8 as requests,
       (sum(r.mean * r.count) filter (where r.metric = 'latency_ms')
         / (nullif(sum(r.count) filter (where r.metric = 'latency_ms'), 0) * 1000))::float8 as latency,
       (sum(r.sum_exact) filter (where r.metric = 'failed_requests')
         / nullif(sum(r.sum_exact) filter (where r.metric = 'total_requests'), 0))::float8 as failed_share
from rollup_5m r join series s using (series_id)
where r.metric in ('latency_ms', 'failed_requests', 'total_requests')
  and r.bucket_start >= %(start)s and r.bucket_start < %(end)s
  and (s.service <> '' or s.model <> '')
group by s.tenant, r.bucket_start, s.service, s.model

-- name: spans
-- The latest events of a period that name a parent or an operation, with the component each belongs to.
select e.tenant, e.event_id::text, e.parent_event_id::text, e.correlation_id::text, e.ts, s.service, s.model
from events e join series s using (series_id)
where e.ts >= %(start)s and e.ts < %(end)s and (e.parent_event_id is not null or e.correlation_id is not null)
order by e.ts desc
limit %(limit)s

-- name: delete_incidents
-- Incidents that overlap a period, and those told again, before they are written again; members go with them.
delete from incidents where (ended_at > %(start)s and started_at < %(end)s) or incident_id = any(%(ids)s)

-- name: judged_revisions
-- Of each series and metric with days in a period: the sum of their revisions and how many there are. Every late event
-- raises the revision of its day's row, so an unchanged pair means that no judged bucket has changed.
select series_id, metric, sum(revision)::bigint as revisions, count(*) as days from rollup_1d
where metric = any(%(metrics)s) and bucket_start >= %(since)s and bucket_start < %(until)s
group by series_id, metric

-- name: anomaly_memories
-- What is remembered of some series up to a moment, by the same version and from the same beginning.
select series_id, metric, revisions, days, memory from anomaly_memories
where window_name = %(window)s and through = %(through)s and since = %(since)s and version = %(version)s
  and series_id = any(%(series_ids)s)

-- name: forget_anomaly_memories
-- What was remembered of some series up to a moment, before it is written again.
delete from anomaly_memories
where window_name = %(window)s and through = %(through)s and series_id = any(%(series_ids)s)

-- name: outdated_anomaly_memories
-- Memories older than those that the newest run and a repetition of it need.
delete from anomaly_memories
where window_name = %(window)s
  and through < (select max(through) from anomaly_memories where window_name = %(window)s) - interval '1 day'

-- name: owners_of_series
-- Tenant and model of each series.
select series_id, tenant, model from series where series_id = any(%(series_ids)s)
