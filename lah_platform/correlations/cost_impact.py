"""cost_impact: what a rise or fall of cost is for, in USD, and what came with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from lah_platform.correlations.coincidence import do_meet
from lah_platform.correlations.config import CorrelationConfig
from lah_platform.correlations.evidence import AnomalyRow, anomalies_by_tenant
from lah_platform.correlations.excess_cost import CostBook
from lah_platform.correlations.meetings import Rule, is_slow, meetings, named
from lah_platform.correlations.model import (
    Correlation,
    Evidence,
    Found,
    Member,
    Role,
    UsageReader,
    correlation_id,
    strongest,
)
from lah_platform.correlations.usage import parted_cost

_TRAFFIC = frozenset(
    {"events", "requests_per_second", "total_requests", "input_tokens", "output_tokens", "total_tokens"}
)
_LEAST_SHARE = 0.5  # of all parts' amounts, for one to be told as what a cost that came alone is for
_CAUSES = {
    "volume": "more or fewer requests",
    "retry": "requests tried again after failures",
    "latency": "more requests after answers had become slow",
    "model": "requests moved between models",
    "prompt": "longer or shorter prompts",
    "answer": "longer or shorter answers",
    "cache": "another share of prompts from the cache",
    "price": "another price of the same tokens",
}


def cost_impacts(
    anomalies: pl.DataFrame,
    points: pl.DataFrame,
    covered: float,
    config: CorrelationConfig,
    usage: UsageReader | None = None,
) -> Found:
    """A cost anomaly (cost_usd) with overlapping anomalies of the same model that can have caused it: tokens or traffic
    in the same direction; where the cost rose also slower answers and failures (waiting and trying again). And, with
    `usage`, a cost anomaly without such company whose difference is mostly for one thing, as a lost cache is.

    The cost is the effect; what began no later contributed to it, what began later is related.
    Evidence: cost_usd, what the episode cost beyond the usual, of which the parts are the exact sum (`cost_parts`):
    volume, retry, latency, model, prompt, answer, cache, price; main_cause; without `usage` volume_usd and rate_usd
    (`excess_cost`). And its drivers, the anomalies it came with.
    Strength and confidence as in `meetings`; of one that came alone both are the main part's share of all parts'
    amounts, a half at least.
    """
    costing = _Costing(CostBook(points), usage, *_cost_rows(anomalies, config))
    rule = Rule("cost_impact", _is_cost, _drives_cost, _cost_roles, _tell_cost, costing.evidence)
    found = meetings(anomalies, covered, config, rule)
    if usage is None:
        return found
    told = {m.member_id for c in found.correlations for m in c.members}
    alone, cut = strongest(list(costing.alone(told)), config.max_found)
    return Found([*found.correlations, *alone], left_out=found.left_out + cut)


def _cost_rows(
    anomalies: pl.DataFrame, config: CorrelationConfig
) -> tuple[dict[tuple[str, str], list[AnomalyRow]], set[str]]:
    """Cost anomalies by tenant and model, and the ids of those whose parts are read."""
    by_model: dict[tuple[str, str], list[AnomalyRow]] = defaultdict(list)
    read: set[str] = set()
    for tenant, rows, _ in anomalies_by_tenant(anomalies, config.max_anomalies):
        costs = [row for row in rows if row.model and row.metric == "cost_usd"]
        read |= {row.anomaly_id for row in costs[-config.max_parted_costs :]}
        for row in costs:
            by_model[tenant, row.model].append(row)
    return dict(by_model), read


@dataclass(frozen=True, slots=True)
class _Costing:
    book: CostBook
    usage: UsageReader | None
    costs: dict[tuple[str, str], list[AnomalyRow]]
    read: set[str]

    def evidence(self, tenant: str, group: Sequence[AnomalyRow]) -> Evidence:
        costs, others = ([row for row in group if _is_cost(row) == is_cost] for is_cost in (True, False))
        drivers: Evidence = {"drivers": ", ".join(sorted({named(row) for row in others}))}
        span = min(row.started_at for row in costs), max(row.ended_at for row in costs)
        if any(row.anomaly_id in self.read for row in costs):
            is_latency_first = _is_latency_first(others)
            parted = self._parted(tenant, group[0].model, span, is_latency_first=is_latency_first)
            if parted is not None:
                return {**drivers, **parted}
        excess = self.book.excess(tenant, group[0].model, *span)
        if excess is None:
            return drivers
        return {**drivers, "cost_usd": excess.usd, "volume_usd": excess.volume_usd, "rate_usd": excess.rate_usd}

    def _parted(
        self, tenant: str, model: str, span: tuple[datetime, datetime], *, is_latency_first: bool
    ) -> Evidence | None:
        if self.usage is None:
            return None
        odd = [(row.started_at, row.ended_at) for row in self.costs[tenant, model]]
        found = parted_cost(self.usage, tenant, model, span, odd, is_latency_first=is_latency_first)
        if found is None:
            return None
        parts = found.parts
        return {
            "cost_usd": float(parts.usd),
            **{name: float(value) for name, value in parts.parts.items()},
            "elsewhere_usd": float(parts.elsewhere_usd),
            "main_cause": parts.main,
            "main_share": parts.main_share,
            "cache_read_share": found.cache_read_share,
            "usual_cache_read_share": found.usual_cache_read_share,
            "prices": "price book" if found.is_priced else "none: a lost cache is in price_usd",
        }

    def alone(self, told: set[str]) -> Iterable[Correlation]:
        """Cost anomalies that met nothing and are mostly for one thing."""
        told = set(told)
        for (tenant, model), rows in self.costs.items():
            for row in rows:
                if row.anomaly_id in told or row.anomaly_id not in self.read or not _is_cost(row):
                    continue
                again = [o for o in rows if o.deviation * row.deviation > 0 and _is_cost(o) and _meets(row, o)]
                told.update(o.anomaly_id for o in again)
                span = row.started_at, max(o.ended_at for o in again)
                evidence = self._parted(tenant, model, span, is_latency_first=False)
                if evidence and float(evidence["cost_usd"] or 0) * row.deviation > 0:
                    share = float(evidence["main_share"] or 0)
                    if share >= _LEAST_SHARE:
                        yield _alone(tenant, again, share, {"drivers": "", **evidence})


def _meets(one: AnomalyRow, other: AnomalyRow) -> bool:
    return do_meet(one, other, timedelta(0))


def _alone(tenant: str, group: Sequence[AnomalyRow], share: float, evidence: Evidence) -> Correlation:
    first = group[0]
    members = (
        *(row.member("effect") for row in group),
        Member("related", "series", str(first.series_id), first.metric, first.started_at),
    )
    return Correlation(
        correlation_id=correlation_id("cost_impact", tenant, members[:1]),
        tenant=tenant,
        correlation_type="cost_impact",
        started_at=first.started_at,
        ended_at=max(row.ended_at for row in group),
        strength=share,
        confidence=share,
        explanation=_tell_cost(group, evidence),
        members=members,
        evidence=evidence,
    )


def _is_latency_first(others: Iterable[AnomalyRow]) -> bool:
    """Whether answers were slow before there was more traffic, as far as episodes tell."""
    rows = list(others)
    slow = [row.started_at for row in rows if is_slow(row)]
    busy = [row.started_at for row in rows if row.metric in _TRAFFIC or row.anomaly_type == "frequency_anomaly"]
    return bool(slow) and (not busy or min(slow) < min(busy))


def _is_cost(row: AnomalyRow) -> bool:
    return row.metric == "cost_usd" and row.anomaly_type in ("spike", "drop", "pattern_deviation")


def _drives_cost(cost: AnomalyRow, row: AnomalyRow) -> bool:
    if row.metric in _TRAFFIC or row.anomaly_type == "frequency_anomaly":
        return row.deviation * cost.deviation > 0
    return cost.deviation > 0 and (is_slow(row) or row.metric == "failed_requests") and row.deviation > 0


def _cost_roles(group: Sequence[AnomalyRow]) -> list[Role]:
    cost = group[0]
    return [
        "effect" if _is_cost(row) else "contributor" if row.started_at <= cost.started_at else "related"
        for row in group
    ]


def _tell_cost(group: Sequence[AnomalyRow], evidence: Evidence) -> str:
    cost = group[0]
    verb = "rose" if cost.deviation > 0 else "fell"
    usd, cause = evidence.get("cost_usd"), evidence.get("main_cause")
    company = f" together with {evidence['drivers']}" if evidence["drivers"] else ""
    amount = f", {abs(float(usd)):.2f} USD {'over' if float(usd) > 0 else 'under'} the usual" if usd is not None else ""
    part = f", {float(evidence[f'{cause}_usd'] or 0):.2f} USD of it for {_CAUSES[str(cause)]}" if cause else ""
    return f"cost_usd of {cost.model} {verb}{company}{amount}{part}."
