-- Evidence for a period [from, to) and a tenant ('*': all). Every query of evidence returns groups and one total row
-- (is_total), the rows it counted and the newest of them (watermark), so that an auditor can run it again by hand.

-- name: ledger
-- Records received, by landing minute, and what became of them.
select topic, coalesce(sum(received), 0)::bigint as received, coalesce(sum(stored), 0)::bigint as stored,
       coalesce(sum(duplicate), 0)::bigint as duplicate, coalesce(sum(dead_lettered), 0)::bigint as dead_lettered,
       count(*) as counted_rows, max(minute) as watermark, grouping(topic) = 1 as is_total
from ledger
where minute >= %(from)s and minute < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
group by grouping sets ((topic), ())
order by is_total desc, received desc, topic limit %(limit)s

-- name: dead_letters
-- Records refused in the period, by reason code; replayed: stored or found stored since.
select code, count(*) as dead_letters, count(replayed_at) as replayed, count(*) - count(replayed_at) as pending,
       count(*) as counted_rows, max(dead_lettered_at) as watermark, grouping(code) = 1 as is_total
from dead_letters
where dead_lettered_at >= %(from)s and dead_lettered_at < %(to)s
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
group by grouping sets ((code), ())
order by is_total desc, dead_letters desc, code limit %(limit)s

-- name: security_events
-- Security events by subtype and severity.
select subtype, severity::text as severity, count(*) as events,
       count(*) filter (where severity = 'critical') as critical,
       count(*) as counted_rows, max(ts) as watermark, grouping(subtype) = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and payload_type = 'security'
group by grouping sets ((subtype, severity), ())
order by is_total desc, events desc, subtype, severity limit %(limit)s

-- name: authentication
-- Authentication events by action, and how they ended.
select payload ->> 'action' as action, count(*) as events,
       count(*) filter (where payload ->> 'success' = 'true') as succeeded,
       count(*) filter (where payload ->> 'success' is distinct from 'true') as failed,
       count(*) as counted_rows, max(ts) as watermark, grouping(payload ->> 'action') = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and payload_type = 'security' and subtype = 'auth'
group by grouping sets ((payload ->> 'action'), ())
order by is_total desc, events desc, action limit %(limit)s

-- name: privacy_operations
-- Operations on personal data by kind, with and without the consent of the data subjects.
select payload ->> 'operation' as operation, count(*) as events,
       count(*) filter (where payload ->> 'user_consent' = 'true') as with_consent,
       count(*) filter (where payload ->> 'user_consent' is distinct from 'true') as without_consent,
       count(*) as counted_rows, max(ts) as watermark, grouping(payload ->> 'operation') = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and payload_type = 'security' and subtype = 'privacy'
group by grouping sets ((payload ->> 'operation'), ())
order by is_total desc, events desc, operation limit %(limit)s

-- name: compliance_violations
-- Reported violations of a regulation.
select payload ->> 'regulation' as regulation, count(*) as events,
       count(*) filter (where payload ->> 'remediation_required' = 'true') as remediation_required,
       count(*) as counted_rows, max(ts) as watermark, grouping(payload ->> 'regulation') = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and payload_type = 'security' and subtype = 'compliance_violation'
group by grouping sets ((payload ->> 'regulation'), ())
order by is_total desc, events desc, regulation limit %(limit)s

-- name: policy_violations
-- Policy violations by severity, and how many were remediated automatically.
select payload ->> 'severity' as severity, count(*) as events,
       count(*) filter (where payload ->> 'auto_remediated' = 'true') as auto_remediated,
       count(*) filter (where payload ->> 'auto_remediated' is distinct from 'true') as not_remediated,
       count(*) as counted_rows, max(ts) as watermark, grouping(payload ->> 'severity') = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and payload_type = 'governance' and subtype = 'policy_violation'
group by grouping sets ((payload ->> 'severity'), ())
order by is_total desc, events desc, severity limit %(limit)s

-- name: compliance_checks
-- Compliance checks by framework; the score is the mean of what the checks reported.
select payload ->> 'framework' as framework, count(*) as events,
       count(*) filter (where payload ->> 'passed' = 'true') as passed,
       count(*) filter (where payload ->> 'passed' is distinct from 'true') as failed,
       round(avg((payload ->> 'score')::numeric) filter (where jsonb_typeof(payload -> 'score') = 'number'), 4)
           as mean_score,
       count(*) as counted_rows, max(ts) as watermark, grouping(payload ->> 'framework') = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and payload_type = 'governance' and subtype = 'compliance_check'
group by grouping sets ((payload ->> 'framework'), ())
order by is_total desc, events desc, framework limit %(limit)s

-- name: failing_controls
-- Controls that compliance checks found failing.
select payload ->> 'framework' as framework, finding ->> 'control_id' as control_id, count(*) as findings,
       count(*) as counted_rows, max(ts) as watermark, grouping(payload ->> 'framework') = 1 as is_total
from events
cross join lateral jsonb_array_elements(
    case when jsonb_typeof(payload -> 'findings') = 'array' then payload -> 'findings' else '[]' end) as finding
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and payload_type = 'governance' and subtype = 'compliance_check' and finding ->> 'status' = 'fail'
group by grouping sets ((payload ->> 'framework', finding ->> 'control_id'), ())
order by is_total desc, findings desc, framework, control_id limit %(limit)s

