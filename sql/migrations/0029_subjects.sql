-- Personal data: keys, subjects, tombstones, and which events tell of whom.
-- Locks: access exclusive on events and dead_letters, for a moment (columns without a default); on a plain table the index
-- of an existing partition is built under its share lock: landing into that day waits, seconds per ten million rows.

create table encryption_keys (
    key_id      bigint generated always as identity primary key,
    tenant      text collate "C" not null,
    purpose     text not null check (purpose in ('content', 'wrapping', 'index')),
    wrapped     bytea not null,
    wrapped_by  text not null,
    created_at  timestamptz not null default now(),
    rewrapped_at timestamptz,
    retired_at  timestamptz
);
create unique index encryption_keys_current on encryption_keys (tenant, purpose) where retired_at is null;
comment on table encryption_keys is 'A tenant''s own keys, each wrapped by the master key; without that they are of no use.';
comment on column encryption_keys.key_id is 'Key; what is encrypted names it.';
comment on column encryption_keys.tenant is 'Whose; unknown: of records that do not say whose they are.';
comment on column encryption_keys.purpose is 'content: encrypts personal fields without a subject and dead letters; wrapping: wraps the subjects'' keys; index: makes the HMAC of identifiers.';
comment on column encryption_keys.wrapped is 'The key, wrapped.';
comment on column encryption_keys.wrapped_by is 'The master key that wrapped it, with its version, such as file:1.';
comment on column encryption_keys.created_at is 'When it was made (UTC).';
comment on column encryption_keys.rewrapped_at is 'When a rotation of the master key wrapped it anew (UTC); null: never.';
comment on column encryption_keys.retired_at is 'Since when another key of this purpose is used for what is new (UTC); null: it is in use.';

create table subjects (
    tenant            text collate "C" not null,
    identifier_hmac   bytea not null check (length(identifier_hmac) = 32),
    subject_id        uuid not null unique,
    wrapped_key       bytea not null,
    key_id            bigint not null references encryption_keys,
    sealed_identifier bytea not null,
    created_at        timestamptz not null default now(),
    primary key (tenant, identifier_hmac)
);
create index subjects_key on subjects (key_id, subject_id);
comment on table subjects is 'The only link between a person and a subject_id, and the key of that person''s fields: erasure deletes the row.';
comment on column subjects.tenant is 'Whose data it is.';
comment on column subjects.identifier_hmac is 'HMAC-SHA256 of the person''s identifier under the tenant''s index key.';
comment on column subjects.subject_id is 'Random; stands in events, series and Parquet where the identifier stood.';
comment on column subjects.wrapped_key is 'The subject''s data key, wrapped by the tenant''s wrapping key.';
comment on column subjects.key_id is 'That wrapping key.';
comment on column subjects.sealed_identifier is 'The identifier, encrypted under the subject''s own key.';
comment on column subjects.created_at is 'When the first event of this person landed (UTC).';

create table subject_tombstones (
    tenant           text collate "C" not null,
    identifier_hmac  bytea not null check (length(identifier_hmac) = 32),
    erased_at        timestamptz not null,
    primary key (tenant, identifier_hmac)
);
comment on table subject_tombstones is 'Persons who were erased: what still arrives of them lands without a link and without personal fields.';
comment on column subject_tombstones.tenant is 'Whose data it was.';
comment on column subject_tombstones.identifier_hmac is 'HMAC-SHA256 of the person''s identifier under the tenant''s index key.';
comment on column subject_tombstones.erased_at is 'When (UTC).';

create table privacy_epoch (
    is_only  boolean primary key default true check (is_only),
    epoch    bigint not null
);
insert into privacy_epoch (epoch) values (1);
comment on table privacy_epoch is 'One number that every erasure and every change of a content policy raises: landing that prepared rows under another one prepares them anew.';
comment on column privacy_epoch.is_only is 'There is one row.';
comment on column privacy_epoch.epoch is 'The number.';

-- Landing holds it shared from reading the epoch until it commits; whoever erases takes it alone, so that no event lands
-- under a subject after the erasure of that subject committed.
create function lah_hold_privacy_epoch() returns void language sql
    as $$ select pg_advisory_xact_lock_shared(hashtextextended('lah.privacy', 0)) $$;
create function lah_next_privacy_epoch() returns bigint language plpgsql as $$
declare
    risen bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended('lah.privacy', 0));
    update lah.privacy_epoch set epoch = epoch + 1 returning epoch into risen;
    return risen;
end
$$;
comment on function lah_hold_privacy_epoch() is 'Held by landing to the end of its transaction: the epoch read in the next statement stays.';
comment on function lah_next_privacy_epoch() is 'Begin an erasure or another change that landing must not miss: waits for landing transactions under way, and lets new ones wait for this one.';
revoke execute on function lah_hold_privacy_epoch(), lah_next_privacy_epoch() from public;

create table content_policies (
    tenant      text collate "C" primary key,
    policy      text not null check (policy in ('keep', 'hash', 'redact', 'drop')),
    set_by      text not null,
    set_at      timestamptz not null default now()
);
comment on table content_policies is 'What happens to prompts and completions of a tenant; without a row they are kept, encrypted.';
comment on column content_policies.tenant is 'Whose.';
comment on column content_policies.policy is 'keep: encrypted; hash: an HMAC of the text; redact: without names and numbers of persons, then encrypted; drop: not stored.';
comment on column content_policies.set_by is 'Who chose it.';
comment on column content_policies.set_at is 'When (UTC).';

alter table events add column subject_id uuid;
create index events_subject on events (subject_id, ts) where subject_id is not null;
comment on column events.subject_id is 'The person whose key encrypts this event''s personal fields; null: nobody, or not known any more.';

create table event_subjects (
    subject_id  uuid not null,
    ts          timestamptz not null,
    tenant      text collate "C" not null,
    event_id    uuid not null,
    primary key (subject_id, ts, event_id, tenant)
);
create index event_subjects_ts on event_subjects using brin (ts);
comment on table event_subjects is 'Further persons that an event tells of, besides events.subject_id: elements of data_subjects and second identifiers.';
comment on column event_subjects.subject_id is 'The person.';
comment on column event_subjects.ts is 'The event''s time (UTC).';
comment on column event_subjects.tenant is 'The event''s tenant.';
comment on column event_subjects.event_id is 'The event.';

alter table dead_letters add column bytes_expired_at timestamptz;
comment on column dead_letters.raw is 'The record''s bytes, encrypted under the tenant''s content key; null: a tombstone, or expired.';
comment on column dead_letters.record_key is 'The record''s key, encrypted likewise; null: none, or expired.';
comment on column dead_letters.headers is 'The record''s headers: a text, encrypted likewise.';
comment on column dead_letters.bytes_expired_at is 'When LAH_DEAD_LETTER_DAYS had passed and the bytes were deleted (UTC); null: they are there.';
