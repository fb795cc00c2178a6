-- What a live stream tells, in an order that no reader can miss a row of; and backfills that can be cancelled.
-- Locks: backfill_requests, exclusively, for a moment; every other object is new.

-- Written by whoever changes something, in the transaction of the change. An id given there would be passed over by a
-- reader who saw a later one first, so positions are given afterwards, under a lock, by moving rows to live_changes.
create table live_inbox (
    entry_id     bigint generated always as identity primary key,
    kind         text not null check (kind in ('rollup', 'recomputed', 'anomaly', 'alert')),
    change       text not null,
    tenant       text collate "C" not null,
    window_name  text,
    starts       timestamptz[],
    series_ids   bigint[],
    metrics      text[],
    object_ids   uuid[],
    period_from  timestamptz,
    period_to    timestamptz,
    noted_at     timestamptz not null default clock_timestamp()
);

create table live_changes (
    position     bigint generated always as identity primary key,
    kind         text not null,
    change       text not null,
    tenant       text collate "C" not null,
    window_name  text,
    starts       timestamptz[],
    series_ids   bigint[],
    metrics      text[],
    object_ids   uuid[],
    period_from  timestamptz,
    period_to    timestamptz,
    noted_at     timestamptz not null
);
create index live_changes_noted on live_changes (noted_at);

do $$
declare
    said record;
    relation text;
begin
    comment on table live_inbox is 'Changes that have no position in the live stream yet.';
    comment on table live_changes is 'Changes of the last hour in the order the live stream tells them (`GET /api/v1/stream`).';
    comment on column live_inbox.entry_id is 'Number of the entry, in the order of writing and not of committing.';
    comment on column live_changes.position is 'Place in the stream; a later one never becomes visible before an earlier one.';
    foreach relation in array array['live_inbox', 'live_changes'] loop
        for said in select * from (values
                ('kind', 'rollup, recomputed (a period to be read again), anomaly or alert (an incident).'),
                ('change', 'What happened: updated, closed, corrected; new, changed, withdrawn.'),
                ('tenant', 'Whose; *: everyone''s.'),
                ('window_name', 'Of rollups: the window.'),
                ('starts', 'Of rollups: when each row''s bucket starts (UTC).'),
                ('series_ids', 'Of rollups: each row''s series.'),
                ('metrics', 'Of rollups: each row''s metric; of a recomputed period: those that changed.'),
                ('object_ids', 'Of anomalies and alerts: which.'),
                ('period_from', 'Of a recomputed period: from when (UTC).'),
                ('period_to', 'Of a recomputed period: until when, not included (UTC).'),
                ('noted_at', 'When it was written (UTC).')
            ) as columns (name, text)
        loop
            execute format('comment on column %I.%I is %L', relation, said.name, said.text);
        end loop;
        perform lah_add_tenant_view(relation::name, 't.tenant = any ((select lah.lah_my_tenants() || ''*''::text)::text[])');
    end loop;
end
$$;

alter table backfill_requests drop constraint backfill_requests_state_check;
alter table backfill_requests add constraint backfill_requests_state_check
    check (state in ('requested', 'started', 'cancelling', 'succeeded', 'failed', 'cancelled'));
