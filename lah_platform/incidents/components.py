"""The components of a tenant's system as nodes: services and models, their telemetry, and who depends on whom."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from lah_platform.correlations.model import Correlation

Calls = list[tuple[str, str]]


def node_of(service: str | None, model: str | None) -> str | None:
    """`service x`, else `model y`; None for what names neither."""
    if service:
        return f"service {service}"
    return f"model {model}" if model else None


def node_telemetry(telemetry: pl.DataFrame) -> pl.DataFrame:
    """at, node, requests, latency, failed_share: each service over its models, and each model over its services; means
    and shares are weighted by requests."""
    parts = []
    for kind in ("service", "model"):
        rows = telemetry.filter(pl.col(kind) != "").with_columns(node=pl.lit(f"{kind} ") + pl.col(kind))
        timed = pl.col("latency").is_not_null() & pl.col("latency").is_not_nan()
        judged = pl.col("failed_share").is_not_null() & pl.col("failed_share").is_not_nan()
        parts.append(
            rows.group_by("at", "node").agg(
                requests=pl.col("requests").sum().cast(pl.Float64),
                latency=_weighted("latency", timed),
                failed_share=_weighted("failed_share", judged),
            )
        )
    return pl.concat(parts).sort("at", "node")


def _weighted(column: str, known: pl.Expr) -> pl.Expr:
    total = pl.col("requests").filter(known).sum()
    return pl.when(total > 0).then((pl.col(column) * pl.col("requests")).filter(known).sum() / total)


def dependencies(
    telemetry: pl.DataFrame, spans: pl.DataFrame, links: Iterable[Correlation], series: pl.DataFrame
) -> Calls:
    """(caller, callee) of one tenant, from what is declared to what is only seen:

    a span's component calls its child's; where no parent is named, that of an operation's first event calls those of
    its other events; a service calls the models it reports telemetry of; and where none of that joins two components,
    the follower of a lagged link depends on its leader. `series` gives service and model of a series_id.
    """
    nodes = spans.with_columns(node=_node_column())
    parents = nodes.select(parent_event_id="event_id", caller="node")
    declared = nodes.join(parents, on="parent_event_id").select("caller", callee="node")
    roots = nodes.filter(pl.col("correlation_id").is_not_null()).sort("ts", "event_id")
    first = roots.group_by("correlation_id", maintain_order=True).first().select("correlation_id", caller="node")
    operations = (
        roots.filter(pl.col("parent_event_id").is_null())
        .join(first, on="correlation_id")
        .select("caller", callee="node")
    )
    served = telemetry.filter((pl.col("service") != "") & (pl.col("model") != "")).select(
        caller=pl.lit("service ") + pl.col("service"), callee=pl.lit("model ") + pl.col("model")
    )
    calls = pl.concat([declared, operations, served]).drop_nulls().filter(pl.col("caller") != pl.col("callee")).unique()
    found = set(calls.rows())
    node_by_series = dict(series.select(pl.col("series_id").cast(pl.String), _node_column().alias("node")).rows())
    for link in links:
        leader, follower = (node_by_series.get(member.member_id) for member in link.members[:2])
        is_led = link.members[0].role == "contributor" and leader and follower and leader != follower
        if is_led and not {(leader, follower), (follower, leader)} & found:
            found.add((str(follower), str(leader)))
    return sorted(found)


def _node_column() -> pl.Expr:
    return (
        pl.when(pl.col("service") != "")
        .then(pl.lit("service ") + pl.col("service"))
        .when(pl.col("model") != "")
        .then(pl.lit("model ") + pl.col("model"))
    )
