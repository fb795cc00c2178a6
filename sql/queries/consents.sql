-- Consents: recorded, gathered from events, asked for.

-- name: record
-- What a subject said about a purpose.
insert into consents (tenant, subject_id, purpose, is_granted, given_at, source, recorded_by)
values (%(tenant)s, %(subject_id)s, %(purpose)s, %(is_granted)s, %(given_at)s, %(source)s, %(actor)s)
returning consent_id, subject_id::text, tenant, purpose, is_granted, given_at, source, event_id::text, recorded_by, recorded_at

-- name: collect
-- What privacy events of the kind consent_update say that was received in a period; each element once.
insert into consents (tenant, subject_id, purpose, is_granted, given_at, source, event_id, recorded_by)
select e.tenant, s.id::uuid, d ->> 'purpose', (d ->> 'user_consent')::boolean, e.ts, 'event', e.event_id, 'landing'
from events e
cross join lateral (select coalesce(e.payload -> 'data', e.payload)) as fields (d)
cross join lateral jsonb_array_elements_text(d -> 'data_subjects') as s (id)
where e.subtype = 'privacy' and e.received_at < %(until)s
  and e.received_at >= (select collected_until - %(overlap)s::interval from consent_progress)
  and d ->> 'operation' = 'consent_update'
  and s.id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
on conflict (tenant, event_id, given_at, subject_id) do nothing

-- name: lock_progress
-- One collector at a time.
select collected_until from consent_progress for update

-- name: advance
-- Events received before this moment were read.
update consent_progress set collected_until = %(until)s where collected_until < %(until)s

-- name: standing
-- The latest word of each subject on each purpose; at the same moment a withdrawal counts.
select distinct on (tenant, subject_id, purpose)
       consent_id, subject_id::text, tenant, purpose, is_granted, given_at, source, event_id::text, recorded_by, recorded_at
from consents
where (%(tenant)s::text = '*' or tenant = %(tenant)s) and subject_id = any (%(subject_ids)s::uuid[])
  and (%(purpose)s::text is null or purpose = %(purpose)s)
order by tenant, subject_id, purpose, given_at desc, is_granted, consent_id desc

-- name: history
-- Everything a subject said, oldest first.
select consent_id, subject_id::text, tenant, purpose, is_granted, given_at, source, event_id::text, recorded_by, recorded_at
from consents where tenant = %(tenant)s and subject_id = %(subject_id)s order by given_at, consent_id
