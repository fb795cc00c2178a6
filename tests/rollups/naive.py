"""The slow, obvious rollup that the fast one has to equal: every value kept, exact fractions, sorted lists.

It repeats the definitions on purpose instead of importing them: an oracle that shares the code shares its bugs.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

WINDOWS = ("1m", "5m", "15m", "1h", "6h", "1d", "1w", "1M")
EXACT = frozenset(
    {"events", "total_requests", "failed_requests", "input_tokens", "output_tokens", "total_tokens", "cost_usd"}
)
FLOAT = frozenset({"latency_ms", "ttft_ms", "tokens_per_second", "requests_per_second", "score"})
ONLY_FROM_TOKEN_USAGE = frozenset({"input_tokens", "output_tokens", "total_tokens"})

Group = tuple[int, str, datetime]


def floor(ts: datetime, window: str) -> datetime:
    """Walk back to the start of the bucket."""
    start = ts.astimezone(UTC).replace(second=0, microsecond=0)
    minutes = {"1m": 1, "5m": 5, "15m": 15}
    if window in minutes:
        while start.minute % minutes[window]:
            start -= timedelta(minutes=1)
        return start
    start = start.replace(minute=0)
    if window == "1h":
        return start
    if window == "6h":
        while start.hour not in (0, 6, 12, 18):
            start -= timedelta(hours=1)
        return start
    start = start.replace(hour=0)
    while (window == "1w" and start.strftime("%a") != "Mon") or (window == "1M" and start.day != 1):
        start -= timedelta(days=1)
    return start


def end(start: datetime, window: str) -> datetime:
    """Walk forward until another bucket begins."""
    step = timedelta(minutes=1) if window in ("1m", "5m", "15m") else timedelta(hours=1)
    end = start + step
    while floor(end, window) == start:
        end += step
    return end


@dataclass
class Values:
    """All values of one bucket; every measure computed from the whole list."""

    values: list[Fraction]

    @property
    def count(self) -> int:
        return len(self.values)

    @property
    def sum(self) -> Fraction:
        return sum(self.values, Fraction(0))

    @property
    def magnitudes(self) -> Fraction:
        return sum((abs(value) for value in self.values), Fraction(0))

    @property
    def avg(self) -> Fraction:
        return self.sum / self.count

    @property
    def min(self) -> float:
        return float(min(self.values))

    @property
    def max(self) -> float:
        return float(max(self.values))

    @property
    def stddev(self) -> float | None:
        if self.count < 2:
            return None
        mean = self.avg
        variance = sum(((value - mean) ** 2 for value in self.values), Fraction(0)) / (self.count - 1)
        with localcontext() as context:
            context.prec = 50
            return float((Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt())

    def percentile(self, percent: int) -> Fraction:
        """Nearest rank."""
        place = math.ceil(Fraction(percent, 100) * self.count)
        return sorted(self.values)[place - 1]


def recompute(rows: Iterable[Mapping[str, Any]], window: str) -> dict[Group, Values]:
    """Every bucket of every series and metric, from event rows: series_id, ts, subtype and the measures."""
    buckets: dict[Group, list[Fraction]] = defaultdict(list)
    for row in rows:
        start = floor(row["ts"], window)
        buckets[row["series_id"], "events", start].append(Fraction(1))
        for metric in (EXACT | FLOAT) - {"events"}:
            value = row.get(metric)
            if value is None or (metric in ONLY_FROM_TOKEN_USAGE and row["subtype"] != "token_usage"):
                continue
            buckets[row["series_id"], metric, start].append(Fraction(value))
    return {group: Values(values) for group, values in buckets.items()}
