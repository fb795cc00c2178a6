-- Documents of reports on their way to folders, object stores and webhooks.
-- Locks: share row exclusive on report_documents, for a moment; every other object is new.

create table deliveries (
    delivery_id      uuid primary key,
    report_id        uuid not null,
    format           text not null,
    tenant           text collate "C" not null,
    target           text not null,
    kind             text not null check (kind in ('folder', 'store', 'webhook')),
    state            text not null default 'waiting' check (state in ('waiting', 'sending', 'delivered', 'failed')),
    attempts         integer not null default 0 check (attempts >= 0),
    last_error       text,
    requested_at     timestamptz not null,
    next_attempt_at  timestamptz,
    delivered_at     timestamptz,
    sha256           text,
    unique (report_id, format, target),
    foreign key (report_id, format) references report_documents (report_id, format) on delete cascade,
    check ((state in ('waiting', 'sending')) = (next_attempt_at is not null)),
    check ((state = 'delivered') = (delivered_at is not null and sha256 is not null))
);
create index deliveries_due on deliveries (next_attempt_at) where next_attempt_at is not null;
create index deliveries_requested on deliveries (requested_at desc, delivery_id desc);

comment on table deliveries is 'Each document of a report on its way to each target: what was tried, and what became of it.';
comment on column deliveries.delivery_id is 'Made from report, format and target: what a receiver tells repeats by (Idempotency-Key, webhook-id).';
comment on column deliveries.report_id is 'Which report.';
comment on column deliveries.format is 'Which of its documents.';
comment on column deliveries.tenant is 'Whose report it is; *: of all.';
comment on column deliveries.target is 'The target''s name in LAH_REPORT_SCHEDULES; its address and secrets are only there.';
comment on column deliveries.kind is 'What the target was when it was asked for.';
comment on column deliveries.state is 'waiting; sending: an attempt began; delivered; failed: given up.';
comment on column deliveries.attempts is 'Attempts begun.';
comment on column deliveries.last_error is 'Why the last attempt failed; null: none did.';
comment on column deliveries.requested_at is 'When it was asked for (UTC).';
comment on column deliveries.next_attempt_at is 'From when it may be tried (UTC); of an attempt that began: when it counts as lost.';
comment on column deliveries.delivered_at is 'When the target had taken it (UTC).';
comment on column deliveries.sha256 is 'SHA-256 of the bytes that were delivered, hexadecimal.';
