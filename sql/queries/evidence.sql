-- Evidence of a period [from, to) for a tenant and an environment ('*': all), as the controls' YAML names it.
-- Figures: one row of them, or one total row (is_total) and a row per group, whose leading columns name the group and are
-- null in the total; counted_rows is how many rows of the source were counted, watermark the newest of them. No query
-- needs a personal value: those may be subject ids and ciphertexts.

-- name: ledger
-- Records received, by landing minute, and what became of each.
select topic, coalesce(sum(received), 0)::bigint as received, coalesce(sum(stored), 0)::bigint as stored,
       coalesce(sum(duplicate), 0)::bigint as duplicate, coalesce(sum(dead_lettered), 0)::bigint as dead_lettered,
       coalesce(sum(abs(received - stored - duplicate - dead_lettered)), 0)::bigint as unaccounted,
       count(*) as counted_rows, max(minute) as watermark, grouping(topic) = 1 as is_total
from ledger
where minute >= %(from)s and minute < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
group by grouping sets ((topic), ())
order by is_total desc, received desc, topic limit %(limit)s

-- name: offsets
-- Batches of the log and whether their ranges join without gap or overlap; of the whole hub, whatever the tenant.
select topic, count(*) as batches, coalesce(sum(received), 0)::bigint as received,
       count(*) filter (where from_offset <> expected_offset) as breaks,
       count(*) as counted_rows, max(landed_at) as watermark, grouping(topic) = 1 as is_total
from (
    select topic, from_offset, received, landed_at,
           lag(to_offset) over (partition by topic, topic_id, partition order by from_offset) as expected_offset
    from landing_batches
) ranges
where landed_at >= %(from)s and landed_at < %(to)s
group by grouping sets ((topic), ())
order by is_total desc, batches desc, topic limit %(limit)s

-- name: dead_letters
-- Records refused in the period, by reason code; repaired: stored or found stored since.
select code, count(*) as refused, count(replayed_at) as repaired, count(*) - count(replayed_at) as pending,
       case when grouping(code) = 1 then (
           select coalesce(sum(received), 0)::bigint from ledger
           where minute >= %(from)s and minute < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
       ) end as received,
       count(*) as counted_rows, max(dead_lettered_at) as watermark, grouping(code) = 1 as is_total
from dead_letters
where dead_lettered_at >= %(from)s and dead_lettered_at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
group by grouping sets ((code), ())
order by is_total desc, refused desc, code limit %(limit)s

-- name: security_events
-- Security events by subtype and severity.
select subtype, severity::text as severity, count(*) as events,
       count(*) filter (where severity = 'critical') as critical,
       count(*) filter (where subtype = 'threat' and payload ->> 'threat_type' = 'data_exfiltration') as exfiltrations,
       count(*) as counted_rows, max(ts) as watermark, grouping(subtype) = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
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
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'security' and subtype = 'auth'
group by grouping sets ((payload ->> 'action'), ())
order by is_total desc, events desc, action limit %(limit)s

-- name: threats
-- Threats by level; severe: high or critical; handled: an audit record of the same correlation within 72 hours.
select threat_level, count(*) as threats, count(*) filter (where is_severe) as severe,
       count(*) filter (where is_severe and is_handled) as severe_handled,
       count(*) filter (where is_severe and not is_handled) as severe_unhandled,
       count(*) filter (where not is_traceable) as untraceable,
       count(*) as counted_rows, max(ts) as watermark, grouping(threat_level) = 1 as is_total
from (
    select e.ts, e.payload ->> 'threat_level' as threat_level, e.correlation_id is not null as is_traceable,
           coalesce(e.payload ->> 'threat_level' in ('high', 'critical'), false) as is_severe,
           exists (
               select from events h
               where h.correlation_id = e.correlation_id and h.tenant = e.tenant and h.subtype = 'audit_trail'
                 and h.payload_type = 'governance' and h.ts >= e.ts and h.ts < e.ts + interval '72 hours') as is_handled
    from events e
    where e.ts >= %(from)s and e.ts < %(to)s and (%(tenant)s::text = '*' or e.tenant = %(tenant)s::text)
      and (%(environment)s::text = '*' or e.environment = %(environment)s::text)
      and e.payload_type = 'security' and e.subtype = 'threat'
) seen
group by grouping sets ((threat_level), ())
order by is_total desc, threats desc, threat_level limit %(limit)s

