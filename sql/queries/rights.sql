-- Rights of persons: erasure, receipts, export. {table}, {columns} and {condition} are filled in by the stores.

-- name: subject_row
-- A person's row, by HMAC; locked against a second erasure.
select subject_id, key_id from subjects where tenant = %(tenant)s and identifier_hmac = %(hmac)s for update

-- name: hmac_of_subject
-- The HMAC of a subject that is there.
select identifier_hmac from subjects where tenant = %(tenant)s and subject_id = %(subject_id)s

-- name: destroy_subject
-- The key and the link are gone.
delete from subjects where tenant = %(tenant)s and identifier_hmac = %(hmac)s

-- name: add_tombstone
-- What still arrives of this person lands without a link.
insert into subject_tombstones (tenant, identifier_hmac, erased_at) values (%(tenant)s, %(hmac)s, %(at)s)
on conflict do nothing

-- name: holds_on_subject
-- Active holds that cover the subject itself, or one of the rows that tell of it.
select h.hold_id, h.reason from legal_holds h
where h.released_at is null and h.tenant in ('*', %(tenant)s) and h.class in ('', 'events', 'personal', 'dead_letters')
  and (h.subject_id = %(subject_id)s or h.subject_id is null and (
       exists (select from events e where e.subject_id = %(subject_id)s and e.tenant = %(tenant)s
               and h.event_type in ('', e.event_type) and e.ts >= h.from_at and e.ts < h.to_at and h.class <> 'dead_letters')
       or exists (select from event_subjects s where s.subject_id = %(subject_id)s and s.tenant = %(tenant)s
                  and s.ts >= h.from_at and s.ts < h.to_at and h.class <> 'dead_letters' and (h.event_type = ''
                      or exists (select from events e where e.ts = s.ts and e.tenant = s.tenant and e.event_id = s.event_id
                                 and e.event_type = h.event_type)
                      or not exists (select from events e where e.ts = s.ts and e.tenant = s.tenant and e.event_id = s.event_id)))
       or exists (select from unnest(%(cold_types)s::text[], %(cold_from)s::timestamptz[], %(cold_to)s::timestamptz[])
                      as c (event_type, first, last)
                  where h.event_type in ('', c.event_type) and c.last >= h.from_at and c.first < h.to_at
                    and h.class <> 'dead_letters')
       or exists (select from dead_letters d where d.dead_letter_id = any (%(letters)s) and h.event_type = ''
                  and d.dead_lettered_at >= h.from_at and d.dead_lettered_at < h.to_at and h.class in ('', 'dead_letters'))))
order by h.hold_id

-- name: letters
-- Dead letters of a tenant that have their bytes, and those that do not say whose they are.
select dead_letter_id, tenant, topic, topic_id, partition, record_offset, raw, record_key, headers, reason, field
from dead_letters where tenant in (%(tenant)s, 'unknown') and bytes_expired_at is null order by dead_letter_id

-- name: empty_letters
-- Dead letters whose bytes name the person: what was wrong with them and where they came from stays.
update dead_letters set raw = null, record_key = null, headers = '[]', bytes_expired_at = %(at)s,
       field = case when dead_letter_id = any (%(named)s) then '[erased]' else field end,
       reason = case when dead_letter_id = any (%(named)s) then '[erased]' else reason end
where dead_letter_id = any (%(letters)s)

-- name: begin_receipt
-- An erasure whose rows are still to be counted.
insert into erasure_receipts (receipt_id, tenant, identifier_hmac, subject_id, erased_at, erased_by, removed)
values (%(receipt_id)s, %(tenant)s, %(hmac)s, %(subject_id)s, %(at)s, %(actor)s, %(removed)s)

-- name: finish_receipt
-- The receipt as it was signed; the first one stays.
update erasure_receipts set receipt = %(receipt)s, public_key = %(public_key)s, signature = %(signature)s
where receipt_id = %(receipt_id)s and receipt is null

-- name: receipt
-- A person's erasure.
select receipt_id, subject_id, identifier_hmac, erased_at, erased_by, removed, receipt, public_key, signature from erasure_receipts
where tenant = %(tenant)s and (identifier_hmac = %(hmac)s or subject_id = %(subject_id)s)

-- name: receipts
-- Erasures of a tenant or of all, newest first.
select receipt_id::text, tenant, subject_id::text, erased_at, erased_by, receipt, public_key, signature from erasure_receipts
where %(tenant)s::text = '*' or tenant = %(tenant)s order by erased_at desc, receipt_id limit %(limit)s

-- name: hot_rows
-- Rows that a subject's key encrypts, or that name the subject.
select 'events', count(*) from events where subject_id = %(subject_id)s and tenant = %(tenant)s
union all
select 'event_subjects', count(*) from event_subjects where subject_id = %(subject_id)s and tenant = %(tenant)s
union all
select 'consents', count(*) from consents where subject_id = %(subject_id)s and tenant = %(tenant)s

-- name: backups_until
-- Until when a backup of the subjects that was made before may be restored.
select max(expires_at) from subject_backups where made_at <= %(at)s and expires_at > %(at)s

-- name: log_archiving
-- Whether the server hands its write-ahead log to an archive, and how many replicas follow it.
select current_setting('archive_mode'), (select count(*) from pg_stat_replication)

-- name: note_request
-- A request of a person's and how it ended.
insert into subject_requests (request_id, tenant, kind, subject_id, requested_by, requested_at, finished_at, outcome, details)
values (%(request_id)s, %(tenant)s, %(kind)s, %(subject_id)s, %(actor)s, %(requested_at)s, clock_timestamp(), %(outcome)s,
        %(details)s)

-- name: standing_of
-- Whether key, link and tombstone of a receipt's subject are there.
select exists (select from subjects where subject_id = %(subject_id)s),
       exists (select from subjects where tenant = %(tenant)s and identifier_hmac = %(hmac)s),
       exists (select from subject_tombstones where tenant = %(tenant)s and identifier_hmac = %(hmac)s)

-- name: keys_of_tenant
-- Every key of a tenant's.
select key_id from encryption_keys where tenant = %(tenant)s order by key_id

-- name: subjects_of_tenant
-- Subjects of a tenant, a sample.
select subject_id from subjects where tenant = %(tenant)s limit %(limit)s

-- name: sample_of_rows
-- Rows of a subject's with their personal columns.
select event_id, tags::text, payload::text from events where subject_id = %(subject_id)s and tenant = %(tenant)s
order by ts limit %(limit)s

-- name: events_of_subject
-- Every event in PostgreSQL that tells of a subject, by time.
select {columns} from events e
where e.tenant = %(tenant)s and e.subject_id = %(subject_id)s
union all
select {columns} from event_subjects s join events e on e.ts = s.ts and e.tenant = s.tenant and e.event_id = s.event_id
where s.tenant = %(tenant)s and s.subject_id = %(subject_id)s and e.subject_id is distinct from s.subject_id
order by ts, event_id

-- name: further_events
-- Times of the events that name a subject besides their own: where to look in the archive.
select ts, event_id::text from event_subjects where tenant = %(tenant)s and subject_id = %(subject_id)s

-- name: files_of_archive
-- Files of rows that PostgreSQL has no more.
select path from archive_files where dropped_at is not null order by day, number

-- name: scrub
-- Replace a person's identifier where it stands as a word of its own.
update {table} set {columns} where {condition}
