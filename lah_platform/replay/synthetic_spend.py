"""Money that no trace holds: an agent service with a cost spike, its budget, API fees and machines. Seeded.

The agent's requests draw their tokens from what was measured on Mooncake. Scenario "cost-spike": from 8 to 6 hours
before the end a looping agent sends eight times the requests with three times the output, and the day's budget
alerts follow from the sums, each caused by the cost event that crossed its threshold.
"""

from decimal import Decimal
from typing import NamedTuple

import numpy as np

from lah_platform.replay.models import MODELS, PARTS_PER_USD, Price, price_history, usd
from lah_platform.replay.quantiles import from_quantiles
from lah_platform.replay.scene import DAY_US, HOUR_US, Scene, synthetic
from lah_platform.replay.thinning import Unit
from lah_platform.replay.wire import Draft, draft, instant

__all__ = ["spend_units"]

_REQUESTS_PER_HOUR = 6.0
_SPIKE_FROM_HOURS, _SPIKE_TO_HOURS = 8.0, 6.0
_SPIKE_RATE_FACTOR = 8
_SPIKE_OUTPUT_FACTOR = 3
_CACHE_READ_SHARE, _CACHE_WRITE_SHARE = 0.6, 0.1
_BUDGET_OF_MEDIAN_DAY = Decimal("1.5")
_ALERTS = ((80, "warning", "warning"), (95, "critical", "error"), (100, "exceeded", "critical"))  # %, type, severity
_SEARCH_USD = Decimal("0.01")  # per web search: Anthropic's list price of 10 USD per thousand
_GPU_HOUR_USD = Decimal("2.50")
_STORED_GB_HOUR_USD = Decimal("0.000032")
_TAGS = {"tenant": "globex", "region": "us-east", "service": "research-agent", "team": "research", "version": "0.9.4"}
_COST_DELAY_US = 1_000


class _Spent(NamedTuple):
    at_us: int
    event_id: str
    parts: int
    is_spike: bool


def spend_units(scene: Scene) -> list[Unit]:
    """The agent's token_usage and token_cost, budget_alert, api_cost and resource_consumption."""
    units, spent = _agent_requests(scene)
    return units + _budget_alerts(scene, spent) + _api_costs(scene) + _resources(scene)


def _agent_requests(scene: Scene) -> tuple[list[Unit], list[_Spent]]:
    rng = scene.rng("research-agent")
    figures = scene.profile.requests["mooncake"]
    spike_us = (scene.hours_before_end_us(_SPIKE_FROM_HOURS), scene.hours_before_end_us(_SPIKE_TO_HOURS))
    spike_count = round(_REQUESTS_PER_HOUR * (_SPIKE_FROM_HOURS - _SPIKE_TO_HOURS)) * (_SPIKE_RATE_FACTOR - 1)
    moments = [(at_us, False) for at_us in scene.moments("research-agent", _REQUESTS_PER_HOUR)]
    moments += [(at_us, True) for at_us in rng.integers(*spike_us, spike_count).tolist()]
    prices = price_history(MODELS["agents"])
    units, spent = [], []
    for number, (at_us, is_spike) in enumerate(sorted(moments)):
        inputs = int(from_quantiles(figures.input_tokens, rng.random(1))[0])
        outputs = int(from_quantiles(figures.output_tokens, rng.random(1))[0])
        outputs *= _SPIKE_OUTPUT_FACTOR if is_spike else 1
        at_us = min(at_us, scene.end_us - _COST_DELAY_US)
        price = prices.at(at_us + _COST_DELAY_US)
        if price is None:
            continue  # before the model had a price: an agent could not have been billed for it
        events, parts = _request(scene, number, at_us, inputs, outputs, price, is_spike)
        units.append(Unit("research-agent", events, is_kept=is_spike))
        spent.append(_Spent(at_us + _COST_DELAY_US, str(events[1].envelope["event_id"]), parts, is_spike))
    return units, spent


def _request(
    scene: Scene, number: int, at_us: int, inputs: int, outputs: int, price: Price, is_spike: bool
) -> tuple[list[Draft], int]:
    identity = scene.identity
    correlation_id = identity.uuid("agent", number, "request")
    usage_id = identity.uuid("agent", number, "token_usage")
    cache_read, cache_write = int(inputs * _CACHE_READ_SHARE), int(inputs * _CACHE_WRITE_SHARE)
    parts = price.cost(inputs, outputs, cache_read, cache_write)
    tokens: dict[str, object] = {
        "model_id": MODELS["agents"],
        "request_id": f"agent-{number}-{correlation_id[:8]}",
        "prompt_tokens": inputs,
        "completion_tokens": outputs,
        "total_tokens": inputs + outputs,
        "token_derivation": "inclusive",
        "input_cache_read_tokens": cache_read,
        "input_cache_write_tokens": cache_write,
    }
    money = {
        "cost_per_prompt_token": usd(price.input),
        "cost_per_completion_token": usd(price.output),
        "total_cost_usd": usd(parts),
        "currency": "USD",
    }
    scenario = {"scenario": "cost-spike"} if is_spike else None
    usage = draft(
        synthetic("llm-observatory", **_TAGS),
        at_us,
        usage_id,
        "telemetry/token_usage",
        tokens,
        correlation_id=correlation_id,
        tags=scenario,
    )
    cost = draft(
        synthetic("llm-costops", **_TAGS),
        at_us + _COST_DELAY_US,
        identity.uuid("agent", number, "token_cost"),
        "cost/token_cost",
        tokens | money,
        correlation_id=correlation_id,
        parent_event_id=usage_id,
        tags=scenario,
    )
    return [usage, cost], parts


