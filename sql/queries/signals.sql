-- What the signals read and write.

-- name: linked_events
-- Events that say what caused them or what they belong to, and all security and governance events. The cost event of a
-- request names its usage event as parent by routine: that link is bookkeeping, not a cause.
select event_id::text, ts, tenant, event_type, subtype, severity::text, correlation_id::text, parent_event_id::text, series_id,
       coalesce(payload ->> 'resource_id', payload ->> 'target_resource', payload ->> 'resource', payload ->> 'data_asset_id')
           as resource,
       case when subtype = 'data_lineage' and jsonb_typeof(payload -> 'lineage_path') = 'array' then array_remove(
           payload ->> 'source'
           || array(select jsonb_array_elements_text(payload -> 'lineage_path'))
           || case when not payload -> 'lineage_path' ? (payload ->> 'data_asset_id') then payload ->> 'data_asset_id' end
           || (payload ->> 'destination'), null) end as lineage,
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
-- The forecasts of the series, metrics, windows and origins of the staged ones, before those are served.
delete from forecasts f
using (select distinct series_id, metric, window_name, trained_through from lah_staging.forecasts) s
where f.series_id = s.series_id and f.metric = s.metric and f.window_name = s.window_name
  and f.trained_through = s.trained_through

-- name: delete_forecast_models
-- What those forecasts were made of.
delete from forecast_models f
using (select distinct series_id, metric, window_name, trained_through from lah_staging.forecasts) s
where f.series_id = s.series_id and f.metric = s.metric and f.window_name = s.window_name
  and f.trained_through = s.trained_through

-- name: forget_forecasts
-- Forecasts of origins before a time; what they were made of and how they came out stays.
delete from forecasts where window_name = any(%(windows)s) and trained_through < %(before)s

-- name: forget_other_methods
-- What other methods said of the staged metrics' buckets still to come: after an upgrade nothing of the old is served.
delete from forecasts f
where f.target_start > %(after)s
  and (f.window_name, f.metric) in (select window_name, metric from lah_staging.forecasts)
  and (f.window_name, f.metric, f.method) not in (select window_name, metric, method from lah_staging.forecasts)

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

-- name: dimensions_of_series
-- What points tell of each series.
select series_id, tenant, event_type, subtype, model from series where series_id = any(%(series_ids)s)

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

-- name: component_series
-- Series of components: those of a service or a model.
select series_id, tenant, service, model from series where service <> '' or model <> ''

-- name: component_telemetry
-- Requests, latency and failures of components by five minutes, a metric a row, as whole columns.
select r.metric, array_agg(r.series_id), array_agg(r.bucket_start), array_agg(r.count), array_agg(r.mean),
       array_agg(coalesce(r.sum_exact, 0)::float8)
from rollup_5m r
where r.metric in ('latency_ms', 'failed_requests', 'total_requests')
  and r.bucket_start >= %(start)s and r.bucket_start < %(end)s
group by r.metric

-- name: spans
-- The latest events of a period that name a parent or an operation, with the component each belongs to.
select e.tenant, e.event_id::text, e.parent_event_id::text, e.correlation_id::text, e.ts, s.service, s.model
from events e join series s using (series_id)
where e.ts >= %(start)s and e.ts < %(end)s and (e.parent_event_id is not null or e.correlation_id is not null)
order by e.ts desc
limit %(limit)s

-- name: usage_of_spans
-- What a tenant's requests used and cost by hour, service and model in some spans, by their cost events, which repeat the
-- tokens; with how many failed, and the prices in force at that hour in USD a token. A part of the cache without a price
-- of its own costs what fresh input costs; input nobody parted is fresh.
select u.*, (p.input_usd_per_mtok / 1000000)::text as fresh_price,
       (coalesce(p.cache_read_usd_per_mtok, p.input_usd_per_mtok) / 1000000)::text as cache_read_price,
       (coalesce(p.cache_write_usd_per_mtok, p.input_usd_per_mtok) / 1000000)::text as cache_write_price,
       (p.output_usd_per_mtok / 1000000)::text as output_price
from (
    select date_trunc('hour', e.ts, 'UTC') as at, s.service, s.model,
           count(*) filter (where e.subtype = 'token_cost') as requests,
           coalesce(sum(coalesce(e.input_fresh_tokens, e.input_tokens)) filter (where e.subtype = 'token_cost'), 0)::bigint
               as fresh_tokens,
           coalesce(sum(e.input_cache_read_tokens) filter (where e.subtype = 'token_cost'), 0)::bigint as cache_read_tokens,
           coalesce(sum(e.input_cache_write_tokens) filter (where e.subtype = 'token_cost'), 0)::bigint as cache_write_tokens,
           coalesce(sum(coalesce(e.output_visible_tokens + coalesce(e.output_reasoning_tokens, 0), e.output_tokens))
               filter (where e.subtype = 'token_cost'), 0)::bigint as output_tokens,
           coalesce(sum(e.cost_usd) filter (where e.subtype = 'token_cost'), 0)::text as usd,
           coalesce(sum(e.failed_requests), 0)::bigint as failed_requests
    from unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) as span (starts_at, ends_at)
    cross join lateral (
        select * from events e
        where e.ts >= span.starts_at and e.ts < span.ends_at and e.tenant = %(tenant)s
          and e.subtype in ('token_cost', 'error_rate')
    ) e
    join series s using (series_id)
    group by 1, s.service, s.model
) u
left join prices p on p.model = u.model and u.at >= p.valid_from and u.at < p.valid_to

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
