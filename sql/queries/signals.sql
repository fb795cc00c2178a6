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
-- The forecasts of one series, metric and window, before they are written again.
delete from forecasts where series_id = %(series_id)s and metric = %(metric)s and window_name = %(window)s

-- name: delete_correlations
-- Correlations that ended in a period, and those found again, before they are written again; members go with them.
delete from correlations where (ended_at > %(start)s and ended_at <= %(end)s) or correlation_id = any(%(ids)s)

-- name: tenants_of_series
-- The tenant of each series.
select series_id, tenant from series where series_id = any(%(series_ids)s)
