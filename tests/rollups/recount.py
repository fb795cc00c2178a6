"""Every window of a database compared with a naive recount of its events."""

from collections.abc import Sequence
from typing import Any

import pytest

from lah_platform.rollups.histogram import relative_error
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.postgres import Connection
from tests.rollups import naive

__all__ = ["EventRow", "assert_rollups_equal_recount", "event_rows"]

EventRow = dict[str, Any]

_MEASURES = (
    "latency_ms, ttft_ms, tokens_per_second, requests_per_second, score, total_requests, failed_requests,"
    " input_tokens, output_tokens, total_tokens, cost_usd"
)
_PERCENTILES = {50: "p50", 95: "p95", 99: "p99"}


def _rows(connection: Connection, statement: str) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statement.encode())
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def event_rows(connection: Connection) -> list[EventRow]:
    """What the recount reads of every event that is there."""
    return _rows(connection, f"select series_id, ts, subtype, {_MEASURES} from events")


def assert_rollups_equal_recount(connection: Connection, dropped: Sequence[EventRow] = ()) -> None:
    """Exact for count, min, max and exact sums; 1e-12 of the magnitudes for float sums; 1e-9 for stddev where it is
    at least 1e-6 of the mean; percentiles within the histogram's bound of the order statistic.

    `dropped`: events that retention has dropped and rollups outlive.
    """
    events = [*event_rows(connection), *dropped]
    for window in WINDOWS:
        expected = naive.recompute(events, window.name)
        stored = {
            (row["series_id"], row["metric"], row["bucket_start"]): row
            for row in _rows(connection, f"select * from {window.view}")
        }
        assert stored.keys() == expected.keys(), f"{window.name}: buckets differ from the events'"
        for key, values in expected.items():
            _assert_row(stored[key], values, f"{window.name} {key}")


def _assert_row(row: dict[str, Any], values: naive.Values, where: str) -> None:
    assert row["count"] == values.count, where
    assert (row["min"], row["max"]) == (values.min, values.max), where
    if row["metric"] in naive.EXACT:
        assert row["sum"] == values.sum, where
    else:
        assert abs(float(row["sum"]) - float(values.sum)) <= 1e-12 * float(values.magnitudes), where
    largest = max(abs(values.min), abs(values.max))  # values of both signs may cancel out
    assert row["avg"] == pytest.approx(float(values.avg), rel=1e-9, abs=1e-14 * largest + 1e-300), where
    stddev = values.stddev
    if stddev is None:
        assert row["stddev"] is None, where
    elif stddev >= 1e-6 * abs(float(values.avg)):
        assert row["stddev"] == pytest.approx(stddev, rel=1e-9), where
    for percent, name in _PERCENTILES.items():
        statistic = float(values.percentile(percent))
        assert abs(row[name] - statistic) <= (relative_error() + 1e-9) * abs(statistic), f"{where} {name}"
        assert values.min <= row[name] <= values.max, f"{where} {name}"
