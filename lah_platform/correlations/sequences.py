"""pattern_match: kinds of events of different modules that follow one another in order, more often than chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import exp, lgamma, log

import numpy as np
import polars as pl

from lah_platform.correlations.config import CorrelationConfig
from lah_platform.correlations.evidence import EventRow, events_by_tenant
from lah_platform.correlations.hourly import Bools, Floats
from lah_platform.correlations.model import Correlation, Found, Member, correlation_id, strongest
from lah_platform.correlations.significance import false_discovery_rates

_MOST_SHOWN = 10  # occurrences listed as members, the latest
Kind = tuple[str, str]


def pattern_matches(events: pl.DataFrame, covered: float, config: CorrelationConfig) -> Found:
    """Ordered sequences of two or three kinds (module and subtype) of events, each within `sequence_window` of the one
    before and of another module.

    Occurrences of the first kind closer than the window count as one. Whether the second follows is set against
    whether it precedes within the same window (McNemar's test on those with one and not the other): a rhythm that
    both share favours neither. Over the tenant's ordered pairs Benjamini and Yekutieli's false-discovery rate is at
    most `false_positive_rate`. Two pairs that share their middle are a sequence of three when more than half of the
    first's occurrences go on (a serial episode; Mannila, Toivonen and Verkamo, Data Min. Knowl. Discov. 1, 1997).
    Strength: share of the first kind's occurrences that were followed. Confidence: 1 minus the rate at which it would
    just be reported. Evidence: occurrences, and lift, their number over that expected of independent kinds.
    """
    correlations: list[Correlation] = []
    left_out = 0
    for tenant, rows in events_by_tenant(events):
        kinds, cut = _kinds(rows, config)
        found = list(_sequences(tenant, kinds, covered, config))
        kept, more = strongest(found, config.max_found)
        correlations.extend(kept)
        left_out += cut + more
    return Found(correlations, left_out=left_out)


@dataclass(frozen=True, slots=True)
class _Pair:
    """One kind after another. `starts` are the places, among the first kind's events, that the second follows."""

    first: Kind
    second: Kind
    starts: list[int]
    tried: int
    p_value: float


def _kinds(rows: Sequence[EventRow], config: CorrelationConfig) -> tuple[dict[Kind, list[EventRow]], int]:
    by_kind: dict[Kind, list[EventRow]] = defaultdict(list)
    for row in rows:
        by_kind[row.module, row.subtype].append(row)
    frequent = [k for k, each in by_kind.items() if len(each) >= config.min_occurrences]
    frequent.sort(key=lambda k: (-len(by_kind[k]), k))
    kept = frequent[: config.max_kinds]
    return {kind: by_kind[kind] for kind in kept}, len(frequent) - len(kept)


def _sequences(
    tenant: str, kinds: dict[Kind, list[EventRow]], covered: float, config: CorrelationConfig
) -> Iterator[Correlation]:
    window = config.sequence_window.total_seconds()
    times = {kind: np.array([row.ts.timestamp() for row in rows]) for kind, rows in kinds.items()}
    pairs = [
        _pair(first, second, times[first], times[second], window)
        for first in kinds
        for second in kinds
        if first[0] != second[0]
    ]
    rates = false_discovery_rates(np.array([pair.p_value for pair in pairs]), len(pairs))
    found = [
        (pair, float(rate))
        for pair, rate in zip(pairs, rates, strict=True)
        if rate <= config.false_positive_rate and len(pair.starts) >= config.min_occurrences
    ]
    longer = {
        (pair.first, pair.second): _longest(pair, [other for other, _ in found], times, window) for pair, _ in found
    }
    for pair, rate in found:
        path, starts = longer[pair.first, pair.second] or ((pair.first, pair.second), pair.starts)
        if len(path) == 2 and _is_part(pair, longer.values()):
            continue
        expected = pair.tried * np.prod([1.0 - exp(-len(times[kind]) * window / covered) for kind in path[1:]])
        yield _correlation(tenant, path, starts, kinds, times, window, pair.tried, float(expected), rate)


def _pair(first: Kind, second: Kind, one: Floats, other: Floats, window: float) -> _Pair:
    places = _spaced(one, window)
    at = one[places]
    after = np.append(other, np.inf)[np.searchsorted(other, at, side="right")] - at
    before = at - np.insert(other, 0, -np.inf)[np.searchsorted(other, at, side="left")]
    follows, precedes = after <= window, before <= window
    forth, back = int((follows & ~precedes).sum()), int((precedes & ~follows).sum())
    return _Pair(first, second, places[follows].tolist(), len(places), _at_least(forth, forth + back))


def _spaced(times: Floats, window: float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Places of the events that begin a burst: none of their kind within the window before the last one kept."""
    kept, last = [], -np.inf
    for place, time in enumerate(times):
        if time - last > window:
            kept.append(place)
            last = time
    return np.array(kept, dtype=np.int64)


def _at_least(successes: int, trials: int) -> float:
    """P(X >= successes) for a fair coin."""
    if successes == 0:
        return 1.0
    terms = [lgamma(trials + 1) - lgamma(k + 1) - lgamma(trials - k + 1) for k in range(successes, trials + 1)]
    return min(sum(exp(term - trials * log(2.0)) for term in terms), 1.0)


def _goes_on(starts: Sequence[int], path: Sequence[Kind], times: dict[Kind, Floats], window: float) -> list[int]:
    """Those of the first kind's places from which the path's kinds follow one another."""
    at = times[path[0]][list(starts)]
    alive: Bools = np.ones(len(at), dtype=np.bool_)
    for kind in path[1:]:
        following = np.append(times[kind], np.inf)[np.searchsorted(times[kind], at, side="right")]
        alive &= following - at <= window
        at = np.where(alive, following, at)
    return [start for start, is_alive in zip(starts, alive, strict=True) if is_alive]


_Sequence = tuple[tuple[Kind, ...], list[int]]


def _longest(pair: _Pair, others: Sequence[_Pair], times: dict[Kind, Floats], window: float) -> _Sequence | None:
    best: _Sequence | None = None
    for other in others:
        if other.first == pair.second and other.second not in (pair.first, pair.second):
            path = (pair.first, pair.second, other.second)
            starts = _goes_on(pair.starts, path, times, window)
            if 2 * len(starts) > max(len(pair.starts), 2 * len(best[1]) if best else 0):
                best = (path, starts)
    return best


def _is_part(pair: _Pair, longer: Iterable[_Sequence | None]) -> bool:
    """Whether the pair is the end of a longer sequence, or its two ends, and hardly ever comes alone."""
    return any(
        (pair.first, pair.second) in (each[0][1:], each[0][::2]) and 2 * len(each[1]) > len(pair.starts)
        for each in longer
        if each
    )


def _correlation(
    tenant: str,
    path: tuple[Kind, ...],
    starts: Sequence[int],
    kinds: dict[Kind, list[EventRow]],
    times: dict[Kind, Floats],
    window: float,
    tried: int,
    expected: float,
    rate: float,
) -> Correlation:
    occurrences = [_occurrence(start, path, kinds, times) for start in starts]
    shown = [
        row.member("contributor" if i == 0 else "effect")
        for each in occurrences[-_MOST_SHOWN:]
        for i, row in enumerate(each)
    ]
    names = [f"{module}/{subtype}" for module, subtype in path]
    at: datetime = occurrences[0][0].ts
    anchors = [Member("related", "event", f"{position} {name}", "", at) for position, name in enumerate(names)]
    delays = [(each[-1].ts - each[0].ts).total_seconds() for each in occurrences]
    lift = len(starts) / max(expected, 1e-9)
    return Correlation(
        correlation_id=correlation_id("pattern_match", tenant, anchors),
        tenant=tenant,
        correlation_type="pattern_match",
        started_at=at,
        ended_at=occurrences[-1][-1].ts,
        strength=len(starts) / tried,
        confidence=1.0 - rate,
        explanation=(
            f"{', then '.join(names)}: {len(starts)} of {tried} times within {window:.0f} s a step, "
            f"{lift:.1f} times as often as by chance."
        ),
        members=tuple(shown),
        evidence={
            "sequence": " > ".join(names),
            "occurrences": len(starts),
            "occasions": tried,
            "lift": lift,
            "median_delay_seconds": float(np.median(delays)),
            "false_discovery_rate": rate,
        },
    )


def _occurrence(
    start: int, path: Sequence[Kind], kinds: dict[Kind, list[EventRow]], times: dict[Kind, Floats]
) -> list[EventRow]:
    rows = [kinds[path[0]][start]]
    for kind in path[1:]:
        rows.append(kinds[kind][int(np.searchsorted(times[kind], rows[-1].ts.timestamp(), side="right"))])
    return rows
