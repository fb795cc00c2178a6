-- What is kept how long, what must not go, what went and how that was proved; and who has agreed to what.
-- Locks: none that a running system can feel; every object is new.

create table retention_rules (
    rule_id     bigint generated always as identity primary key,
    tenant      text collate "C" not null,
    class       text not null check (class in ('events', 'personal', 'dead_letters', 'rollups', 'signals', 'costs', 'checks', 'reports')),
    table_name  text not null default '',
    event_type  text not null default '',
    keep_days   integer not null check (keep_days between 1 and 36500),
    set_by      text not null,
    set_at      timestamptz not null default now(),
    check (table_name = '' or event_type = ''),
    unique (tenant, class, table_name, event_type)
);

create table legal_holds (
    hold_id      bigint generated always as identity primary key,
    tenant       text collate "C" not null,
    class        text not null default '',
    event_type   text not null default '',
    subject_id   uuid,
    from_at      timestamptz not null default '-infinity',
    to_at        timestamptz not null default 'infinity',
    reason       text not null check (reason <> ''),
    placed_by    text not null,
    placed_at    timestamptz not null default now(),
    released_by  text,
    released_at  timestamptz,
    check (from_at < to_at),
    check ((released_at is null) = (released_by is null))
);
create index legal_holds_active on legal_holds (tenant) where released_at is null;

create table retention_runs (
    run_id       uuid primary key,
    started_at   timestamptz not null,
    finished_at  timestamptz not null,
    run_by       text not null,
    receipt      jsonb not null,
    public_key   text not null,
    signature    text not null
);

create table retention_drops (
    run_id        uuid not null references retention_runs deferrable initially deferred,
    position      integer not null,
    store         text not null check (store in ('postgresql', 'archive')),
    table_name    text not null,
    class         text not null,
    day           date not null,
    rows_before   bigint not null,
    rows_dropped  bigint not null,
    rows_after    bigint not null,
    rows_held     bigint not null,
    primary key (run_id, position)
);
create index retention_drops_day on retention_drops (day) where class = 'events' and rows_dropped > 0;

create table consents (
    consent_id   bigint generated always as identity primary key,
    tenant       text collate "C" not null,
    subject_id   uuid not null,
    purpose      text not null,
    is_granted   boolean not null,
    given_at     timestamptz not null,
    source       text not null,
    event_id     uuid,
    recorded_by  text not null,
    recorded_at  timestamptz not null default now(),
    unique (tenant, event_id, given_at, subject_id)
);
create index consents_of on consents (tenant, subject_id, purpose, given_at desc);

create table consent_progress (
    singleton        boolean primary key default true check (singleton),
    collected_until  timestamptz not null
);
insert into consent_progress (collected_until) values ('-infinity');

-- Encrypted texts are `enc:v1:` and base64, which has no quotation mark: each is one token of the document's text.
create function lah_without_personal(document jsonb) returns jsonb language sql immutable parallel safe strict
    return regexp_replace(document::text, '"enc:v1:[^"]*"', '"[expired]"', 'g')::jsonb;
comment on function lah_without_personal(jsonb) is 'The document with each encrypted personal text replaced by [expired]; everything else stays.';

-- An encrypted text names its subject without dashes, an identifier's place with them.
-- Active holds on one row; a hold of a subject holds the rows whose text names it, and those whose text cannot be read (null).
create function lah_is_held(row_class text, row_tenant text, row_type text, row_at timestamptz, row_text text)
    returns boolean language sql stable
    return exists (
        select from lah.legal_holds h
        where h.released_at is null and h.tenant in ('*', row_tenant) and h.class in ('', row_class)
          and h.event_type in ('', row_type) and row_at >= h.from_at and row_at < h.to_at
          and (h.subject_id is null or row_text is null
               or position(replace(h.subject_id::text, '-', '') in replace(row_text, '-', '')) > 0));
comment on function lah_is_held(text, text, text, timestamptz, text) is 'Whether a legal hold that was not released covers a row: its class, tenant, event type (empty where it has none), time (UTC) and text (null: unreadable, so a subject''s hold covers it).';
revoke execute on function lah_is_held(text, text, text, timestamptz, text) from public;

do $$
declare
    said record;
