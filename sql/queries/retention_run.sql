-- A run of retention. {table}, {at}, {tenant}, {hash}, {measures_hash}, {text}, {held} and {where} are filled in by stores/retention_run.py.

-- name: stage
-- What is due in this transaction.
create temporary table if not exists retention_due (
    class text, table_name text, tenant text collate "C", event_type text, before timestamptz
)

-- name: clear
-- Nothing is due yet.
delete from retention_due

-- name: add
-- One tenant's rows of one table, of one event type where it has any.
insert into retention_due values (%(class)s, %(table)s, %(tenant)s, %(event_type)s, %(before)s)

-- name: wait_at_most
-- For each lock of this transaction.
select set_config('lock_timeout', '5000', true)

-- name: lock_writers
-- Nobody adds to the day or changes it from here on; reading goes on.
lock table {table} in share row exclusive mode

-- name: event_days
-- Days of events in PostgreSQL that begin before a moment.
select day from event_table_days() day where day < (%(before)s at time zone 'UTC')::date order by day

-- name: event_day
-- A day's rows: all, those that go, and those that are due and held; with checksums, and one of the measures alone.
select count(*), coalesce(sum(h), 0), coalesce(sum(m), 0),
       count(*) filter (where is_due and not is_held), coalesce(sum(h) filter (where is_due and not is_held), 0),
       count(*) filter (where is_due and is_held)
from (
    select {hash} as h, {measures_hash} as m,
           {where} and exists (select from retention_due d where d.class = %(class)s and d.tenant = e.tenant
                               and d.event_type = e.event_type and e.ts < d.before) as is_due,
           {held} as is_held
    from events e where e.ts >= %(start)s and e.ts < %(end)s) rows

-- name: delete_events
-- The rows that go.
delete from events e
where e.ts >= %(start)s and e.ts < %(end)s and not {held}
  and exists (select from retention_due d where d.class = %(class)s and d.tenant = e.tenant
              and d.event_type = e.event_type and e.ts < d.before)

-- name: forget_named
-- Whom the rows that go name besides their own subject.
delete from event_subjects s using events e
where e.ts = s.ts and e.tenant = s.tenant and e.event_id = s.event_id
  and e.ts >= %(start)s and e.ts < %(end)s and not {held}
  and exists (select from retention_due d where d.class = %(class)s and d.tenant = e.tenant
              and d.event_type = e.event_type and e.ts < d.before)

-- name: forget_named_of
-- The same of rows in files.
delete from event_subjects s using unnest(%(ts)s::timestamptz[], %(tenant)s::text[], %(event_id)s::uuid[]) as e (ts, tenant, event_id)
where e.ts = s.ts and e.tenant = s.tenant and e.event_id = s.event_id

-- name: empty_events
-- The personal content that goes; what else the rows say stays.
with changed as (
    update events e set payload = lah_without_personal(e.payload), tags = lah_without_personal(e.tags)
    where e.ts >= %(start)s and e.ts < %(end)s and {where} and not {held}
      and exists (select from retention_due d where d.class = %(class)s and d.tenant = e.tenant
                  and d.event_type = e.event_type and e.ts < d.before)
    returning {hash} as h)
select count(*), coalesce(sum(h), 0) from changed

-- name: other_days
-- Rows of another table by day, as event_day has them.
select day, count(*), coalesce(sum(h), 0), count(*) filter (where is_due and not is_held),
       coalesce(sum(h) filter (where is_due and not is_held), 0), count(*) filter (where is_due and is_held)
from (
    select ({at} at time zone 'UTC')::date as day,
           ('x' || left(md5(t::text), 15))::bit(60)::bigint as h,
           {where} and exists (select from retention_due d where d.class = %(class)s and d.table_name = %(table)s
                               and d.tenant = {tenant} and {at} < d.before) as is_due,
           {held} as is_held
    from {table} t where {at} < %(before)s) rows
group by day order by day

-- name: delete_others
-- The rows that go.
delete from {table} t
where {at} < %(before)s and not {held}
  and exists (select from retention_due d where d.class = %(class)s and d.table_name = %(table)s
              and d.tenant = {tenant} and {at} < d.before)

-- name: empty_dead_letters
-- The bytes that go; what was wrong with the record and where it came from stays.
with changed as (
    update dead_letters t set raw = null, record_key = null, headers = '[]', bytes_expired_at = %(now)s
    where {at} < %(before)s and {where} and not {held}
      and exists (select from retention_due d where d.class = %(class)s and d.table_name = %(table)s
                  and d.tenant = {tenant} and {at} < d.before)
    returning ({at} at time zone 'UTC')::date as day, ('x' || left(md5(t::text), 15))::bit(60)::bigint as h)
select day, count(*), sum(h) from changed group by day

-- name: written_elsewhere
-- What this transaction has written in any table, by name; chunks are those of events, which are counted for themselves.
select s.schemaname || '.' || s.relname, s.n_tup_ins + s.n_tup_upd + s.n_tup_del
from pg_stat_xact_user_tables s where s.schemaname !~ '^(pg_temp|_timescaledb_)' order by 1

-- name: active_holds
-- Holds that were not released.
select tenant, class, event_type, subject_id, nullif(from_at, '-infinity'), nullif(to_at, 'infinity')
from legal_holds where released_at is null order by hold_id

-- name: record_run
-- A run and its signed receipt.
insert into retention_runs (run_id, started_at, finished_at, run_by, receipt, public_key, signature)
values (%(run_id)s, %(started_at)s, %(finished_at)s, %(actor)s, %(receipt)s, %(public_key)s, %(signature)s)

-- name: record_drop
-- What the run removed of one table and day.
insert into retention_drops (run_id, position, store, table_name, class, day, rows_before, rows_dropped, rows_after, rows_held)
values (%(run_id)s, %(position)s, %(store)s, %(table)s, %(class)s, %(day)s, %(rows_before)s, %(rows_dropped)s, %(rows_after)s,
        %(rows_held)s)

-- name: runs
-- Runs that removed something, newest first, each with its receipt.
select run_id::text, started_at, finished_at, run_by, receipt, public_key, signature from retention_runs
order by started_at desc limit %(limit)s
