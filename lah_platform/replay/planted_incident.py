"""A system of three services with one incident in it, planted at the time of `planted`: seeded, not measured.

Every five minutes somebody asks the help assistant, which asks the retriever, which asks the embedder, each with a
model of its own; each call names the one before as its parent, and all of a question share a correlation id. In the
incident the embedder's model takes ten times as long, so do the services as far as they wait for it, and the assistant
asks its own model again twice.
"""

import numpy as np

from lah_platform.replay.models import price_history, usd
from lah_platform.replay.planted import EMBEDDING_MODEL, INCIDENT, PLANTED_TAG, incident_in, span_of
from lah_platform.replay.scene import HOUR_US, MINUTE_US, SECOND_US, Scene, synthetic
from lah_platform.replay.wire import Draft, Source, draft

__all__ = ["incident_events"]

_HOURS = 56
_EVERY_US = 5 * MINUTE_US
_MODELS = {"help-assistant": "o3", "retriever": "text-reranker", "embedder": EMBEDDING_MODEL}
_ANSWERING = "help-assistant"
_OWN_MS = {"help-assistant": 1_400.0, "retriever": 150.0, "embedder": 200.0}  # without what each waits for
_FACTOR = 10.0  # of the embedder's model, in the incident
_SPREAD = 0.05
_ATTEMPTS = 3  # in the incident
_CALL_US = 1_000
_USAGE_US = 2 * SECOND_US
_COST_US = 1_000


def incident_events(scene: Scene, *, is_planted: bool = True) -> list[Draft]:
    """Latency of the three services, token_usage and token_cost of the assistant; without `is_planted` nothing befalls
    them."""
    rng, span = scene.rng("planted incident"), span_of(scene, INCIDENT)
    last_us = scene.end_us // HOUR_US * HOUR_US
    sources = {
        service: synthetic(
            "llm-observatory",
            tenant=incident_in(scene).tenant,
            region="us-east",
            service=service,
            team="support",
            version="2.0.0",
        )
        for service in _OWN_MS
    }
    events: list[Draft] = []
    for slot_us in range(last_us - _HOURS * HOUR_US, last_us, _EVERY_US):
        at_us = slot_us + int(rng.integers(MINUTE_US, _EVERY_US - MINUTE_US))
        events += _question(scene, sources, rng, at_us, slot_us, is_hit=is_planted and span.holds(slot_us))
    return events


def _question(
    scene: Scene, sources: dict[str, Source], rng: np.random.Generator, at_us: int, slot_us: int, *, is_hit: bool
) -> list[Draft]:
    name = f"question@{slot_us - scene.start_us}"
    correlation_id = scene.identity.uuid("planted", name, "question")
    tags = {PLANTED_TAG: INCIDENT} if is_hit else None
    own_ms = {service: usual * float(rng.lognormal(0.0, _SPREAD)) for service, usual in _OWN_MS.items()}
    own_ms["embedder"] *= _FACTOR if is_hit else 1.0
    events: list[Draft] = []
    parent: str | None = None
    services = list(_OWN_MS)
    for depth, service in enumerate(services):
        event_id = scene.identity.uuid("planted", name, f"latency of {service}")
        data: dict[str, object] = {
            "model_id": _MODELS[service],
            "request_id": f"help-{correlation_id[:8]}",
            "total_latency_ms": round(sum(own_ms[each] for each in services[depth:]), 3),
        }
        events.append(
            draft(
                sources[service],
                at_us + depth * _CALL_US,
                event_id,
                "telemetry/latency",
                data,
                severity="warning" if is_hit else "info",
                correlation_id=correlation_id,
                parent_event_id=parent,
                tags=tags,
            )
        )
        parent = event_id
    for attempt in range(_ATTEMPTS if is_hit else 1):
        asked_us = at_us + (attempt + 1) * _USAGE_US
        events += _answer(scene, sources[_ANSWERING], rng, asked_us, f"{name}.{attempt}", correlation_id, tags)
    return events


def _answer(
    scene: Scene,
    source: Source,
    rng: np.random.Generator,
    at_us: int,
    name: str,
    correlation_id: str,
    tags: dict[str, str] | None,
) -> list[Draft]:
    """token_usage and token_cost of one call of the model."""
    inputs, outputs = (round(usual * float(rng.lognormal(0.0, _SPREAD))) for usual in (3_000, 300))
    price = price_history(_MODELS[_ANSWERING]).at(at_us + _COST_US)
    usage_id = scene.identity.uuid("planted", name, "token_usage")
    tokens: dict[str, object] = {
        "model_id": _MODELS[_ANSWERING],
        "request_id": f"help-{usage_id[:8]}",
        "prompt_tokens": inputs,
        "completion_tokens": outputs,
        "total_tokens": inputs + outputs,
        "token_derivation": "inclusive",
    }
    kind = "telemetry/token_usage"
    usage = draft(source, at_us, usage_id, kind, tokens, correlation_id=correlation_id, tags=tags)
    if price is None:
        return [usage]
    money = {
        "cost_per_prompt_token": usd(price.input),
        "cost_per_completion_token": usd(price.output),
        "total_cost_usd": usd(price.cost(inputs, outputs)),
        "currency": "USD",
    }
    cost = draft(
        source._replace(module="llm-costops"),
        at_us + _COST_US,
        scene.identity.uuid("planted", name, "token_cost"),
        "cost/token_cost",
        tokens | money,
        correlation_id=correlation_id,
        parent_event_id=usage_id,
        tags=tags,
    )
    return [usage, cost]
