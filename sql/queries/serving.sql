-- name: events
-- Events of a tenant ('*': of all), newest first, in [from, to), after the cursor.
select ts as "timestamp", tenant, event_id, source_module, event_type, severity::text as severity, environment,
       schema_version, correlation_id, parent_event_id, tags::text as tags, payload_type, subtype,
       payload::text as payload, received_at
from events
where ts >= %(from)s and ts < %(to)s
  and (ts, tenant, event_id) < (%(after_0)s::timestamptz, %(after_1)s::text, %(after_2)s::uuid)
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(type)s::text is null or event_type = %(type)s::text)
  and (%(subtype)s::text is null or subtype = %(subtype)s::text)
  and (%(model)s::text is null or model = %(model)s::text)
  and (%(severity)s::severity is null or severity >= %(severity)s::severity)
  and (%(correlation_id)s::uuid is null or correlation_id = %(correlation_id)s::uuid)
  and (%(tags)s::jsonb is null or tags @> %(tags)s::jsonb)
order by ts desc, tenant desc, event_id desc
limit %(limit)s

-- name: event
-- The event of an id in [from, to), newest first: the same id under another timestamp is a conflict, and shown.
select ts as "timestamp", tenant, event_id, source_module, event_type, severity::text as severity, environment,
       schema_version, correlation_id, parent_event_id, tags::text as tags, payload_type, subtype,
       payload::text as payload, received_at
from events
where ts >= %(from)s and ts < %(to)s
  and event_id = %(event_id)s
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
order by ts desc, tenant desc
limit %(limit)s

-- name: metrics
-- Rollup rows of one metric, oldest first, whose bucket starts in [from, to); {view} is the window's.
select bucket_start, bucket_end, tenant, event_type, subtype, model, environment, service, region, team, series_id,
       source_module, provider, tags, metric, count, sum, avg, min, max, stddev, p50, p95, p99, revision, computed_at,
       is_final, is_live, is_suspect
from {view}
where metric = %(metric)s
  and bucket_start >= %(from)s and bucket_start < %(to)s
  and (bucket_start, series_id) > (%(after_0)s::timestamptz, %(after_1)s::bigint)
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(type)s::text is null or event_type = %(type)s::text)
  and (%(subtype)s::text is null or subtype = %(subtype)s::text)
  and (%(model)s::text is null or model = %(model)s::text)
  and (%(environment)s::text is null or environment = %(environment)s::text)
  and (%(service)s::text is null or service = %(service)s::text)
  and (%(region)s::text is null or region = %(region)s::text)
  and (%(team)s::text is null or team = %(team)s::text)
  and (%(source_module)s::text is null or source_module = %(source_module)s::text)
  and (%(provider)s::text is null or provider = %(provider)s::text)
  and (%(tags)s::jsonb is null or tags @> %(tags)s::jsonb)
order by bucket_start, series_id
limit %(limit)s

-- name: anomalies
-- Anomalies that started in [from, to), newest first.
select a.anomaly_id, a.tenant, a.series_id, a.metric, a.window_name as "window", a.anomaly_type, a.method,
       a.started_at, a.peak_at, a.ended_at, a.score, a.baseline, a.observed, a.deviation, a.impact, a.explanation,
       a.detected_at, d.dismissed_at, s.event_type, s.subtype, s.model, s.environment, s.service, s.region, s.team
from anomalies a
left join series s on s.series_id = a.series_id
left join anomaly_dismissals d on d.anomaly_id = a.anomaly_id
where a.started_at >= %(from)s and a.started_at < %(to)s
  and (a.started_at, a.anomaly_id) < (%(after_0)s::timestamptz, %(after_1)s::uuid)
  and (%(tenant)s::text = '*' or a.tenant = %(tenant)s::text)
  and (%(metric)s::text is null or a.metric = %(metric)s::text)
  and (%(windows)s::text[] is null or a.window_name = any (%(windows)s::text[]))
  and (%(anomaly_type)s::text is null or a.anomaly_type = %(anomaly_type)s::text)
  and (%(impact)s::text[] is null or a.impact = any (%(impact)s::text[]))
  and (%(model)s::text is null or s.model = %(model)s::text)
