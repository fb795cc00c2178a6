-- Statements of the archive. {row_hash}, {columns}, {source} and {table} are filled in by stores/archive.py.

-- name: lock_day
-- One writer of a day's files at a time, a session lock taken before the snapshot.
select pg_advisory_lock(hashtextextended('lah.archive ' || %(day)s::date, 0))

-- name: unlock_day
-- Give the session lock back.
select pg_advisory_unlock(hashtextextended('lah.archive ' || %(day)s::date, 0))

-- name: columns
-- The columns of events with their types, in order.
select attname, format_type(atttypid, atttypmod) from pg_attribute
where attrelid = 'lah.events'::regclass and attnum > 0 and not attisdropped order by attnum

-- name: schema_version
-- The newest migration.
select max(version) from schema_migrations

-- name: files
-- Files of the days [first, last], in the order they were written; the columns of ArchiveFile.
select day, number, path, row_count, min_ts, max_ts, rows_checksum, file_bytes, sha256, columns, schema_version, created_at,
       dropped_at is not null
from archive_files where day >= %(first)s and day <= %(last)s order by day, number

-- name: summary
-- Number, extremes and checksum of rows.
select count(*), min(e.ts), max(e.ts), coalesce(sum({row_hash}), 0) from {source}

-- name: rows
-- Rows as they go into a file.
copy (select {columns} from {source} order by e.ts, e.tenant, e.event_id) to stdout (format csv)

-- name: keys
-- Identities of one stretch of time; ts in microseconds since 1970.
select (extract(epoch from ts) * 1000000)::bigint as ts, tenant, event_id::text as event_id from events
where ts >= %(start)s and ts < %(end)s

-- name: stage_keys
-- Identities that landed after their day was archived; those that repeat a row that has left PostgreSQL are marked.
create temporary table if not exists archive_keys (
    ts timestamptz, tenant text collate "C", event_id uuid, is_repeat boolean
)

-- name: clear_keys
-- Forget the keys of the last day.
truncate archive_keys

-- name: analyze_keys
-- So that few keys are looked up in the day's index and many are joined.
analyze archive_keys

-- name: record_file
-- A file that was read back and found equal to its rows.
insert into archive_files (day, number, path, row_count, min_ts, max_ts, rows_checksum, file_bytes, sha256, columns,
                           schema_version, created_at, verified_at)
values (%(day)s, %(number)s, %(path)s, %(rows)s, %(min_ts)s, %(max_ts)s, %(checksum)s, %(file_bytes)s, %(sha256)s,
        %(columns)s, %(schema_version)s, %(created_at)s, clock_timestamp())

-- name: record_arrivals
-- The file's rows by the minute that the ledger books them in; rows of replayed dead letters are counted there.
insert into archive_arrivals (day, number, topic, partition, minute, row_count)
select %(day)s, %(number)s, e.topic, e.partition, date_trunc('minute', e.received_at, 'UTC'), count(*) from {source}
where not exists (
    select from dead_letters d
    where d.topic = e.topic and d.partition = e.partition and d.record_offset = e.record_offset
      and d.replayed_as = 'stored' and d.replayed_at = e.received_at)
group by e.topic, e.partition, 5

-- name: forget_files
-- Files that newer ones stand for.
delete from archive_files where day = %(day)s and number = any (%(numbers)s)

-- name: delete_repeats
-- Remove the rows that repeat an archived event, and say where the ledger has booked them.
with gone as (
    delete from events e using archive_keys k
    where k.is_repeat and e.ts = k.ts and e.tenant = k.tenant
      and e.event_id = k.event_id and e.ts >= %(start)s and e.ts < %(end)s
    returning e.topic, e.partition, e.record_offset, e.received_at, e.tenant
), replayed as (
    update dead_letters d set replayed_as = 'duplicate' from gone g
    where d.topic = g.topic and d.partition = g.partition and d.record_offset = g.record_offset
      and d.replayed_as = 'stored' and d.replayed_at = g.received_at
    returning d.topic, d.partition, d.record_offset, d.replayed_at, d.dead_lettered_at
)
select g.topic, g.partition, date_trunc('minute', coalesce(r.dead_lettered_at, g.received_at), 'UTC') as minute, g.tenant, count(*)
from gone g left join replayed r on r.topic = g.topic and r.partition = g.partition
    and r.record_offset = g.record_offset and r.replayed_at = g.received_at
group by 1, 2, 3, 4 order by 1, 2, 3, 4

-- name: due_days
-- Closed days of [since, today) whose files do not hold as many events as the rollups have counted.
select day from (
    select (bucket_start at time zone 'UTC')::date as day, sum(count)::bigint as events from rollup_1d
    where metric = 'events' and bucket_start >= %(since)s::date::timestamp at time zone 'UTC'
      and bucket_start < %(today)s::date::timestamp at time zone 'UTC'
    group by 1) r
full join (
    select day, sum(row_count)::bigint as events from archive_files where day >= %(since)s and day < %(today)s group by day) f
using (day)
where coalesce(r.events, 0) <> coalesce(f.events, 0) order by day

-- name: cold_days
-- Days of [first, last] that have rows in the archive alone.
select distinct day from archive_files where day >= %(first)s and day <= %(last)s and dropped_at is not null order by day

-- name: stored_days
-- Days before one that PostgreSQL has a partition or chunk of.
select day from event_table_days() day where day < %(before)s order by day

-- name: day_table
-- The partition or chunk of a day.
select event_day_table(%(day)s)::text

-- name: wait_at_most
-- For each lock of this transaction.
select set_config('lock_timeout', %(milliseconds)s, true)

-- name: lock_writers
-- Nobody adds to the day or changes it from here on; reading goes on.
lock table {table} in share row exclusive mode

-- name: lock_rollups
-- No recomputation is reading the day; held only while it is dropped.
select pg_advisory_xact_lock(hashtextextended('lah.rollups', 0))

-- name: drop_day
-- The day leaves PostgreSQL.
select drop_event_day(%(day)s)

-- name: note_drop
-- From here on its files are all there is.
update archive_files set dropped_at = clock_timestamp() where day = %(day)s and dropped_at is null

-- name: note_file_dropped
-- A file that stands for one whose rows PostgreSQL had no more.
update archive_files set dropped_at = clock_timestamp() where day = %(day)s and number = %(number)s

-- name: carry_arrivals
-- The arrivals of a file that was written anew, less those of the rows that went.
insert into archive_arrivals (day, number, topic, partition, minute, row_count)
select a.day, %(new)s, a.topic, a.partition, a.minute, a.row_count - coalesce(g.row_count, 0)
from archive_arrivals a
left join unnest(%(topic)s::text[], %(partition)s::integer[], %(minute)s::timestamptz[], %(row_count)s::bigint[])
    as g (topic, partition, minute, row_count) using (topic, partition, minute)
where a.day = %(day)s and a.number = %(old)s and a.row_count > coalesce(g.row_count, 0)

-- name: cold_file_days
-- Days before one with rows in the archive alone.
select distinct day from archive_files where day < %(before)s and dropped_at is not null order by day

-- name: warm_file_days
-- Days of [first, last] with files of rows that PostgreSQL holds.
select distinct day from archive_files where day >= %(first)s and day <= %(last)s and dropped_at is null order by day

-- name: file_days
-- Days before one with any file.
select distinct day from archive_files where day < %(before)s
