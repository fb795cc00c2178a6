-- How far each source of a report was filled when it was read: rows of the period, the newest of them, and the revision.
-- A table that is not here has no revision that the hub knows of.

-- name: events
-- Events by their own time, as whole days of rollups count them.
select coalesce(sum(r.sum_exact), 0)::bigint as rows, max(r.computed_at) as watermark, max(r.revision)::text as revision
from rollup_1d r join series s using (series_id)
where r.bucket_start >= %(from)s and r.bucket_start < %(to)s and (%(tenant)s::text = '*' or s.tenant = %(tenant)s::text)
  and (%(environment)s::text = '*' or s.environment = %(environment)s::text) and r.metric = 'events'

-- name: rollup_1d
-- Days of rollups; the revision is the highest of any window.
select count(*) as rows, max(r.computed_at) as watermark, max(r.revision)::text as revision
from rollup_1d r join series s using (series_id)
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
select count(*) as rows, max(at) as watermark, null::text as revision
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

-- name: schema_version
-- The newest migration that was applied.
select to_char(version, 'FM0000') || '_' || name as version from schema_migrations order by version desc limit 1

-- name: verdicts
-- The latest verdict of every data-quality rule about a time that overlaps the period, by asset.
select distinct on (asset, check_name) asset, check_name, severity, passed, failed_rows, checked_at
from checks
where coalesce(period_from, checked_at) < %(to)s and coalesce(period_to, checked_at) >= %(from)s
order by asset, check_name, checked_at desc, check_id desc
