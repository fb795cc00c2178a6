-- What people say about anomalies: that one was nothing, and when not to look.
-- Locks: none on tables that are in use; both tables are new.

create table anomaly_dismissals (
    dismissal_id  bigint generated always as identity primary key,
    anomaly_id    uuid not null,
    tenant        text collate "C" not null,
    series_id     bigint not null,
    metric        text not null,
    anomaly_type  text not null,
    started_at    timestamptz not null,
    deviation     double precision not null,
    dismissed_at  timestamptz not null default now(),
    dismissed_by  text not null,
    note          text not null default '',
    unique (anomaly_id)
);
create index anomaly_dismissals_of on anomaly_dismissals (series_id, metric, anomaly_type);

create table maintenance_windows (
    maintenance_id bigint generated always as identity primary key,
    tenant         text collate "C" not null,
    model          text,
    starts_at      timestamptz not null,
    ends_at        timestamptz not null,
    reason         text not null,
    created_by     text not null,
    created_at     timestamptz not null default now(),
    check (ends_at > starts_at)
);
create index maintenance_windows_when on maintenance_windows (ends_at, starts_at);

comment on table anomaly_dismissals is
    'Anomalies that someone called nothing; the next of the same series, metric and type score lower. `lah anomalies dismiss` adds.';
comment on column anomaly_dismissals.dismissal_id is 'Number of the dismissal.';
comment on column anomaly_dismissals.anomaly_id is 'Which anomaly; it may have been recomputed away since.';
comment on column anomaly_dismissals.tenant is 'Whose it is.';
comment on column anomaly_dismissals.series_id is 'Its series.';
comment on column anomaly_dismissals.metric is 'Its metric.';
comment on column anomaly_dismissals.anomaly_type is 'Its type: spike, drop, pattern_deviation, frequency_anomaly, distribution_shift.';
comment on column anomaly_dismissals.started_at is 'When it started (UTC).';
comment on column anomaly_dismissals.deviation is 'How far it was out, in robust deviations, signed.';
comment on column anomaly_dismissals.dismissed_at is 'When it was dismissed (UTC).';
comment on column anomaly_dismissals.dismissed_by is 'Who dismissed it: an API key''s name, or the command.';
comment on column anomaly_dismissals.note is 'Why, in their words; empty: nothing was said.';
comment on table maintenance_windows is
    'Times in which nothing is told of a tenant''s series: no anomaly begins in one. `lah anomalies maintenance` adds.';
comment on column maintenance_windows.maintenance_id is 'Number of the window.';
comment on column maintenance_windows.tenant is 'Whose series; *: everyone''s.';
comment on column maintenance_windows.model is 'Series of this model only; null: all.';
comment on column maintenance_windows.starts_at is 'From when (UTC).';
comment on column maintenance_windows.ends_at is 'Until when, not included (UTC).';
comment on column maintenance_windows.reason is 'What is done in it.';
comment on column maintenance_windows.created_by is 'Who entered it.';
comment on column maintenance_windows.created_at is 'When it was entered (UTC).';

select lah_add_tenant_view('anomaly_dismissals', 't.tenant = any ((select lah.lah_my_tenants())::text[])'),
       lah_add_tenant_view('maintenance_windows', 't.tenant = any ((select lah.lah_my_tenants() || ''*''::text)::text[])');