-- name: vulnerabilities
-- Vulnerabilities by state of their remediation; severe: CVSS 7 or more; open: neither patched nor accepted.
select payload ->> 'remediation_status' as remediation_status, count(*) as vulnerabilities,
       count(*) filter (where score >= 7) as severe,
       count(*) filter (where score >= 7 and payload ->> 'remediation_status' not in ('patched', 'accepted')) as severe_open,
       count(*) as counted_rows, max(ts) as watermark, grouping(payload ->> 'remediation_status') = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'security' and subtype = 'vulnerability'
group by grouping sets ((payload ->> 'remediation_status'), ())
order by is_total desc, vulnerabilities desc, remediation_status limit %(limit)s

-- name: privacy_operations
-- Operations on personal data by kind, with and without consent, and with a purpose and a kind of data or not.
select payload ->> 'operation' as operation, count(*) as operations,
       count(*) filter (where payload ->> 'user_consent' = 'true') as with_consent,
       count(*) filter (where payload ->> 'user_consent' is distinct from 'true') as without_consent,
       count(*) filter (where coalesce(payload ->> 'purpose', '') = '' or coalesce(payload ->> 'data_type', '') = '') as undocumented,
       count(*) filter (where payload ->> 'operation' = 'data_sharing') as sharing,
       count(*) filter (where payload ->> 'operation' = 'data_sharing'
                          and payload ->> 'user_consent' is distinct from 'true') as sharing_without_consent,
       count(*) as counted_rows, max(ts) as watermark, grouping(payload ->> 'operation') = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'security' and subtype = 'privacy'
group by grouping sets ((payload ->> 'operation'), ())
order by is_total desc, operations desc, operation limit %(limit)s

-- name: processing_register
-- Kinds of personal data and purposes of the operations on them: the register that producers write by what they do.
select payload ->> 'data_type' as data_type, payload ->> 'purpose' as purpose, count(*) as operations,
       count(*) filter (where coalesce(payload ->> 'purpose', '') = '' or coalesce(payload ->> 'data_type', '') = '') as undocumented,
       count(*) as counted_rows, max(ts) as watermark, grouping(payload ->> 'data_type') = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'security' and subtype = 'privacy'
group by grouping sets ((payload ->> 'data_type', payload ->> 'purpose'), ())
order by is_total desc, operations desc, data_type, purpose limit %(limit)s

-- name: violations
-- Reported violations of a regulation; open: needs remediation and has no audit record of its correlation within 72 hours.
select regulation, count(*) as violations, count(*) filter (where is_due) as to_remediate,
       count(*) filter (where is_due and is_handled) as remediated,
       count(*) filter (where is_due and not is_handled) as open,
       count(*) as counted_rows, max(ts) as watermark, grouping(regulation) = 1 as is_total
from (
    select e.ts, e.payload ->> 'regulation' as regulation,
           coalesce(e.payload ->> 'remediation_required' = 'true', false) as is_due,
           exists (
               select from events h
               where h.correlation_id = e.correlation_id and h.tenant = e.tenant and h.subtype = 'audit_trail'
                 and h.payload_type = 'governance' and h.ts >= e.ts and h.ts < e.ts + interval '72 hours') as is_handled
    from events e
    where e.ts >= %(from)s and e.ts < %(to)s and (%(tenant)s::text = '*' or e.tenant = %(tenant)s::text)
      and (%(environment)s::text = '*' or e.environment = %(environment)s::text)
      and e.payload_type = 'security' and e.subtype = 'compliance_violation'
) seen
group by grouping sets ((regulation), ())
order by is_total desc, violations desc, regulation limit %(limit)s

