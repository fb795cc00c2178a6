"""The marts, recomputed from drawn rows in the obvious way. It repeats the definitions instead of importing them."""

from collections import defaultdict
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from math import ceil
from typing import Any

from tests.marts.sample import Sample

_SUMS = (
    "requests",
    "input_tokens",
    "input_fresh_tokens",
    "input_cache_read_tokens",
    "input_cache_write_tokens",
    "input_unknown_tokens",
    "output_tokens",
    "reported_usd",
    "unpriced_requests",
    "other_usd",
)
_AREAS = {
    "threat_protection": ("threat", "vulnerability"),
    "access_control": ("auth",),
    "data_protection": ("privacy", "data_lineage"),
    "policy_enforcement": ("policy_violation",),
    "regulatory_compliance": ("compliance_violation", "compliance_check"),
    "change_control": ("audit_trail", "hub_audit"),
    "data_integrity": ("landing", "dead_letter", "quality_check"),
}

Key = tuple[Any, ...]


def money(value: Fraction) -> Decimal:
    """To twelve decimals, halves away from zero, as PostgreSQL rounds numeric."""
    with localcontext() as context:
        context.prec = 80
        quotient = Decimal(abs(value.numerator)) / Decimal(value.denominator)
        return quotient.quantize(Decimal("1e-12"), ROUND_HALF_UP).copy_sign(-1 if value < 0 else 1)


def cost_by_team_day(sample: Sample) -> dict[Key, dict[str, Any]]:
    groups: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    for row in sample.costs:
        groups[row["day"], row["tenant"], row["team"]].append(row)
    spend = {
        key: sum((Fraction(row["reported_usd"]) + Fraction(row["other_usd"]) for row in rows), Fraction(0))
        for key, rows in groups.items()
    }
    mart = {}
    for (day, tenant, team), rows in groups.items():
        priced = [row["priced_usd"] for row in rows if row["priced_usd"] is not None]
        of_the_day = [value for (d, t, _), value in spend.items() if (d, t) == (day, tenant)]
        has_shares = all(value >= 0 for value in of_the_day) and sum(of_the_day) > 0
        tenant_began = min(d for d, t, _ in spend if t == tenant)
        week = [day - timedelta(days=n) for n in range(7)]
        observed = [d for d in week if d >= tenant_began]
        own = spend[day, tenant, team]
        sums = {name: sum(row[name] for row in rows) for name in _SUMS}
        mart[day, tenant, team] = sums | {
            "priced_usd": sum(priced) if priced else None,
            "difference_usd": sums["reported_usd"] - sum(priced) if priced else None,
            "spend_usd": money(own),
            "share_of_tenant_day": money(own / sum(of_the_day)) if has_shares else None,
            "mean_7d_spend_usd": money(
                sum((spend.get((d, tenant, team), Fraction(0)) for d in observed), Fraction(0)) / len(observed)
            ),
            "computed_at": max(row["computed_at"] for row in rows),
        }
    return mart


def percentile(values: list[float], percent: int) -> float | None:
    """Nearest rank."""
    return sorted(values)[ceil(Fraction(percent, 100) * len(values)) - 1] if values else None


def model_service_levels(sample: Sample, target: Fraction) -> dict[Key, dict[str, Any]]:
    groups: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    for row in sample.measured:
        groups[row["ts"].date(), row["tenant"], row["model"]].append(row)
    mart = {}
    for (day, tenant, model), rows in groups.items():
        total = sum(row.get("total_requests", 0) for row in rows)
        failed = sum(row.get("failed_requests", 0) for row in rows)
        levels: dict[str, Any] = {
            "total_requests": total,
            "failed_requests": failed,
            "error_rate": money(Fraction(failed, total)) if total else None,
            "availability": money(1 - Fraction(failed, total)) if total else None,
            "is_availability_met": 1 - Fraction(failed, total) >= target if total else None,
            "error_budget_used": money(Fraction(failed) / ((1 - target) * total)) if total else None,
            "is_final": day + timedelta(days=1) <= sample.final_before.date(),
        }
        for metric in ("latency", "ttft"):
            values = [row[f"{metric}_ms"] for row in rows if row.get(f"{metric}_ms") is not None]
            levels[f"{metric}_count"] = len(values)
            levels |= {f"{metric}_p{percent}_ms": percentile(values, percent) for percent in (50, 95, 99)}
        mart[day, tenant, model] = levels
    return mart


def _is_adverse(subtype: str, payload: dict[str, Any]) -> bool:
    if subtype in ("policy_violation", "compliance_violation"):
        return True
    bad = {"detected", "investigating", "identified", "patch_available", "patching"}
    answers = [payload[name] for name in ("success", "user_consent", "passed") if name in payload]
    return any(value in bad for value in payload.values() if isinstance(value, str)) or False in answers


def compliance_evidence_daily(sample: Sample) -> dict[Key, tuple[int, int]]:
    """(day, tenant, area, kind) -> (records, adverse records)."""
    found: dict[Key, list[int]] = defaultdict(lambda: [0, 0])

    def note(day: Any, tenant: str, kind: str, records: int, adverse: int) -> None:
        if records or adverse:
            (area,) = [area for area, kinds in _AREAS.items() if kind in kinds]
            found[day, tenant, area, kind][0] += records
            found[day, tenant, area, kind][1] += adverse

    for row in sample.events:
        if row["payload_type"] != "custom":
            is_adverse = _is_adverse(row["subtype"], row["payload"])
            note(row["ts"].date(), row["tenant"], row["subtype"], 1, int(is_adverse))
    for row in sample.ledger:
        booked = row["stored"] + row["duplicate"] + row["dead_lettered"]
        note(row["minute"].date(), row["tenant"], "landing", row["received"], abs(row["received"] - booked))
    for row in sample.dead_letters:
        is_open = row["replayed_at"] is None
        note(row["dead_lettered_at"].date(), row["tenant"], "dead_letter", 1, int(is_open))
    for row in sample.checks:
        note(row["checked_at"].date(), "*", "quality_check", 1, int(not row["passed"]))
    for row in sample.audit_log:
        note(row["at"].date(), row["tenant"], "hub_audit", 1, 0)
    return {key: (records, adverse) for key, (records, adverse) in found.items()}
