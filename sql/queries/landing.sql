-- Statements of the landing transaction and of what surrounds it.

-- name: adopt_partition
-- The offset a partition goes on from; a partition never seen starts at the log's first offset.
insert into landing_offsets (topic, topic_id, partition, next_offset, updated_at)
values (%(topic)s, %(topic_id)s, %(partition)s, %(first_offset)s, clock_timestamp())
on conflict (topic, topic_id, partition) do update set updated_at = landing_offsets.updated_at
returning next_offset

-- name: advance_offsets
-- The fence: a partition whose offset another process has moved does not come back. Locked in one order by everybody.
with step as (
    select * from unnest(%(topic)s::text[], %(topic_id)s::text[], %(partition)s::int[], %(start)s::bigint[], %(stop)s::bigint[])
        as step (topic, topic_id, partition, start, stop)
), held as (
    select topic, topic_id, partition, stop from landing_offsets o join step using (topic, topic_id, partition)
    where o.next_offset = step.start order by topic, topic_id, partition for update of o
)
update landing_offsets o set next_offset = held.stop, updated_at = clock_timestamp()
from held where (o.topic, o.topic_id, o.partition) = (held.topic, held.topic_id, held.partition)
returning o.topic, o.topic_id, o.partition

-- name: note_caught_up
-- A partition was landed to its end as of this moment.
update landing_offsets set caught_up_at = greatest(caught_up_at, %(at)s)
where topic = %(topic)s and topic_id = %(topic_id)s and partition = %(partition)s

-- name: record_batch
-- The offset ranges that a committed batch covers.
insert into landing_batches (topic, topic_id, partition, from_offset, to_offset, received, no_record, landed_at)
select *, %(landed_at)s from unnest(%(topic)s::text[], %(topic_id)s::text[], %(partition)s::int[], %(start)s::bigint[],
                                    %(stop)s::bigint[], %(received)s::bigint[], %(no_record)s::bigint[])

-- name: add_to_ledger
-- Add counts to ledger rows, in the order given; counts may be negative when a dead letter is moved.
insert into ledger as l (topic, partition, minute, tenant, received, stored, duplicate, dead_lettered)
select * from unnest(%(topic)s::text[], %(partition)s::int[], %(minute)s::timestamptz[], %(tenant)s::text[],
                     %(received)s::bigint[], %(stored)s::bigint[], %(duplicate)s::bigint[], %(dead_lettered)s::bigint[])
on conflict (topic, partition, minute, tenant) do update
set received = l.received + excluded.received, stored = l.stored + excluded.stored,
    duplicate = l.duplicate + excluded.duplicate, dead_lettered = l.dead_lettered + excluded.dead_lettered

-- name: stored_already
-- Positions (from 1) of the identities that events holds; a probe of the key for each, whatever the planner guesses.
select i.position
from unnest(%(timestamps)s, %(tenants)s, %(event_ids)s) with ordinality as i (ts, tenant, event_id, position)
where (select true from events e
       where e.ts = i.ts and e.tenant = i.tenant and e.event_id = i.event_id
         and e.ts >= %(first)s and e.ts <= %(last)s)

-- name: ensure_partition
-- A day of events must have its partition before the landing transaction begins.
select ensure_event_partition(%(day)s)

-- name: lock_tenant_series
-- One process at a time counts and adds a tenant's series.
select pg_advisory_xact_lock(hashtextextended('lah.series', hashtext(%(tenant)s)))

-- name: find_series
-- The id of one combination of dimensions, if it has one.
select series_id from series
where tenant = %(tenant)s
  and lah_series_digest(event_type, subtype, model, environment, service, region, team, source_module, provider, tags)
    = lah_series_digest(%(event_type)s, %(subtype)s, %(model)s, %(environment)s, %(service)s, %(region)s, %(team)s,
                        %(source_module)s, %(provider)s, %(tags)s::jsonb)

-- name: find_all_series
-- Positions (from 1) of the combinations that have an id, with it.
select k.position, s.series_id
from unnest(%(tenant)s::text[], %(event_type)s::text[], %(subtype)s::text[], %(model)s::text[], %(environment)s::text[],
            %(service)s::text[], %(region)s::text[], %(team)s::text[], %(source_module)s::text[],
            %(provider)s::text[], %(tags)s::jsonb[])
    with ordinality as k (tenant, event_type, subtype, model, environment, service, region, team, source_module,
                          provider, tags, position)
join series s on s.tenant = k.tenant
  and lah_series_digest(s.event_type, s.subtype, s.model, s.environment, s.service, s.region, s.team, s.source_module,
                        s.provider, s.tags)
    = lah_series_digest(k.event_type, k.subtype, k.model, k.environment, k.service, k.region, k.team, k.source_module,
                        k.provider, k.tags)

-- name: count_series
-- How many series a tenant has.
select count(*) from series where tenant = %(tenant)s

-- name: add_series
-- Give a combination of dimensions its id.
insert into series (tenant, event_type, subtype, model, environment, service, region, team, source_module, provider, tags)
values (%(tenant)s, %(event_type)s, %(subtype)s, %(model)s, %(environment)s, %(service)s, %(region)s, %(team)s,
        %(source_module)s, %(provider)s, %(tags)s::jsonb)
returning series_id

-- name: dead_letters
-- Dead letters, newest first.
select dead_letter_id, tenant, topic, partition, record_offset, dead_lettered_at, code, field, reason, replayed_at, replayed_as
from dead_letters
where (%(code)s::text is null or code = %(code)s) and (%(pending_only)s = false or replayed_at is null)
order by dead_letter_id desc limit %(limit)s

-- name: dead_letter
-- One dead letter, locked for its replay.
select dead_letter_id, tenant, topic, topic_id, partition, record_offset, dead_lettered_at, code, field, reason, raw, record_key, headers, replayed_at, replayed_as, bytes_expired_at
from dead_letters where dead_letter_id = %(dead_letter_id)s for update

-- name: pending_dead_letters
-- Ids of dead letters that no replay has moved yet, oldest first.
select dead_letter_id from dead_letters
where replayed_at is null and (%(code)s::text is null or code = %(code)s) order by dead_letter_id

-- name: mark_replayed
-- What became of a replayed dead letter.
update dead_letters set replayed_at = %(at)s, replayed_as = %(outcome)s where dead_letter_id = %(dead_letter_id)s