-- name: policy_violations
-- Policy violations by severity, and how many were remediated automatically.
select payload ->> 'severity' as severity, count(*) as violations,
       count(*) filter (where payload ->> 'auto_remediated' = 'true') as remediated,
       count(*) filter (where payload ->> 'auto_remediated' is distinct from 'true') as not_remediated,
       count(*) as counted_rows, max(ts) as watermark, grouping(payload ->> 'severity') = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'governance' and subtype = 'policy_violation'
group by grouping sets ((payload ->> 'severity'), ())
order by is_total desc, violations desc, severity limit %(limit)s

-- name: compliance_checks
-- Compliance checks by framework; the score is the mean of what the checks reported.
select payload ->> 'framework' as framework, count(*) as checks,
       count(*) filter (where payload ->> 'passed' = 'true') as passed,
       count(*) filter (where payload ->> 'passed' is distinct from 'true') as failed,
       round(avg((payload ->> 'score')::numeric) filter (where jsonb_typeof(payload -> 'score') = 'number'), 4) as mean_score,
       count(*) as counted_rows, max(ts) as watermark, grouping(payload ->> 'framework') = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'governance' and subtype = 'compliance_check'
group by grouping sets ((payload ->> 'framework'), ())
order by is_total desc, checks desc, framework limit %(limit)s

-- name: check_days
-- Days of the period on which a compliance check ran.
select (%(to)s::timestamptz at time zone 'UTC')::date - (%(from)s::timestamptz at time zone 'UTC')::date as days,
       count(distinct (ts at time zone 'UTC')::date) as days_with_a_check,
       (%(to)s::timestamptz at time zone 'UTC')::date - (%(from)s::timestamptz at time zone 'UTC')::date
           - count(distinct (ts at time zone 'UTC')::date) as days_without_a_check,
       count(*) as checks, count(*) as counted_rows, max(ts) as watermark
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'governance' and subtype = 'compliance_check'

-- name: failing_controls
-- Findings of compliance checks, by framework and control.
select payload ->> 'framework' as framework, finding ->> 'control_id' as control_id, count(*) as findings,
       count(*) filter (where finding ->> 'status' = 'fail') as failing,
       count(*) as counted_rows, max(ts) as watermark, grouping(payload ->> 'framework') = 1 as is_total
from events
cross join lateral jsonb_array_elements(
    case when jsonb_typeof(payload -> 'findings') = 'array' then payload -> 'findings' else '[]' end) as finding
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'governance' and subtype = 'compliance_check'
group by grouping sets ((payload ->> 'framework', finding ->> 'control_id'), ())
order by is_total desc, failing desc, findings desc, framework, control_id limit %(limit)s

-- name: audit_trail
-- What producers reported to the audit trail, by action.
select payload ->> 'action' as action, count(*) as records,
       count(*) as counted_rows, max(ts) as watermark, grouping(payload ->> 'action') = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'governance' and subtype = 'audit_trail'
group by grouping sets ((payload ->> 'action'), ())
order by is_total desc, records desc, action limit %(limit)s

-- name: audit_log
-- What was done to the hub itself, by its audit log; entries about reports are left out, as each report adds one.
select action, object_type, count(*) as entries, count(distinct actor) as actors,
       count(*) as counted_rows, max(at) as watermark, grouping(action) = 1 as is_total
from audit_log
where at >= %(from)s and at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and object_type <> 'report'
group by grouping sets ((action, object_type), ())
order by is_total desc, entries desc, action, object_type limit %(limit)s

-- name: audit_chain
-- Entries of the audit log and whether each is chained to the one before it; of the whole hub. Entries about reports are checked and not counted.
select count(*) filter (where object_type <> 'report') as entries, count(*) filter (where is_broken) as breaks,
       count(*) filter (where object_type <> 'report') as counted_rows,
       max(at) filter (where object_type <> 'report') as watermark
