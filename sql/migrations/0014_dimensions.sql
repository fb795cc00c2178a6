-- Producer, provider and chosen tags tell series apart, and SQL can ask what the metrics are.
-- Locks: access exclusive on series while its index is built (10,000 series: 0.1 s), and on the views metrics_* for a moment.

alter table series add column source_module text not null default '';
alter table series add column provider text not null default '';
alter table series add column tags jsonb not null default '{}';
comment on column series.source_module is 'Which producer sends its events; empty: made before this was a dimension.';
comment on column series.provider is 'Who serves the model: of the payload, else tag provider; empty: none.';
comment on column series.tags is 'Tags that LAH_SERIES_TAGS names.';

-- Eleven texts of 256 bytes do not fit an index entry. The casts are immutable for texts in UTF-8, the only encoding served.
create function lah_series_digest(
    event_type text, subtype text, model text, environment text, service text, region text, team text,
    source_module text, provider text, tags jsonb
) returns bytea language sql immutable parallel safe return
    sha256(convert_to(jsonb_build_array(event_type, subtype, model, environment, service, region, team, source_module,
                                        provider, tags)::text, 'UTF8'));
comment on function lah_series_digest(text, text, text, text, text, text, text, text, text, jsonb) is
    'What tells a tenant''s series apart, in 32 bytes.';

do $$
begin
    execute (select format('alter table series drop constraint %I', conname)
             from pg_constraint where conrelid = 'series'::regclass and contype = 'u');
end
$$;
create unique index series_dimensions on series (tenant, lah_series_digest(
    event_type, subtype, model, environment, service, region, team, source_module, provider, tags));

create table metrics (
    metric      text primary key,
    unit        text not null,
    kind        text not null check (kind in ('counter', 'gauge', 'histogram', 'summary')),
    measures    text[] not null,
    description text not null
);
comment on table metrics is 'What is measured. A rollup row holds every measure; those of `measures` mean something.';
comment on column metrics.metric is 'Name, as in the column metric of the views.';
comment on column metrics.unit is 'Unit of its values.';
comment on column metrics.kind is
    'counter: values add. gauge: a level, whose sum means nothing. histogram: single durations. summary: what a producer had aggregated, whose spread and percentiles are not those of what it aggregated.';
comment on column metrics.measures is 'The measures that mean something for its kind.';
comment on column metrics.description is 'What it is.';
insert into metrics (metric, unit, kind, measures, description) values
    ('events', 'events', 'counter', '{count,sum,avg,min,max,stddev,p50,p95,p99}', 'Events stored; every event counts once'),
    ('latency_ms', 'ms', 'histogram', '{count,sum,avg,min,max,stddev,p50,p95,p99}', 'From request to last token'),
    ('ttft_ms', 'ms', 'histogram', '{count,sum,avg,min,max,stddev,p50,p95,p99}', 'From request to first token'),
    ('tokens_per_second', 'tokens/s', 'gauge', '{count,avg,min,max,stddev,p50,p95,p99}', 'Speed of generation as reported'),
    ('requests_per_second', 'requests/s', 'gauge', '{count,avg,min,max,stddev,p50,p95,p99}', 'Request rate as reported'),
    ('total_requests', 'requests', 'counter', '{count,sum,avg,min,max,stddev,p50,p95,p99}', 'Requests made'),
    ('failed_requests', 'requests', 'counter', '{count,sum,avg,min,max,stddev,p50,p95,p99}', 'Requests that failed; the error rate is the sum of these over the sum of total_requests'),
    ('input_tokens', 'tokens', 'counter', '{count,sum,avg,min,max,stddev,p50,p95,p99}', 'Tokens of prompts'),
    ('output_tokens', 'tokens', 'counter', '{count,sum,avg,min,max,stddev,p50,p95,p99}', 'Tokens of completions'),
    ('total_tokens', 'tokens', 'counter', '{count,sum,avg,min,max,stddev,p50,p95,p99}', 'Tokens of prompt and completion'),
    ('cost_usd', 'USD', 'counter', '{count,sum,avg,min,max,stddev,p50,p95,p99}', 'Cost as the producer reported it'),
    ('score', '1', 'summary', '{count,avg,min,max}', 'Score as reported, on the producer''s scale');

do $$
declare
    size record;
