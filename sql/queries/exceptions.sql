-- What failed of a period [from, to) for a tenant and an environment ('*': all), newest first: at, kind and id of the object,
-- tenant, a detail without personal data, and in every row the total. The controls' YAML names these.

-- name: ledger_exceptions
-- Minutes of a partition in which a record was received and booked nowhere, or booked twice.
select minute as at, 'ledger' as kind, topic || '/' || partition as id, tenant,
       received - stored - duplicate - dead_lettered || ' records unaccounted for' as detail,
       count(*) over () as total
from ledger
where minute >= %(from)s and minute < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and received <> stored + duplicate + dead_lettered
order by at desc, id, tenant, detail limit %(limit)s

-- name: offset_exceptions
-- Where offset ranges do not join.
select at, 'offset' as kind, topic || '/' || partition || '/' || found_offset as id, '*' as tenant,
       kind || ', expected ' || expected_offset as detail,
       count(*) over () as total
from offset_breaks
where at >= %(from)s and at < %(to)s and kind <> 'next_offset'
order by at desc, id, tenant, detail limit %(limit)s

-- name: dead_letter_exceptions
-- Refused records that are neither repaired nor found stored.
select dead_lettered_at as at, 'dead_letter' as kind, dead_letter_id::text as id, tenant,
       code || ' in ' || topic || '/' || partition || '/' || record_offset as detail,
       count(*) over () as total
from dead_letters
where dead_lettered_at >= %(from)s and dead_lettered_at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and replayed_at is null
order by at desc, id, tenant, detail limit %(limit)s

-- name: critical_exceptions
-- Security events of critical severity.
select ts as at, 'event' as kind, event_id::text as id, tenant,
       subtype as detail,
       count(*) over () as total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'security' and severity = 'critical'
order by at desc, id, tenant, detail limit %(limit)s

-- name: exfiltration_exceptions
-- Threats that carry data out.
select ts as at, 'event' as kind, event_id::text as id, tenant,
       'level ' || (payload ->> 'threat_level') || ', ' || (payload ->> 'mitigation_status') as detail,
       count(*) over () as total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'security' and subtype = 'threat' and payload ->> 'threat_type' = 'data_exfiltration'
order by at desc, id, tenant, detail limit %(limit)s

-- name: authentication_exceptions
-- Authentication events that did not succeed.
select ts as at, 'event' as kind, event_id::text as id, tenant,
       payload ->> 'action' as detail,
       count(*) over () as total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'security' and subtype = 'auth' and payload ->> 'success' is distinct from 'true'
order by at desc, id, tenant, detail limit %(limit)s

-- name: threat_exceptions
-- Severe threats without an audit record of their correlation within 72 hours.
select e.ts as at, 'event' as kind, e.event_id::text as id, e.tenant,
       'level ' || (e.payload ->> 'threat_level') as detail,
       count(*) over () as total
from events e
where e.ts >= %(from)s and e.ts < %(to)s and (%(tenant)s::text = '*' or e.tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or e.environment = %(environment)s::text)
  and e.payload_type = 'security' and e.subtype = 'threat' and e.payload ->> 'threat_level' in ('high', 'critical')
  and not exists (
               select from events h
               where h.correlation_id = e.correlation_id and h.tenant = e.tenant and h.subtype = 'audit_trail'
                 and h.payload_type = 'governance' and h.ts >= e.ts and h.ts < e.ts + interval '72 hours')
order by at desc, id, tenant, detail limit %(limit)s

-- name: untraceable_exceptions
-- Threats without a correlation id.
select ts as at, 'event' as kind, event_id::text as id, tenant,
       'level ' || (payload ->> 'threat_level') as detail,
       count(*) over () as total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'security' and subtype = 'threat' and correlation_id is null
order by at desc, id, tenant, detail limit %(limit)s

-- name: vulnerability_exceptions
-- Vulnerabilities of CVSS 7 or more that were reported neither patched nor accepted.
select ts as at, 'event' as kind, event_id::text as id, tenant,
       'CVSS ' || score || ', ' || (payload ->> 'remediation_status') as detail,
       count(*) over () as total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'security' and subtype = 'vulnerability' and score >= 7
  and payload ->> 'remediation_status' not in ('patched', 'accepted')