from (
    select a.at, a.object_type, a.previous_hash is distinct from coalesce(b.row_hash, decode(repeat('00', 32), 'hex'))
           or a.row_hash is distinct from sha256(a.previous_hash || audit_content_hash(
               a.position, a.at, a.actor, a.action, a.object_type, a.object_id, a.tenant, a.details, a.salt)) as is_broken
    from audit_log a left join audit_log b on b.position = a.position - 1
    where a.at >= %(from)s and a.at < %(to)s
) chained

-- name: subject_requests
-- Requests of persons about their data and the time to their end; late: longer than 30 days, or not ended and as old at the period's end.
select kind, count(*) as requests, count(finished_at) as finished, count(*) filter (where outcome = 'refused') as refused,
       count(*) filter (where case when finished_at is null then requested_at < %(to)s::timestamptz - interval '30 days'
            else finished_at - requested_at > interval '30 days' end) as late,
       round(percentile_cont(0.5) within group (order by extract(epoch from finished_at - requested_at))::numeric, 3)
           as median_seconds,
       round(max(extract(epoch from finished_at - requested_at)), 3) as longest_seconds,
       count(*) as counted_rows, max(requested_at) as watermark, grouping(kind) = 1 as is_total
from subject_requests
where requested_at >= %(from)s and requested_at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
group by grouping sets ((kind), ())
order by is_total desc, requests desc, kind limit %(limit)s

-- name: erasures
-- Erasures that were asked for and done, and whether each has a signed receipt.
select count(*) as erasures, 
       count(*) filter (where kind = 'erase' and outcome = 'done'
  and not exists (select from erasure_receipts r where r.tenant = q.tenant and r.subject_id = q.subject_id and r.signature is not null)) as unproved,
       count(*) as counted_rows, max(requested_at) as watermark
from subject_requests q
where requested_at >= %(from)s and requested_at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and kind = 'erase' and outcome = 'done'

-- name: encryption
-- Security and governance events with a personal field, and those in which it is neither a subject id nor encrypted.
select count(is_clear) as personal, count(*) filter (where is_clear) as in_clear, count(is_clear) as counted_rows,
       max(ts) filter (where is_clear is not null) as watermark
from events
cross join lateral (
    select bool_or(field.text !~ '^(enc:v1:|\[|[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$)') as is_clear
    from (values (payload ->> 'user_id'), (payload ->> 'actor'), (payload ->> 'source_ip'), (payload ->> 'ip_address'),
                 (payload -> 'data_subjects' ->> 0)) as field (text)
) personal
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type in ('security', 'governance')

-- name: api_keys
-- Keys that could be used in the period, by role; unaudited: made in it without an entry in the audit log.
select role, count(*) as keys, count(*) filter (where not has_end) as endless,
       count(*) filter (where is_new) as made, count(*) filter (where is_new and not is_audited) as unaudited,
       count(*) as counted_rows, max(created_at) as watermark, grouping(role) = 1 as is_total
from (
    select k.role, k.created_at, k.expires_at is not null as has_end, k.created_at >= %(from)s as is_new,
           exists (select from audit_log a
                   where a.object_type = 'api_key'
                     and ((a.action = 'create' and a.object_id = k.key_id)
                       or (a.action = 'rotate' and a.details ->> 'replaced_by' = k.key_id))) as is_audited
    from api_keys k
    where k.created_at < %(to)s and coalesce(k.revoked_at, 'infinity') >= %(from)s
      and coalesce(k.expires_at, 'infinity') >= %(from)s
      and (%(tenant)s::text = '*' or k.tenant = %(tenant)s::text)
) usable
group by grouping sets ((role), ())
order by is_total desc, keys desc, role limit %(limit)s

-- name: costs
-- Costs by model, as producers reported them and as the price book prices the same requests; empty: could not.
select model, coalesce(sum(requests), 0)::bigint as requests, coalesce(sum(unpriced_requests), 0)::bigint as unpriced_requests,
       coalesce(sum(reported_usd), 0) as reported_usd, sum(priced_usd) as priced_usd,
       coalesce(sum(other_usd), 0) as other_usd,
       count(*) as counted_rows, max(computed_at) as watermark, grouping(model) = 1 as is_total
