"""Rows of one tenant in everything that a dashboard shows."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from lah_platform.rollups.histogram import key
from lah_platform.stores.postgres import Connection
from tests.api.api_support import NOW
from tests.stores.event_rows import add_series

START = datetime(2026, 1, 31, 8, tzinfo=UTC)
DAY = datetime(2026, 1, 31, tzinfo=UTC)
WINDOWS = ("1m", "5m", "15m", "1h", "6h", "1d")
_MEASURED = {
    "latency_ms": (3, Decimal(720)), "total_tokens": (2, Decimal(90)), "input_tokens": (2, Decimal(60)),
    "output_tokens": (2, Decimal(30)), "total_requests": (1, Decimal(10)), "failed_requests": (1, Decimal(1)),
    "cost_usd": (1, Decimal("1.25")), "events": (5, Decimal(5)),
}  # fmt: skip


def seed_tenant(connection: Connection, tenant: str, low_ms: float = 100.0) -> None:
    """Rows of a tenant in everything that a dashboard shows; its name is in every text of them."""
    series_id = add_series(
        connection, tenant=tenant, subtype="latency", service=f"{tenant}-chat", model=f"{tenant}-large", team=tenant
    )
    for window in WINDOWS:
        size = {"m": "minute", "h": "hour", "d": "day"}[window[-1]]
        for metric, (count, total) in _MEASURED.items():
            connection.execute(
                f"insert into rollup_{window} select date_bin(%s::interval, %s, '1970-01-01 00:00+00'), %s, %s, %s, %s,"
                " %s, %s, %s, 240, 0, 200, 300, 300, %s, %s, 1, %s".encode(),
                [f"{window[:-1]} {size}", START + timedelta(minutes=7), series_id, metric, count,
                 float(total), None if metric == "latency_ms" else total, low_ms, 3 * low_ms,
                 [key(low_ms), key(3 * low_ms)],
                 [1, count - 1], NOW],
            )  # fmt: skip
    connection.execute(
        "insert into rollup_1d select bucket_start - interval '24 hours', series_id, metric, count, sum, sum_exact,"
        " min, max, mean, m2, p50, p95, p99, hist_keys, hist_counts, revision, computed_at from rollup_1d"
        " where series_id = %s and metric = 'cost_usd'",
        [series_id],
    )
    number = int.from_bytes(tenant.encode()[:4], "big")
    connection.execute(
        "insert into cost_daily values (%s, %s, %s, 'production', %s, %s, 3, 30, 10, 10, 5, 5, 7, 1.25, 1.5, 1, 2, %s)",
        [DAY.date(), tenant, f"{tenant}-large", f"{tenant}-chat", tenant, NOW],
    )
    connection.execute(
        "insert into anomalies values (%s, %s, %s, 'latency_ms', '1h', 'spike', 'mad', %s, %s, %s, 0.7, 200, 900, 12,"
        " 'high', %s, %s)",
        [UUID(int=number), tenant, series_id, START, START, NOW, f"{tenant} is slow", NOW],
    )
    connection.execute(
        "insert into incidents values (%s, %s, %s, 'high', true, %s, %s, %s, 0.9, 1.5, %s, %s)",
        [UUID(int=number), tenant, f"{tenant} is slow", START, NOW, f"model {tenant}-large",
         json.dumps({"next": [f"Look at {tenant}-large"]}), NOW],
    )  # fmt: skip
    for window, length in (("1h", timedelta(hours=1)), ("1d", timedelta(days=1))):
        for metric in ("latency_ms", "cost_usd"):
            origin = (NOW if window == "1h" else DAY) - length
            connection.execute(
                "insert into forecasts values (%s, %s, %s, %s, 'combination', %s, %s, 5, 3, 7, 0.95, 0.1, %s, 4, 6)",
                [tenant, series_id, metric, window, origin + length, origin, NOW],
            )
            connection.execute(
                "insert into forecast_models values (%s, %s, %s, %s, 'combination', %s, 1, '{\"level\": 1}', 2, 0.1,"
                " 0.1, 0.1, 0.9, 0.2, 0.5, 1, 0.3, true, %s, %s)",
                [tenant, series_id, metric, window, origin, f"{tenant} can be forecast", NOW],
            )
    for minute, stored in ((START, 7), (START + timedelta(hours=1), 6)):
        connection.execute(
            "insert into ledger (tenant, topic, partition, minute, received, stored, duplicate, dead_lettered)"
            " values (%s, %s, 0, %s, 10, %s, 2, 1)",
            [tenant, f"{tenant}.events", minute, stored],
        )
