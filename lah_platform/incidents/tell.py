"""Telling an incident: what, since when, where it started, whom it hurts, what it costs, what to look at next."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import polars as pl

from lah_platform.correlations.cost_parts import PARTS
from lah_platform.correlations.model import Evidence
from lah_platform.incidents.components import Calls, dependencies, node_of, node_telemetry
from lah_platform.incidents.grouping import first_member, groups
from lah_platform.incidents.model import IMPACTS, Group, Incident, IncidentInputs
from lah_platform.incidents.next_steps import next_steps
from lah_platform.incidents.shared_models import cleared
from lah_platform.root_cause import Ranking, Target, rank_root_causes
from lah_platform.root_cause.model import Symptom

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:lah:incident")
LEAD = timedelta(hours=1)
"""Of quiet before an incident that its start is set against; as much again follows it."""
_LONGEST = timedelta(hours=6)
"""Where it started is seen in its first hours."""
USUAL = timedelta(days=3)
"""Before that: what is usual. Of PetShop's normal operation 15 steps do nearly what 589 do (docs/root-cause.md)."""
_MOST_CANDIDATES = 5
_SYMPTOMS: dict[str, Symptom] = {"latency_ms": "latency", "ttft_ms": "latency", "failed_requests": "failures"}
_SEVERITY_IMPACT = {"warning": "medium", "error": "high", "critical": "critical"}


def tell_incidents(inputs: IncidentInputs) -> list[Incident]:
    """Every incident in the inputs that had not ended by `since`, by start; its identity is its earliest anomaly's
    or event's.

    Its story is JSON with `what` (anomalies and correlations in sentences), `where` (candidates with confidence, path,
    excess and onset, and from what dependencies), `hurts` (services, models, teams), `costs` (USD beyond the usual,
    in parts that add up, and what the most is for) and `next` (sentences). Where nothing hurts that components' latency
    or failures could explain, `where` is empty and says why.
    """
    calls: dict[str, Calls] = {}
    telemetry: dict[str, tuple[pl.DataFrame, pl.DataFrame]] = {}
    result = []
    for group in groups(inputs.anomalies, inputs.correlations):
        tenant = group.tenant
        if inputs.since is not None and group.ended_at <= inputs.since:
            continue
        if tenant not in calls:
            rows = inputs.telemetry.filter(pl.col("tenant") == tenant)
            telemetry[tenant] = rows, node_telemetry(rows)
            links = [c for c in inputs.correlations if c.correlation_type == "temporal" and c.tenant == tenant]
            spans = inputs.spans.filter(pl.col("tenant") == tenant)
            series = inputs.anomalies.filter(pl.col("tenant") == tenant).unique("series_id", keep="any")
            calls[tenant] = dependencies(rows, spans, links, series)
        result.append(_incident(group, *telemetry[tenant], calls[tenant], inputs.until))
    return result


def _incident(group: Group, rows: pl.DataFrame, nodes: pl.DataFrame, calls: Calls, until: datetime) -> Incident:
    target = _target(group)
    ranking, begin = _ranked(group, target, rows, nodes, calls)
    where = _where(target, ranking, nodes, begin)
    severity = _severity(group)
    costs = _costs(group)
    hurts = {
        name: sorted({str(row[name]) for row in group.anomalies if row[name]}) for name in ("service", "model", "team")
    }
    first = where["candidates"][0] if where["candidates"] else None
    story = {
        "what": [str(row["explanation"]) for row in group.anomalies[:20]]
        + [c.explanation for c in group.correlations[:20]],
        "since": group.started_at.isoformat(),
        "until": group.ended_at.isoformat(),
        "where": where,
        "hurts": hurts,
        "costs": costs,
        "next": next_steps(where, costs, group),
    }
    usd = costs["cost_usd"]
    return Incident(
        incident_id=_identity(group),
        tenant=group.tenant,
        title=_title(group, first),
        severity=severity,
        is_open=group.ended_at >= until,
        started_at=group.started_at,
        ended_at=group.ended_at,
        root_cause=first["node"] if first else None,
        root_cause_confidence=first["confidence"] if first else None,
        cost_usd=None if usd is None else Decimal(str(usd)),
        story=story,
        members=(
            *(("anomaly", str(row["anomaly_id"])) for row in group.anomalies),
            *(("correlation", str(c.correlation_id)) for c in group.correlations),
        ),
    )


