"""temporal: series of one tenant whose changes follow one another, some minutes or hours apart or at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from lah_platform.correlations.config import CorrelationConfig
from lah_platform.correlations.hourly import Bools, Hourly, SeriesKey, hourly_by_tenant, scored_changes
from lah_platform.correlations.links import Link, lagged_links
from lah_platform.correlations.minutes import merged, minute_links
from lah_platform.correlations.model import Correlation, Found, Member, MinuteReader, Role, correlation_id

_VOLUMES = frozenset({"events", "total_requests", "input_tokens", "output_tokens", "total_tokens", "cost_usd"})


@dataclass(frozen=True, slots=True)
class _Span:
    """What a link was seen in: [start, end) UTC in steps, and how many pairs were tried."""

    start: datetime
    end: datetime
    step: timedelta
    pairs: int


def temporal_correlations(
    points: pl.DataFrame, config: CorrelationConfig, minutes: MinuteReader | None = None
) -> Found:
    """Lagged rank correlation of de-seasonalised hourly changes, for every pair of series and metrics of a tenant; and
    of the changes of recent minutes for the strongest pairs whose lag by the hour is at most one (`minute_links`).

    Two metrics of one series, and two counts of one model's requests (events, tokens, cost), are not compared: they
    measure the same events. The strongest lag of at most `max_lag_hours` counts. At a lag the leader is a
    contributor and the follower the effect; without one both are related. A link that a third observed series
    explains is not reported; an unobserved one may still drive both: leading is not causing.
    Strength: |rank correlation| (at least `min_strength`). Confidence: 1 minus the false-discovery rate at which the
    link would just be reported; the rate over the tenant's pairs is at most `false_positive_rate` (`lagged_links`).
    """
    correlations: list[Correlation] = []
    skipped_pairs = left_out = 0
    for hourly in hourly_by_tenant(points, config):
        skipped_pairs += hourly.skipped_pairs
        if len(hourly.keys) < 2:
            continue
        hours = lagged_links(
            scored_changes(hourly),
            _may_relate(hourly.keys),
            most_lags=config.max_lag_hours,
            least_strength=config.min_strength,
            false_discovery_rate=config.false_positive_rate,
            most_candidates=config.max_candidates,
        )
        by_hour = _Span(hourly.at(0), hourly.at(hourly.values.shape[1]), timedelta(hours=1), hours.pairs)
        told = [(link, by_hour) for link in hours.found]
        if minutes is not None:
            start, end, near = minute_links(hourly, hours, minutes, config)
            by_minute = _Span(start, end, timedelta(minutes=1), near.pairs)
            told = [(link, by_minute if is_minute else by_hour) for link, is_minute in merged(hours, near)]
        correlations.extend(_correlation(hourly, link, span) for link, span in told[: config.max_found])
        left_out += hours.left_out + max(len(told) - config.max_found, 0)
    return Found(correlations, skipped_pairs, left_out)


def _may_relate(keys: list[SeriesKey]) -> Bools:
    series = np.array([key.series_id for key in keys])
    volumes = {model: i for i, model in enumerate(sorted({key.model for key in keys if key.model}), start=1)}
    volume_of = np.array([volumes.get(key.model, 0) if key.metric in _VOLUMES else 0 for key in keys])
    is_same_volume = (volume_of[:, None] == volume_of) & (volume_of != 0)
    may_relate: Bools = (series[:, None] != series) & ~is_same_volume
    return may_relate


def _correlation(hourly: Hourly, link: Link, span: _Span) -> Correlation:
    roles: tuple[Role, Role] = ("contributor", "effect") if link.lag else ("related", "related")
    lag = link.lag * span.step
    rows, times = (link.leader, link.follower), (span.start, span.start + lag)
    members = tuple(
        Member(role, "series", str(hourly.keys[row].series_id), hourly.keys[row].metric, at)
        for role, row, at in zip(roles, rows, times, strict=True)
    )
    one, other = (describe(hourly.keys[row]) for row in rows)
    when = f"{_told(lag)} before" if lag else "together with"
    direction = "in the same direction" if link.correlation > 0 else "in the opposite direction"
    return Correlation(
        correlation_id=correlation_id("temporal", hourly.tenant, members),
        tenant=hourly.tenant,
        correlation_type="temporal",
        started_at=span.start,
        ended_at=span.end,
        strength=abs(link.correlation),
        confidence=1.0 - link.false_discovery_rate,
        explanation=f"{one} changes {when} {other}, {direction}: rank correlation {link.correlation:.2f}.",
        members=members,
        evidence={
            "rank_correlation": link.correlation,
            "lag_seconds": int(lag.total_seconds()),
            "resolution_seconds": int(span.step.total_seconds()),
            "effective_size": link.effective_size,
            "p_value": link.p_value,
            "false_discovery_rate": link.false_discovery_rate,
            "pairs_tried": span.pairs,
        },
    )


def _told(lag: timedelta) -> str:
    return f"{lag // timedelta(hours=1)} h" if lag % timedelta(hours=1) == timedelta(0) else f"{lag.seconds} s"


def describe(key: SeriesKey) -> str:
    model = f" ({key.model})" if key.model else ""
    return f"{key.metric} of series {key.series_id}{model}"
