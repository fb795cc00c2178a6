"""What made a model's cost differ from the usual, in parts that add up to the difference to the last digit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, localcontext

PARTS = (
    "volume_usd",
    "retry_usd",
    "latency_usd",
    "model_usd",
    "prompt_usd",
    "answer_usd",
    "cache_usd",
    "price_usd",
)
_MICRO = Decimal("0.000001")
_NONE = Decimal(0)
_DIGITS = 60  # of intermediate results: dollars of 28 digits times tokens


@dataclass(frozen=True, slots=True)
class Usage:
    """What was asked of a model and paid for it, in one span or as a mean over several: requests, disjoint tokens,
    USD, and requests that failed."""

    requests: Decimal = _NONE
    fresh: Decimal = _NONE
    cache_read: Decimal = _NONE
    cache_write: Decimal = _NONE
    output: Decimal = _NONE
    usd: Decimal = _NONE
    failed: Decimal = _NONE

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Usage)))

    @property
    def prompt(self) -> Decimal:
        return self.fresh + self.cache_read + self.cache_write


@dataclass(frozen=True, slots=True)
class Prices:
    """USD a token, in any unit: only their ratios count. All alike where the book has none."""

    fresh: Decimal = Decimal(1)
    cache_read: Decimal = Decimal(1)
    cache_write: Decimal = Decimal(1)
    output: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class CostParts:
    """`usd` is the sum of `parts`, all in whole micro-USD. elsewhere_usd: what the requests that were moved here (or
    away) had cost (or now cost) at other models of the same services, with the opposite sign; no part of `usd`."""

    usd: Decimal
    parts: Mapping[str, Decimal]
    elsewhere_usd: Decimal

    @property
    def main(self) -> str:
        """The largest part in the direction of the whole, without its unit."""
        sign = 1 if self.usd >= 0 else -1
        return max(PARTS, key=lambda name: sign * self.parts[name]).removesuffix("_usd")

    @property
    def main_share(self) -> float:
        """Of all parts' amounts, the main one's, 0..1."""
        total = sum(abs(each) for each in self.parts.values())
        return float(abs(self.parts[f"{self.main}_usd"]) / total) if total else 0.0


def cost_parts(
    model: str,
    now: Mapping[tuple[str, str], Usage],
    usual: Mapping[tuple[str, str], Usage],
    prices: Prices,
    *,
    is_latency_first: bool = False,
) -> CostParts:
    """The parts of what `model` cost more (or less) than usual. `now` and `usual` are by service and model.

    With R requests at u = cost / R each, of n prompt tokens at the mean price p, and o tokens of answers, 0 the usual:

        volume  (R - R0 - M) u0             requests that came or stayed away
        model   M u0                        requests moved from (or to) other models of the same service, M being its
                                            share of what some gained and others lost, the smaller of both
        prompt  R k (n - n0) p0             longer prompts
        cache   R k n (p - p0)              another share of them from the cache
        answer  R k (o - o0) price          longer answers
        price   the rest                    the same tokens at another price

    where k scales the book's prices to what was paid (u0). Each effect is taken at the level that those before it have
    reached, as in price, volume and mix analysis, so nothing is left over. Of the volume, as many requests as failed
    beyond the usual are `retry_usd`: taken for tried again. What else came is `latency_usd` where answers were slow
    before there were more requests, again taken for impatience. A model never used before has its own u for u0.
    """
    with localcontext() as context:
        context.prec = _DIGITS
        sums = dict.fromkeys(PARTS, _NONE)
        total = elsewhere = came = _NONE
        for service in sorted({s for s, m in (*now, *usual) if m == model}):
            one, other = now.get((service, model), Usage()), usual.get((service, model), Usage())
            moved, freed = _moved(service, model, now, usual)
            base = other if other.requests else one
            unit = base.usd / base.requests if base.requests else _NONE
            more = one.requests - other.requests - moved
            came += more
            total += one.usd - other.usd
            elsewhere += freed
            sums["volume_usd"] += more * unit
            sums["model_usd"] += moved * unit
            for name, value in _per_request(one, base, unit, prices).items():
                sums[name] += value
        failed = _failed(model, now) - _failed(model, usual)
        if came > 0:
            sums["retry_usd"] = sums["volume_usd"] * min(max(failed, _NONE), came) / came
            sums["volume_usd"] -= sums["retry_usd"]
            if is_latency_first:
                sums["latency_usd"], sums["volume_usd"] = sums["volume_usd"], _NONE
        rounded = {name: value.quantize(_MICRO) for name, value in sums.items()}
        usd = total.quantize(_MICRO)
        rounded["price_usd"] = usd - sum((rounded[name] for name in PARTS if name != "price_usd"), _NONE)
        return CostParts(usd, rounded, elsewhere.quantize(_MICRO))


def _moved(
    service: str,
    model: str,
    now: Mapping[tuple[str, str], Usage],
    usual: Mapping[tuple[str, str], Usage],
) -> tuple[Decimal, Decimal]:
    """Requests moved here from the service's other models (negative: away), and what they cost there, turned round."""
    change = {
        m: now.get((service, m), Usage()).requests - usual.get((service, m), Usage()).requests
        for s, m in (*now, *usual)
        if s == service
    }
    own = change[model]
    sign = 1 if own > 0 else -1
    alike = sum((abs(c) for c in change.values() if c * sign > 0), _NONE)
    opposite = {m: abs(c) for m, c in change.items() if c * sign < 0}
    against = sum(opposite.values(), _NONE)
    if not own or not against:
        return _NONE, _NONE
    amount = abs(own) * min(Decimal(1), against / alike)
    cost = _NONE
    for m, size in opposite.items():
        usage = usual.get((service, m), Usage())
        usage = usage if usage.requests else now[service, m]
        cost += amount * size / against * usage.usd / usage.requests
    return sign * amount, -sign * cost


def _per_request(one: Usage, base: Usage, unit: Decimal, prices: Prices) -> dict[str, Decimal]:
    if not one.requests or one is base:
        return {}
    level = _prompt_price(base, prices)
    prompt, answer = base.prompt / base.requests, base.output / base.requests
    book = prompt * level + answer * prices.output
    if not book:
        return {}
    scale = unit / book
    return {
        "prompt_usd": scale * (one.prompt - one.requests * prompt) * level,
        "cache_usd": scale * one.prompt * (_prompt_price(one, prices) - level),
        "answer_usd": scale * (one.output - one.requests * answer) * prices.output,
    }


def _prompt_price(usage: Usage, prices: Prices) -> Decimal:
    """Mean price of a prompt's token; of fresh ones where there is no prompt."""
    if not usage.prompt:
        return prices.fresh
    paid = usage.fresh * prices.fresh + usage.cache_read * prices.cache_read + usage.cache_write * prices.cache_write
    return paid / usage.prompt


def _failed(model: str, usage: Mapping[tuple[str, str], Usage]) -> Decimal:
    return sum((each.failed for (_, m), each in usage.items() if m == model), _NONE)
