"""What an episode cost beyond the usual by the rollups alone, and whether more was bought or it was dearer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from lah_platform.correlations.hourly import Floats

_USD_PLACES = 6
_LEAST_USUAL_HOURS = 3  # of the same hour of day before a median of them is called usual; else of all hours


@dataclass(frozen=True, slots=True)
class ExcessCost:
    """In whole micro-USD, usd = volume_usd + rate_usd: what more (or fewer) tokens cost at the usual price of one, and
    the rest, dearer tokens: lost cache hits, a dearer model, output for input. Negative where it was cheaper."""

    usd: float
    volume_usd: float
    rate_usd: float


class CostBook:
    """Hourly cost and tokens per tenant and model, summed over series. `points` as correlations take them."""

    def __init__(self, points: pl.DataFrame) -> None:
        rows = points.filter(pl.col("metric").is_in(["cost_usd", "total_tokens"]), pl.col("value").is_finite())
        hourly = (
            rows.group_by("tenant", pl.col("model").fill_null(""), "metric", "bucket_start")
            .agg(pl.col("value").sum())
            .sort("bucket_start")
        )
        self._hourly = {
            (str(tenant), str(model), str(metric)): (part["bucket_start"].to_list(), part["value"].to_numpy())
            for (tenant, model, metric), part in hourly.group_by("tenant", "model", "metric", maintain_order=True)
        }

    def excess(self, tenant: str, model: str, start: datetime, end: datetime) -> ExcessCost | None:
        """Cost of the model in the hours that [start, end) touches, less the median of the same hours of day outside
        it; None where the model's cost was never seen within or outside it."""
        cost = self._over_usual(tenant, model, "cost_usd", start, end)
        if cost is None:
            return None
        tokens = self._over_usual(tenant, model, "total_tokens", start, end)
        usd = round(cost[0] - cost[1], _USD_PLACES)
        if tokens is None or tokens[1] <= 0:
            return ExcessCost(usd, 0.0, usd)
        volume = round((tokens[0] - tokens[1]) * cost[1] / tokens[1], _USD_PLACES)
        return ExcessCost(usd, volume, round(usd - volume, _USD_PLACES))

    def _over_usual(
        self, tenant: str, model: str, metric: str, start: datetime, end: datetime
    ) -> tuple[float, float] | None:
        """Sum within, and the usual sum of as many hours."""
        if (tenant, model, metric) not in self._hourly:
            return None
        times, values = self._hourly[tenant, model, metric]
        inside = np.array(
            [at + timedelta(hours=1) > start and at < max(end, start + timedelta(seconds=1)) for at in times]
        )
        if not inside.any() or inside.all():
            return None
        hours = np.array([at.hour for at in times])
        usual = sum(_usual(values[~inside], hours[~inside], hour) for hour in hours[inside])
        return float(values[inside].sum()), float(usual)


def _usual(values: Floats, hours: Floats, hour: float) -> float:
    same = values[hours == hour]
    return float(np.median(same if len(same) >= _LEAST_USUAL_HOURS else values))
