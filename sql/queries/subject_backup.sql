-- The subjects' own backup, and its restoration.

-- name: count
-- How many subjects there are.
select count(*) from subjects

-- name: record
-- A backup that was handed out.
insert into subject_backups (backup_id, made_at, expires_at, made_by, subjects, sha256)
values (%(backup_id)s, %(made_at)s, %(expires_at)s, %(actor)s, %(subjects)s, %(sha256)s)

-- name: read_encryption_keys
-- Keys of tenants, as they are wrapped.
select to_jsonb(k) from encryption_keys k order by key_id

-- name: read_subjects
-- Who is who.
select to_jsonb(s) from subjects s order by tenant, identifier_hmac

-- name: read_subject_tombstones
-- Who was erased.
select to_jsonb(t) from subject_tombstones t order by tenant, identifier_hmac

-- name: stage_encryption_keys
-- Room for the backup's rows.
create temporary table backup_encryption_keys (like encryption_keys) on commit drop

-- name: stage_subjects
-- Room for the backup's rows.
create temporary table backup_subjects (like subjects) on commit drop

-- name: stage_subject_tombstones
-- Room for the backup's rows.
create temporary table backup_subject_tombstones (like subject_tombstones) on commit drop

-- name: add_encryption_keys
-- A block of the backup.
insert into backup_encryption_keys select * from jsonb_populate_recordset(null::encryption_keys, %(rows)s::jsonb)

-- name: add_subjects
-- A block of the backup.
insert into backup_subjects select * from jsonb_populate_recordset(null::subjects, %(rows)s::jsonb)

-- name: add_subject_tombstones
-- A block of the backup.
insert into backup_subject_tombstones select * from jsonb_populate_recordset(null::subject_tombstones, %(rows)s::jsonb)

-- name: restore_tombstones
-- Erasures that this database does not know, as after its own restoration.
insert into subject_tombstones select * from backup_subject_tombstones
on conflict (tenant, identifier_hmac) do update set erased_at = least(subject_tombstones.erased_at, excluded.erased_at)

-- name: restore_keys
-- Keys that are missing: one in use stays the one in use.
insert into encryption_keys (key_id, tenant, purpose, wrapped, wrapped_by, created_at, rewrapped_at, retired_at)
overriding system value
select b.key_id, b.tenant, b.purpose, b.wrapped, b.wrapped_by, b.created_at, b.rewrapped_at,
       case when b.retired_at is null and exists (
           select from encryption_keys k where k.tenant = b.tenant and k.purpose = b.purpose and k.retired_at is null)
       then now() else b.retired_at end
from backup_encryption_keys b where not exists (select from encryption_keys k where k.key_id = b.key_id)

-- name: restore_subjects
-- Subjects that are missing and were not erased, whoever erased them and when.
insert into subjects (tenant, identifier_hmac, subject_id, wrapped_key, key_id, sealed_identifier, created_at)
select b.tenant, b.identifier_hmac, b.subject_id, b.wrapped_key, b.key_id, b.sealed_identifier, b.created_at
from backup_subjects b
where not exists (select from subject_tombstones t where t.tenant = b.tenant and t.identifier_hmac = b.identifier_hmac)
on conflict do nothing