def _budget_alerts(scene: Scene, spent: list[_Spent]) -> list[Unit]:
    """Alerts of a daily budget; its days are counted back from the scene's end, so that every one is whole."""
    days: dict[int, list[_Spent]] = {}
    for item in spent:
        days.setdefault((item.at_us - scene.start_us - 1) // DAY_US, []).append(item)
    totals = [sum(item.parts for item in day) for day in days.values()]
    limit_usd = round(usd(int(np.median(totals))) * _BUDGET_OF_MEDIAN_DAY, 2) if totals else Decimal(1)
    limit = int(limit_usd * PARTS_PER_USD)
    units = []
    for day, items in sorted(days.items()):
        so_far, waiting = 0, list(_ALERTS)
        for item in items:
            so_far += item.parts
            while waiting and so_far * 100 >= waiting[0][0] * limit:
                units.append(_alert(scene, day, item, so_far, limit_usd, *waiting.pop(0)))
    return units


def _alert(
    scene: Scene, day: int, cause: _Spent, so_far: int, limit_usd: Decimal, percent: int, alert_type: str, severity: str
) -> Unit:
    data: dict[str, object] = {
        "budget_id": "research-daily",
        "budget_name": "Research agents, per day",
        "budget_limit_usd": limit_usd,
        "current_spend_usd": round(usd(so_far), 6),
        "threshold_percent": float(percent),
        "alert_type": alert_type,
    }
    alert = draft(
        synthetic("llm-costops", **_TAGS),
        cause.at_us,
        scene.identity.uuid("agent", f"budget {day}", alert_type),
        "cost/budget_alert",
        data,
        event_type="alert",
        severity=severity,
        correlation_id=scene.identity.uuid("agent", f"budget {day}", "alerts"),
        parent_event_id=cause.event_id,
        tags={"scenario": "cost-spike"} if cause.is_spike else None,
    )
    return Unit("budget", [alert], is_kept=True)


def _api_costs(scene: Scene) -> list[Unit]:
    """Hourly web-search fees of both tenants."""
    units = []
    for tenant, per_hour in (("acme", 40.0), ("globex", 90.0)):
        rng = scene.rng(f"api {tenant}")
        source = synthetic(
            "llm-costops", tenant=tenant, region="us-east", service="web-search", team="research", version="1.0.0"
        )
        for at_us in range(scene.start_us + HOUR_US, scene.end_us + 1, HOUR_US):
            count = int(rng.poisson(per_hour * scene.hourly_multiplier(at_us - 1)))
            data: dict[str, object] = {
                "provider": "anthropic",
                "api_endpoint": "/v1/messages#web_search",
                "request_count": count,
                "cost_per_request": _SEARCH_USD,
                "total_cost_usd": _SEARCH_USD * count,
                "billing_period": instant(at_us).strftime("%Y-%m"),
            }
            event_id = scene.identity.uuid("api", f"{tenant}@{at_us - scene.start_us}", "api_cost")
            event = draft(source, at_us, event_id, "cost/api_cost", data)
            units.append(Unit(f"api {tenant}", [event]))
    return units


def _resources(scene: Scene) -> list[Unit]:
    """Hourly GPU hours, and storage that grows, of both tenants."""
    units = []
    for tenant, gpus in (("acme", 4), ("globex", 8)):
        rng = scene.rng(f"resources {tenant}")
        source = synthetic(
            "llm-costops", tenant=tenant, region="us-east", service="inference", team="platform", version="1.4.0"
        )
        for hour, at_us in enumerate(range(scene.start_us + HOUR_US, scene.end_us + 1, HOUR_US)):
            busy = min(1.0, 0.55 * scene.hourly_multiplier(at_us - 1) * float(rng.normal(1.0, 0.05)))
            stored_gb = 2_000 + 3 * hour
            rows = (
                ("gpu", f"{tenant}-gpu-pool", gpus, "gpu_hour", gpus * _GPU_HOUR_USD, 100.0 * busy),
                (
                    "storage",
                    f"{tenant}-vectors",
                    stored_gb,
                    "gb_hour",
                    stored_gb * _STORED_GB_HOUR_USD,
                    stored_gb / 50.0,
                ),
            )
            for resource, resource_id, quantity, unit, cost_usd, percent in rows:
                data: dict[str, object] = {
                    "resource_type": resource,
                    "resource_id": resource_id,
                    "quantity": float(quantity),
                    "unit": unit,
                    "cost_usd": cost_usd,
                    "utilization_percent": round(percent, 3),
                }
                event_id = scene.identity.uuid("resources", f"{resource_id}@{at_us - scene.start_us}", "consumption")
                event = draft(source, at_us, event_id, "cost/resource_consumption", data)
                units.append(Unit(resource_id, [event]))
    return units
