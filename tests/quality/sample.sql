-- A small hub in which every promise is kept: Monday 2026-03-02, two tenants, and a record on the days around it.
insert into series (series_id, tenant, event_type, subtype, model, environment, service, region, team)
overriding system value values
    (1, 'acme', 'telemetry', 'token_usage', 'gpt-4', 'production', 'chat', 'eu', 'search'),
    (2, 'acme', 'telemetry', 'latency', 'gpt-4', 'production', 'chat', 'eu', 'search'),
    (3, 'acme', 'cost', 'token_cost', 'gpt-4', 'production', 'chat', 'eu', 'search'),
    (4, 'acme', 'cost', 'api_cost', '', 'production', '', '', ''),
    (5, 'globex', 'telemetry', 'error_rate', 'gpt-4', 'staging', '', '', ''),
    (6, 'acme', 'telemetry', 'token_usage', 'another', 'production', '', '', '');

select ensure_event_partition(day::date) from generate_series(date '2026-03-01', date '2026-03-03', interval '1 day') day;

create function pg_temp.event(id integer, at timestamptz, series bigint) returns uuid language sql as $$
    insert into events (ts, tenant, event_id, series_id, received_at, source_module, event_type, payload_type, subtype,
                        severity, environment, schema_version, model, tags, payload, topic, partition, record_offset)
    select at, s.tenant, ('00000000-0000-4000-8000-' || lpad(id::text, 12, '0'))::uuid, series, at + interval '1 second',
           'llm-observatory', s.event_type,
           s.event_type,
           s.subtype,
           'info', 'production', '1.0.0', 'gpt-4', '{}', '{}', 'lah.events', id % 2, id / 2
    from series s where s.series_id = series
    returning event_id
$$;

-- sent while the period was not yet, in it (0 to 11), and after it
select pg_temp.event(n, timestamptz '2026-03-02 00:00:00Z' + n * interval '97 minutes', 1 + n % 6)
from generate_series(0, 11) n;
select pg_temp.event(12, '2026-03-01 10:00:00Z', 1), pg_temp.event(13, '2026-03-03 10:00:00Z', 1);

update events set input_tokens = 100 + record_offset, output_tokens = 20, total_tokens = 120 + record_offset,
    input_fresh_tokens = 40 + record_offset, input_cache_read_tokens = 50, input_cache_write_tokens = 10,
    output_visible_tokens = 15, output_reasoning_tokens = 5, token_derivation = 'inclusive'
where subtype in ('token_usage', 'token_cost') and partition = 0;
-- Anthropic's way of counting: input without what the cache held
update events set input_tokens = 10, output_tokens = 7, total_tokens = 77, input_fresh_tokens = 10,
    input_cache_read_tokens = 60, output_visible_tokens = 7, token_derivation = 'exclusive'
where subtype = 'token_usage' and partition = 1;
update events set input_tokens = 30, output_tokens = 3, total_tokens = 33, token_derivation = 'unknown',
    input_fresh_tokens = null, input_cache_read_tokens = null, input_cache_write_tokens = null,
    output_visible_tokens = null, output_reasoning_tokens = null
where event_id = '00000000-0000-4000-8000-000000000006';
update events set cost_usd = 0.000123456789 * (record_offset + 1) where event_type = 'cost';
update events set latency_ms = 10.1 + record_offset, ttft_ms = 0.3 where subtype = 'latency';
update events set total_requests = 50, failed_requests = 2 where subtype = 'error_rate';

-- Of partition 0 one record was refused. Of partition 1 another was, and stored by a replay the next day: event 13.
insert into dead_letters (tenant, topic, topic_id, partition, record_offset, dead_lettered_at, code, field, reason,
                          replayed_at, replayed_as) values
    ('unknown', 'lah.events', 'T1', 0, 7, '2026-03-02 12:00:01Z', 'invalid_json', '', 'not JSON', null, null),
    ('unknown', 'lah.events', 'T1', 1, 6, '2026-03-02 12:00:01Z', 'too_old', 'timestamp', 'too old',
     '2026-03-03 10:00:01Z', 'stored');

insert into ledger (topic, partition, minute, tenant, received, stored, duplicate, dead_lettered)
select topic, partition, date_trunc('minute', received_at), tenant, count(*), count(*), 0, 0
from events where event_id <> '00000000-0000-4000-8000-000000000013' group by 1, 2, 3, 4;
insert into ledger values
    ('lah.events', 0, '2026-03-02 12:00:00Z', 'unknown', 1, 0, 0, 1),
    ('lah.events', 1, '2026-03-02 12:00:00Z', 'acme', 3, 1, 2, 0);

insert into landing_batches (topic, topic_id, partition, from_offset, to_offset, received, no_record, landed_at) values
    ('lah.events', 'T1', 0, 0, 1, 1, 0, '2026-03-01 10:00:01Z'),
    ('lah.events', 'T1', 0, 1, 8, 7, 0, '2026-03-02 22:00:00Z'),
    ('lah.events', 'T1', 1, 0, 6, 5, 1, '2026-03-02 12:00:01Z'),
    ('lah.events', 'T1', 1, 6, 10, 4, 0, '2026-03-02 22:00:00Z');
