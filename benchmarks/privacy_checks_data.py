"""A day of events for the checks to judge, made by PostgreSQL itself, with the rollups, ledger and costs of it.

Three tenants, sixty series, four producers; five events of one request: latency, usage, its cost (whose parent it is),
errors, throughput. Nothing in it breaks a blocking rule.
"""

from datetime import UTC, datetime

from lah_platform.rollups.metrics import METRICS, Metric
from lah_platform.rollups.windows import WINDOWS, Window
from lah_platform.stores.postgres import Connection

__all__ = ["DAY", "NEXT_DAY", "fill_day"]

DAY, NEXT_DAY = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)
_KINDS = ("latency", "token_usage", "token_cost", "error_rate", "throughput")
_SERIES = """
    insert into series (series_id, tenant, event_type, subtype, model, environment, service, region, team,
        source_module)
    overriding system value
    select n + 1, (array['acme', 'globex', 'initech'])[1 + n / 20],
        case (n %% 5) when 2 then 'cost' else 'telemetry' end, (%(kinds)s::text[])[1 + n %% 5],
        (array['gpt-4o', 'claude-sonnet-4', 'gemini-2.5-pro', 'llama-3'])[1 + n / 5 %% 4], 'production', 'chat', 'eu',
        'search', (array['llm-observatory', 'gateway', 'agents', 'batch'])[1 + n / 5 %% 4]
    from generate_series(0, 59) n
"""
# One request is five rows in a row; a row's series is its request's tenant and model with its own kind
_EVENTS = """
    insert into {table} (
        ts, tenant, event_id, series_id, received_at, source_module, event_type, payload_type, subtype, severity,
        environment, schema_version, parent_event_id, model, request_id, latency_ms, ttft_ms, tokens_per_second,
        requests_per_second, total_requests, failed_requests, input_tokens, output_tokens, total_tokens,
        input_fresh_tokens, input_cache_read_tokens, output_visible_tokens, output_reasoning_tokens, token_derivation,
        cost_usd, tags, payload, topic, partition, record_offset)
    select at, s.tenant, lah_benchmark_id(n), s.series_id, at + interval '400 milliseconds', s.source_module,
        s.event_type, s.event_type, s.subtype, 'info', 'production', '1.0.0',
        case when kind = 2 then lah_benchmark_id(n - 1) end, s.model, 'req-' || n / 5,
        case when kind = 0 then 120 + n %% 977 end, case when kind = 0 then 40 + n %% 80 end,
        case when kind in (0, 4) then 30 + n %% 31 end, case when kind = 4 then 1 + n %% 13 end,
        case when kind = 3 then 50 + n %% 50 end, case when kind = 3 then n %% 7 end,
        case when kind in (1, 2) then 1000 + n / 5 %% 997 end, case when kind in (1, 2) then 340 end,
        case when kind in (1, 2) then 1340 + n / 5 %% 997 end,
        case when kind in (1, 2) then n / 5 %% 997 end, case when kind in (1, 2) then 1000 end,
        case when kind in (1, 2) then 300 end, case when kind in (1, 2) then 40 end,
        case when kind in (1, 2) then 'inclusive' end,
        case when kind = 2 then 0.0042 + (n %% 100) * 0.000001 end,
        '{"service": "chat", "team": "search"}',
        ('{"model_id": "' || s.model || '", "request_id": "req-' || n / 5 || '", "user_id": "sub_' || n %% 9999
         || '", "prompt": "enc:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "region": "eu"}')::jsonb,
        'lah.events', (n %% 4)::integer, n / 4
    from (select n, (n %% 5)::integer as kind, %(day)s::timestamptz + n * (interval '1 day' / %(events)s) as at
          from generate_series(0, %(events)s - 1) n) row
    join series s on s.series_id = 1 + n / 5 %% 12 * 5 + kind
"""
_ID = """
    create function lah_benchmark_id(n bigint) returns uuid language sql immutable parallel safe
    return overlay(md5(n::text) placing lpad(to_hex(n), 12, '0') from 1 for 12)::uuid
"""
_LEDGER = """
    insert into ledger select topic, partition, date_trunc('minute', received_at), tenant, count(*), count(*), 0, 0
    from events group by 1, 2, 3, 4
"""
_BATCHES = """
    with booked as (
        insert into landing_batches (topic, topic_id, partition, from_offset, to_offset, received, no_record, landed_at)
        select topic, 'T1', partition, sum(received) over offsets - received, sum(received) over offsets, received, 0,
               minute
        from (select topic, partition, minute, sum(received)::bigint as received from ledger group by 1, 2, 3) l
        window offsets as (partition by partition order by minute)
        returning topic, topic_id, partition, to_offset, landed_at
    )
    insert into landing_offsets select topic, topic_id, partition, max(to_offset), max(landed_at), max(landed_at)
    from booked group by 1, 2, 3
"""
_COSTS = """
    insert into cost_daily (
        day, tenant, model, environment, service, team, requests, input_tokens, input_fresh_tokens,
        input_cache_read_tokens, input_cache_write_tokens, input_unknown_tokens, output_tokens, reported_usd,
        priced_usd, unpriced_requests, other_usd, computed_at)
    select %(day)s::date, tenant, model, 'production', 'chat', 'search', count(*), sum(input_tokens),
        sum(input_fresh_tokens), sum(input_cache_read_tokens), 0, 0, sum(output_tokens), sum(cost_usd), sum(cost_usd),
        0, 0, %(day)s::timestamptz + interval '30 hours'
    from events where subtype = 'token_cost' group by tenant, model
"""


