-- Incidents: what hurts, since when, where it started, whom it hurts and what it costs; and what each correlation rests on.
-- Locks: access exclusive on correlations for a moment (a column with a constant default rewrites nothing); every table is new.

alter table correlations add column evidence jsonb not null default '{}';
comment on column correlations.evidence is 'What it rests on, by names that end in their unit: lag_seconds, cost_usd, lift, p_value ...';

create table incidents (
    incident_id            uuid primary key,
    tenant                 text collate "C" not null,
    title                  text not null,
    severity               text not null check (severity in ('negligible', 'low', 'medium', 'high', 'critical')),
    is_open                boolean not null,
    started_at             timestamptz not null,
    ended_at               timestamptz not null,
    root_cause             text,
    root_cause_confidence  double precision check (root_cause_confidence between 0 and 1),
    cost_usd               numeric(28, 12),
    story                  jsonb not null,
    detected_at            timestamptz not null,
    check (started_at <= ended_at)
);
create index incidents_started on incidents (started_at, tenant);

create table incident_members (
    incident_id  uuid not null references incidents on delete cascade,
    position     integer not null,
    member_type  text not null check (member_type in ('anomaly', 'correlation')),
    member_id    text not null,
    primary key (incident_id, position)
);

do $$
declare
    said record;
begin
    for said in select * from (values
            ('incidents', 'Anomalies and correlations that belong together, told as one story.'),
            ('incident_members', 'The anomalies and correlations an incident is made of.')
        ) as tables (name, text)
    loop
        execute format('comment on table %I is %L', said.name, said.text);
    end loop;
    for said in select * from (values
            ('incidents', 'incident_id', 'Identity; kept while it grows.'),
            ('incidents', 'tenant', 'Whose.'),
            ('incidents', 'title', 'What, in one line.'),
            ('incidents', 'severity', 'The worst impact of its anomalies and events.'),
            ('incidents', 'is_open', 'Whether it had not ended when it was last told.'),
            ('incidents', 'started_at', 'Since when (UTC).'),
            ('incidents', 'ended_at', 'Until when, as far as is known (UTC).'),
            ('incidents', 'root_cause', 'The component it most likely started in; null where nothing can be said.'),
            ('incidents', 'root_cause_confidence', 'Posterior probability of that, 0 to 1.'),
            ('incidents', 'cost_usd', 'What it cost beyond the usual, in USD; null where no cost anomaly is among it.'),
            ('incidents', 'story', 'What, candidates with paths, whom it hurts, what it costs, what to look at next.'),
            ('incidents', 'detected_at', 'When it was told (UTC).'),
            ('incident_members', 'incident_id', 'Of which incident.'),
            ('incident_members', 'position', 'Place in its order.'),
            ('incident_members', 'member_type', 'anomaly or correlation.'),
            ('incident_members', 'member_id', 'Its id.')
        ) as columns (table_name, column_name, text)
    loop
        execute format('comment on column %I.%I is %L', said.table_name, said.column_name, said.text);
    end loop;
    if exists (select from pg_roles where rolname = 'lah_reader') then
        grant select on incidents, incident_members to lah_reader;
    end if;
end
$$;

select lah_add_tenant_view('correlations', 't.tenant = any ((select lah.lah_my_tenants())::text[])'),
       lah_add_tenant_view('incidents', 't.tenant = any ((select lah.lah_my_tenants())::text[])'),
       lah_add_tenant_view('incident_members', 'exists (select from lah.incidents i where i.incident_id = t.incident_id
           and i.tenant = any ((select lah.lah_my_tenants())::text[]))');