begin
    for said in select * from (values
            ('retention_rules', 'How long what is kept, per tenant, class, and table or event type; the most specific rule counts.'),
            ('legal_holds', 'What neither retention nor erasure may remove, and why; released holds stay as a record.'),
            ('retention_runs', 'Each run of retention that removed something, with its signed receipt.'),
            ('retention_drops', 'What a run removed and what stayed, per table and UTC day.'),
            ('consents', 'What a subject agreed to or withdrew, for which purpose; the latest of each purpose counts.'),
            ('consent_progress', 'How far events were read for consents.')
        ) as tables (name, text)
    loop
        execute format('comment on table %I is %L', said.name, said.text);
    end loop;
    for said in select * from (values
            ('retention_rules', 'rule_id', 'Number of the rule.'),
            ('retention_rules', 'tenant', 'Whose rows; *: those of every tenant without a rule of its own.'),
            ('retention_rules', 'class', 'events, personal (encrypted content of events), dead_letters (their bytes), rollups, signals, costs, checks or reports.'),
            ('retention_rules', 'table_name', 'This table of the class only; empty: all.'),
            ('retention_rules', 'event_type', 'Events of this type only; empty: all.'),
            ('retention_rules', 'keep_days', 'Whole UTC days that are kept.'),
            ('retention_rules', 'set_by', 'Who set it.'),
            ('retention_rules', 'set_at', 'When (UTC).'),
            ('legal_holds', 'hold_id', 'Number of the hold.'),
            ('legal_holds', 'tenant', 'Whose rows; *: everyone''s.'),
            ('legal_holds', 'class', 'Rows of this class only, as in retention_rules; empty: all.'),
            ('legal_holds', 'event_type', 'Events of this type only; empty: all.'),
            ('legal_holds', 'subject_id', 'Rows that name this subject only; null: all.'),
            ('legal_holds', 'from_at', 'Rows from this moment on (UTC).'),
            ('legal_holds', 'to_at', 'Rows before this moment (UTC).'),
            ('legal_holds', 'reason', 'Why, such as the file number of a dispute.'),
            ('legal_holds', 'placed_by', 'Who placed it.'),
            ('legal_holds', 'placed_at', 'When (UTC).'),
            ('legal_holds', 'released_by', 'Who released it; null: it holds.'),
            ('legal_holds', 'released_at', 'When (UTC).'),
            ('retention_runs', 'run_id', 'Identity of the run.'),
            ('retention_runs', 'started_at', 'When it began (UTC).'),
            ('retention_runs', 'finished_at', 'When it had ended (UTC).'),
            ('retention_runs', 'run_by', 'Who ran it.'),
            ('retention_runs', 'receipt', 'What was dropped and the proof that nothing else was, as it was signed (canonical JSON).'),
            ('retention_runs', 'public_key', 'Ed25519 key that signed it, base64.'),
            ('retention_runs', 'signature', 'The signature, base64.'),
            ('retention_drops', 'run_id', 'Of which run.'),
            ('retention_drops', 'position', 'Place in the run.'),
            ('retention_drops', 'store', 'postgresql, or archive: files.'),
            ('retention_drops', 'table_name', 'The table.'),
            ('retention_drops', 'class', 'The class whose rule it was.'),
            ('retention_drops', 'day', 'UTC day of the rows.'),
            ('retention_drops', 'rows_before', 'Rows of the day before.'),
            ('retention_drops', 'rows_dropped', 'Rows removed, or whose content was.'),
            ('retention_drops', 'rows_after', 'Rows of the day afterwards.'),
            ('retention_drops', 'rows_held', 'Rows that were due and stayed because of a legal hold.'),
            ('consents', 'consent_id', 'Number of the entry.'),
            ('consents', 'tenant', 'Whose subject it is.'),
            ('consents', 'subject_id', 'The subject; leads to no person without the link in subjects.'),
            ('consents', 'purpose', 'What the content may be used for.'),
            ('consents', 'is_granted', 'True: agreed; false: refused or withdrawn.'),
            ('consents', 'given_at', 'When the person said so (UTC).'),
            ('consents', 'source', 'Where it was said: event, rest, cli, or a name of the organisation''s own.'),
            ('consents', 'event_id', 'The privacy event that says so; null: entered.'),
            ('consents', 'recorded_by', 'Who entered it.'),
            ('consents', 'recorded_at', 'When (UTC).'),
            ('consent_progress', 'singleton', 'One row.'),
            ('consent_progress', 'collected_until', 'Events received before this moment were read (UTC).')
        ) as columns (table_name, column_name, text)
    loop
        execute format('comment on column %I.%I is %L', said.table_name, said.column_name, said.text);
    end loop;
end
$$;