insert into landing_offsets values
    ('lah.events', 'T1', 0, 8, '2026-03-02 22:00:00Z', '2026-03-02 22:00:00Z'),
    ('lah.events', 'T1', 1, 10, '2026-03-02 22:00:00Z', '2026-03-02 22:00:00Z');

insert into cost_daily (day, tenant, model, environment, service, team, requests, input_tokens, input_fresh_tokens,
                        input_cache_read_tokens, input_cache_write_tokens, input_unknown_tokens, output_tokens,
                        reported_usd, priced_usd, unpriced_requests, other_usd, computed_at)
select (ts at time zone 'UTC')::date, tenant, case when subtype = 'api_cost' then '' else 'gpt-4' end, 'production',
       '', '', count(*) filter (where subtype <> 'api_cost'), 100, 40, 30, 20, 10, 5,
       coalesce(sum(cost_usd) filter (where subtype = 'token_cost'), 0),
       case when subtype = 'api_cost' then null else 0.5 end, 0,
       coalesce(sum(cost_usd) filter (where subtype = 'api_cost'), 0), '2026-03-04 00:00:00Z'
from events where subtype in ('token_usage', 'token_cost', 'api_cost')
group by 1, tenant, subtype = 'api_cost';

insert into anomalies values
    ('00000000-0000-4000-9000-000000000001', 'acme', 2, 'latency_ms', '1h', 'spike', 'mad', '2026-03-02 10:00Z',
     '2026-03-02 11:00Z', '2026-03-02 12:00Z', 0.7, 10.0, 90.0, 8.0, 'high', 'eightfold', '2026-03-02 12:01Z'),
    ('00000000-0000-4000-9000-000000000002', 'globex', 5, 'events', '1h', 'frequency_anomaly', 'poisson',
     '2026-03-02 10:00Z', '2026-03-02 10:00Z', '2026-03-02 11:00Z', 0.1, null, 0, -4, 'negligible', 'silence',
     '2026-03-02 12:01Z');

insert into forecasts values
    ('acme', 3, 'cost_usd', '1d', 'ets', '2026-03-02 00:00Z', '2026-03-01 00:00Z', 5, 4, 6, 0.95, 0.2, '2026-03-01 23:00Z'),
    ('acme', 3, 'cost_usd', '1d', 'arima', '2026-03-02 00:00Z', '2026-03-01 00:00Z', 5, 5, 5, 0.8, null, '2026-03-01 23:00Z');

insert into correlations values
    ('00000000-0000-4000-a000-000000000001', 'acme', 'cost_impact', '2026-03-02 10:00Z', '2026-03-02 12:00Z', 1, 0.5,
     'latency and cost', '2026-03-02 12:05Z',
     '{"cost_usd": 0.300001, "volume_usd": -0.1, "cache_usd": 0.400001, "elsewhere_usd": 7}');
insert into correlation_members
select '00000000-0000-4000-a000-000000000001', 0, 'root_cause', 'event', event_id::text, '', ts from events
where event_id = '00000000-0000-4000-8000-000000000001';
insert into correlation_members values
    ('00000000-0000-4000-a000-000000000001', 1, 'effect', 'anomaly', '00000000-0000-4000-9000-000000000001',
     'latency_ms', '2026-03-02 10:00Z'),
    ('00000000-0000-4000-a000-000000000001', 2, 'related', 'series', '3', 'cost_usd', '2026-03-02 10:00Z');

insert into incidents values
    ('00000000-0000-4000-c000-000000000001', 'acme', 'slow', 'high', false, '2026-03-02 10:00Z', '2026-03-02 12:00Z',
     'service chat', 0.9, 0.300001, '{"where": {"candidates": [{"node": "service chat"}, {"node": "model gpt-4"}]}}',
     '2026-03-02 12:06Z'),
    ('00000000-0000-4000-c000-000000000002', 'globex', 'silence', 'low', false, '2026-03-02 10:00Z', '2026-03-02 11:00Z',
     null, null, null, '{"where": {"candidates": []}}', '2026-03-02 12:06Z');
insert into incident_members values
    ('00000000-0000-4000-c000-000000000001', 0, 'anomaly', '00000000-0000-4000-9000-000000000001'),
    ('00000000-0000-4000-c000-000000000001', 1, 'correlation', '00000000-0000-4000-a000-000000000001'),
    ('00000000-0000-4000-c000-000000000002', 0, 'anomaly', '00000000-0000-4000-9000-000000000002');

insert into reports (report_id, name, tenant, period_from, period_to, generated_at, content, sha256, requested_by) values
    ('00000000-0000-4000-b000-000000000001', 'soc2', 'acme', '2026-02-01', '2026-03-01', '2026-03-02 01:00Z',
     '{"framework": {"id": "soc2"}, "scope": {"tenant": "acme"}, "period": {"from": "2026-02-01", "to": "2026-03-01"}}',
     encode(sha256('{}'), 'hex'), 'schedule');
insert into report_documents values
    ('00000000-0000-4000-b000-000000000001', 'json', 'application/json', '{}', encode(sha256('{}'), 'hex'));