-- name: audit_trail
-- What producers reported to the audit trail, by action.
select payload ->> 'action' as action, count(*) as events, count(distinct payload ->> 'actor') as actors,
       count(*) as counted_rows, max(ts) as watermark, grouping(payload ->> 'action') = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and payload_type = 'governance' and subtype = 'audit_trail'
group by grouping sets ((payload ->> 'action'), ())
order by is_total desc, events desc, action limit %(limit)s

-- name: audit_log
-- What was done to the hub itself: its append-only audit log.
select action, object_type, count(*) as entries, count(distinct actor) as actors,
       count(*) as counted_rows, max(at) as watermark, grouping(action) = 1 as is_total
from audit_log
where at >= %(from)s and at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
group by grouping sets ((action, object_type), ())
order by is_total desc, entries desc, action, object_type limit %(limit)s

-- name: costs
-- Costs by model, as producers reported them and as the price book prices the same requests; empty: could not.
select model, coalesce(sum(requests), 0)::bigint as requests, coalesce(sum(unpriced_requests), 0)::bigint as unpriced_requests,
       coalesce(sum(reported_usd), 0) as reported_usd, sum(priced_usd) as priced_usd,
       coalesce(sum(other_usd), 0) as other_usd,
       count(*) as counted_rows, max(computed_at) as watermark, grouping(model) = 1 as is_total
from cost_daily
where day >= (%(from)s::timestamptz at time zone 'UTC')::date and day < (%(to)s::timestamptz at time zone 'UTC')::date
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
group by grouping sets ((model), ())
order by is_total desc, reported_usd desc, model limit %(limit)s

-- name: quality_verdicts
-- The latest verdict of every data-quality rule about a time that overlaps the period; rules have no tenant.
with latest as (
    select distinct on (asset, check_name) asset, check_name, severity, passed, failed_rows, checked_at
    from checks
    where coalesce(period_from, checked_at) < %(to)s and coalesce(period_to, checked_at) >= %(from)s
    order by asset, check_name, checked_at desc, check_id desc
)
select asset, check_name, severity, case when passed then 'passed' when not passed then 'failed' end as verdict,
       failed_rows, checked_at, count(*) as rules, count(*) filter (where passed) as passing,
       count(*) filter (where not passed) as failing,
       count(*) filter (where not passed and severity = 'error') as failing_errors,
       count(*) as counted_rows, max(checked_at) as watermark, grouping(asset) = 1 as is_total
from latest
group by grouping sets ((asset, check_name, severity, passed, failed_rows, checked_at), ())
order by is_total desc, failing desc, asset, check_name limit %(limit)s

-- name: security_anomalies
-- Anomalies of series of security events that started in the period.
select a.anomaly_type, a.impact, count(*) as anomalies,
       count(*) filter (where a.impact in ('high', 'critical')) as severe,
       count(*) as counted_rows, max(a.started_at) as watermark, grouping(a.anomaly_type) = 1 as is_total
from anomalies a join series s using (series_id)
where a.started_at >= %(from)s and a.started_at < %(to)s and (%(tenant)s::text = '*' or a.tenant = %(tenant)s::text)
  and s.event_type = 'security'
group by grouping sets ((a.anomaly_type, a.impact), ())
order by is_total desc, anomalies desc, anomaly_type, impact limit %(limit)s

-- name: security_correlations
-- Security incidents and compliance cascades that correlation found in the period.
select correlation_type, count(*) as correlations, round(max(strength)::numeric, 4) as greatest_strength,
       round(max(confidence)::numeric, 4) as greatest_confidence,
       count(*) as counted_rows, max(started_at) as watermark, grouping(correlation_type) = 1 as is_total
from correlations
where started_at >= %(from)s and started_at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and correlation_type in ('security_incident', 'compliance_cascade')
group by grouping sets ((correlation_type), ())
order by is_total desc, correlations desc, correlation_type limit %(limit)s

-- name: schema_version
-- The newest migration that was applied.
select to_char(version, 'FM0000') || '_' || name from schema_migrations order by version desc limit 1

-- name: write_report
-- One generated report; nothing comes back when the very same one is there.
insert into reports (report_id, name, tenant, period_from, period_to, generated_at, content, html, sha256, requested_by)
values (%(report_id)s, %(name)s, %(tenant)s, %(period_from)s, %(period_to)s, %(generated_at)s, %(content)s, %(html)s,
        %(sha256)s, %(requested_by)s)
on conflict (report_id) do nothing
returning report_id

-- name: list_reports
-- Reports without their documents, newest first.
select report_id, name, tenant, period_from, period_to, generated_at, sha256, requested_by
from reports
where (%(tenant)s::text = '*' or tenant = %(tenant)s::text) and (%(name)s::text is null or name = %(name)s::text)
order by generated_at desc, report_id limit %(limit)s

-- name: get_report
-- One report with its documents.
select report_id, name, tenant, period_from, period_to, generated_at, sha256, requested_by, content, html
from reports where report_id = %(report_id)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
