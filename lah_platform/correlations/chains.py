"""causal_chain: trees of events that name each other as parent, or their operation by its correlation id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import polars as pl

from lah_platform.correlations.config import CorrelationConfig
from lah_platform.correlations.evidence import SEVERITIES, EventRow, events_by_tenant
from lah_platform.correlations.model import Correlation, Found, Member, correlation_id

_WARNING = SEVERITIES.index("warning")


def causal_chains(events: pl.DataFrame, config: CorrelationConfig) -> Found:
    """One correlation per tree of at least two events joined by parent_event_id, within one tenant.

    The root is the root_cause, leaves are effects, what lies between are contributors. A parent that is not among
    the events makes its child a root; a cycle is cut before its earliest event. Roots that share a correlation id are
    one operation: the later ones hang on the earliest, where the operation came to at least a warning.
    Strength: share of the tree's links whose effect is not earlier than its cause (less than 1: clocks disagree, or
    the links are wrong). Confidence: share of the named parents that were found and not cut, a link by correlation id
    alone counting half: it says what belongs together, and only time says what came first.
    Beyond `max_found` per tenant the trees with the worst severity, then the largest, are kept.
    """
    parents = events.select("tenant", event_id=pl.col("parent_event_id")).drop_nulls().unique()
    is_child = events.filter(pl.col("parent_event_id").is_not_null())
    is_parent = events.join(parents, on=["tenant", "event_id"], how="semi")
    correlations: list[Correlation] = []
    left_out = 0
    for tenant, rows in events_by_tenant(
        pl.concat([is_child, is_parent, _operations(events)]).unique(maintain_order=True)
    ):
        hung: set[str] = set()
        trees = sorted(_trees(rows, hung), key=lambda t: (-max(r.severity for r in t), -len(t), t[0].ts, t[0].event_id))
        kept = trees[: config.max_found]
        correlations.extend(_correlation(tenant, tree, hung, config.max_members) for tree in kept)
        left_out += len(trees) - len(kept)
    return Found(correlations, left_out=left_out)


def _trees(rows: list[EventRow], hung: set[str]) -> Iterable[list[EventRow]]:
    """Trees of two or more events, each breadth first from its root; children by time. Fills `hung` with the ids of
    events that hang on another by their correlation id alone."""
    by_id = {row.event_id: row for row in rows}
    parent_of = {
        row.event_id: row.parent_event_id for row in rows if row.parent_event_id in by_id and row.parent_event_id
    }
    for cut in _cycle_cuts(by_id, parent_of):
        del parent_of[cut]
    by_operation = _hung_on_operations(rows, parent_of)
    hung.update(by_operation)
    parent_of |= by_operation
    children: dict[str, list[EventRow]] = defaultdict(list)
    for row in rows:
        if row.event_id in parent_of:
            children[parent_of[row.event_id]].append(row)
    for row in rows:
        if row.event_id not in parent_of and row.event_id in children:
            tree = [row]
            for node in tree:  # grows while it is walked
                tree.extend(children.get(node.event_id, ()))
            yield [replace(row, parent_event_id=parent_of.get(row.event_id, row.parent_event_id)) for row in tree]


def _operations(events: pl.DataFrame) -> pl.DataFrame:
    """Events of correlation ids that came to at least a warning."""
    bad = events.filter(~pl.col("severity").cast(pl.Utf8).is_in(["debug", "info"]))
    return events.join(
        bad.select("tenant", "correlation_id").drop_nulls().unique(), on=["tenant", "correlation_id"], how="semi"
    )


def _hung_on_operations(rows: list[EventRow], parent_of: dict[str, str]) -> dict[str, str]:
    """For roots that name no parent the earliest root of their correlation id; `rows` are in order of time."""
    worst: dict[str, int] = defaultdict(int)
    for row in rows:
        if row.correlation_id:
            worst[row.correlation_id] = max(worst[row.correlation_id], row.severity)
    first: dict[str, str] = {}
    result = {}
    for row in rows:
        if row.correlation_id and row.event_id not in parent_of and worst[row.correlation_id] >= _WARNING:
            root = first.setdefault(row.correlation_id, row.event_id)
            if root != row.event_id and not row.parent_event_id:
                result[row.event_id] = root
    return result


def _cycle_cuts(by_id: dict[str, EventRow], parent_of: dict[str, str]) -> list[str]:
    """For each cycle its earliest event, whose parent link is to be dropped."""
    done: set[str] = set()
    cuts = []
    for start in by_id:
        path: dict[str, None] = {}
        node: str | None = start
        while node is not None and node not in done and node not in path:
            path[node] = None
            node = parent_of.get(node)
        if node in path:
            walked = list(path)
            cycle = walked[walked.index(node) :]
            cuts.append(min(cycle, key=lambda event_id: (by_id[event_id].ts, event_id)))
        done.update(path)
    return cuts


def _correlation(tenant: str, tree: list[EventRow], hung: set[str], max_members: int) -> Correlation:
    root = tree[0]
    by_id = {row.event_id: row for row in tree}
    depth = {root.event_id: 1}
    forward = 0
    for row in tree[1:]:
        parent = by_id[row.parent_event_id or ""]
        depth[row.event_id] = depth[parent.event_id] + 1
        forward += parent.ts <= row.ts
    causes = {row.parent_event_id for row in tree[1:]}
    members: list[Member] = [root.member("root_cause")]
    members += [row.member("contributor" if row.event_id in causes else "effect") for row in tree[1:max_members]]
    links, unresolved = len(tree) - 1, int(root.parent_event_id is not None)
    worst = SEVERITIES[max(row.severity for row in tree)]
    shown = "" if len(tree) <= max_members else f"; the first {max_members} are listed"
    lost = "; the parent it names is not among the events or follows from it" if unresolved else ""
    is_hung = sum(row.event_id in hung for row in tree)
    return Correlation(
        correlation_id=correlation_id("causal_chain", tenant, members[:1]),
        tenant=tenant,
        correlation_type="causal_chain",
        started_at=min(row.ts for row in tree),
        ended_at=max(row.ts for row in tree),
        strength=forward / links,
        confidence=(links - is_hung / 2) / (links + unresolved),
        explanation=(
            f"{root.subtype} led to {links} further event{'s' * (links > 1)} in {max(depth.values())} steps, "
            f"up to {worst}{shown}{lost}."
        ),
        members=tuple(members),
        evidence={
            "links": links,
            "links_by_correlation_id": is_hung,
            "steps": max(depth.values()),
            "worst_severity": worst,
        },
    )