order by a.started_at desc, a.anomaly_id desc
limit %(limit)s

-- name: correlations
-- Correlations that started in [from, to) with their members in order, newest first.
select c.correlation_id, c.tenant, c.correlation_type, c.started_at, c.ended_at, c.strength, c.confidence,
       c.explanation, c.detected_at, c.evidence, coalesce(m.members, '[]'::jsonb) as members
from correlations c
left join lateral (
    select jsonb_agg(jsonb_build_object(
               'role', m.role, 'member_type', m.member_type, 'member_id', m.member_id, 'metric', m.metric, 'at', m.at
           ) order by m.position) as members
    from correlation_members m where m.correlation_id = c.correlation_id
) m on true
where c.started_at >= %(from)s and c.started_at < %(to)s
  and (c.started_at, c.correlation_id) < (%(after_0)s::timestamptz, %(after_1)s::uuid)
  and (%(tenant)s::text = '*' or c.tenant = %(tenant)s::text)
  and (%(correlation_type)s::text is null or c.correlation_type = %(correlation_type)s::text)
  and c.strength >= %(min_strength)s and c.confidence >= %(min_confidence)s
order by c.started_at desc, c.correlation_id desc
limit %(limit)s

-- name: incidents
-- Incidents that started in [from, to), newest first, without their story.
select incident_id, tenant, title, severity, is_open, started_at, ended_at, root_cause, root_cause_confidence, cost_usd,
       detected_at
from incidents
where started_at >= %(from)s and started_at < %(to)s
  and (started_at, incident_id) < (%(after_0)s::timestamptz, %(after_1)s::uuid)
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(severity)s::text[] is null or severity = any (%(severity)s::text[]))
  and (%(is_open)s::boolean is null or is_open = %(is_open)s::boolean)
order by started_at desc, incident_id desc
limit %(limit)s

-- name: incident
-- One incident with its story and what it is made of.
select i.incident_id, i.tenant, i.title, i.severity, i.is_open, i.started_at, i.ended_at, i.root_cause,
       i.root_cause_confidence, i.cost_usd, i.detected_at, i.story, coalesce(m.members, '[]'::jsonb) as members
from incidents i
left join lateral (
    select jsonb_agg(jsonb_build_object('member_type', m.member_type, 'member_id', m.member_id)
                     order by m.position) as members
    from incident_members m where m.incident_id = i.incident_id
) m on true
where i.incident_id = %(incident_id)s and (%(tenant)s::text = '*' or i.tenant = %(tenant)s::text)

-- name: forecasts
-- Forecasts for windows that start in [from, to), earliest first.
select f.tenant, f.series_id, f.metric, f.window_name as "window", f.method, f.target_start, f.trained_through,
       f.value, f.lower, f.upper, f.level, f.lower_80, f.upper_80, f.backtest_wape, f.computed_at,
       s.event_type, s.subtype, s.model, s.environment, s.service, s.region, s.team
from forecasts f
left join series s on s.series_id = f.series_id
where f.target_start >= %(from)s and f.target_start < %(to)s
  and (f.target_start, f.series_id, f.metric, f.window_name, f.method, f.trained_through)
      > (%(after_0)s::timestamptz, %(after_1)s::bigint, %(after_2)s::text, %(after_3)s::text, %(after_4)s::text,
         %(after_5)s::timestamptz)
  and (%(every_origin)s::boolean or not exists (
      select from forecast_models l
      where l.series_id = f.series_id and l.metric = f.metric and l.window_name = f.window_name
        and l.trained_through > f.trained_through))
  and (%(tenant)s::text = '*' or f.tenant = %(tenant)s::text)
  and (%(metric)s::text is null or f.metric = %(metric)s::text)
  and (%(windows)s::text[] is null or f.window_name = any (%(windows)s::text[]))
  and (%(method)s::text is null or f.method = %(method)s::text)
  and (%(model)s::text is null or s.model = %(model)s::text)
