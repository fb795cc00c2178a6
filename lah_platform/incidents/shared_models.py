"""Models that several services use: where only one of these suffers, the model is not what it suffers from.

A service's seconds in a model are the model's seconds too, so the two look alike, and the deeper one would be blamed.
What tells them apart is how the model does for its other users.
"""

from __future__ import annotations

import polars as pl

from lah_platform.incidents.components import Calls, node_telemetry
from lah_platform.root_cause import Target
from lah_platform.root_cause.excess import Excess, excesses, significance_threshold
from lah_platform.root_cause.model import telemetry as as_telemetry

_SAME = 0.5
"""Users of a model that is slow wait alike: less than so much of one's excess a request in the others is not that."""


def cleared(calls: Calls, telemetry: pl.DataFrame, window: pl.Expr, normal: pl.Expr, target: Target) -> Calls:
    """`calls` without those from a service to a model that does well for its other users.

    A call goes when the service's own requests to the model show an excess (over the steps in which the target suffers)
    that would be seen in the model's other users, and less than half as much a request is. `telemetry` is one tenant's
    (at, service, model, requests, latency, failed_share); `window` and `normal` choose its rows.
    """
    pairs = _of_several_users(telemetry.filter(window))
    if not pairs:
        return calls
    parts = [node_telemetry(telemetry).filter(pl.col("node") == target.node)]
    for place, (service, model) in enumerate(pairs):
        rows = telemetry.filter(pl.col("model") == model)
        own = pl.col("service") == service
        for side, chosen in (("own", own), ("others", ~own)):
            part = node_telemetry(rows.filter(chosen)).filter(pl.col("node") == f"model {model}")
            parts.append(part.with_columns(node=pl.lit(f"{side} {place}")))
    nodes = pl.concat(parts)
    now = as_telemetry(nodes.filter(window))
    if target.node not in now.nodes:
        return calls
    excess = excesses(now, as_telemetry(nodes.filter(normal), now.nodes), target)
    innocent = {
        (f"service {service}", f"model {model}")
        for place, (service, model) in enumerate(pairs)
        if _is_cleared(excess, now.nodes.index(f"own {place}"), now.nodes.index(f"others {place}"))
    }
    return [call for call in calls if call not in innocent]


def _of_several_users(telemetry: pl.DataFrame) -> list[tuple[str, str]]:
    used = telemetry.filter((pl.col("service") != "") & (pl.col("model") != "")).select("service", "model").unique()
    return used.filter(pl.len().over("model") > 1).sort("model", "service").rows()


def _is_cleared(excess: Excess, own: int, others: int) -> bool:
    would_be_seen = excess.per_request[own] >= significance_threshold(len(excess.scale)) * excess.scale[others]
    return bool(would_be_seen and excess.per_request[others] < _SAME * excess.per_request[own])
