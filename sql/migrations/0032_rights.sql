-- Rights of a person: what was erased with its signed receipt, what was handed out, and backups of the subjects' keys.
-- Locks: none that a running system can feel; every object is new.

create table erasure_receipts (
    receipt_id       uuid primary key,
    tenant           text collate "C" not null,
    identifier_hmac  bytea not null check (length(identifier_hmac) = 32),
    subject_id       uuid not null,
    erased_at        timestamptz not null,
    erased_by        text not null,
    removed          jsonb not null,
    receipt          jsonb,
    public_key       text,
    signature        text,
    unique (tenant, identifier_hmac),
    check ((receipt is null) = (signature is null) and (receipt is null) = (public_key is null))
);
create index erasure_receipts_subject on erasure_receipts (subject_id);

create table subject_requests (
    request_id    uuid primary key,
    tenant        text collate "C" not null,
    kind          text not null check (kind in ('export', 'erase', 'consent')),
    subject_id    uuid,
    requested_by  text not null,
    requested_at  timestamptz not null,
    finished_at   timestamptz,
    outcome       text not null check (outcome in ('done', 'refused', 'unknown subject')),
    details       jsonb not null default '{}'
);
create index subject_requests_when on subject_requests (requested_at);

create table subject_backups (
    backup_id   uuid primary key,
    made_at     timestamptz not null,
    expires_at  timestamptz not null,
    made_by     text not null,
    subjects    bigint not null,
    sha256      text not null,
    check (made_at < expires_at)
);
create index subject_backups_expiry on subject_backups (expires_at);

do $$
declare
    said record;
begin
    for said in select * from (values
            ('erasure_receipts', 'Each erasure with its signed receipt; it names no person: the HMAC leads to one only for who knows the identifier and the tenant''s key.'),
            ('subject_requests', 'Requests of persons about their data and how they ended: what reports count times by.'),
            ('subject_backups', 'Backups of the subjects'' keys that were handed out, and when they expire: until then an erased key may be in one.')
        ) as tables (name, text)
    loop
        execute format('comment on table %I is %L', said.name, said.text);
    end loop;
    for said in select * from (values
            ('erasure_receipts', 'receipt_id', 'Identity of the receipt.'),
            ('erasure_receipts', 'tenant', 'Whose data it was.'),
            ('erasure_receipts', 'identifier_hmac', 'HMAC-SHA256 of the person''s identifier under the tenant''s index key.'),
            ('erasure_receipts', 'subject_id', 'The subject_id that led to the person; nothing leads from it any more.'),
            ('erasure_receipts', 'erased_at', 'When the key and the link were destroyed (UTC).'),
            ('erasure_receipts', 'erased_by', 'Who asked for it.'),
            ('erasure_receipts', 'removed', 'Rows that the erasing transaction removed personal text from, by table.'),
            ('erasure_receipts', 'receipt', 'What was erased and how to verify it, as it was signed (canonical JSON); null: erased, and its rows not counted yet.'),
            ('erasure_receipts', 'public_key', 'Ed25519 key that signed it, base64.'),
            ('erasure_receipts', 'signature', 'The signature, base64.'),
            ('subject_requests', 'request_id', 'Identity of the request.'),
            ('subject_requests', 'tenant', 'Whose data it is about.'),
            ('subject_requests', 'kind', 'export: access and portability; erase; consent: given or withdrawn.'),
            ('subject_requests', 'subject_id', 'About whom; null: nobody of that identifier was known.'),
            ('subject_requests', 'requested_by', 'Who entered it.'),
            ('subject_requests', 'requested_at', 'When (UTC).'),
            ('subject_requests', 'finished_at', 'When it had ended (UTC); null: it was broken off.'),
            ('subject_requests', 'outcome', 'done, refused, or unknown subject.'),
            ('subject_requests', 'details', 'Why it was refused; the receipt; how many rows.'),
            ('subject_backups', 'backup_id', 'Identity of the backup.'),
            ('subject_backups', 'made_at', 'As of when it is (UTC).'),
            ('subject_backups', 'expires_at', 'When it is no longer restored, and has to be deleted (UTC).'),
            ('subject_backups', 'made_by', 'Who made it.'),
            ('subject_backups', 'subjects', 'How many subjects it holds.'),
            ('subject_backups', 'sha256', 'SHA-256 of the file, in hexadecimal.')
        ) as columns (table_name, column_name, text)
    loop
        execute format('comment on column %I.%I is %L', said.table_name, said.column_name, said.text);
    end loop;
end
$$;
