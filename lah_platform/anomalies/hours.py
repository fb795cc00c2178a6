"""What values a series has had at about this hour of the day, day by day: smallest and greatest.

Hours are UTC; the hour before and after count too, so that a clock change upstream is no anomaly.
"""

from __future__ import annotations

from math import inf

_Band = tuple[float, float]
_NOTHING: _Band = (inf, -inf)
_PER_DAY = 24


class HourBands:
    """Bands of the last `days` days, from hours since the epoch that never go back."""

    __slots__ = ("_bands", "_days", "_hour", "_hours", "_min_days")

    def __init__(self, days: int, min_days: int) -> None:
        self._days, self._min_days = days, min_days
        self._hours: dict[int, _Band] = {}
        self._bands: dict[int, _Band] = {}
        self._hour: int | None = None

    def distance(self, hour: int, value: float) -> float | None:
        """How far the value lies outside the nearest day's band; None before `min_days` days with this hour."""
        if hour != self._hour:
            self._open(hour)
        bands, known, nearest = self._bands, 0, inf
        for earlier in range(hour - _PER_DAY, hour - _PER_DAY * self._days - 1, -_PER_DAY):
            band = bands.get(earlier)
            if band is None:
                continue
            known += 1
            low, high = band
            outside = low - value if value < low else value - high
            if outside <= 0.0:
                nearest = 0.0
                if known >= self._min_days:
                    break
            elif outside < nearest:
                nearest = outside
        low, high = self._hours[hour]
        self._hours[hour] = (value if value < low else low, value if value > high else high)
        return nearest if known >= self._min_days else None

    def _open(self, hour: int) -> None:
        """Begin an hour; the hours around which everything is known by now get their band."""
        last = self._hour
        self._hour = hour
        self._hours[hour] = _NOTHING
        if last is None:
            return
        for centre in range(last - 1, min(hour - 1, last + 1) + 1):
            around = [self._hours.get(each, _NOTHING) for each in (centre - 1, centre, centre + 1)]
            low, high = min(band[0] for band in around), max(band[1] for band in around)
            if low <= high and centre in self._hours:
                self._bands[centre] = (low, high)
        oldest = hour - _PER_DAY * self._days - 2
        if len(self._hours) > 2 * (_PER_DAY * self._days + 4):
            self._hours = {each: band for each, band in self._hours.items() if each >= oldest}
            self._bands = {each: band for each, band in self._bands.items() if each >= oldest}
