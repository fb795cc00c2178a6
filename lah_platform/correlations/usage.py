"""The hours an episode of cost touches, and the hours they are set against, as sums by service and model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl

from lah_platform.correlations.cost_parts import CostParts, Prices, Usage, cost_parts
from lah_platform.correlations.model import UsageReader

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_LOOK_BACK_DAYS = 14
_WEEKEND = 5
_LONGEST = timedelta(days=1)
"""Longer episodes have no same hours of the day before to be set against."""
_COUNTS = ("requests", "fresh_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
_PRICES = ("fresh_price", "cache_read_price", "cache_write_price", "output_price")
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class PartedCost:
    """parts, and the share of prompt tokens read from a cache, now and usually (None without prompts)."""

    parts: CostParts
    cache_read_share: float | None
    usual_cache_read_share: float | None
    is_priced: bool


def parted_cost(
    read: UsageReader,
    tenant: str,
    model: str,
    episode: Span,
    odd: Iterable[Span],
    *,
    is_latency_first: bool,
) -> PartedCost | None:
    """Parts of what the model cost in the hours `episode` touches, against the mean of the same hours of the days of
    its kind (working days, or weekends, UTC) in the two weeks before that touch none of `odd`.

    None where the episode is longer than a day, or nothing was paid for the model within it or in those days.
    """
    start = episode[0].replace(minute=0, second=0, microsecond=0)
    end = max(episode[1], start + timedelta(seconds=1))
    hours = -(-(end - start) // _HOUR)
    if hours * _HOUR > _LONGEST:
        return None
    spans = _references((start, start + hours * _HOUR), list(odd))
    frame = read(tenant, [(start, start + hours * _HOUR), *spans])
    now, later = _cells(frame, [(start, start + hours * _HOUR)]), _cells(frame, spans)
    seen = sum(not _within(frame, span).is_empty() for span in spans)
    usual = {key: _mean(each, seen) for key, each in later.items()} if seen else {}
    if not any(m == model and each.usd for (_, m), each in now.items()) or not seen:
        return None
    prices = _prices(frame, model)
    parts = cost_parts(model, now, usual, prices or Prices(), is_latency_first=is_latency_first)
    return PartedCost(parts, _read_share(now, model), _read_share(usual, model), prices is not None)


def _references(span: Span, odd: Sequence[Span]) -> list[Span]:
    is_weekend = span[0].weekday() >= _WEEKEND
    result = []
    for days in range(1, _LOOK_BACK_DAYS + 1):
        start, end = (each - days * _DAY for each in span)
        is_odd = any(start < other_end and other_start < end for other_start, other_end in odd)
        if (start.weekday() >= _WEEKEND) == is_weekend and not is_odd:
            result.append((start, end))
    return result


def _within(frame: pl.DataFrame, span: Span) -> pl.DataFrame:
    return frame.filter(pl.col("at") >= span[0], pl.col("at") < span[1])


def _cells(frame: pl.DataFrame, spans: Sequence[Span]) -> dict[tuple[str, str], Usage]:
    result: dict[tuple[str, str], Usage] = {}
    for span in spans:
        for row in _within(frame, span).iter_rows(named=True):
            key = (row["service"], row["model"])
            counts = [Decimal(row[name]) for name in (*_COUNTS, "usd", "failed_requests")]
            usage = Usage(*counts)
            result[key] = result.get(key, Usage()) + usage
    return result


def _mean(usage: Usage, size: int) -> Usage:
    return Usage(*(getattr(usage, name) / size for name in Usage.__dataclass_fields__))


def _prices(frame: pl.DataFrame, model: str) -> Prices | None:
    """Those in force at the first of the hours: a price that changed within them is a change of price."""
    rows = frame.filter(pl.col("model") == model).drop_nulls(_PRICES).sort("at").head(1)
    return Prices(*(Decimal(rows[name][0]) for name in _PRICES)) if rows.height else None


def _read_share(usage: Mapping[tuple[str, str], Usage], model: str) -> float | None:
    total = sum((each for (_, m), each in usage.items() if m == model), Usage())
    return float(total.cache_read / total.prompt) if total.prompt else None
