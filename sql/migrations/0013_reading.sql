-- For whoever reads with SQL: what every table and column holds, what merging needs, the newest minute as it stands, how
-- far each tenant is, and a role that may read.
-- Locks: access share on tables, and access exclusive on the views rollup_partials and metrics_* for a moment. The role is made where the
-- migrating user may make roles; elsewhere the migration says so and goes on (docs/rollups.md).

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
                r.hist_counts
            from rollup_%1$s r
            join series s using (series_id)
        $view$, size.name, size.bucket_end);
    end loop;
end
$$;

-- Histograms are unpacked once a set: once a group, 40,000 waiting groups took metrics_1m_live ten seconds; so 0.14.
-- Appending nothing is what unpacks them, and `offset 0` keeps that out of the slices.
create or replace view rollup_partials as
select g.series_id, g.metric, g.bucket_start, g.count, g.sum, g.sum_exact, g.min, g.max, g.mean, g.m2,
       s.hist_keys[g.hist_end - g.hist_size + 1 : g.hist_end] as hist_keys,
       s.hist_counts[g.hist_end - g.hist_size + 1 : g.hist_end] as hist_counts
from (
    select series_ids, metrics, minutes, counts, sums, exact_sums, minima, maxima, means, m2s, hist_sizes,
           hist_keys || '{}'::integer[] as hist_keys, hist_counts || '{}'::bigint[] as hist_counts
    from rollup_partial_sets offset 0
) s cross join lateral (
    select u.*, sum(u.hist_size) over (order by u.place)::integer as hist_end
    from unnest(s.series_ids, s.metrics, s.minutes, s.counts, s.sums, s.exact_sums, s.minima, s.maxima, s.means, s.m2s,
                s.hist_sizes) with ordinality
        as u (series_id, metric, bucket_start, count, sum, sum_exact, min, max, mean, m2, hist_size, place)) g;

-- A function's number of rows is a constant, and the planner hashes so few. Where it expects few minutes of a metric (a new
-- metric, a table not analyzed yet) it would search all waiting groups for each: 38 s for what takes 0.14.
create function rollup_pending_buckets()
returns table (bucket_start timestamptz, series_id bigint, metric text)
language plpgsql stable parallel safe rows 1000 as $$
begin
    return query
    select distinct w.bucket_start, w.series_id, w.metric
    from lah.rollup_partial_sets p
    cross join lateral unnest(p.minutes, p.series_ids, p.metrics) as w (bucket_start, series_id, metric);
end
$$;
comment on function rollup_pending_buckets() is 'Minute (UTC), series and metric of what partials wait for, each once.';

-- Minutes that no partial waits for come straight from the table; only the others are merged, in the same snapshot.
create view metrics_1m_live with (security_invoker = true) as
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
       o.m2, o.hist_keys, o.hist_counts, o.is_live
from of_minutes o join series s using (series_id);
comment on view metrics_1m_live is 'metrics_1m with the partials that no tick has merged yet: what metrics_1m will say.';

create view rollup_watermarks with (security_invoker = true) as
with tenants as (
    select s.tenant, max(newest.bucket_start) as newest
    from series s cross join lateral (
        select r.bucket_start from rollup_1m r where r.series_id = s.series_id and r.metric = 'events'
        order by r.bucket_start desc limit 1) newest
    group by s.tenant
), waiting as (
    select s.tenant, count(*) as partials, min(p.minute) as oldest
    from (select unnest(series_ids) as series_id, unnest(minutes) as minute from rollup_partial_sets) p
    join series s using (series_id) group by s.tenant
), windows (name, position) as (
    values ('1m', 1), ('5m', 2), ('15m', 3), ('1h', 4), ('6h', 5), ('1d', 6), ('1w', 7), ('1M', 8)
)
select coalesce(t.tenant, p.tenant) as tenant, w.name as "window",
       case w.name when '1w' then date_trunc('week', f.at, 'UTC') when '1M' then date_trunc('month', f.at, 'UTC')
            else date_bin(b.size, f.at, timestamptz '1970-01-01 00:00:00+00') end as final_before,
       case w.name when '1w' then date_trunc('week', t.newest, 'UTC') when '1M' then date_trunc('month', t.newest, 'UTC')
            else date_bin(b.size, t.newest, timestamptz '1970-01-01 00:00:00+00') end as newest_bucket,
       coalesce(p.partials, 0) as pending_partials, p.oldest as oldest_pending_minute
