"""What the stored forecasts of one series or many sum up to, and when a limit is reached."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from lah_platform.forecasts.paths import Reach, Total, paths, reach, total

__all__ = ["Outlook", "outlook"]

_SEED = 1
_DRAWN = 2_000_000  # values at once: 16 MB
_MOST_PATHS = 2000
_LEAST_PATHS = 200


@dataclass(frozen=True)
class Outlook:
    """`starts` are the buckets (UTC) that `total` sums and `reach` counts by."""

    starts: list[datetime]
    total: Total
    reach: Reach


def outlook(frame: pl.DataFrame, limit: float, *, is_cumulative: bool, already: float = 0.0) -> Outlook:
    """The sum over all series and buckets of `frame`, and the chance that it, or one bucket's sum, reaches `limit`.

    frame: series_id, target_start, value, lower, upper, lower_80, upper_80, common_error; one forecast a series, null
    bounds are the value. What errors of one forecast have in common they are taken to have in common with those of
    all other series too: the cautious case, for customers who grow together. The same frame gives the same answer.
    Raises ValueError for an empty frame.
    """
    if frame.is_empty():
        raise ValueError("no forecast, no outlook")
    starts = frame["target_start"].unique().sort()
    count = max(_LEAST_PATHS, min(_MOST_PATHS, _DRAWN // len(starts)))
    drawn = np.zeros((count, len(starts)))
    for _, part in frame.sort("target_start").group_by("series_id", maintain_order=True):
        lower, lower_80, value, upper_80, upper = (
            part[name].fill_null(part["value"]).to_numpy()
            for name in ("lower", "lower_80", "value", "upper_80", "upper")
        )
        at = starts.search_sorted(part["target_start"]).to_numpy()
        common = float(part["common_error"][0])
        drawn[:, at] += paths(value, (lower_80, upper_80), (lower, upper), common, seed=_SEED, count=count)
    return Outlook(
        starts.to_list(),
        total(drawn, already=already),
        reach(drawn, limit, is_cumulative=is_cumulative, already=already),
    )