def fill_day(connection: Connection, events: int) -> None:
    """Fill a migrated, empty database with DAY: so many events, and all that is made of them.

    The day's partition gets its indexes after its rows, which takes a third of the time.
    """
    asked = {"kinds": list(_KINDS), "day": DAY, "events": events}
    connection.execute(_ID.encode())
    connection.execute(_SERIES.encode(), asked)
    child = f"events_{DAY:%Y%m%d}"
    connection.execute(f"create table {child} (like events including defaults)".encode())
    connection.execute(_EVENTS.replace("{table}", child).encode(), asked)
    connection.execute(
        f"alter table events attach partition {child} for values from ('{DAY}') to ('{NEXT_DAY}')".encode()
    )
    connection.execute(f"vacuum (analyze) {child}".encode())
    for statement in (_LEDGER, _BATCHES):
        connection.execute(statement.encode())
    connection.execute(_COSTS.encode(), asked)
    for window in WINDOWS:
        connection.execute(_rollup(window).encode())
    connection.execute(b"vacuum (analyze)")


def _rollup(window: Window) -> str:
    """The window's rows of everything in the database; a histogram of one bucket, which is what is checked of it."""
    if window.source is not None:
        of = f"""
            select {_bucket(window)} as bucket, series_id, metric, sum(count)::bigint as n, sum(sum) as sum,
                   sum(sum_exact) as sum_exact, min(min) as low, max(max) as high
            from {window.source.table} group by 1, 2, 3
        """
    else:
        parts = ", ".join(
            f"count({_value(m)}), sum({_value(m)}), min({_value(m)})::float8, max({_value(m)})::float8" for m in METRICS
        )
        names = ", ".join(f"n{i}, s{i}, l{i}, h{i}" for i in range(len(METRICS)))
        values = ", ".join(
            f"('{m.name}', n{i}, "
            + (f"null::float8, s{i}::numeric" if m.is_exact else f"s{i}::float8, null::numeric")
            + f", l{i}, h{i})"
            for i, m in enumerate(METRICS)
        )
        of = f"""
            select bucket, series_id, metric, n, sum, sum_exact, low, high
            from (select date_trunc('minute', ts), series_id, {parts} from events group by 1, 2)
                as measured (bucket, series_id, {names})
            cross join lateral (values {values}) of_metric (metric, n, sum, sum_exact, low, high) where n > 0
        """
    return f"""
        insert into {window.table} select bucket, series_id, metric, n, sum, sum_exact, low, high,
            coalesce(sum, sum_exact) / n, 0, low, low, high, '{{1}}', array[n], 1, '2026-03-03 00:30Z' from ({of}) made
    """


def _bucket(window: Window) -> str:
    if window.name in ("1w", "1M"):
        return f"date_trunc('{'week' if window.name == '1w' else 'month'}', bucket_start, 'UTC')"
    length = window.name.replace("m", " minutes").replace("h", " hours").replace("d", " days")
    return f"date_bin(interval '{length}', bucket_start, '1970-01-01Z')"


def _value(metric: Metric) -> str:
    value = metric.column or "1"
    return f"case when subtype = '{metric.subtype}' then {value} end" if metric.subtype else value