from tenants t full join waiting p using (tenant)
cross join windows w
cross join lateral (select case w.name when '1m' then interval '1 minute' when '5m' then interval '5 minutes'
    when '15m' then interval '15 minutes' when '1h' then interval '1 hour' when '6h' then interval '6 hours'
    else interval '24 hours' end as size) b
cross join (select nullif(final_before, '-infinity') as at from rollup_state) f
order by 1, w.position;
comment on view rollup_watermarks is
    'How far each tenant and window is. One transaction merges the partials of all tenants, so final_before is the same for all.';

do $$
declare
    said record;
    size text;
begin
    foreach size in array array['1m', '5m', '15m', '1h', '6h', '1d', '1w', '1mo'] loop
        execute format('comment on table rollup_%1$s is %2$L', size,
            'Rollups of ' || size || ' by series and metric, mergeable. Read metrics_' || size || '.');
    end loop;
    for said in select * from (values
            ('events', 'One row an event, once; the day''s partition or chunk holds it. Identity: ts, tenant, event_id.'),
            ('dead_letters', 'Records that could not be stored, with their bytes; `lah dead-letters` lists, shows and replays them.'),
            ('landing_offsets', 'Where landing goes on, by partition; the broker''s own committed offsets are never read.'),
            ('prices', 'The price book: what a million tokens of a model cost, from when to when.'),
            ('cost_daily', 'Requests, tokens and dollars by UTC day, tenant, model, environment, service and team.'),
            ('anomalies', 'What was found unusual in a series, from when to when.'),
            ('forecasts', 'What is expected of a series, with the range it is expected in.'),
            ('correlations', 'Events, anomalies and series that belong together.'),
            ('correlation_members', 'What takes part in a correlation, and as what.'),
            ('checks', 'Verdicts of data-quality checks, one row a run of a check.'),
            ('reports', 'Evidence reports as they were made; never changed.'),
            ('audit_log', 'Who did what to what; rows are only ever added.'),
            ('api_keys', 'API keys; of the key itself only a keyed hash.'),
            ('backfill_requests', 'Requested recomputations; a sensor makes a run of each.'),
            ('schema_migrations', 'Migrations that are applied.')
        ) as tables (name, text)
    loop
        execute format('comment on table %I is %L', said.name, said.text);
    end loop;
    for said in select * from (values
            ('events', 'ts', 'When it happened, as the producer says (UTC).'),
            ('events', 'tenant', 'Whose it is.'),
            ('events', 'event_id', 'The producer''s id of it.'),
            ('events', 'series_id', 'Its series, given once at landing.'),
            ('events', 'received_at', 'When it landed (UTC).'),
            ('events', 'source_module', 'Which producer sent it.'),
            ('events', 'event_type', 'What kind: telemetry, security, cost, governance, lifecycle, audit, alert.'),
            ('events', 'payload_type', 'Which payload it carries; custom: any.'),
            ('events', 'subtype', 'The payload''s own kind, such as latency or token_usage.'),
            ('events', 'severity', 'debug to critical.'),
            ('events', 'environment', 'Where it ran, such as production.'),
            ('events', 'schema_version', 'Version of the envelope it was sent in.'),
            ('events', 'correlation_id', 'What belongs together, such as one request; null: nothing was said.'),
            ('events', 'parent_event_id', 'The event that led to it; null: none.'),
            ('events', 'model', 'Model id; null: none.'),
            ('events', 'request_id', 'The producer''s id of the request; null: none.'),
            ('events', 'latency_ms', 'From request to last token, ms; null: not carried.'),
            ('events', 'ttft_ms', 'From request to first token, ms; null: not carried.'),
            ('events', 'tokens_per_second', 'Speed of generation as reported; null: not carried.'),
            ('events', 'requests_per_second', 'Request rate as reported; null: not carried.'),
            ('events', 'total_requests', 'Requests made, of a throughput event; null: not carried.'),
            ('events', 'failed_requests', 'Requests that failed; null: not carried.'),
            ('events', 'input_tokens', 'Tokens of the prompt as sent; null: not carried.'),
            ('events', 'output_tokens', 'Tokens of the completion as sent; null: not carried.'),
            ('events', 'total_tokens', 'Both, as the producer added them; null: not carried.'),
            ('events', 'input_fresh_tokens', 'Input neither read from nor written to a cache; null: not known.'),
            ('events', 'input_cache_read_tokens', 'Input read from a cache; null: not known.'),
            ('events', 'input_cache_write_tokens', 'Input written to a cache; null: not known.'),
            ('events', 'output_visible_tokens', 'Output without reasoning; null: not known.'),
            ('events', 'output_reasoning_tokens', 'Output spent on reasoning; null: not known.'),
            ('events', 'token_derivation', 'How the buckets came about: inclusive, exclusive, unknown; null: no tokens.'),
            ('events', 'cost_usd', 'Cost as the producer reported it, USD; null: not carried.'),
            ('events', 'score', 'Score as reported, on the producer''s scale; null: not carried.'),
            ('events', 'tags', 'The envelope''s tags.'),
            ('events', 'payload', 'The whole payload as sent.'),
            ('events', 'topic', 'Where it came from; rest: through the API.'),
            ('events', 'partition', 'Partition of the topic.'),
            ('events', 'record_offset', 'Offset in the partition.'),
            ('dead_letters', 'dead_letter_id', 'Key.'),
            ('dead_letters', 'tenant', 'Whose it is; unknown when the bytes did not say.'),
            ('dead_letters', 'topic', 'Where it came from.'),
            ('dead_letters', 'topic_id', 'The topic''s incarnation.'),
            ('dead_letters', 'partition', 'Partition of the topic.'),
            ('dead_letters', 'record_offset', 'Offset in the partition.'),
            ('dead_letters', 'dead_lettered_at', 'When it was refused (UTC).'),
            ('dead_letters', 'code', 'Why, as a word.'),
            ('dead_letters', 'field', 'Which field was wrong.'),
            ('dead_letters', 'reason', 'Why, as a sentence.'),
            ('dead_letters', 'raw', 'The record''s bytes; null: a tombstone.'),
            ('dead_letters', 'record_key', 'The record''s key; null: none.'),
            ('dead_letters', 'headers', 'The record''s headers.'),
            ('dead_letters', 'replayed_at', 'When a replay took it (UTC); null: not yet.'),
            ('dead_letters', 'replayed_as', 'What the replay made of it: stored or duplicate; null: not yet.'),
            ('ledger', 'topic', 'Where records came from; rest: through the API.'),
            ('ledger', 'partition', 'Partition of the topic.'),
            ('ledger', 'minute', 'Minute of landing (UTC).'),
            ('ledger', 'tenant', 'Whose; unknown: unreadable.'),
            ('ledger', 'received', 'Records read.'),
            ('ledger', 'stored', 'Of them stored.'),
            ('ledger', 'duplicate', 'Of them there already.'),
            ('ledger', 'dead_lettered', 'Of them refused.'),
            ('landing_batches', 'batch_id', 'Key.'),
            ('landing_batches', 'topic', 'Topic.'),
            ('landing_batches', 'topic_id', 'The topic''s incarnation.'),
            ('landing_batches', 'partition', 'Partition.'),
            ('landing_batches', 'from_offset', 'First offset of the batch.'),
            ('landing_batches', 'to_offset', 'The offset after its last.'),
            ('landing_batches', 'received', 'Records in between.'),
            ('landing_batches', 'no_record', 'Offsets in between that hold no record.'),
            ('landing_batches', 'landed_at', 'When it was committed (UTC).'),
            ('landing_offsets', 'topic', 'Topic.'),
            ('landing_offsets', 'topic_id', 'The topic''s incarnation.'),
            ('landing_offsets', 'partition', 'Partition.'),
            ('landing_offsets', 'next_offset', 'The next offset to land.'),
            ('landing_offsets', 'caught_up_at', 'When landing last stood at the log''s end (UTC); null: never.'),
            ('landing_offsets', 'updated_at', 'When it last moved (UTC).'),
            ('series', 'series_id', 'Key.'),
            ('series', 'tenant', 'Whose.'),
            ('series', 'event_type', 'Of its events.'),
            ('series', 'subtype', 'Of its events.'),
            ('series', 'model', 'Model id; empty: none.'),
            ('series', 'environment', 'Environment.'),
            ('series', 'service', 'Tag service; empty: none.'),
            ('series', 'region', 'Tag region; empty: none.'),
            ('series', 'team', 'Tag team; empty: none.'),
            ('series', 'created_at', 'When its first event landed (UTC).'),
            ('rollup_partial_sets', 'set_id', 'Key, in the order of landing.'),
            ('rollup_partial_sets', 'day', 'UTC day of every group.'),
            ('rollup_partial_sets', 'first_minute', 'The earliest minute of a group (UTC).'),
            ('rollup_partial_sets', 'group_count', 'How many groups.'),
            ('rollup_partial_sets', 'series_ids', 'Each group''s series.'),
            ('rollup_partial_sets', 'metrics', 'Each group''s metric.'),
            ('rollup_partial_sets', 'minutes', 'Each group''s minute (UTC).'),
            ('rollup_partial_sets', 'counts', 'Each group''s number of values.'),
            ('rollup_partial_sets', 'sums', 'Sums of float metrics; null for others.'),
            ('rollup_partial_sets', 'exact_sums', 'Sums of integer and decimal metrics; null for others.'),
            ('rollup_partial_sets', 'minima', 'Smallest values.'),
            ('rollup_partial_sets', 'maxima', 'Largest values.'),
            ('rollup_partial_sets', 'means', 'Means.'),
            ('rollup_partial_sets', 'm2s', 'Sums of squared deviations from the mean.'),
            ('rollup_partial_sets', 'hist_sizes', 'How many buckets each group''s histogram has.'),
            ('rollup_partial_sets', 'hist_keys', 'All histograms'' bucket keys, one behind another.'),
            ('rollup_partial_sets', 'hist_counts', 'Their counts.'),
            ('rollup_partials', 'series_id', 'Series.'),
            ('rollup_partials', 'metric', 'Metric.'),
            ('rollup_partials', 'bucket_start', 'Minute (UTC).'),
            ('rollup_partials', 'count', 'Number of values.'),
            ('rollup_partials', 'sum', 'Sum of a float metric; null for others.'),
            ('rollup_partials', 'sum_exact', 'Sum of an integer or decimal metric; null for others.'),
            ('rollup_partials', 'min', 'Smallest value.'),
            ('rollup_partials', 'max', 'Largest value.'),
            ('rollup_partials', 'mean', 'Mean.'),
            ('rollup_partials', 'm2', 'Sum of squared deviations from the mean.'),
            ('rollup_partials', 'hist_keys', 'Bucket keys of the histogram, ascending.'),
            ('rollup_partials', 'hist_counts', 'Their counts.'),
            ('rollup_state', 'singleton', 'One row only.'),
            ('rollup_state', 'final_before', 'Windows that end at or before it are final (UTC).'),
            ('rollup_state', 'ticked_at', 'When the watermark was last looked at (UTC).'),
            ('prices', 'model', 'Model id.'),
            ('prices', 'valid_from', 'From this instant on (UTC).'),
            ('prices', 'valid_to', 'Up to this instant (UTC).'),
            ('prices', 'provider', 'Who sells it.'),
            ('prices', 'input_usd_per_mtok', 'USD a million fresh input tokens.'),
            ('prices', 'cache_read_usd_per_mtok', 'USD a million tokens read from a cache; null: as fresh input.'),
            ('prices', 'cache_write_usd_per_mtok', 'USD a million tokens written to a cache; null: as fresh input.'),
            ('prices', 'output_usd_per_mtok', 'USD a million output tokens.'),
            ('prices', 'source', 'Where the price comes from.'),
            ('cost_daily', 'day', 'UTC day.'),
            ('cost_daily', 'tenant', 'Whose.'),
            ('cost_daily', 'model', 'Model id; empty: none.'),
            ('cost_daily', 'environment', 'Environment.'),
            ('cost_daily', 'service', 'Tag service; empty: none.'),
            ('cost_daily', 'team', 'Tag team; empty: none.'),
            ('cost_daily', 'requests', 'Requests that day.'),
            ('cost_daily', 'input_tokens', 'Tokens of prompts.'),
            ('cost_daily', 'input_fresh_tokens', 'Of them neither read from nor written to a cache.'),
            ('cost_daily', 'input_cache_read_tokens', 'Of them read from a cache.'),
            ('cost_daily', 'input_cache_write_tokens', 'Of them written to a cache.'),
            ('cost_daily', 'output_tokens', 'Tokens of completions.'),
            ('cost_daily', 'unpriced_requests', 'Requests for whose model there was no price.'),
            ('cost_daily', 'computed_at', 'When the row was computed (UTC).'),
            ('anomalies', 'anomaly_id', 'Key.'),
            ('anomalies', 'tenant', 'Whose.'),
            ('anomalies', 'series_id', 'Series.'),
            ('anomalies', 'metric', 'Metric.'),
            ('anomalies', 'window_name', 'Window it was seen at.'),
            ('anomalies', 'anomaly_type', 'What kind.'),
            ('anomalies', 'method', 'Which detector found it.'),
            ('anomalies', 'started_at', 'Start (UTC).'),
            ('anomalies', 'peak_at', 'Where it is largest (UTC).'),
            ('anomalies', 'ended_at', 'End (UTC).'),
            ('anomalies', 'score', 'How unusual, on the method''s scale.'),
            ('anomalies', 'baseline', 'What was expected; null: nothing can be named.'),
            ('anomalies', 'observed', 'What was seen at the peak; null: nothing was.'),
            ('anomalies', 'deviation', 'How far from the baseline, in the method''s measure of spread.'),
            ('anomalies', 'impact', 'negligible to critical.'),
            ('anomalies', 'explanation', 'In one sentence.'),
            ('anomalies', 'detected_at', 'When it was found (UTC).'),
            ('forecasts', 'tenant', 'Whose.'),
            ('forecasts', 'series_id', 'Series.'),
            ('forecasts', 'metric', 'Metric.'),
            ('forecasts', 'window_name', 'Window of the values.'),
            ('forecasts', 'method', 'Which method.'),
            ('forecasts', 'target_start', 'Start of the bucket that is forecast (UTC).'),
            ('forecasts', 'trained_through', 'The last bucket it was learnt from (UTC).'),
            ('forecasts', 'value', 'Expected value, in the metric''s unit.'),
            ('forecasts', 'lower', 'Lower end of the range.'),
            ('forecasts', 'upper', 'Upper end of the range.'),
            ('forecasts', 'level', 'Share of values that the range is made to hold.'),
            ('forecasts', 'backtest_wape', 'Weighted absolute percentage error in the backtest, 1 is 100 %; null: too short a series.'),
            ('forecasts', 'computed_at', 'When it was computed (UTC).'),
            ('correlations', 'correlation_id', 'Key.'),
            ('correlations', 'tenant', 'Whose.'),
            ('correlations', 'correlation_type', 'What kind.'),
            ('correlations', 'started_at', 'Start (UTC).'),
            ('correlations', 'ended_at', 'End (UTC).'),
            ('correlations', 'strength', 'How strong, 0 to 1.'),
            ('correlations', 'confidence', 'How sure, 0 to 1.'),
            ('correlations', 'explanation', 'In one sentence.'),
            ('correlations', 'detected_at', 'When it was found (UTC).'),
            ('correlation_members', 'correlation_id', 'The correlation.'),
            ('correlation_members', 'position', 'Place in its order.'),
            ('correlation_members', 'role', 'Part it plays.'),
            ('correlation_members', 'member_type', 'event, anomaly or series.'),
            ('correlation_members', 'member_id', 'Its id.'),
            ('correlation_members', 'metric', 'Metric of a series; empty for others.'),
            ('correlation_members', 'at', 'When it happened (UTC).'),
            ('checks', 'check_id', 'Key.'),
            ('checks', 'checked_at', 'When (UTC).'),
            ('checks', 'asset', 'Table that was checked.'),
            ('checks', 'check_name', 'Check.'),
            ('checks', 'severity', 'warn or error.'),
            ('checks', 'blocking', 'Whether a failure keeps what follows from being computed.'),
            ('checks', 'passed', 'The verdict.'),
            ('checks', 'checked_rows', 'Rows looked at; null: not counted.'),
            ('checks', 'failed_rows', 'Rows that failed; null: not counted.'),
            ('checks', 'observed', 'What was seen, samples of failing rows among it.'),
            ('checks', 'advice', 'What to do when it fails.'),
            ('checks', 'period_from', 'Start of the period looked at (UTC); null: everything.'),
            ('checks', 'period_to', 'Its end (UTC); null: everything.'),
            ('checks', 'run_id', 'Dagster run; null: none.'),
            ('reports', 'report_id', 'Key.'),
            ('reports', 'name', 'Which report.'),
            ('reports', 'tenant', 'Whose; *: of all.'),
            ('reports', 'period_from', 'First UTC day.'),
            ('reports', 'period_to', 'Last UTC day, included.'),
            ('reports', 'generated_at', 'When (UTC).'),
            ('reports', 'content', 'The report.'),
            ('reports', 'html', 'The report for people.'),
            ('reports', 'sha256', 'Of the content, hex.'),
            ('reports', 'requested_by', 'Who asked.'),
            ('audit_log', 'audit_id', 'Key, in order.'),
            ('audit_log', 'at', 'When (UTC).'),
            ('audit_log', 'actor', 'Who.'),
            ('audit_log', 'action', 'What was done.'),
            ('audit_log', 'object_type', 'To what kind of thing.'),
            ('audit_log', 'object_id', 'To which.'),
            ('audit_log', 'tenant', 'Whose; *: of all.'),
            ('audit_log', 'details', 'More about it.'),
            ('api_keys', 'key_id', 'The part of the key that names it.'),
            ('api_keys', 'tenant', 'Whose data it opens; *: everybody''s.'),
            ('api_keys', 'role', 'What it may do.'),
            ('api_keys', 'label', 'What it is for.'),
            ('api_keys', 'key_hmac', 'HMAC-SHA-256 of the key under the server''s secret.'),
            ('api_keys', 'is_demo', 'Made by the demo.'),
            ('api_keys', 'created_at', 'When (UTC).'),
            ('api_keys', 'revoked_at', 'When it was taken back (UTC); null: it is valid.'),
            ('backfill_requests', 'request_id', 'Key.'),
            ('backfill_requests', 'table_name', 'What is computed again.'),
            ('backfill_requests', 'from_day', 'First UTC day.'),
            ('backfill_requests', 'to_day', 'Last UTC day, included.'),
            ('backfill_requests', 'requested_by', 'Who asked.'),
            ('backfill_requests', 'requested_at', 'When (UTC).'),
            ('backfill_requests', 'state', 'requested, started, succeeded or failed.'),
            ('backfill_requests', 'run_id', 'Dagster run; null: none yet.'),
            ('backfill_requests', 'finished_at', 'When it ended (UTC); null: not yet.'),
            ('replays', 'run_key', 'The run''s name.'),
            ('replays', 'source', 'Which trace or file.'),
            ('replays', 'events', 'How many events; null: all.'),
            ('replays', 'end_at', 'Times are moved to end then (UTC).'),
            ('replays', 'started_at', 'When (UTC).'),
            ('replays', 'finished_at', 'When (UTC); null: not yet.'),
            ('schema_migrations', 'version', 'Number.'),
            ('schema_migrations', 'name', 'Name.'),
            ('schema_migrations', 'sha256', 'Of the file, hex.'),
            ('schema_migrations', 'applied_at', 'When (UTC).'),
            ('identity_state', 'singleton', 'One row only.'),
            ('identity_state', 'current_table', 'Which of the two tables takes new identities.'),
            ('identity_state', 'since', 'Since when (UTC).'),
            ('ledger_against_batches', 'topic', 'Topic.'),
            ('ledger_against_batches', 'partition', 'Partition.'),
            ('ledger_against_batches', 'minute', 'Minute of landing (UTC).'),
            ('ledger_against_batches', 'ledger_received', 'What the ledger says.'),
            ('ledger_against_batches', 'batches_received', 'What the offset ranges say.'),
            ('ledger_imbalance', 'topic', 'Topic.'),
            ('ledger_imbalance', 'partition', 'Partition.'),
            ('ledger_imbalance', 'minute', 'Minute of landing (UTC).'),
            ('ledger_imbalance', 'tenant', 'Whose.'),
            ('ledger_imbalance', 'received', 'Records read.'),
            ('ledger_imbalance', 'stored', 'Of them stored.'),
            ('ledger_imbalance', 'duplicate', 'Of them there already.'),
            ('ledger_imbalance', 'dead_lettered', 'Of them refused.'),
            ('ledger_imbalance', 'unaccounted', 'Of them nowhere.'),
            ('offset_breaks', 'topic', 'Topic.'),
            ('offset_breaks', 'topic_id', 'The topic''s incarnation.'),
            ('offset_breaks', 'partition', 'Partition.'),
            ('offset_breaks', 'kind', 'gap or overlap.'),
            ('offset_breaks', 'expected_offset', 'Where the next batch should begin.'),
            ('offset_breaks', 'found_offset', 'Where it begins.'),
            ('offset_breaks', 'at', 'When that batch was committed (UTC).'),
            ('identities_0', 'key', 'Part of the event''s id and tenant, mixed.'),
            ('identities_0', 'first_ts', 'The timestamp it first came under (UTC).'),
            ('identities_0', 'claimed_at', 'When (UTC).'),
            ('identities_0', 'event_id', 'Null: the key tells; else the id.'),
            ('identities_0', 'tenant', 'Null: the key tells; else the tenant.'),
            ('identity_collisions_0', 'event_id', 'The id.'),
            ('identity_collisions_0', 'tenant', 'Whose.'),
            ('identity_collisions_0', 'first_ts', 'The timestamp it first came under (UTC).'),
            ('identity_collisions_0', 'claimed_at', 'When (UTC).'),
            ('identities_1', 'key', 'Part of the event''s id and tenant, mixed.'),
            ('identities_1', 'first_ts', 'The timestamp it first came under (UTC).'),
            ('identities_1', 'claimed_at', 'When (UTC).'),
            ('identities_1', 'event_id', 'Null: the key tells; else the id.'),
            ('identities_1', 'tenant', 'Null: the key tells; else the tenant.'),
            ('identity_collisions_1', 'event_id', 'The id.'),
            ('identity_collisions_1', 'tenant', 'Whose.'),
            ('identity_collisions_1', 'first_ts', 'The timestamp it first came under (UTC).'),
            ('identity_collisions_1', 'claimed_at', 'When (UTC).'),
            ('rollup_watermarks', 'tenant', 'Whose.'),
            ('rollup_watermarks', 'window', 'Window.'),
            ('rollup_watermarks', 'final_before', 'Buckets that end at or before it are final (UTC); null: none yet.'),
            ('rollup_watermarks', 'newest_bucket', 'Start of the newest bucket that a tick has written (UTC); null: none yet.'),
            ('rollup_watermarks', 'pending_partials', 'Partials that no tick has merged yet.'),
            ('rollup_watermarks', 'oldest_pending_minute', 'The earliest minute of those (UTC); null: none waits.')
        ) as columns (name, column_name, text)
    loop
        execute format('comment on column %I.%I is %L', said.name, said.column_name, said.text);
    end loop;
    for said in select * from (values
            ('bucket_start', 'Start of the bucket (UTC); it is half-open.'),
            ('series_id', 'Series.'),
            ('metric', 'Metric; its unit is in its name or in the registry.'),
            ('count', 'Number of values.'),
            ('sum', 'Sum of a float metric; null for others.'),
            ('sum_exact', 'Sum of an integer or decimal metric, to the last digit; null for others.'),
            ('min', 'Smallest value.'),
            ('max', 'Largest value.'),
            ('mean', 'Mean.'),
            ('m2', 'Sum of squared deviations from the mean.'),
            ('p50', 'Median, nearest rank, at most 1.09 % off.'),
            ('p95', '95th percentile, nearest rank, at most 1.09 % off.'),
            ('p99', '99th percentile, nearest rank, at most 1.09 % off.'),
            ('hist_keys', 'Bucket keys of the histogram, ascending.'),
            ('hist_counts', 'Their counts.'),
            ('revision', 'How often the row was written: 1, and one more a change.'),
            ('computed_at', 'When it was last written (UTC).')
        ) as columns (column_name, text)
    loop
        foreach size in array array['1m', '5m', '15m', '1h', '6h', '1d', '1w', '1mo'] loop
            execute format('comment on column rollup_%s.%I is %L', size, said.column_name, said.text);
        end loop;
    end loop;
    for said in select * from (values
            ('bucket_start', 'Start of the bucket (UTC); it is half-open.'),
            ('bucket_end', 'Its end (UTC).'),
            ('tenant', 'Whose.'),
            ('event_type', 'Of the events counted.'),
            ('subtype', 'Of the events counted.'),
            ('model', 'Model id; empty: none.'),
            ('environment', 'Environment.'),
            ('service', 'Tag service; empty: none.'),
            ('region', 'Tag region; empty: none.'),
            ('team', 'Tag team; empty: none.'),
            ('series_id', 'Series of these dimensions.'),
            ('metric', 'Metric.'),
            ('count', 'Number of values; adds.'),
            ('sum', 'Sum of the values, exact for counters; adds.'),
            ('avg', 'Mean of the values. Never average it: sum(sum) / sum(count).'),
            ('min', 'Smallest value.'),
            ('max', 'Largest value.'),
            ('stddev', 'Standard deviation of a sample; null below two values. Never average it: lah_stddev_agg(count, avg, m2).'),
            ('p50', 'Median, nearest rank, at most 1.09 % off. Never average it: merge histograms.'),
            ('p95', '95th percentile, nearest rank, at most 1.09 % off. Never average it: merge histograms.'),
            ('p99', '99th percentile, nearest rank, at most 1.09 % off. Never average it: merge histograms.'),
            ('revision', 'How often the row was written.'),
            ('computed_at', 'When it was last written (UTC).'),
            ('is_final', 'Whether the watermark has passed the bucket''s end; a later event raises the revision.'),
            ('m2', 'Sum of squared deviations from avg, for lah_stddev_agg and lah_m2_merge_agg.'),
            ('hist_keys', 'Bucket keys of the histogram, for lah_hist_merge_agg.'),
            ('hist_counts', 'Their counts.'),
            ('is_live', 'Whether partials that no tick has merged yet are in the row.')
        ) as columns (column_name, text)
    loop
        foreach size in array array['1m', '5m', '15m', '1h', '6h', '1d', '1w', '1mo', '1m_live'] loop
            if said.column_name <> 'is_live' or size = '1m_live' then
                execute format('comment on column metrics_%s.%I is %L', size, said.column_name, said.text);
            end if;
        end loop;
    end loop;
    for said in select * from (values
            ('audit_log_is_append_only()', 'Refuses every change but an added row.'),
            ('drop_event_partitions(date)', 'Drops whole UTC days of events before a day; returns what was dropped.'),
            ('ensure_event_partition(date)', 'Makes the partition of a UTC day where events are natively partitioned.'),
            ('lah_hist_collect(lah_hist, integer[], bigint[])', 'State of lah_hist_merge_agg: buckets, not merged yet.'),
            ('lah_hist_combine(lah_hist, lah_hist)', 'Joins two states of lah_hist_merge_agg.'),
            ('lah_hist_finish(lah_hist)', 'The histogram of a state of lah_hist_merge_agg.'),
            ('lah_m2_combine(lah_moments, lah_moments)', 'Joins two states of lah_m2_merge_agg.'),
            ('lah_m2_merge(lah_moments, bigint, double precision, double precision)', 'State of lah_m2_merge_agg with one more row.'),
            ('lah_m2_stddev(lah_moments)', 'Standard deviation of a sample (n - 1) from moments; null below two values.')
        ) as functions (signature, text)
    loop
        execute format('comment on function %s is %L', said.signature::regprocedure, said.text);
    end loop;