order by at desc, id, tenant, detail limit %(limit)s

-- name: consent_exceptions
-- Operations on personal data without consent.
select ts as at, 'event' as kind, event_id::text as id, tenant,
       (payload ->> 'operation') || ' of ' || (payload ->> 'data_type') as detail,
       count(*) over () as total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'security' and subtype = 'privacy' and payload ->> 'user_consent' is distinct from 'true'
order by at desc, id, tenant, detail limit %(limit)s

-- name: undocumented_exceptions
-- Operations on personal data that state no purpose or no kind of data.
select ts as at, 'event' as kind, event_id::text as id, tenant,
       payload ->> 'operation' as detail,
       count(*) over () as total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'security' and subtype = 'privacy'
  and (coalesce(payload ->> 'purpose', '') = '' or coalesce(payload ->> 'data_type', '') = '')
order by at desc, id, tenant, detail limit %(limit)s

-- name: sharing_exceptions
-- Sharing of personal data without consent.
select ts as at, 'event' as kind, event_id::text as id, tenant,
       'sharing of ' || (payload ->> 'data_type') || ' for ' || (payload ->> 'purpose') as detail,
       count(*) over () as total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'security' and subtype = 'privacy' and payload ->> 'operation' = 'data_sharing'
  and payload ->> 'user_consent' is distinct from 'true'
order by at desc, id, tenant, detail limit %(limit)s

-- name: violation_exceptions
-- Violations that need remediation, without an audit record of their correlation within 72 hours.
select e.ts as at, 'event' as kind, e.event_id::text as id, e.tenant,
       (e.payload ->> 'regulation') || ', ' || (e.payload ->> 'requirement') as detail,
       count(*) over () as total
from events e
where e.ts >= %(from)s and e.ts < %(to)s and (%(tenant)s::text = '*' or e.tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or e.environment = %(environment)s::text)
  and e.payload_type = 'security' and e.subtype = 'compliance_violation' and e.payload ->> 'remediation_required' = 'true'
  and not exists (
               select from events h
               where h.correlation_id = e.correlation_id and h.tenant = e.tenant and h.subtype = 'audit_trail'
                 and h.payload_type = 'governance' and h.ts >= e.ts and h.ts < e.ts + interval '72 hours')
order by at desc, id, tenant, detail limit %(limit)s

-- name: policy_exceptions
-- Policy violations that were not remediated automatically.
select ts as at, 'event' as kind, event_id::text as id, tenant,
       (payload ->> 'policy_id') || ', severity ' || (payload ->> 'severity') as detail,
       count(*) over () as total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'governance' and subtype = 'policy_violation' and payload ->> 'auto_remediated' is distinct from 'true'
order by at desc, id, tenant, detail limit %(limit)s

-- name: check_exceptions
-- Compliance checks that failed.
select ts as at, 'event' as kind, event_id::text as id, tenant,
       (payload ->> 'framework') || ', score ' || coalesce(payload ->> 'score', 'none') as detail,
       count(*) over () as total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'governance' and subtype = 'compliance_check' and payload ->> 'passed' is distinct from 'true'
order by at desc, id, tenant, detail limit %(limit)s

-- name: finding_exceptions
-- Findings that a control fails.
select ts as at, 'event' as kind, event_id::text as id, tenant,
       (payload ->> 'framework') || ', control ' || (finding ->> 'control_id') as detail,
       count(*) over () as total
from events
cross join lateral jsonb_array_elements(
    case when jsonb_typeof(payload -> 'findings') = 'array' then payload -> 'findings' else '[]' end) as finding
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'governance' and subtype = 'compliance_check' and finding ->> 'status' = 'fail'
order by at desc, id, tenant, detail limit %(limit)s

-- name: chain_exceptions
-- Entries of the audit log that are not chained to the one before, or not what was chained.
select a.at, 'audit_entry' as kind, a.position::text as id, a.tenant, a.action || ' ' || a.object_type as detail,
       count(*) over () as total
