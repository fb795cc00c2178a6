"""Links of less than an hour: pairs that the hours do not tell to be unrelated, judged again on recent minutes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from lah_platform.correlations.config import CorrelationConfig
from lah_platform.correlations.hourly import Floats, Hourly, SeriesKey, scored
from lah_platform.correlations.links import Link, Links, lagged_links
from lah_platform.correlations.model import MinuteReader

_MINUTE_US = 60_000_000
_HOUR_MINUTES = 60


def minute_links(
    hourly: Hourly, links: Links, read: MinuteReader, config: CorrelationConfig
) -> tuple[datetime, datetime, Links]:
    """Links among the pairs that passed the hourly screening at most an hour apart, their rows those of `hourly` and
    their lags in minutes; and the span of minutes, [start, end) UTC.

    The strongest pairs, as long as their series are at most `max_minute_series`, over the last `minute_span`. Judged
    like the hours (`lagged_links`): changes from minute to minute, less the mean of their minute of the hour (what a
    clock starts every hour, or every five minutes, is no evidence) over the spread of their hour. The false-discovery
    rate is held over these pairs.
    """
    end = hourly.at(hourly.values.shape[1])
    start = end - config.minute_span
    rows: dict[int, None] = {}
    pairs = []
    for leader, follower, lag in links.screened:
        both = dict.fromkeys((leader, follower))
        if lag <= 1 and len(rows | both) <= config.max_minute_series:
            rows |= both
            pairs.append((leader, follower))
    if not pairs:
        return start, end, Links([], [], 0, 0)
    keys = [hourly.keys[row] for row in rows]
    points = read(sorted({key.series_id for key in keys}), sorted({key.metric for key in keys}), start, end)
    values = minute_matrix(points, keys, start, end)
    values[(~np.isnan(values)).sum(axis=1) < config.min_minutes] = np.nan
    place = {row: i for i, row in enumerate(rows)}
    may_relate = np.zeros((len(rows), len(rows)), dtype=np.bool_)
    for one, other in pairs:
        may_relate[place[one], place[other]] = may_relate[place[other], place[one]] = True
    minute = int(start.timestamp()) // 60 + np.arange(values.shape[1])
    found = lagged_links(
        scored(values, minute % _HOUR_MINUTES, (minute - minute[:1]) // _HOUR_MINUTES),
        may_relate,
        most_lags=config.max_lag_minutes,
        least_strength=config.min_strength,
        false_discovery_rate=config.false_positive_rate,
        most_candidates=config.max_candidates,
    )
    back = list(rows)
    return (
        start,
        end,
        replace(
            found,
            found=[_renamed(link, back) for link in found.found],
            indirect=[(_renamed(link, back), back[third]) for link, third in found.indirect],
            screened=[(back[one], back[other], lag) for one, other, lag in found.screened],
        ),
    )


def minute_matrix(points: pl.DataFrame, keys: list[SeriesKey], start: datetime, end: datetime) -> Floats:
    """A row for each key, a column for each minute of [start, end), NaN where nothing is known."""
    values = np.full((len(keys), max((end - start) // timedelta(minutes=1), 0)), np.nan)
    wanted = pl.DataFrame(
        [(key.series_id, key.metric, row) for row, key in enumerate(keys)],
        schema={"series_id": pl.Int64, "metric": pl.String, "row": pl.Int64},
        orient="row",
    )
    cells = (
        points.select("series_id", "metric", "bucket_start", pl.col("value").cast(pl.Float64))
        .filter(pl.col("value").is_finite(), pl.col("bucket_start").is_between(start, end, closed="left"))
        .join(wanted, on=["series_id", "metric"])
        .with_columns(minute=pl.col("bucket_start").dt.epoch("us") // _MINUTE_US - int(start.timestamp()) // 60)
    )
    values[cells["row"].to_numpy(), cells["minute"].to_numpy()] = cells["value"].to_numpy()
    return values


def merged(hours: Links, minutes: Links) -> list[tuple[Link, bool]]:
    """Hourly links and those of minutes as one list, the strongest first, and of each whether its lag is in minutes.

    Where both found a pair the minutes say when; what a third series explains by the hour or by the minute is left out.
    """
    by_minute = {frozenset((link.leader, link.follower)): link for link in minutes.found}
    explained = {frozenset((link.leader, link.follower)) for link, _ in (*hours.indirect, *minutes.indirect)}
    by_hour = {frozenset((link.leader, link.follower)): link for link in hours.found}
    kept = [(link, True) for pair, link in by_minute.items() if pair not in explained]
    kept += [(link, False) for pair, link in by_hour.items() if pair not in explained and pair not in by_minute]
    return sorted(kept, key=lambda each: (-abs(each[0].correlation), each[0].leader, each[0].follower))


def _renamed(link: Link, rows: list[int]) -> Link:
    return replace(link, leader=rows[link.leader], follower=rows[link.follower])
