"""Two services' latency and errors over ten days, one of them degraded by a deployment: seeded, not measured.

Every ten minutes a service reports two requests' latency (drawn from what llmperf measured at one provider) and
its error rate. Scenario "latency-degradation": a deployment 26 hours before the end makes latency four times as
long and one request in eight fail, until it is rolled back 90 minutes later.
"""

from typing import NamedTuple

import numpy as np

from lah_platform.replay.latency_model import LatencyModel
from lah_platform.replay.models import MODELS
from lah_platform.replay.scene import MINUTE_US, SECOND_US, Scene, synthetic
from lah_platform.replay.thinning import Unit
from lah_platform.replay.wire import Draft, draft

__all__ = ["service_units"]

_EVERY_US = 10 * MINUTE_US
_REQUESTS_PER_SLOT = 2
_OUTPUT_TOKENS = 150
_PROVIDER = "fireworks/70b"  # the steadiest large model of the benchmark: a degradation stands out of it
_FAILING_SHARE = 0.004
_SCENARIO = "latency-degradation"
_GOOD_VERSION, _BAD_VERSION = "2.3.1", "2.4.0"
_DEGRADED_FROM_HOURS, _DEGRADED_TO_HOURS = 26.0, 24.5
_DEGRADED_LATENCY_FACTOR = 4.0
_DEGRADED_FAILING_SHARE = 0.125


class _Service(NamedTuple):
    name: str
    tenant: str
    region: str
    team: str
    requests_per_slot: int
    is_degraded: bool


_SERVICES = (
    _Service("chat-api", "acme", "us-east", "platform", 900, True),
    _Service("document-search", "globex", "eu-west", "platform", 400, False),
)


def service_units(scene: Scene) -> list[Unit]:
    """latency and error_rate of both services, and the deployment and rollback around the degradation."""
    return [unit for service in _SERVICES for unit in _Reporter(scene, service).units()]


class _Reporter:
    """Reports one service. `cause` is the deployment's event id while its effects last, else None."""

    def __init__(self, scene: Scene, service: _Service) -> None:
        self._scene = scene
        self._service = service
        self._rng = scene.rng(service.name)
        figures = scene.profile.benchmark[_PROVIDER]
        self._model = LatencyModel(figures.ttft_s, figures.inter_token_s)
        self._source = synthetic(
            "llm-observatory",
            tenant=service.tenant,
            region=service.region,
            service=service.name,
            team=service.team,
            version=_GOOD_VERSION,
        )
        self._correlation_id = self._new_id("", "degradation")

    def units(self) -> list[Unit]:
        service, scene = self._service, self._scene
        start_us = scene.hours_before_end_us(_DEGRADED_FROM_HOURS)
        stop_us = scene.hours_before_end_us(_DEGRADED_TO_HOURS)
        deployment_id = self._new_id("", "deployment")
        units = []
        if service.is_degraded:
            rollback_id = self._new_id("", "rollback")
            rollouts = [
                self._rollout(start_us, deployment_id, None, _BAD_VERSION),
                self._rollout(stop_us, rollback_id, deployment_id, _GOOD_VERSION),
            ]
            units.append(Unit("deployments", rollouts, is_kept=True))
        for slot_us in range(scene.start_us + _EVERY_US, scene.end_us + 1, _EVERY_US):
            is_degraded = service.is_degraded and start_us < slot_us <= stop_us
            cause = deployment_id if is_degraded else None
            events = [*self._latencies(slot_us, cause), self._error_rate(slot_us, cause)]
            units.append(Unit(service.name, events, is_kept=is_degraded))
        return units

    def _latencies(self, slot_us: int, cause: str | None) -> list[Draft]:
        ttft_ms, total_ms = self._model.draw_ms(self._rng, np.full(_REQUESTS_PER_SLOT, _OUTPUT_TOKENS))
        factor = _DEGRADED_LATENCY_FACTOR if cause else 1.0
        early_us = self._rng.integers(0, _EVERY_US - MINUTE_US, _REQUESTS_PER_SLOT).tolist()
        return [
            self._latency(slot_us - early, number, ttft * factor, total * factor, cause)
            for number, (early, ttft, total) in enumerate(
                zip(early_us, ttft_ms.tolist(), total_ms.tolist(), strict=True)
            )
        ]

    def _latency(self, at_us: int, number: int, ttft_ms: float, total_ms: float, cause: str | None) -> Draft:
        event_id = self._new_id(f"@{at_us - self._scene.start_us}.{number}", "latency")
        queue_ms, network_ms = round(ttft_ms * 0.2, 3), round(ttft_ms * 0.1, 3)
        data: dict[str, object] = {
            "model_id": MODELS["assistant"],
            "request_id": f"{self._service.name}-{event_id[:8]}",
            "total_latency_ms": round(total_ms, 3),
            "ttft_ms": round(ttft_ms, 3),
            "tokens_per_second": round(_OUTPUT_TOKENS / total_ms * 1_000, 3),
            "breakdown": {
                "queue_time_ms": queue_ms,
                "processing_time_ms": round(total_ms - queue_ms - network_ms, 3),
                "network_time_ms": network_ms,
                "other_ms": 0.0,
            },
        }
        return self._observed(at_us, event_id, "telemetry/latency", data, cause)

    def _error_rate(self, at_us: int, cause: str | None) -> Draft:
        expected = self._service.requests_per_slot * self._scene.hourly_multiplier(at_us - 1)
        total = int(self._rng.poisson(expected))
        failed = int(self._rng.binomial(total, _DEGRADED_FAILING_SHARE if cause else _FAILING_SHARE))
        timeouts = failed * 3 // 4
        data: dict[str, object] = {
            "model_id": MODELS["assistant"],
            "total_requests": total,
            "failed_requests": failed,
            "error_rate_percent": round(100.0 * failed / total, 6) if total else 0.0,
            "error_breakdown": {"timeout": timeouts, "http_503": failed - timeouts} if failed else {},
            "window_duration_seconds": _EVERY_US // SECOND_US,
        }
        event_id = self._new_id(f"@{at_us - self._scene.start_us}", "error_rate")
        return self._observed(at_us, event_id, "telemetry/error_rate", data, cause)

    def _observed(self, at_us: int, event_id: str, kind: str, data: dict[str, object], cause: str | None) -> Draft:
        return draft(
            self._source,
            at_us,
            event_id,
            kind,
            data,
            severity="error" if cause else "info",
            correlation_id=self._correlation_id if cause else None,
            parent_event_id=cause,
            tags={"scenario": _SCENARIO, "version": _BAD_VERSION} if cause else None,
        )

    def _rollout(self, at_us: int, event_id: str, parent: str | None, version: str) -> Draft:
        rollout = {"service": self._service.name, "version": version, "is_rollback": parent is not None}
        return draft(
            self._source._replace(module="llm-registry"),
            at_us,
            event_id,
            "custom/deployment",
            {"data": rollout},
            event_type="lifecycle",
            correlation_id=self._correlation_id,
            parent_event_id=parent,
            tags={"scenario": _SCENARIO, "version": version},
        )

    def _new_id(self, row: str, role: str) -> str:
        return self._scene.identity.uuid("synthetic", f"{self._service.name}{row}", role)
