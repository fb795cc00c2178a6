"""What checking costs: the day's partition is read and no other, once for all rules on single rows."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from lah_platform.quality.conditions import batch_of, failing, is_shared
from lah_platform.quality.registry import ASSETS
from lah_platform.quality.rules import Rule
from lah_platform.quality.suites import run_suite
from lah_platform.stores.payload_shapes import learn_shapes
from lah_platform.stores.postgres import Connection, connect
from tests.quality.sample import DAY, NEXT_DAY


@pytest.fixture
def sample(sample_url: str) -> Iterator[Connection]:
    with connect(sample_url) as connection:
        yield connection


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _partitions_read(connection: Connection, asset: str, rule: Rule) -> set[str]:
    """Partitions of events whose rows the rule's query reads; an index that finds nothing reads no row."""
    spec = ASSETS[asset]
    query = f"with batch as ({batch_of(spec, DAY, NEXT_DAY)}), failing as ({failing(spec, rule, DAY, NEXT_DAY)})"
    statement = f"explain (analyze, format json) {query} select count(*) from failing"
    ((((plan,),),),) = (connection.execute(statement.encode()).fetchall(),)
    return {
        node["Relation Name"]
        for node in _nodes(plan["Plan"])
        if node.get("Relation Name", "").startswith("events_") and node["Actual Loops"]
    }


def test_no_check_reads_another_day_of_events_unless_it_asks_for_arrivals(sample: Connection) -> None:
    reading = set()
    for asset, spec in ASSETS.items():
        for rule in spec.rules:
            read = _partitions_read(sample, asset, rule)
            allowed = {"events_20260301", "events_20260302", "events_20260303"} if rule.is_by_arrival else set()
            if asset == "correlations":  # whose members may be of any day, found by their key
                continue
            assert read <= {"events_20260302"} | allowed, (asset, rule.name, read)
            reading |= {asset} if read else set()
    assert reading == {"events", "ledger", "rollup_1m", "cost_daily"}


def test_all_rules_on_single_rows_are_one_pass_over_the_rows(sample: Connection, sample_url: str) -> None:
    shared = [rule.name for rule in ASSETS["rollup_15m"].rules if is_shared(rule)]
    assert len(shared) == 5

    def scans() -> int:
        sample.execute("select pg_stat_clear_snapshot()")
        row = sample.execute(
            "select seq_scan + idx_scan from pg_stat_user_tables where relname = 'rollup_15m'"
        ).fetchone()
        return int(row[0]) if row else 0

    before = scans()
    verdicts = run_suite(sample_url, "rollup_15m", DAY, NEXT_DAY, rules=shared)
    deadline = time.monotonic() + 10  # PostgreSQL counts when the suite's connection has ended
    while scans() == before and time.monotonic() < deadline:
        pass

    assert [verdict.check_name for verdict in verdicts] == shared
    assert scans() - before == 1


def test_what_is_learned_of_payloads_today_is_what_tomorrow_is_judged_by(sample: Connection, sample_url: str) -> None:
    def drift(payload: str) -> list[str]:
        sample.execute("update events set payload = %s::jsonb where subtype = 'latency' and ts >= %s", [payload, DAY])
        (verdict,) = run_suite(sample_url, "events", DAY, NEXT_DAY, rules=["payload_schemas_are_known"])
        return sorted(f"{row['field']}: {row['drift']}" for row in verdict.observed.get("examples", ()))

    sample.execute(
        "insert into events select ts + n * interval '1 hour', tenant, gen_random_uuid(), series_id, received_at,"
        " source_module, event_type, payload_type, subtype, severity, environment, schema_version, null, null, null,"
        " null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,"
        " tags, payload, topic, partition, record_offset from events, generate_series(1, 9) n"
        " where subtype = 'latency' and ts >= '2026-03-02' and ts < '2026-03-02 12:00Z'"
    )
    before = {"a": 1, "b": "text", "c": "enc:v1:xyz"}
    sample.execute("update events set payload = %s where subtype = 'latency'", [Jsonb(before)])
    assert drift('{"anything": 1}') == []  # nothing is known yet
    sample.execute("update events set payload = %s where subtype = 'latency'", [Jsonb(before)])
    assert learn_shapes(sample, DAY, NEXT_DAY) >= 3
    sample.execute("update payload_shapes set day = day - 1")

    assert drift('{"a": 1, "b": "other", "c": "clear text, as it were"}') == []
    assert drift('{"a": 1, "b": "enc:v1:abc", "c": "enc:v1:def"}') == []  # encrypted since
    assert drift('{"a": "1", "b": "x", "c": "x"}') == ["a: type is new"]
    assert drift('{"a": 1, "b": "x", "c": "x", "d": null}') == []
    assert drift('{"a": 1, "b": "x", "c": "x", "d": []}') == ["d: field is new"]
    assert drift('{"a": 1, "c": "x"}') == ["b: field is missing"]
    learn_shapes(sample, DAY, NEXT_DAY)
    assert drift('{"a": 1, "c": "x"}') == ["b: field is missing"]  # of the day itself nothing is believed
    sample.execute("update payload_shapes set day = day - 1")
    assert drift('{"a": 1, "c": "x"}') == []


def test_a_clock_that_lies_behind_by_the_same_time_is_told_from_a_late_batch(
    sample: Connection, sample_url: str
) -> None:
    def behind(delay: str) -> list[str]:
        sample.execute("delete from events where source_module = 'gateway'")
        sample.execute(
            "insert into events (ts, tenant, event_id, series_id, received_at, source_module, event_type, payload_type,"
            " subtype, severity, environment, schema_version, tags, payload, topic, partition, record_offset)"
            f" select at, 'globex', gen_random_uuid(), 5, {delay}, 'gateway', 'telemetry', 'telemetry', 'error_rate',"
            " 'info', 'staging', '1.0.0', '{}', '{}', 't', 0, n from generate_series(1, 120) n"
            " cross join lateral (select timestamptz '2026-03-02 08:00Z' + n * interval '1 minute' as at) t"
        )
        verdicts = run_suite(sample_url, "events", DAY, NEXT_DAY, rules=["clocks_agree"])
        return [row["source_module"] for each in verdicts for row in each.observed.get("examples", ())]

    sample.execute("update series set source_module = 'gateway' where series_id = 5")
    sample.execute("delete from events where series_id = 5")
    assert behind("at + interval '2 hours'") == ["gateway"]
    assert behind("timestamptz '2026-03-02 12:00Z'") == []  # sent at noon, all of them
    assert behind("at + interval '9 minutes'") == []
