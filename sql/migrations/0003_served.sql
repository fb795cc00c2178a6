-- Served tables: costs, signals, quality verdicts, reports, audit, access and backfill requests.
-- Locks: none that a running system can feel; every object is new.

create table prices (
    model                          text not null,
    valid_from                     timestamptz not null,
    valid_to                       timestamptz not null default 'infinity',
    provider                       text not null,
    input_usd_per_mtok             numeric(18, 8) not null,
    cache_read_usd_per_mtok        numeric(18, 8),
    cache_write_usd_per_mtok       numeric(18, 8),
    output_usd_per_mtok            numeric(18, 8) not null,
    source                         text not null,
    primary key (model, valid_from),
    check (valid_from < valid_to)
);

create table cost_daily (
    day                       date not null,
    tenant                    text collate "C" not null,
    model                     text not null,
    environment               text not null,
    service                   text not null,
    team                      text not null,
    requests                  bigint not null,
    input_tokens              bigint not null,
    input_fresh_tokens        bigint not null,
    input_cache_read_tokens   bigint not null,
    input_cache_write_tokens  bigint not null,
    input_unknown_tokens      bigint not null,
    output_tokens             bigint not null,
    reported_usd              numeric(28, 12) not null,
    priced_usd                numeric(28, 12),
    unpriced_requests         bigint not null,
    other_usd                 numeric(28, 12) not null,
    computed_at               timestamptz not null,
    primary key (day, tenant, model, environment, service, team)
);
comment on column cost_daily.reported_usd is 'What producers said in token_cost events.';
comment on column cost_daily.priced_usd is 'The same requests priced from the price book as of their timestamps; null when no request could be priced.';
comment on column cost_daily.other_usd is 'api_cost and resource_consumption events.';
comment on column cost_daily.input_unknown_tokens is 'Input tokens whose producer did not say whether cache reads are included.';

create table anomalies (
    anomaly_id    uuid primary key,
    tenant        text collate "C" not null,
    series_id     bigint not null,
    metric        text not null,
    window_name   text not null,
    anomaly_type  text not null check (anomaly_type in ('spike', 'drop', 'pattern_deviation', 'frequency_anomaly', 'distribution_shift')),
    method        text not null,
    started_at    timestamptz not null,
    peak_at       timestamptz not null,
    ended_at      timestamptz not null,
    score         double precision not null,
    baseline      double precision,
    observed      double precision,
    deviation     double precision not null,
    impact        text not null check (impact in ('negligible', 'low', 'medium', 'high', 'critical')),
    explanation   text not null,
    detected_at   timestamptz not null
);
create index anomalies_started on anomalies (started_at, tenant);

create table forecasts (
    tenant        text collate "C" not null,
    series_id     bigint not null,
    metric        text not null,
    window_name   text not null,
    method        text not null,
    target_start  timestamptz not null,
    trained_through timestamptz not null,
    value         double precision not null,
    lower         double precision not null,
    upper         double precision not null,
    level         double precision not null check (level > 0 and level < 1),
    backtest_wape double precision,
    computed_at   timestamptz not null,
    primary key (series_id, metric, window_name, method, target_start),
    check (lower <= value and value <= upper)
);

create table correlations (
    correlation_id    uuid primary key,
    tenant            text collate "C" not null,
    correlation_type  text not null check (correlation_type in ('causal_chain', 'temporal', 'pattern_match', 'anomaly', 'cost_impact', 'security_incident', 'performance_degradation', 'compliance_cascade')),
    started_at        timestamptz not null,
    ended_at          timestamptz not null,
    strength          double precision not null check (strength between 0 and 1),
    confidence        double precision not null check (confidence between 0 and 1),
    explanation       text not null,
    detected_at       timestamptz not null
);
create index correlations_started on correlations (started_at, tenant);

create table correlation_members (
    correlation_id  uuid not null references correlations on delete cascade,
    position        integer not null,
    role            text not null check (role in ('root_cause', 'contributor', 'effect', 'related')),
    member_type     text not null check (member_type in ('event', 'anomaly', 'series')),
    member_id       text not null,
    metric          text not null default '',
    at              timestamptz not null,
    primary key (correlation_id, position)
);

create table checks (
    check_id     bigint generated always as identity primary key,
    checked_at   timestamptz not null,
    asset        text not null,
    check_name   text not null,
    severity     text not null check (severity in ('warn', 'error')),
    blocking     boolean not null,
    passed       boolean not null,
    checked_rows bigint,
    failed_rows  bigint,
    observed     jsonb not null default '{}',
    advice       text not null,
    period_from  timestamptz,
    period_to    timestamptz,
    run_id       text
);
create index checks_latest on checks (asset, check_name, checked_at desc);

create table reports (
    report_id     uuid primary key,
    name          text not null,
    tenant        text collate "C" not null,
    period_from   date not null,
    period_to     date not null,
    generated_at  timestamptz not null,
    content       jsonb not null,
    html          text not null,
    sha256        text not null,
    requested_by  text not null
);
create index reports_name on reports (name, generated_at desc);

create table audit_log (
    audit_id     bigint generated always as identity primary key,
    at           timestamptz not null default clock_timestamp(),
    actor        text not null,
    action       text not null,
    object_type  text not null,
    object_id    text not null,
    tenant       text collate "C" not null,
    details      jsonb not null default '{}'
);
create function audit_log_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'audit_log is append-only: % is not allowed', lower(tg_op)
        using hint = 'Write a further row that corrects the earlier one.';
end
$$;
create trigger audit_log_append_only before update or delete or truncate on audit_log
    for each statement execute function audit_log_is_append_only();

create table api_keys (
    key_id      text primary key,
    tenant      text collate "C" not null,
    role        text not null check (role in ('viewer', 'analyst', 'ingest', 'compliance', 'admin')),
    label       text not null,
    key_hmac    bytea not null,
    is_demo     boolean not null default false,
    created_at  timestamptz not null default now(),
    revoked_at  timestamptz
);

create table backfill_requests (
    request_id    uuid primary key,
    table_name    text not null,
    from_day      date not null,
    to_day        date not null,
    requested_by  text not null,
    requested_at  timestamptz not null default now(),
    state         text not null default 'requested' check (state in ('requested', 'started', 'succeeded', 'failed')),
    run_id        text,
    finished_at   timestamptz,
    check (from_day <= to_day)
);

create table replays (
    run_key      text primary key,
    source       text not null,
    events       bigint,
    end_at       timestamptz not null,
    started_at   timestamptz not null default now(),
    finished_at  timestamptz
);
comment on table replays is 'Replays by run: a finished one is "already loaded", an interrupted one goes on with the same times and ids.';
