"""What the serving benchmark asks: panels of dashboards on closed windows, and one of them in SQL."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from benchmarks.serving_tables import SERVICES_A_TENANT

__all__ = ["SQL", "cold", "lua", "warm"]

_SHAPES = (
    # share, days of the range, window, grouped by, of one service only
    (0.30, 1, "15m", None, True),
    (0.30, 7, "1h", None, True),
    (0.20, 30, "6h", None, True),
    (0.15, 90, "1d", None, True),
    (0.05, 30, "1d", "model", False),
)
_FIELDS = ["count", "mean", "p95"]

SQL = """\\set service random(0, {services} - 1)
select bucket_start, sum(m.count), sum(m.sum) / sum(m.count), lah_hist_quantile((h).keys, (h).counts, 0.95, min, max)
from (
    select bucket_start, sum(count) as count, sum(sum) as sum, min(min) as min, max(max) as max,
        lah_hist_merge_agg(hist_keys, hist_counts) as h
    from metrics_1d
    where tenant = 'tenant-0' and service = 'service-' || :service and metric = 'latency_ms'
      and bucket_start >= '{start}' and bucket_start < '{end}'
    group by bucket_start
) m group by bucket_start, h, min, max order by bucket_start;
"""
"""The warm query for pgbench; {start} and {end} are its range."""


def warm(start: datetime, days: int) -> list[bytes]:
    """Ten bodies: one for each service of the tenant, all days by day, with the 95th percentile."""
    return [_body(start, start + timedelta(days=days), "1d", None, place) for place in range(SERVICES_A_TENANT)]


def cold(rng: np.random.Generator, start: datetime, days: int, count: int) -> list[bytes]:
    """`count` bodies, all different, of ranges that end at a whole hour of the last two days."""
    shares = np.array([shape[0] for shape in _SHAPES])
    bodies: dict[bytes, None] = {}
    while len(bodies) < count:
        _, length, window, group_by, is_of_one = _SHAPES[rng.choice(len(_SHAPES), p=shares / shares.sum())]
        end = start + timedelta(days=days) - timedelta(hours=int(rng.integers(0, 24)))
        begin = max(start, end - timedelta(days=length))
        fields = [*_FIELDS, f"p{rng.integers(1, 100)}"]
        service = int(rng.integers(SERVICES_A_TENANT)) if is_of_one else None
        bodies[_body(begin, end, window, group_by, service, fields)] = None
    return list(bodies)


def lua(bodies: Sequence[bytes], path: str, headers: dict[str, str]) -> str:
    """A script for wrk that sends the bodies in turn."""
    texts = ",\n".join(f"[==[{body.decode()}]==]" for body in bodies)
    said = "\n".join(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items())
    return (
        f'local bodies = {{\n{texts}\n}}\nlocal next = 0\nwrk.method = "POST"\n{said}\n'
        f"request = function()\n  next = next % #bodies + 1\n"
        f'  return wrk.format("POST", "{path}", nil, bodies[next])\nend\n'
        "done = function(summary, latency, requests)\n"
        '  io.write(string.format("result %d %d %f %f %f %d\\n", summary.requests, summary.duration,\n'
        "    latency:percentile(50), latency:percentile(95), latency:percentile(99),\n"
        "    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))\nend\n"
    )


def _body(
    start: datetime, end: datetime, window: str, group_by: str | None, service: int | None, fields: list[str] = _FIELDS
) -> bytes:
    asked: dict[str, Any] = {
        "metric": "latency_ms",
        "from": start.isoformat(),
        "to": end.isoformat(),
        "window": window,
        "fields": list(dict.fromkeys(fields)),
    }
    if service is not None:
        asked["filters"] = [{"dimension": "service", "operator": "equals", "value": f"service-{service}"}]
    if group_by is not None:
        asked["group_by"] = [group_by]
    return json.dumps(asked).encode()
