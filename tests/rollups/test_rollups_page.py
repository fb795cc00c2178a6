"""docs/rollups.md: its queries run as they stand, for a reader, and say what a naive recount says."""

import math
import re
from collections import defaultdict
from contextlib import closing
from typing import Any

import pytest

from lah_platform.rollups.histogram import relative_error
from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.postgres import Connection
from lah_platform.stores.rollups import tick
from tests.landing.messages import NOW, api_cost, message
from tests.rollups.test_rollup_store import land

_PAGE = (PROJECT_ROOT / "docs" / "rollups.md").read_text(encoding="utf-8")
_QUERIES = dict(re.findall(r"```sql\n-- (\w+)\n(.*?)```", _PAGE, re.DOTALL))


@pytest.fixture
def reader(database: str, connection: Connection) -> Connection:
    """Two services' latencies and error counts, a cost, and something that no tick has merged."""
    with closing(PostgresLanding(database)) as store:
        land(store, [_of(i, "chat" if i % 3 else "rag", latency_ms=1.3**i) for i in range(40)])
        for number, (service, total, failed) in enumerate([("chat", 100, 10), ("chat", 1, 1), ("rag", 50, 0)]):
            land(store, [_errors(1000 + number, service, total, failed)])
        land(store, [message(2000, event_type="cost", payload={"payload_type": "cost", "data": api_cost("1.5")})])
        tick(connection, now=NOW)
        land(store, [_of(3000, "chat", latency_ms=1.0)])
    connection.execute("set role lah_reader")
    return connection


def _of(number: int, service: str, **values: Any) -> bytes:
    return message(number, minutes_ago=1 + number % 20, tags={"tenant": "acme", "service": service}, **values)


def _errors(number: int, service: str, total: int, failed: int) -> bytes:
    data = {
        "telemetry_type": "error_rate",
        "model_id": "m",
        "total_requests": total,
        "failed_requests": failed,
        "error_rate_percent": 100 * failed / total,
        "error_breakdown": {},
        "window_duration_seconds": 60,
    }
    tags = {"tenant": "acme", "service": service}
    return message(number, minutes_ago=1, tags=tags, payload={"payload_type": "telemetry", "data": data})


def test_every_query_of_the_page_is_run_here_and_by_a_reader(reader: Connection) -> None:
    assert _PAGE.count("```sql") == len(_QUERIES) == 8
    for query in _QUERIES.values():
        reader.execute(query.encode())


def test_the_error_rate_is_failed_over_total_and_no_average(reader: Connection) -> None:
    rates = {service: float(rate) for service, _, rate in reader.execute(_QUERIES["error_rate"].encode())}
    assert rates == {"chat": pytest.approx(11 / 101), "rag": 0}


def test_measures_of_a_period_are_those_of_all_its_values(reader: Connection) -> None:
    values = defaultdict(list)
    for i in range(40):
        values["chat" if i % 3 else "rag"].append(1.3**i)
    p95 = dict(reader.execute(_QUERIES["p95_of_a_period"].encode()).fetchall())
    moments = {row[0]: row[1:] for row in reader.execute(_QUERIES["avg_and_stddev_of_a_period"].encode())}
    for service, all_values in values.items():
        nearest = sorted(all_values)[math.ceil(0.95 * len(all_values)) - 1]
        assert p95[service] == pytest.approx(nearest, rel=relative_error() + 1e-9)
        mean = sum(all_values) / len(all_values)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in all_values) / (len(all_values) - 1))
        assert [float(each) for each in moments[service]] == pytest.approx([mean, deviation], rel=1e-9)


def test_live_minutes_hold_what_no_tick_has_merged(reader: Connection) -> None:
    events = sum(row[2] for row in reader.execute(_QUERIES["live"].encode()))
    assert events == 40 + 3 + 1 + 1