from cost_daily
where day >= (%(from)s::timestamptz at time zone 'UTC')::date and day < (%(to)s::timestamptz at time zone 'UTC')::date
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
group by grouping sets ((model), ())
order by is_total desc, reported_usd desc, model limit %(limit)s

-- name: quality_verdicts
-- The latest verdict of every data-quality rule about a time that overlaps the period; of the whole hub, whatever the tenant.
with latest as (
    select distinct on (asset, check_name) asset, check_name, severity, passed, failed_rows, checked_at
    from checks
    where coalesce(period_from, checked_at) < %(to)s and coalesce(period_to, checked_at) >= %(from)s
    order by asset, check_name, checked_at desc, check_id desc
)
select asset, severity, count(*) as rules, count(*) filter (where passed) as passing,
       count(*) filter (where not passed) as failing,
       count(*) filter (where not passed and severity = 'error') as failing_errors,
       count(*) as counted_rows, max(checked_at) as watermark, grouping(asset) = 1 as is_total
from latest
group by grouping sets ((asset, severity), ())
order by is_total desc, failing desc, asset, severity limit %(limit)s

-- name: security_anomalies
-- Anomalies of series of security events that started in the period; security_events: what was there to judge.
select a.anomaly_type, a.impact, count(*) as anomalies,
       count(*) filter (where a.impact in ('high', 'critical')) as severe,
       case when grouping(a.anomaly_type) = 1 then (
           select count(*) from events
           where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
             and (%(environment)s::text = '*' or environment = %(environment)s::text)
             and payload_type = 'security'
       ) end as security_events,
       count(*) as counted_rows, max(a.started_at) as watermark, grouping(a.anomaly_type) = 1 as is_total
from anomalies a join series s using (series_id)
where a.started_at >= %(from)s and a.started_at < %(to)s and (%(tenant)s::text = '*' or a.tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or s.environment = %(environment)s::text)
  and s.event_type = 'security'
group by grouping sets ((a.anomaly_type, a.impact), ())
order by is_total desc, anomalies desc, anomaly_type, impact limit %(limit)s

-- name: incidents
-- Incidents by severity; open: had not ended when they were last told; grave: high or critical.
select severity, count(*) as incidents, count(*) filter (where is_open) as open,
       count(*) filter (where is_open and severity in ('high', 'critical')) as grave_open,
       count(*) as counted_rows, max(started_at) as watermark, grouping(severity) = 1 as is_total
from incidents
where started_at >= %(from)s and started_at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
group by grouping sets ((severity), ())
order by is_total desc, incidents desc, severity limit %(limit)s

-- name: availability
-- Requests and those that failed, by model, from whole days of rollups.
select s.model, coalesce(sum(r.sum_exact) filter (where r.metric = 'total_requests'), 0)::bigint as requests,
       coalesce(sum(r.sum_exact) filter (where r.metric = 'failed_requests'), 0)::bigint as failed,
       count(*) as counted_rows, max(r.computed_at) as watermark, grouping(s.model) = 1 as is_total
from rollup_1d r join series s using (series_id)
where r.bucket_start >= %(from)s and r.bucket_start < %(to)s and (%(tenant)s::text = '*' or s.tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or s.environment = %(environment)s::text)
  and r.metric in ('total_requests', 'failed_requests') and not exists (
      select from suspects w
      where w.series_id = r.series_id and w.metric = r.metric and w.window_rank <= 6
        and w.period_from < r.bucket_start + interval '24 hours' and w.period_to > r.bucket_start)
group by grouping sets ((s.model), ())
order by is_total desc, requests desc, model limit %(limit)s

