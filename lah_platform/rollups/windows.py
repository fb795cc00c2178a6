"""The eight windows and where they start and end.

Belongs here: calendar arithmetic in UTC. What is aggregated over a window does not.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

__all__ = ["WINDOWS", "Window", "window"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MONTHS_A_YEAR = 12


@dataclass(frozen=True)
class Window:
    """One size of bucket: half-open, UTC, weeks from Monday (ISO 8601), `1M` the calendar month.

    `every` is the size in polars' words, `length` the fixed length (None: a calendar month),
    `table` the rollup table, `source` the window whose rows are merged into this one (None: events).
    """

    name: str
    every: str
    length: timedelta | None
    source: "Window | None"

    @property
    def table(self) -> str:
        return f"rollup_{self.every}"

    @property
    def view(self) -> str:
        return f"metrics_{self.every}"

    @property
    def _origin(self) -> datetime:
        return _FIRST_MONDAY if self.name == "1w" else _EPOCH

    def floor(self, ts: datetime) -> datetime:
        """The UTC start of the bucket that holds `ts`; ValueError when `ts` has no time zone."""
        if ts.utcoffset() is None:
            raise ValueError(f"{ts!r} has no time zone: say which instant is meant, for example with tzinfo=UTC")
        utc = ts.astimezone(UTC)
        if self.length is None:
            return utc.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return self._origin + (utc - self._origin) // self.length * self.length

    def end(self, start: datetime) -> datetime:
        """The UTC instant at which the bucket that starts at `start` ends; ValueError when none starts there."""
        if self.floor(start) != start:
            raise ValueError(f"no {self.name} bucket starts at {start.isoformat()}: use floor() first")
        utc = start.astimezone(UTC)
        if self.length is not None:
            return utc + self.length
        years, month_index = divmod(utc.month, _MONTHS_A_YEAR)
        return utc.replace(year=utc.year + years, month=month_index + 1)

    def floor_us(self, times_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """`floor` for times in µs since 1970 UTC."""
        if self.length is None:
            months = times_us.astype("datetime64[us]").astype("datetime64[M]")
            return months.astype("datetime64[us]").astype(np.int64)
        origin, length = (self._origin - _EPOCH) // _MICROSECOND, self.length // _MICROSECOND
        floored: npt.NDArray[np.int64] = times_us - (times_us - origin) % length
        return floored


_1M = Window("1m", "1m", timedelta(minutes=1), None)
_5M = Window("5m", "5m", timedelta(minutes=5), _1M)
_15M = Window("15m", "15m", timedelta(minutes=15), _5M)
_1H = Window("1h", "1h", timedelta(hours=1), _15M)
_6H = Window("6h", "6h", timedelta(hours=6), _1H)
_1D = Window("1d", "1d", timedelta(days=1), _6H)
# weeks cross months, so both are made of days
_1W = Window("1w", "1w", timedelta(weeks=1), _1D)
_1MO = Window("1M", "1mo", None, _1D)

WINDOWS: tuple[Window, ...] = (_1M, _5M, _15M, _1H, _6H, _1D, _1W, _1MO)
_BY_NAME = {name: window for window in WINDOWS for name in (window.name, window.every)}


def window(name: str) -> Window:
    """The window called `name` (case matters: 1m is a minute; 1M, also spelled 1mo, a month).

    Raises ValueError that names the allowed ones.
    """
    if name not in _BY_NAME:
        raise ValueError(f"no window is called {name!r}: use one of {', '.join(_BY_NAME)}")
    return _BY_NAME[name]