begin
    for size in
        select * from (values
            ('1m', $e$r.bucket_start + interval '1 minute'$e$),
            ('5m', $e$r.bucket_start + interval '5 minutes'$e$),
            ('15m', $e$r.bucket_start + interval '15 minutes'$e$),
            ('1h', $e$r.bucket_start + interval '1 hour'$e$),
            ('6h', $e$r.bucket_start + interval '6 hours'$e$),
            ('1d', $e$r.bucket_start + interval '24 hours'$e$),
            ('1w', $e$r.bucket_start + interval '168 hours'$e$),
            ('1mo', $e$(r.bucket_start at time zone 'UTC' + interval '1 month') at time zone 'UTC'$e$)
        ) as sizes (name, bucket_end)
    loop
        execute format($view$
            create or replace view metrics_%1$s with (security_invoker = true) as
            select
                r.bucket_start,
                %2$s as bucket_end,
                s.tenant, s.event_type, s.subtype, s.model, s.environment, s.service, s.region, s.team,
                r.series_id,
                r.metric,
                r.count,
                coalesce(r.sum_exact, r.sum::numeric) as sum,
                r.mean as avg,
                r.min,
                r.max,
                case when r.count > 1 then sqrt(r.m2) / sqrt((r.count - 1)::double precision) end as stddev,
                r.p50,
                r.p95,
                r.p99,
                r.revision,
                r.computed_at,
                %2$s <= (select final_before from rollup_state) as is_final,
                r.m2,
                r.hist_keys,
                r.hist_counts,
                false as is_live,
                s.source_module, s.provider, s.tags
            from rollup_%1$s r
            join series s using (series_id)
        $view$, size.name, size.bucket_end);
    end loop;
end
$$;

create or replace view metrics_1m_live with (security_invoker = true) as
with waiting as materialized (
    select series_id, metric, bucket_start, count, sum, sum_exact, min, max, mean, m2, hist_keys, hist_counts
    from rollup_partials
), parts as (
    select w.*, null::integer as revision from waiting w
    union all
    select r.series_id, r.metric, r.bucket_start, r.count, r.sum, r.sum_exact, r.min, r.max, r.mean, r.m2, r.hist_keys,
           r.hist_counts, r.revision
    from (select distinct series_id, metric, bucket_start from waiting) w
    join rollup_1m r using (bucket_start, series_id, metric)
), merged as (
    select series_id, metric, bucket_start, sum(count)::bigint as count, sum(sum) as sum, sum(sum_exact) as sum_exact,
           min(min) as min, max(max) as max, lah_m2_merge_agg(count, mean, m2) as moments,
           lah_hist_merge_agg(hist_keys, hist_counts) as hist, coalesce(max(revision), 0) + 1 as revision
    from parts group by series_id, metric, bucket_start
), of_minutes as (
    select r.bucket_start, r.series_id, r.metric, r.count, coalesce(r.sum_exact, r.sum::numeric) as sum, r.mean as avg,
           r.min, r.max, r.p50, r.p95, r.p99, r.revision, r.computed_at, r.m2, r.hist_keys, r.hist_counts, false as is_live
    from rollup_1m r
    where (r.bucket_start, r.series_id, r.metric) not in (
        select w.bucket_start, w.series_id, w.metric from rollup_pending_buckets() w)
    union all
    select m.bucket_start, m.series_id, m.metric, m.count, coalesce(m.sum_exact, m.sum::numeric), (m.moments).mean, m.min,
           m.max, lah_hist_quantile((m.hist).keys, (m.hist).counts, 0.5, m.min, m.max),
           lah_hist_quantile((m.hist).keys, (m.hist).counts, 0.95, m.min, m.max),
           lah_hist_quantile((m.hist).keys, (m.hist).counts, 0.99, m.min, m.max),
           m.revision, statement_timestamp(), (m.moments).m2, (m.hist).keys, (m.hist).counts, true
    from merged m
)
select o.bucket_start, o.bucket_start + interval '1 minute' as bucket_end, s.tenant, s.event_type, s.subtype, s.model,
       s.environment, s.service, s.region, s.team, o.series_id, o.metric, o.count, o.sum, o.avg, o.min, o.max,
       case when o.count > 1 then sqrt(o.m2) / sqrt((o.count - 1)::double precision) end as stddev,
       o.p50, o.p95, o.p99, o.revision, o.computed_at,
       o.bucket_start + interval '1 minute' <= (select final_before from rollup_state) as is_final,
       o.m2, o.hist_keys, o.hist_counts, o.is_live,
       s.source_module, s.provider, s.tags
from of_minutes o join series s using (series_id);

do $$
declare
    view text;
    said record;
begin
    foreach view in array array['1m', '5m', '15m', '1h', '6h', '1d', '1w', '1mo', '1m_live'] loop
        for said in select * from (values
            ('is_live', 'Whether partials that wait are in it; only metrics_1m_live has such rows.'),
            ('source_module', 'Which producer sent the events; empty: made before this was a dimension.'),
            ('provider', 'Who serves the model; empty: none.'),
            ('tags', 'Tags that LAH_SERIES_TAGS names.')
        ) as texts (column_name, text) loop
            execute format('comment on column metrics_%s.%I is %L', view, said.column_name, said.text);
        end loop;
    end loop;
    if exists (select from pg_roles where rolname = 'lah_reader') then
        grant select on metrics to lah_reader;
    end if;
end
$$;