order by f.target_start, f.series_id, f.metric, f.window_name, f.method, f.trained_through
limit %(limit)s

-- name: forecast_models
-- Forecasts made in [from, to) with their backtest and how they came out, newest first.
select f.tenant, f.series_id, f.metric, f.window_name as "window", f.method, f.trained_through, f.horizon, f.weights,
       f.origins, f.backtest_mape, f.backtest_smape, f.backtest_wape, f.backtest_mase, f.naive_wape, f.forecastability,
       f.is_forecastable, f.verdict, f.computed_at, f.judged_buckets, f.mape, f.smape, f.wape, f.mase, f.coverage_80,
       f.coverage_95, f.judged_at, s.event_type, s.subtype, s.model, s.environment, s.service, s.region, s.team
from forecast_models f
left join series s on s.series_id = f.series_id
where f.computed_at >= %(from)s and f.computed_at < %(to)s
  and (f.computed_at, f.series_id, f.metric, f.window_name, f.method)
      < (%(after_0)s::timestamptz, %(after_1)s::bigint, %(after_2)s::text, %(after_3)s::text, %(after_4)s::text)
  and (%(tenant)s::text = '*' or f.tenant = %(tenant)s::text)
  and (%(metric)s::text is null or f.metric = %(metric)s::text)
  and (%(windows)s::text[] is null or f.window_name = any (%(windows)s::text[]))
  and (%(method)s::text is null or f.method = %(method)s::text)
  and (%(model)s::text is null or s.model = %(model)s::text)
order by f.computed_at desc, f.series_id desc, f.metric desc, f.window_name desc, f.method desc
limit %(limit)s

-- name: forecast_outlook
-- The latest forecasts of a metric for buckets that start in [from, to).
select f.tenant, f.series_id, f.trained_through, f.target_start, f.value, f.lower, f.upper, f.lower_80, f.upper_80,
       m.common_error
from forecasts f
join forecast_models m using (series_id, metric, window_name, trained_through, method)
join series s on s.series_id = f.series_id
where f.metric = %(metric)s and f.window_name = any (%(windows)s::text[])
  and f.target_start >= %(from)s and f.target_start < %(to)s
  and (%(tenant)s::text = '*' or f.tenant = %(tenant)s::text)
  and (%(model)s::text is null or s.model = %(model)s::text)
  and (%(series_id)s::bigint is null or f.series_id = %(series_id)s::bigint)
  and not exists (
      select from forecast_models l
      where l.series_id = f.series_id and l.metric = f.metric and l.window_name = f.window_name
        and l.trained_through > f.trained_through)
order by f.series_id, f.target_start

-- name: amount_so_far
-- What a metric summed up to in whole days of [from, to), of the same series.
select coalesce(sum(case when r.metric = 'events' then r.count::numeric else coalesce(r.sum_exact, r.sum::numeric) end),
                0)::double precision as amount
from rollup_1d r
join series s on s.series_id = r.series_id
where r.metric = %(metric)s and r.bucket_start >= %(from)s and r.bucket_start < %(to)s
  and (%(tenant)s::text = '*' or s.tenant = %(tenant)s::text)
  and (%(model)s::text is null or s.model = %(model)s::text)
  and (%(series_id)s::bigint is null or s.series_id = %(series_id)s::bigint)

-- name: costs
-- Costs per day from the first to the last day, both included, oldest first.
select day, tenant, model, environment, service, team, requests, input_tokens, input_fresh_tokens,
       input_cache_read_tokens, input_cache_write_tokens, input_unknown_tokens, output_tokens, reported_usd,
       priced_usd, unpriced_requests, other_usd, computed_at
from cost_daily
where day >= %(from)s and day <= %(to)s
  and (day, tenant, model, environment, service, team)
      > (%(after_0)s::date, %(after_1)s::text, %(after_2)s::text, %(after_3)s::text, %(after_4)s::text, %(after_5)s::text)
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(model)s::text is null or model = %(model)s::text)
  and (%(environment)s::text is null or environment = %(environment)s::text)
  and (%(service)s::text is null or service = %(service)s::text)
  and (%(team)s::text is null or team = %(team)s::text)
