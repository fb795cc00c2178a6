-- name: number
-- One number of a window as it stands.
select bucket_start, bucket_end, tenant, series_id, metric, count, sum, avg, revision, computed_at, is_final
from {view}
where bucket_start = %(start)s and series_id = %(series_id)s and metric = %(metric)s
  and (%(tenant)s = '*' or tenant = %(tenant)s)

-- name: rows_between
-- The rows of a shorter window that went into it.
select count(*) as rows, coalesce(sum(count), 0)::bigint as values, max(revision) as newest_revision,
       max(computed_at) as computed_at
from {table}
where series_id = %(series_id)s and metric = %(metric)s and bucket_start >= %(start)s and bucket_start < %(end)s

-- name: events_between
-- The events that carry the metric, by where they came from.
select topic, partition, min(record_offset) as first_offset, max(record_offset) as last_offset, count(*) as events,
       min(received_at) as first_received_at, max(received_at) as last_received_at
from events
where ts >= %(start)s and ts < %(end)s and series_id = %(series_id)s and {carries}
group by topic, partition order by topic, partition

-- name: waiting_between
-- Values that landed and are not in the window yet.
select coalesce(sum(w.count), 0)::bigint as values
from rollup_partial_sets p
cross join lateral unnest(p.series_ids, p.metrics, p.minutes, p.counts) as w (series_id, metric, minute, count)
where not (p.in_minutes and %(window)s = '1m')
  and w.series_id = %(series_id)s and w.metric = %(metric)s and w.minute >= %(start)s and w.minute < %(end)s

-- name: archived_between
-- Files of the archive that hold its days, and when the day left PostgreSQL.
select day, path, sha256, row_count, verified_at, dropped_at
from archive_files
where day >= (%(start)s::timestamptz at time zone 'UTC')::date
  and day <= ((%(end)s::timestamptz - interval '1 microsecond') at time zone 'UTC')::date
order by day, number
