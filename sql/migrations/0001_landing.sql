-- Landing: events, dead letters, the ledger, offsets, series and partial rollups.
-- Locks: none that a running system can feel; every object is new.

create type severity as enum ('debug', 'info', 'warning', 'error', 'critical');

create table series (
    series_id    bigint generated always as identity primary key,
    tenant       text collate "C" not null,
    event_type   text not null,
    subtype      text not null,
    model        text not null,
    environment  text not null,
    service      text not null,
    region       text not null,
    team         text not null,
    created_at   timestamptz not null default now(),
    unique (tenant, event_type, subtype, model, environment, service, region, team)
);
comment on table series is
    'One row per combination of dimensions; landing assigns it once. Absent dimensions are empty strings; past a tenant''s limit every new combination is the series whose dimensions are __other__.';

-- A hypertable where the server offers TimescaleDB, native daily range partitions otherwise:
-- the only other places that know the difference are ensure_event_partition and drop_event_partitions. They ask the
-- table, not the server: a database migrated before its server had TimescaleDB keeps native partitions.
do $$
declare
    columns constant text := $columns$
        ts                        timestamptz not null,
        tenant                    text collate "C" not null,
        event_id                  uuid not null,
        series_id                 bigint not null,
        received_at               timestamptz not null,
        source_module             text not null,
        event_type                text not null,
        payload_type              text not null,
        subtype                   text not null,
        severity                  severity not null,
        environment               text not null,
        schema_version            text not null,
        correlation_id            uuid,
        parent_event_id           uuid,
        model                     text,
        request_id                text,
        latency_ms                double precision,
        ttft_ms                   double precision,
        tokens_per_second         double precision,
        requests_per_second       double precision,
        total_requests            bigint,
        failed_requests           bigint,
        input_tokens              bigint,
        output_tokens             bigint,
        total_tokens              bigint,
        input_fresh_tokens        bigint,
        input_cache_read_tokens   bigint,
        input_cache_write_tokens  bigint,
        output_visible_tokens     bigint,
        output_reasoning_tokens   bigint,
        token_derivation          text,
        cost_usd                  numeric(28, 12),
        score                     double precision,
        tags                      jsonb not null,
        payload                   jsonb not null,
        topic                     text not null,
        partition                 integer not null,
        record_offset             bigint not null,
        primary key (ts, tenant, event_id)
    $columns$;
begin
    if exists (select from pg_extension where extname = 'timescaledb') then
        execute format('create table events (%s)', columns);
        perform create_hypertable('events', 'ts', chunk_time_interval => interval '1 day', create_default_indexes => false);
    else
        execute format('create table events (%s) partition by range (ts)', columns);
    end if;
end
$$;
create index events_correlation on events (correlation_id, ts) where correlation_id is not null;

create function ensure_event_partition(day date) returns void language plpgsql as $$
declare
    child constant text := 'events_' || to_char(day, 'YYYYMMDD');
begin
    if (select relkind from pg_class where oid = 'lah.events'::regclass) <> 'p' then
        return;  -- chunks make themselves
    end if;
    if to_regclass('lah.' || child) is not null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('lah.events.partitions', 0));
    if to_regclass('lah.' || child) is not null then
        return;
    end if;
    -- create and attach, not "partition of": that would lock every reader of events out
    execute format('create table lah.%I (like lah.events including all)', child);
    execute format('alter table lah.events attach partition lah.%I for values from (%L) to (%L)', child,
                   day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
end
$$;

create function drop_event_partitions(before date) returns setof text language plpgsql as $$
declare
    child text;
begin
    if (select relkind from pg_class where oid = 'lah.events'::regclass) <> 'p' then
        return query execute 'select drop_chunks(''lah.events'', $1)::text' using before::timestamp at time zone 'UTC';
        return;
    end if;
    for child in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'lah.events'::regclass and c.relname < 'events_' || to_char(before, 'YYYYMMDD')
        order by c.relname
    loop
        execute format('drop table lah.%I', child);
        return next child;
    end loop;
end
$$;

create table dead_letters (
    dead_letter_id  bigint generated always as identity primary key,
    tenant          text collate "C" not null,
    topic           text not null,
    topic_id        text not null,
    partition       integer not null,
    record_offset   bigint not null,
    dead_lettered_at timestamptz not null,
    code            text not null,
    field           text not null,
    reason          text not null,
    raw             bytea,
    record_key      bytea,
    headers         jsonb not null default '[]',
    replayed_at     timestamptz,
    replayed_as     text check (replayed_as in ('stored', 'duplicate')),
    unique (topic, topic_id, partition, record_offset)
);

create table ledger (
    topic          text not null,
    partition      integer not null,
    minute         timestamptz not null,
    tenant         text collate "C" not null,
    received       bigint not null,
    stored         bigint not null,
    duplicate      bigint not null,
    dead_lettered  bigint not null,
    primary key (topic, partition, minute, tenant)
);
comment on table ledger is 'Per topic, partition, landing minute and tenant: received = stored + duplicate + dead_lettered.';

create table landing_batches (
    batch_id     bigint generated always as identity primary key,
    topic        text not null,
    topic_id     text not null,
    partition    integer not null,
    from_offset  bigint not null,
    to_offset    bigint not null,
    received     bigint not null,
    no_record    bigint not null,
    landed_at    timestamptz not null,
    check (to_offset - from_offset = received + no_record),
    unique (topic, topic_id, partition, from_offset)
);
comment on table landing_batches is 'Offset ranges [from_offset, to_offset) of each committed batch, contiguous per partition; no_record counts holes (transaction markers, compaction).';

create table landing_offsets (
    topic         text not null,
    topic_id      text not null,
    partition     integer not null,
    next_offset   bigint not null,
    caught_up_at  timestamptz,
    updated_at    timestamptz not null,
    primary key (topic, topic_id, partition)
);

create table rollup_partials (
    partial_id    bigint generated always as identity primary key,
    series_id     bigint not null,
    metric        text not null,
    bucket_start  timestamptz not null,
    count         bigint not null,
    sum           double precision,
    sum_exact     numeric(38, 12),
    min           double precision not null,
    max           double precision not null,
    mean          double precision not null,
    m2            double precision not null,
    hist_keys     integer[] not null,
    hist_counts   bigint[] not null
);
create index rollup_partials_bucket on rollup_partials (bucket_start);
