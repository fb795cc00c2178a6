"""What to look at next, in sentences a person on call can follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lah_platform.incidents.model import Group

_LOOK_AT_VOLUME = "who sends more: tokens were more"
_LOOK_AT_RATE = "cache hits, model and retries: tokens became dearer"
_LOOK = {
    "volume": _LOOK_AT_VOLUME,
    "retry": "what failed and was tried again",
    "latency": "what became slow: more was sent after it did",
    "model": "who chose the model: requests moved to it from another",
    "prompt": "what prompts are made of: they became longer",
    "answer": "limits of answers' length: they became longer",
    "cache": "what prompts begin with: fewer of their tokens came from the cache",
    "price": "the provider's prices and tiers: the same tokens cost more",
}
_WORTH_A_LOOK = 0.2  # of a second candidate: one chance in five


def next_steps(where: Mapping[str, Any], costs: Mapping[str, Any], group: Group) -> list[str]:
    """The likeliest component first, then the next if it is likely enough, the cost, and the events behind it."""
    steps = [_candidate(each, place) for place, each in enumerate(where["candidates"][:3]) if _is_likely(each, place)]
    if not where["candidates"]:
        steps.append(f"{where['why_none']} Look at its earliest member first.")
    elif not where["is_significant"]:
        steps.append(
            f"{where['hurt']} is hardly out of its usual range in the shorter windows: the order is a suspicion."
        )
    usd = costs["cost_usd"]
    if usd is not None and usd > 0:
        look = _LOOK.get(
            str(costs["main_cause"]), _LOOK_AT_RATE if (costs.get("rate_usd") or 0) > usd / 2 else _LOOK_AT_VOLUME
        )
        steps.append(f"It cost {usd:.2f} USD beyond the usual. Look at {look}.")
    kinds = {c.correlation_type for c in group.correlations}
    if "security_incident" in kinds:
        steps.append("Security events are part of it: read them in order before anything is restarted.")
    if "compliance_cascade" in kinds:
        steps.append("A violation is part of it: check the resources it touched.")
    events = [m.member_id for c in group.correlations for m in c.members if m.member_type == "event"]
    if events:
        steps.append(f"Read its first event: GET /api/v1/events/{events[0]}")
    return steps


def _is_likely(candidate: Mapping[str, Any], place: int) -> bool:
    return place == 0 or bool(candidate["confidence"] >= _WORTH_A_LOOK)


def _candidate(each: Mapping[str, Any], place: int) -> str:
    begin = "Look at" if place == 0 else "If that is well, look at"
    since = f" since {each['onset'][:16].replace('T', ' ')} UTC" if each["onset"] else ""
    way = f", by way of {' > '.join(each['path'])}" if len(each["path"]) > 2 else ""
    return (
        f"{begin} {each['node']} ({each['confidence']:.0%}): {each['excess_per_step']:.3g} {each['unit']} a step "
        f"beyond the usual{since}{way}."
    )