def _identity(group: Group) -> UUID:
    return uuid5(_NAMESPACE, "\x1f".join((group.tenant, first_member(group))))


def _target(group: Group) -> Target | None:
    """What hurts most: a service before a model, then the gravest and the farthest from usual."""
    hurt = [
        (node_of(row["service"], None) is not None, IMPACTS.index(row["impact"]), row["deviation"], node, symptom)
        for row in group.anomalies
        if (symptom := _SYMPTOMS.get(row["metric"])) and row["deviation"] > 0
        if (node := node_of(row["service"], row["model"]))
    ]
    if not hurt:
        return None
    *_, node, symptom = max(hurt)
    return Target(node, symptom)


def _ranked(
    group: Group, target: Target | None, rows: pl.DataFrame, nodes: pl.DataFrame, calls: Calls
) -> tuple[Ranking | None, datetime | None]:
    begin = group.started_at - LEAD
    end = min(group.ended_at, group.started_at + _LONGEST) + LEAD
    during, before = pl.col("at").is_between(begin, end, "left"), pl.col("at").is_between(begin - USUAL, begin, "left")
    window = nodes.filter(during)
    if target is None or window.filter(pl.col("node") == target.node).height < 3:
        return None, None
    known = rows.filter(during | before)
    calls = cleared(calls, known, during, before, target)
    return rank_root_causes(window, nodes.filter(before), target, calls or None), window["at"].min()  # type: ignore[return-value]


def _where(
    target: Target | None, ranking: Ranking | None, telemetry: pl.DataFrame, begin: datetime | None
) -> dict[str, Any]:
    if target is None:
        return {"candidates": [], "why_none": "No latency or failures of a service or model are among it."}
    if ranking is None or begin is None:
        return {"candidates": [], "why_none": f"Too little was measured of {target.node} around its start."}
    steps = telemetry["at"].unique().sort()
    steps = steps.filter(steps >= begin)
    return {
        "hurt": target.node,
        "symptom": target.symptom,
        "is_significant": ranking.is_significant,
        "candidates": [
            {
                "node": each.node,
                "confidence": round(each.confidence, 4),
                "path": list(each.path),
                "explained_share": round(each.explained_share, 4),
                "excess_per_step": each.excess_per_step,
                "unit": "seconds" if target.symptom == "latency" else "failed requests",
                "deviations": round(each.deviations, 2),
                "onset": steps[each.onset_step].isoformat() if each.onset_step is not None else None,
            }
            for each in ranking.candidates[:_MOST_CANDIDATES]
            if each.confidence > 0
        ],
    }


def _severity(group: Group) -> str:
    impacts = [str(row["impact"]) for row in group.anomalies]
    impacts += [
        _SEVERITY_IMPACT[worst]
        for c in group.correlations
        if (worst := str(c.evidence.get("worst_severity"))) in _SEVERITY_IMPACT
    ]
    return max(impacts, key=IMPACTS.index, default="medium")


def _costs(group: Group) -> dict[str, Any]:
    """What it cost beyond the usual in USD, and the parts of that, each the exact sum over its cost impacts."""
    impacts = [c.evidence for c in group.correlations if c.correlation_type == "cost_impact"]
    totals = {name: _total(impacts, name) for name in ("cost_usd", *PARTS, "rate_usd")}
    causes = [(float(e["cost_usd"] or 0), str(e["main_cause"])) for e in impacts if e.get("main_cause")]
    cause = max(causes, key=lambda each: abs(each[0]))[1] if causes else None
    return {"cost_usd": totals.pop("cost_usd"), "main_cause": cause} | {
        name: value for name, value in totals.items() if value is not None
    }


def _total(impacts: list[Evidence], name: str) -> float | None:
    values = [Decimal(str(value)) for each in impacts if (value := each.get(name)) is not None]
    return float(sum(values)) if values else None


def _title(group: Group, first: dict[str, Any] | None) -> str:
    if group.anomalies:
        worst = max(group.anomalies, key=lambda row: (IMPACTS.index(row["impact"]), abs(row["deviation"])))
        about = node_of(worst["service"], worst["model"]) or f"series {worst['series_id']}"
        verb = "above" if worst["deviation"] > 0 else "below"
        what = f"{worst['metric']} of {about} {verb} the usual"
    else:
        first_told = group.correlations[0]
        what = f"{first_told.correlation_type.replace('_', ' ')}: {first_told.explanation.rstrip('.')}"
    started = f", most likely from {first['node']}" if first else ""
    return what + started