order by day, tenant, model, environment, service, team
limit %(limit)s

-- name: api_keys
-- Every key ever made, oldest first; never the HMAC.
select key_id, 'lah_' || key_id || '_' as prefix, tenant, role, label, is_demo, created_at, revoked_at, expires_at,
       replaces, last_used_at
from api_keys
where (created_at, key_id) > (%(after_0)s::timestamptz, %(after_1)s::text)
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
order by created_at, key_id
limit %(limit)s

-- name: reports
-- Reports without their content, newest first.
select report_id, name, tenant, environment, period_from, period_to, revision, generated_at, sha256, requested_by,
       supersedes, changes
from reports
where (generated_at, report_id) < (%(after_0)s::timestamptz, %(after_1)s::uuid)
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(name)s::text is null or name = %(name)s::text)
order by generated_at desc, report_id desc
limit %(limit)s

-- name: checks
-- The latest verdict of every check.
select distinct on (asset, check_name) asset, check_name, checked_at, severity, blocking, passed, checked_rows,
       failed_rows, observed, advice, period_from, period_to, run_id
from checks
where (asset, check_name) > (%(after_0)s::text, %(after_1)s::text)
  and (%(asset)s::text is null or asset = %(asset)s::text)
order by asset, check_name, checked_at desc
limit %(limit)s

-- name: check_history
-- Every verdict of checks that was reached in [from, to), the latest first; counts are those of the tenant's rows ('*': of
-- all), and where a verdict is about all of them there are none for a tenant.
select c.check_id, %(tenant)s::text as tenant, c.asset, c.check_name, c.checked_at, c.severity, c.blocking,
       case when %(tenant)s::text = '*' then c.passed else coalesce(v.passed, c.passed) end as passed,
       case when %(tenant)s::text = '*' then c.checked_rows else v.checked_rows end as checked_rows,
       case when %(tenant)s::text = '*' then c.failed_rows else v.failed_rows end as failed_rows,
       c.advice, c.period_from, c.period_to, c.run_id
from checks c
left join tenant_verdicts v on v.check_id = c.check_id and v.tenant = %(tenant)s::text
where c.check_id < %(after_0)s::bigint and c.checked_at >= %(from)s and c.checked_at < %(to)s
  and (%(asset)s::text is null or c.asset = %(asset)s::text)
  and (%(check_name)s::text is null or c.check_name = %(check_name)s::text)
  and (%(passed)s::boolean is null
       or %(passed)s::boolean = case when %(tenant)s::text = '*' then c.passed else coalesce(v.passed, c.passed) end)
order by c.check_id desc
limit %(limit)s

-- name: quality_scores
-- Scores of days from first to last, oldest first.
select day, tenant, score, checks, failed_checks, checked_rows, failed_rows, computed_at
from quality_scores
where day >= coalesce(%(from)s::date, '-infinity') and day <= coalesce(%(to)s::date, 'infinity')
  and (day, tenant) > (%(after_0)s::date, %(after_1)s::text)
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
order by day, tenant
limit %(limit)s

-- name: suspects
-- Rollup windows that failed a check and overlap [from, to), newest first; `is_open`: suspect now, or cleared since.
select suspect_id, tenant, series_id, metric, window_name as "window", period_from, period_to, asset, check_name, advice,
       since, cleared_at
from suspect_windows
where suspect_id < %(after_0)s::bigint
  and period_to > %(from)s and period_from < %(to)s
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(is_open)s::boolean is null or (cleared_at is null) = %(is_open)s::boolean)
order by suspect_id desc
limit %(limit)s

-- name: dead_letters
-- Records that could not be stored, newest first.
select dead_letter_id, tenant, topic, topic_id, partition, record_offset, dead_lettered_at, code, field, reason, raw,
       replayed_at, replayed_as
