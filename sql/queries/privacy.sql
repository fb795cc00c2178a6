-- Keys, subjects and content policies.

-- name: hold_epoch
-- To the end of the transaction no erasure commits; read the epoch in the next statement.
select lah_hold_privacy_epoch()

-- name: epoch
-- The number that every erasure raises.
select epoch from privacy_epoch

-- name: next_epoch
-- Begin a change that landing must not miss; returns the new epoch.
select lah_next_privacy_epoch()

-- name: current_key
-- A tenant's key in use; whether it surely is committed, and not this transaction's own.
select key_id, wrapped, wrapped_by, created_at < now() from encryption_keys
where tenant = %(tenant)s and purpose = %(purpose)s and retired_at is null

-- name: key_by_id
-- Any key, in use or retired.
select tenant, purpose, wrapped, wrapped_by, created_at < now() from encryption_keys where key_id = %(key_id)s

-- name: add_key
-- Add a tenant's key unless another process was first.
insert into encryption_keys (tenant, purpose, wrapped, wrapped_by)
values (%(tenant)s, %(purpose)s, %(wrapped)s, %(wrapped_by)s)
on conflict (tenant, purpose) where retired_at is null do nothing

-- name: retire_key
-- What is new is not encrypted with this key any more.
update encryption_keys set retired_at = clock_timestamp() where key_id = %(key_id)s and retired_at is null

-- name: keys_to_rewrap
-- Keys that another version than the current master key wrapped, locked for a moment.
select key_id, tenant, purpose, wrapped, wrapped_by from encryption_keys
where wrapped_by <> %(current)s order by key_id limit %(limit)s for update skip locked

-- name: count_to_rewrap
-- How many keys the current version of the master key did not wrap.
select count(*) from encryption_keys where wrapped_by <> %(current)s

-- name: rewrap_key
-- The same key under another wrapping.
update encryption_keys set wrapped = %(wrapped)s, wrapped_by = %(wrapped_by)s, rewrapped_at = clock_timestamp()
where key_id = %(key_id)s

-- name: wrapped_by
-- Tenants' keys by the master key that wrapped them.
select wrapped_by, count(*) from encryption_keys group by wrapped_by order by wrapped_by

-- name: one_key_of_each_wrapping
-- A key wrapped by each version of a master key.
select min(key_id) from encryption_keys group by wrapped_by order by 1

-- name: tenants_with_subjects
-- Tenants that have a wrapping key, with the number of their subjects.
select k.tenant, (select count(*) from subjects s where s.tenant = k.tenant) from encryption_keys k
where k.purpose = 'wrapping' and k.retired_at is null and (%(tenant)s::text is null or k.tenant = %(tenant)s::text)
order by k.tenant

-- name: subjects_to_rewrap
-- Subjects whose keys an older wrapping key of the tenant holds, locked for a moment.
select subject_id, wrapped_key, key_id from subjects
where tenant = %(tenant)s and key_id <> %(key_id)s order by subject_id limit %(limit)s for update skip locked

-- name: rewrap_subject
-- The same data key under another wrapping key.
update subjects set wrapped_key = %(wrapped_key)s, key_id = %(key_id)s where subject_id = %(subject_id)s

-- name: find_subjects
-- Positions (from 1) of identifiers, with their subject or as erased; those that are neither are absent.
select k.position, s.subject_id, s.wrapped_key, s.key_id
from unnest(%(tenants)s::text[], %(hmacs)s::bytea[]) with ordinality as k (tenant, hmac, position)
left join subjects s on s.tenant = k.tenant and s.identifier_hmac = k.hmac
left join subject_tombstones t on t.tenant = k.tenant and t.identifier_hmac = k.hmac
where s.subject_id is not null or t.tenant is not null

-- name: add_subjects
-- New subjects, in one order for everybody; erased persons and those that another process added do not come back.
insert into subjects (tenant, identifier_hmac, subject_id, wrapped_key, key_id, sealed_identifier)
select k.* from unnest(%(tenants)s::text[], %(hmacs)s::bytea[], %(subject_ids)s::uuid[], %(wrapped_keys)s::bytea[],
                       %(key_ids)s::bigint[], %(sealed)s::bytea[])
    as k (tenant, hmac, subject_id, wrapped_key, key_id, sealed)
where not exists (select from subject_tombstones t where t.tenant = k.tenant and t.identifier_hmac = k.hmac)
order by k.tenant, k.hmac
on conflict (tenant, identifier_hmac) do nothing
returning tenant, identifier_hmac

-- name: subjects_by_id
-- Keys and identifiers of subjects that are there.
select subject_id, wrapped_key, key_id, sealed_identifier, identifier_hmac, created_at from subjects
where subject_id = any(%(subject_ids)s) and tenant = %(tenant)s

-- name: event_to_reveal
-- One event's personal columns.
select tenant, ts, event_id, subject_id, tags, payload from events
where (%(tenant)s::text = '*' or tenant = %(tenant)s::text) and event_id = %(event_id)s

-- name: content_policies
-- What becomes of prompts and completions, by tenant.
select tenant, policy, set_by, set_at from content_policies order by tenant

-- name: policy_of
-- One tenant's content policy; no row: keep.
select policy from content_policies where tenant = %(tenant)s

-- name: set_policy
-- Choose a tenant's content policy.
insert into content_policies (tenant, policy, set_by) values (%(tenant)s, %(policy)s, %(set_by)s)
on conflict (tenant) do update set policy = excluded.policy, set_by = excluded.set_by, set_at = clock_timestamp()

-- name: expire_dead_letters
-- Delete the bytes of dead letters that are older; their rows stay for the ledger.
update dead_letters set raw = null, record_key = null, headers = '[]', bytes_expired_at = clock_timestamp()
where dead_letter_id in (
    select dead_letter_id from dead_letters
    where dead_lettered_at < %(before)s and bytes_expired_at is null
      and (raw is not null or record_key is not null or headers <> '[]')
    limit 10000
)