from audit_log a left join audit_log b on b.position = a.position - 1
where a.at >= %(from)s and a.at < %(to)s
  and (a.previous_hash is distinct from coalesce(b.row_hash, decode(repeat('00', 32), 'hex'))
    or a.row_hash is distinct from sha256(a.previous_hash || audit_content_hash(
        a.position, a.at, a.actor, a.action, a.object_type, a.object_id, a.tenant, a.details, a.salt)))
order by at desc, id, tenant, detail limit %(limit)s

-- name: late_request_exceptions
-- Requests that took longer than 30 days, or had not ended and were as old at the period's end.
select requested_at as at, 'subject_request' as kind, request_id::text as id, tenant, kind || ', ' || outcome as detail,
       count(*) over () as total
from subject_requests
where requested_at >= %(from)s and requested_at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and case when finished_at is null then requested_at < %(to)s::timestamptz - interval '30 days'
            else finished_at - requested_at > interval '30 days' end
order by at desc, id, tenant, detail limit %(limit)s

-- name: erasure_exceptions
-- Erasures without a signed receipt.
select requested_at as at, 'subject_request' as kind, request_id::text as id, tenant, 'no receipt' as detail,
       count(*) over () as total
from subject_requests q
where requested_at >= %(from)s and requested_at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and kind = 'erase' and outcome = 'done'
  and not exists (select from erasure_receipts r where r.tenant = q.tenant and r.subject_id = q.subject_id and r.signature is not null)
order by at desc, id, tenant, detail limit %(limit)s

-- name: clear_exceptions
-- Events in which a personal field is neither a subject id nor encrypted.
select ts as at, 'event' as kind, event_id::text as id, tenant,
       subtype as detail,
       count(*) over () as total
from events
cross join lateral (
    select bool_or(field.text !~ '^(enc:v1:|\[|[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$)') as is_clear
    from (values (payload ->> 'user_id'), (payload ->> 'actor'), (payload ->> 'source_ip'), (payload ->> 'ip_address'),
                 (payload -> 'data_subjects' ->> 0)) as field (text)
) personal
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type in ('security', 'governance') and is_clear
order by at desc, id, tenant, detail limit %(limit)s

-- name: endless_key_exceptions
-- Keys that could be used in the period and have no end.
select k.created_at as at, 'api_key' as kind, k.key_id as id, k.tenant, 'role ' || k.role as detail,
       count(*) over () as total
from api_keys k
where k.created_at < %(to)s and coalesce(k.revoked_at, 'infinity') >= %(from)s
  and coalesce(k.expires_at, 'infinity') >= %(from)s
  and (%(tenant)s::text = '*' or k.tenant = %(tenant)s::text)
  and k.expires_at is null
order by at desc, id, tenant, detail limit %(limit)s

-- name: unaudited_key_exceptions
-- Keys made in the period without an entry in the audit log.
select k.created_at as at, 'api_key' as kind, k.key_id as id, k.tenant, 'role ' || k.role as detail,
       count(*) over () as total
from api_keys k
where k.created_at < %(to)s and coalesce(k.revoked_at, 'infinity') >= %(from)s
  and coalesce(k.expires_at, 'infinity') >= %(from)s
  and (%(tenant)s::text = '*' or k.tenant = %(tenant)s::text)
  and k.created_at >= %(from)s
  and not exists (select from audit_log a
                  where a.object_type = 'api_key'
                    and ((a.action = 'create' and a.object_id = k.key_id)
                      or (a.action = 'rotate' and a.details ->> 'replaced_by' = k.key_id)))
order by at desc, id, tenant, detail limit %(limit)s

-- name: cost_exceptions
-- Days and models with requests that the price book could not price.
select day::timestamp at time zone 'UTC' as at, 'cost' as kind, day || '/' || model as id, tenant,
       unpriced_requests || ' of ' || requests || ' requests unpriced, service ' || service as detail,
       count(*) over () as total
from cost_daily
where day >= (%(from)s::timestamptz at time zone 'UTC')::date and day < (%(to)s::timestamptz at time zone 'UTC')::date
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text) and unpriced_requests > 0
order by at desc, id, tenant, detail limit %(limit)s

