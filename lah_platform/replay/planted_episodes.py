"""Traffic with one episode of every anomaly type in it, planted at the times of `planted`: seeded, not measured.

Four services report every quarter of an hour (failures, speed, machines, fees) and one sends documents in batches of
four, eight times an hour. Within an episode they are what `planted.EPISODES` says, by factors that an engineer would
call obvious.
"""

from collections.abc import Callable
from decimal import Decimal

import numpy as np

from lah_platform.replay.planted import EPISODES, PLANTED_TAG, span_of
from lah_platform.replay.scene import HOUR_US, MINUTE_US, SECOND_US, Scene, synthetic
from lah_platform.replay.wire import Draft, draft, instant

__all__ = ["episode_events"]

_EVERY_US = 15 * MINUTE_US
_REPORTED_US = _EVERY_US - SECOND_US  # a report comes in the last second of what it is about
_GPU_HOUR_USD = Decimal("2.50")
_FEE_USD = Decimal("0.01")
_DAY_FROM, _DAY_TO = 8, 20  # busy hours, UTC

_BATCH_HOURS = 92
_BATCHES_PER_HOUR, _BATCH = 8, 4
_BURST_FACTOR = 3
_FAST_MS, _SLOW_FACTOR, _SPREAD = 900.0, 7.0, 0.08
_SLOW_OF_EIGHT, _SLOW_OF_EIGHT_SHIFTED = (0,), (0, 3, 6)

_Report = Callable[[np.random.Generator, int, bool], dict[str, object]]


def episode_events(scene: Scene, *, is_planted: bool = True) -> list[Draft]:
    """The events of all five services; without `is_planted` the same traffic with nothing in it."""
    reports: dict[str, tuple[str, str, int, _Report]] = {
        "spike": ("llm-observatory", "telemetry/error_rate", 144, _failures),
        "drop": ("llm-observatory", "telemetry/throughput", 168, _speed),
        "level_shift": ("llm-costops", "cost/resource_consumption", 192, _machines),
        "pattern_deviation": ("llm-costops", "cost/api_cost", 144, _fees),
    }
    events = [
        event
        for name, (module, kind, hours, report) in reports.items()
        for event in _reports(scene, name, module, kind, hours, report, is_planted=is_planted)
    ]
    return events + _batches(scene, is_planted=is_planted)


def _reports(
    scene: Scene, name: str, module: str, kind: str, hours: int, report: _Report, *, is_planted: bool
) -> list[Draft]:
    rng, span = scene.rng(f"planted {name}"), span_of(scene, name)
    source = synthetic(module, region="us-east", team="platform", version="1.0.0", **_subject(name))
    last_us = scene.end_us // HOUR_US * HOUR_US
    events = []
    for slot_us in range(last_us - hours * HOUR_US, last_us, _EVERY_US):
        is_odd = is_planted and span.holds(slot_us)
        data = report(rng, slot_us, is_odd)
        event_id = scene.identity.uuid("planted", f"{name}@{slot_us - scene.start_us}", kind)
        tags = {PLANTED_TAG: name} if is_odd else None
        events.append(draft(source, slot_us + _REPORTED_US, event_id, kind, data, tags=tags))
    return events


def _subject(name: str) -> dict[str, str]:
    kind = next(kind for kind in EPISODES if kind.name == name)
    return {"tenant": kind.tenant, "service": kind.service}


def _failures(rng: np.random.Generator, _: int, is_odd: bool) -> dict[str, object]:
    total = int(rng.poisson(1_500))
    failed = int(rng.binomial(total, 0.03 if is_odd else 0.004))
    return {
        "model_id": "speech-recogniser",
        "total_requests": total,
        "failed_requests": failed,
        "error_rate_percent": round(100.0 * failed / total, 6),
        "error_breakdown": {"http_503": failed} if failed else {},
        "window_duration_seconds": _EVERY_US // SECOND_US,
    }


def _speed(rng: np.random.Generator, _: int, is_odd: bool) -> dict[str, object]:
    requests_per_second = float(rng.normal(4.0, 0.15))
    tokens_per_request = float(rng.normal(220.0, 8.0)) * (0.2 if is_odd else 1.0)
    return {
        "model_id": "text-translator",
        "requests_per_second": round(requests_per_second, 3),
        "tokens_per_second": round(requests_per_second * tokens_per_request, 3),
        "concurrent_requests": round(requests_per_second * 2),
        "window_duration_seconds": _EVERY_US // SECOND_US,
    }


def _machines(rng: np.random.Generator, _: int, is_odd: bool) -> dict[str, object]:
    gpu_hours = round(float(rng.normal(7.0 if is_odd else 4.0, 0.2)) * _EVERY_US / HOUR_US, 3)
    return {
        "resource_type": "gpu",
        "resource_id": "batch-gpu-pool",
        "quantity": gpu_hours,
        "unit": "gpu_hour",
        "cost_usd": Decimal(str(gpu_hours)) * _GPU_HOUR_USD,
        "utilization_percent": round(float(rng.normal(80.0, 2.0)), 3),
    }


def _fees(rng: np.random.Generator, slot_us: int, is_odd: bool) -> dict[str, object]:
    is_busy = _DAY_FROM <= slot_us // HOUR_US % 24 < _DAY_TO
    requests = round(float(rng.normal(1.0, 0.08)) * (225 if is_busy or is_odd else 38))
    return {
        "provider": "anthropic",
        "api_endpoint": "/v1/messages#web_search",
        "request_count": requests,
        "cost_per_request": _FEE_USD,
        "total_cost_usd": _FEE_USD * requests,
        "billing_period": instant(slot_us).strftime("%Y-%m"),
    }


def _batches(scene: Scene, *, is_planted: bool) -> list[Draft]:
    """Latency of documents; in batches, so that few minutes of an hour have any and the hour is what is judged."""
    rng = scene.rng("planted batches")
    source = synthetic(
        "llm-observatory", region="eu-west", team="finance", version="1.0.0", **_subject("distribution_shift")
    )
    silence, burst, shift = (span_of(scene, name) for name in ("silence", "burst", "distribution_shift"))
    last_us = scene.end_us // HOUR_US * HOUR_US
    spacing_us = HOUR_US // _BATCHES_PER_HOUR
    events: list[Draft] = []
    for slot_us in range(last_us - _BATCH_HOURS * HOUR_US, last_us, spacing_us):
        if is_planted and silence.holds(slot_us):
            continue
        is_burst, is_shifted = (is_planted and span.holds(slot_us) for span in (burst, shift))
        slow = _SLOW_OF_EIGHT_SHIFTED if is_shifted else _SLOW_OF_EIGHT
        start_us = slot_us + int(rng.integers(MINUTE_US, spacing_us - MINUTE_US)) // MINUTE_US * MINUTE_US
        for number in range(_BATCH * (_BURST_FACTOR if is_burst else 1)):
            turn = (slot_us // spacing_us * _BATCH + number) % 8
            latency_ms = float(rng.lognormal(np.log(_FAST_MS * (_SLOW_FACTOR if turn in slow else 1.0)), _SPREAD))
            name = "burst" if is_burst and number >= _BATCH else "distribution_shift" if is_shifted else None
            event_id = scene.identity.uuid("planted", f"batch@{slot_us - scene.start_us}.{number}", "latency")
            data: dict[str, object] = {
                "model_id": "document-reader",
                "request_id": f"invoice-{event_id[:8]}",
                "total_latency_ms": round(latency_ms, 3),
            }
            tags = {PLANTED_TAG: name} if name else None
            events.append(draft(source, start_us + number * SECOND_US, event_id, "telemetry/latency", data, tags=tags))
    return events