-- name: activity
-- Days of the period with and without an event, from whole days of rollups; events: without those of suspect windows.
select (%(to)s::timestamptz at time zone 'UTC')::date - (%(from)s::timestamptz at time zone 'UTC')::date as days,
       count(distinct r.bucket_start) as days_with_events,
       (%(to)s::timestamptz at time zone 'UTC')::date - (%(from)s::timestamptz at time zone 'UTC')::date
           - count(distinct r.bucket_start) as silent_days,
       coalesce(sum(r.sum_exact) filter (where not exists (
      select from suspects w
      where w.series_id = r.series_id and w.metric = r.metric and w.window_rank <= 6
        and w.period_from < r.bucket_start + interval '24 hours' and w.period_to > r.bucket_start)), 0)::bigint as events, count(distinct r.series_id) as series,
       count(*) as counted_rows, max(r.computed_at) as watermark
from rollup_1d r join series s using (series_id)
where r.bucket_start >= %(from)s and r.bucket_start < %(to)s and (%(tenant)s::text = '*' or s.tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or s.environment = %(environment)s::text)
  and r.metric = 'events'

-- name: retention
-- Days that events are kept: the shortest rule that applies, else this hub's configuration; received: records of the period.
select (
           select case when bool_or(event_type = '' and table_name = '') then min(keep_days)
                       else least(min(keep_days), %(retention_days)s::integer) end
           from retention_rules
           where class = 'events' and (%(tenant)s::text = '*' or tenant in ('*', %(tenant)s::text))
       ) as retention_days, coalesce(sum(received), 0)::bigint as received,
       count(*) as counted_rows, max(minute) as watermark
from ledger
where minute >= %(from)s and minute < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)

-- name: data_lineage
-- Lineage records by operation; incomplete: of a transformation or aggregation, without where the data came from.
select payload ->> 'operation' as operation, count(*) as records,
       count(*) filter (where payload ->> 'operation' in ('transform', 'aggregate')) as derivations,
       count(*) filter (where payload ->> 'operation' in ('transform', 'aggregate')
                          and coalesce(payload ->> 'source', '') = '') as incomplete,
       count(*) as counted_rows, max(ts) as watermark, grouping(payload ->> 'operation') = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'governance' and subtype = 'data_lineage'
group by grouping sets ((payload ->> 'operation'), ())
order by is_total desc, records desc, operation limit %(limit)s

-- name: model_performance
-- Evaluations of models; weak: a quality score below 0.8.
select model, count(*) as evaluations, count(score) as scored, count(*) filter (where score < 0.8) as weak,
       round(avg(score::numeric), 4) as mean_score,
       count(*) as counted_rows, max(ts) as watermark, grouping(model) = 1 as is_total
from events
where ts >= %(from)s and ts < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)
  and payload_type = 'telemetry' and subtype = 'model_performance'
group by grouping sets ((model), ())
order by is_total desc, evaluations desc, model limit %(limit)s

-- name: monitored_models
-- Models in use, and those of them that were evaluated in the period.
with used as (
    select s.model, sum(r.sum_exact)::bigint as events,
           coalesce(sum(r.sum_exact) filter (where s.subtype = 'model_performance'), 0)::bigint as evaluations,
           max(r.computed_at) as computed_at, count(*) as rows
    from rollup_1d r join series s using (series_id)
    where r.bucket_start >= %(from)s and r.bucket_start < %(to)s and (%(tenant)s::text = '*' or s.tenant = %(tenant)s::text)
      and (%(environment)s::text = '*' or s.environment = %(environment)s::text)
      and r.metric = 'events' and s.model <> '' and s.event_type = 'telemetry' and not exists (
      select from suspects w
      where w.series_id = r.series_id and w.metric = r.metric and w.window_rank <= 6
        and w.period_from < r.bucket_start + interval '24 hours' and w.period_to > r.bucket_start)
    group by s.model
)
select model, coalesce(sum(events), 0)::bigint as events, count(*) as models, count(*) filter (where evaluations > 0) as evaluated,
       count(*) filter (where evaluations = 0) as unevaluated,
       coalesce(sum(rows), 0)::bigint as counted_rows, max(computed_at) as watermark, grouping(model) = 1 as is_total
from used
group by grouping sets ((model), ())
order by is_total desc, events desc, model limit %(limit)s