-- name: quality_exceptions
-- Data-quality rules of severity error whose latest verdict about the period is that they fail.
with latest as (
    select distinct on (asset, check_name) asset, check_name, severity, passed, failed_rows, checked_at
    from checks
    where coalesce(period_from, checked_at) < %(to)s and coalesce(period_to, checked_at) >= %(from)s
    order by asset, check_name, checked_at desc, check_id desc
)
select checked_at as at, 'check' as kind, asset || '/' || check_name as id, '*' as tenant,
       coalesce(failed_rows || ' rows fail', 'fails') as detail, count(*) over () as total
from latest
where not passed and severity = 'error'
order by id limit %(limit)s

-- name: anomaly_exceptions
-- Security anomalies of high or critical impact.
select a.started_at as at, 'anomaly' as kind, a.anomaly_id::text as id, a.tenant,
       a.anomaly_type || ' of ' || a.metric || ', impact ' || a.impact as detail,
       count(*) over () as total
from anomalies a join series s using (series_id)
where a.started_at >= %(from)s and a.started_at < %(to)s and (%(tenant)s::text = '*' or a.tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or s.environment = %(environment)s::text)
  and s.event_type = 'security'
  and a.impact in ('high', 'critical')
order by at desc, id, tenant, detail limit %(limit)s

-- name: incident_exceptions
-- Incidents of high or critical severity that had not ended.
select started_at as at, 'incident' as kind, incident_id::text as id, tenant, 'severity ' || severity as detail,
       count(*) over () as total
from incidents
where started_at >= %(from)s and started_at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and is_open and severity in ('high', 'critical')
order by at desc, id, tenant, detail limit %(limit)s

-- name: silent_days
-- Days of the period without an event.
select day as at, 'day' as kind, to_char(day at time zone 'UTC', 'YYYY-MM-DD') as id, %(tenant)s::text as tenant, 'no event' as detail,
       count(*) over () as total
from generate_series(%(from)s::timestamptz, %(to)s::timestamptz - interval '1 day', interval '1 day') day
where not exists (
    select from rollup_1d r join series s using (series_id)
    where r.bucket_start >= %(from)s and r.bucket_start < %(to)s and (%(tenant)s::text = '*' or s.tenant = %(tenant)s::text)
      and (%(environment)s::text = '*' or s.environment = %(environment)s::text)
      and r.metric = 'events' and r.bucket_start = day)
order by at desc, id, tenant, detail limit %(limit)s

-- name: lineage_exceptions
-- Derived data without a source.
select ts as at, 'event' as kind, event_id::text as id, tenant,
       (payload ->> 'operation') || ' into ' || (payload ->> 'data_asset_id') as detail,
       count(*) over () as total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'governance' and subtype = 'data_lineage'
  and payload ->> 'operation' in ('transform', 'aggregate') and coalesce(payload ->> 'source', '') = ''
order by at desc, id, tenant, detail limit %(limit)s

-- name: performance_exceptions
-- Evaluations with a quality score below 0.8.
select ts as at, 'event' as kind, event_id::text as id, tenant,
       model || ', score ' || score as detail,
       count(*) over () as total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'telemetry' and subtype = 'model_performance' and score < 0.8
order by at desc, id, tenant, detail limit %(limit)s

-- name: unevaluated_models
-- Models in use that were not evaluated.
select max(r.bucket_start) as at, 'model' as kind, s.model as id, %(tenant)s::text as tenant,
       sum(r.sum_exact)::bigint || ' events' as detail,
       count(*) over () as total
from rollup_1d r join series s using (series_id)
where r.bucket_start >= %(from)s and r.bucket_start < %(to)s and (%(tenant)s::text = '*' or s.tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or s.environment = %(environment)s::text)
  and r.metric = 'events' and s.model <> '' and s.event_type = 'telemetry' and not exists (
      select from suspects w
      where w.series_id = r.series_id and w.metric = r.metric and w.window_rank <= 6
        and w.period_from < r.bucket_start + interval '24 hours' and w.period_to > r.bucket_start)
group by s.model
having not bool_or(s.subtype = 'model_performance')
order by at desc, id, tenant, detail limit %(limit)s
