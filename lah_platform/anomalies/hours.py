"""What values a series has had at about this hour, day by day: smallest and greatest.

Hours are UTC; the hour before and after count too, so that a clock change upstream is no anomaly.
"""

from __future__ import annotations

from math import inf

import numpy as np

from lah_platform.anomalies.rolling import Floats, Ints

_Band = tuple[float, float]
_NOTHING: _Band = (inf, -inf)
_DAY = 24
_WEEK = 168


class HourBands:
    """Bands of the last `days` days, from hours since the epoch that never go back."""

    __slots__ = ("_bands", "_days", "_hour", "_hours", "_min_days", "_min_weeks")

    def __init__(self, days: int, min_days: int, min_weeks: int) -> None:
        self._days, self._min_days, self._min_weeks = days, min_days, min_weeks
        self._hours: dict[int, _Band] = {}
        self._bands: dict[int, _Band] = {}
        self._hour: int | None = None

    @classmethod
    def resumed(cls, days: int, min_days: int, min_weeks: int, hours: Ints, values: Floats) -> HourBands:
        """The bands that seeing these values one by one would have left, as far as later hours look back on them."""
        bands = cls(days, min_days, min_weeks)
        if not len(hours):
            return bands
        last = bands._hour = int(hours[-1])
        oldest = last - _DAY * days - 1
        kept = int(np.searchsorted(hours, oldest))
        hours, values = hours[kept:], values[kept:]
        known, begin = np.unique(hours, return_index=True)
        low, high = np.full(last - oldest + 3, inf), np.full(last - oldest + 3, -inf)  # an hour more on either side
        low[known - oldest + 1] = np.minimum.reduceat(values, begin)
        high[known - oldest + 1] = np.maximum.reduceat(values, begin)
        at = known - oldest + 1
        bands._hours = dict(zip(known.tolist(), zip(low[at].tolist(), high[at].tolist(), strict=True), strict=True))
        at = at[known < last - 1]
        lows = np.minimum(np.minimum(low[at - 1], low[at]), low[at + 1])
        highs = np.maximum(np.maximum(high[at - 1], high[at]), high[at + 1])
        around = zip(lows.tolist(), highs.tolist(), strict=True)
        bands._bands = dict(zip((at + oldest - 1).tolist(), around, strict=True))
        return bands

    def distances(self, hour: int, value: float) -> tuple[float | None, float | None]:
        """How far the value lies outside the nearest band of this hour of day, and of this hour of week, in earlier
        days and weeks; None before `min_days` and `min_weeks` of them. Then the value counts as seen in this hour."""
        if hour != self._hour:
            self._open(hour)
        by_day = self._outside(hour, value, _DAY, self._min_days)
        by_week = self._outside(hour, value, _WEEK, self._min_weeks)
        low, high = self._hours[hour]
        self._hours[hour] = (value if value < low else low, value if value > high else high)
        return by_day, by_week

    def _outside(self, hour: int, value: float, period: int, enough: int) -> float | None:
        bands, known, nearest = self._bands, 0, inf
        for earlier in range(hour - period, hour - _DAY * self._days - 1, -period):
            band = bands.get(earlier)
            if band is None:
                continue
            known += 1
            low, high = band
            outside = low - value if value < low else value - high
            if outside < nearest:
                nearest = outside
            if nearest <= 0.0 and known >= enough:
                return 0.0
        return max(nearest, 0.0) if known >= enough else None

    def _open(self, hour: int) -> None:
        """Begin an hour; hours whose neighbours are complete by now get their band."""
        last, self._hour = self._hour, hour
        self._hours[hour] = _NOTHING
        if last is None:
            return
        for centre in range(last - 1, min(last, hour - 2) + 1):
            if centre in self._hours:
                around = [self._hours.get(each, _NOTHING) for each in (centre - 1, centre, centre + 1)]
                self._bands[centre] = (min(band[0] for band in around), max(band[1] for band in around))
        if len(self._hours) > 2 * _DAY * self._days:
            oldest = hour - _DAY * self._days - 1
            self._hours = {each: band for each, band in self._hours.items() if each >= oldest}
            self._bands = {each: band for each, band in self._bands.items() if each >= oldest}
