-- How far each source of a report was filled when it was read: rows of the period, the newest of them, and the revision.
-- A table that is not here has no revision that the hub knows of.

-- name: events
-- Events by their own time, as whole days of rollups count them, without those of suspect windows.
select coalesce(sum(r.sum_exact) filter (where not is_suspect), 0)::bigint as rows, max(r.computed_at) as watermark,
       max(r.revision)::text as revision, count(*) filter (where is_suspect) as suspect_windows
from rollup_1d r join series s using (series_id) cross join lateral (
    select exists (
        select from suspects w
        where w.series_id = r.series_id and w.metric = r.metric and w.window_rank <= 6
          and w.period_from < r.bucket_start + interval '24 hours' and w.period_to > r.bucket_start) as is_suspect
) of_checks
where r.bucket_start >= %(from)s and r.bucket_start < %(to)s and (%(tenant)s::text = '*' or s.tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or s.environment = %(environment)s::text) and r.metric = 'events'

-- name: rollup_1d
-- Days of rollups; the revision is the highest of any window.
select count(*) filter (where not is_suspect) as rows, max(r.computed_at) as watermark, max(r.revision)::text as revision,
       count(*) filter (where is_suspect) as suspect_windows
from rollup_1d r join series s using (series_id) cross join lateral (
    select exists (
        select from suspects w
        where w.series_id = r.series_id and w.metric = r.metric and w.window_rank <= 6
          and w.period_from < r.bucket_start + interval '24 hours' and w.period_to > r.bucket_start) as is_suspect
) of_checks
where r.bucket_start >= %(from)s and r.bucket_start < %(to)s and (%(tenant)s::text = '*' or s.tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or s.environment = %(environment)s::text)

-- name: ledger
-- Landing minutes.
select count(*) as rows, max(minute) as watermark, null::text as revision
from ledger where minute >= %(from)s and minute < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)

-- name: landing_batches
-- Batches of the log, of every tenant.
select count(*) as rows, max(landed_at) as watermark, max(batch_id)::text as revision
from landing_batches where landed_at >= %(from)s and landed_at < %(to)s

-- name: dead_letters
-- Refused records.
select count(*) as rows, max(dead_lettered_at) as watermark, max(dead_letter_id)::text as revision
from dead_letters
where dead_lettered_at >= %(from)s and dead_lettered_at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)

-- name: audit_log
-- Entries of the hub's audit log, without those about reports.
select count(*) as rows, max(at) as watermark, max(position)::text as revision
from audit_log
where at >= %(from)s and at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text) and object_type <> 'report'

-- name: api_keys
-- Keys that could be used.
select count(*) as rows, max(created_at) as watermark, null::text as revision
from api_keys
where created_at < %(to)s and coalesce(revoked_at, 'infinity') >= %(from)s and coalesce(expires_at, 'infinity') >= %(from)s
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)

-- name: cost_daily
-- Days of costs.
select count(*) as rows, max(computed_at) as watermark, null::text as revision
from cost_daily
where day >= (%(from)s::timestamptz at time zone 'UTC')::date and day < (%(to)s::timestamptz at time zone 'UTC')::date
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or environment = %(environment)s::text)

-- name: checks
-- Verdicts about the period, of every tenant.
select count(*) as rows, max(checked_at) as watermark, max(check_id)::text as revision
from checks where coalesce(period_from, checked_at) < %(to)s and coalesce(period_to, checked_at) >= %(from)s

-- name: anomalies
-- Anomalies that started in the period.
select count(*) as rows, max(detected_at) as watermark, null::text as revision
from anomalies
where started_at >= %(from)s and started_at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)

-- name: incidents
-- Incidents that started in the period.
select count(*) as rows, max(detected_at) as watermark, null::text as revision
from incidents
where started_at >= %(from)s and started_at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)

-- name: subject_requests
-- Requests of persons about their data.
select count(*) as rows, max(requested_at) as watermark, null::text as revision
from subject_requests
where requested_at >= %(from)s and requested_at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)

-- name: erasure_receipts
-- Signed receipts of erasures.
select count(*) as rows, max(erased_at) as watermark, null::text as revision
from erasure_receipts
where erased_at >= %(from)s and erased_at < %(to)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)

-- name: retention_rules
-- Rules of how long what is kept; they are the ones that hold now.
select count(*) as rows, max(set_at) as watermark, max(rule_id)::text as revision
from retention_rules where %(tenant)s::text = '*' or tenant in ('*', %(tenant)s::text)

-- name: schema_version
-- The newest migration that was applied.
select to_char(version, 'FM0000') || '_' || name as version from schema_migrations order by version desc limit 1

-- name: verdicts
-- The latest verdict of every data-quality rule about a time that overlaps the period, by asset.
select distinct on (asset, check_name) asset, check_name, severity, passed, failed_rows, checked_at
from checks
where coalesce(period_from, checked_at) < %(to)s and coalesce(period_to, checked_at) >= %(from)s
order by asset, check_name, checked_at desc, check_id desc