end
$$;
comment on type severity is 'How grave an event is, in order.';

-- A login that is given lah_reader reads what was made from events, of every tenant: no events, dead letters, keys or audit.
do $$
declare
    name text;
begin
    begin
        if not exists (select from pg_roles where rolname = 'lah_reader') then
            create role lah_reader nologin;
        end if;
    exception
        when insufficient_privilege then
            raise notice 'the role lah_reader was not made: have a role with CREATEROLE make it, then grant as docs/rollups.md says';
        when duplicate_object or unique_violation then
            null;  -- another database of the server made it at this moment
    end;
    if not exists (select from pg_roles where rolname = 'lah_reader') then
        return;
    end if;
    execute 'grant usage on schema lah to lah_reader';
    foreach name in array array['series', 'rollup_state', 'rollup_partial_sets', 'rollup_partials', 'rollup_watermarks',
                                'metrics_1m_live', 'cost_daily', 'prices', 'anomalies', 'forecasts', 'correlations',
                                'correlation_members', 'checks', 'ledger', 'ledger_imbalance'] loop
        execute format('grant select on %I to lah_reader', name);
    end loop;
    foreach name in array array['1m', '5m', '15m', '1h', '6h', '1d', '1w', '1mo'] loop
        execute format('grant select on rollup_%1$s, metrics_%1$s to lah_reader', name);
    end loop;
end
$$;