from dead_letters
where dead_letter_id < %(after_0)s::bigint
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(code)s::text is null or code = %(code)s::text)
order by dead_letter_id desc
limit %(limit)s

-- name: backfill
-- One requested recomputation and how far it is.
select request_id, table_name as "table", from_day as "from", to_day as "to", requested_by, requested_at, state,
       run_id, finished_at, days_done, to_day - from_day + 1 as days, metrics
from backfill_requests
where request_id = %(request_id)s and (%(table)s::text is null or table_name = %(table)s::text)

-- name: backfills
-- Requested recomputations, the latest first.
select request_id, table_name as "table", from_day as "from", to_day as "to", requested_by, requested_at, state,
       run_id, finished_at, days_done, to_day - from_day + 1 as days, metrics
from backfill_requests
where (requested_at, request_id) < (%(after_0)s::timestamptz, %(after_1)s::uuid)
  and (%(state)s::text is null or state = %(state)s::text)
  and (%(table)s::text is null or table_name = %(table)s::text)
order by requested_at desc, request_id desc
limit %(limit)s

-- name: ledger_totals
-- What landing ever booked, per topic and tenant.
select topic, tenant, sum(received)::bigint as received, sum(stored)::bigint as stored,
       sum(duplicate)::bigint as duplicate, sum(dead_lettered)::bigint as dead_lettered
from ledger where %(tenant)s::text = '*' or tenant = %(tenant)s::text
group by topic, tenant order by topic, tenant

-- name: dead_letter_totals
-- Dead letters not replayed yet, per tenant and code.
select tenant, code, count(*) as dead_letters
from dead_letters where replayed_at is null and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
group by tenant, code order by tenant, code

-- name: pending_partials
-- Partial rollups that no tick has merged yet, per tenant.
select s.tenant, count(*) as partials
from rollup_partials p join series s using (series_id)
where %(tenant)s::text = '*' or s.tenant = %(tenant)s::text
group by s.tenant order by s.tenant

-- name: watermarks
-- The rollups' watermark and last tick, null before the first.
select case when isfinite(final_before) then final_before end as final_before,
       case when isfinite(ticked_at) then ticked_at end as ticked_at
from rollup_state

-- name: watermarks_by_window
-- How far each tenant and window is.
select tenant, "window", final_before, newest_bucket, pending_partials, oldest_pending_minute
from rollup_watermarks where %(tenant)s::text = '*' or tenant = %(tenant)s::text

-- name: landing_progress
-- Per partition of the current incarnation of a topic: the next offset, and when landing last stood at the end.
select distinct on (topic, partition) topic, partition, next_offset, caught_up_at
from landing_offsets order by topic, partition, updated_at desc

-- name: prices
-- The price book, which is nobody's: all prices there ever were, or those in force at some time of [start, end).
select model, provider, valid_from, nullif(valid_to, 'infinity') as valid_to, input_usd_per_mtok,
       cache_read_usd_per_mtok, cache_write_usd_per_mtok, output_usd_per_mtok, source
from prices
where (model, valid_from) > (%(after_0)s::text, %(after_1)s::timestamptz)
  and (%(start)s::timestamptz is null or (valid_from < %(end)s::timestamptz and valid_to > %(start)s::timestamptz))
  and (%(provider)s::text is null or provider = %(provider)s::text)
  and (%(model)s::text is null or model = %(model)s::text)
order by model, valid_from

-- name: deliveries
-- Documents of reports on their way out, the newest first.
select d.delivery_id, d.report_id, r.name as report, d.format as document, d.tenant, d.target, d.kind, d.state, d.attempts,
       d.last_error, d.requested_at, d.next_attempt_at, d.delivered_at, d.sha256
from deliveries d join reports r using (report_id)
where (d.requested_at, d.delivery_id) < (%(after_0)s::timestamptz, %(after_1)s::uuid)
  and (%(tenant)s::text = '*' or d.tenant = %(tenant)s::text)
  and (%(state)s::text is null or d.state = %(state)s::text)
order by d.requested_at desc, d.delivery_id desc
limit %(limit)s
