-- What the signals read and write.

-- name: linked_events
-- Events that say what caused them or what they belong to, and all security and governance events. The cost event of a
-- request names its usage event as parent by routine: that link is bookkeeping, not a cause.
select event_id::text, ts, tenant, event_type, subtype, severity::text, correlation_id::text, parent_event_id::text, series_id,
       coalesce(payload ->> 'resource_id', payload ->> 'target_resource', payload ->> 'resource') as resource
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
returning maintenance_id

-- name: maintenance
-- Maintenance that overlaps a period.
select tenant, model, starts_at, ends_at from maintenance_windows where ends_at > %(start)s and starts_at < %(end)s

-- name: maintenance_listed
-- Maintenance that has not ended long ago, the next first.
select maintenance_id, tenant, model, starts_at, ends_at, reason, created_by from maintenance_windows
where ends_at > %(since)s order by starts_at, maintenance_id

-- name: learning_series
-- Series and metrics with too few hours in a period to be judged yet, the longest known first.
select s.tenant, r.series_id, r.metric, s.event_type, s.subtype, s.model, count(*) as hours
from rollup_1h r join series s using (series_id)
where r.bucket_start >= %(start)s and r.bucket_start < %(end)s
group by s.tenant, r.series_id, r.metric, s.event_type, s.subtype, s.model
having count(*) <= %(needed)s
order by hours desc, r.series_id, r.metric
