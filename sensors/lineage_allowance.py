"""How many rows the live lineage may write into Dagster's event log: so many a day, and some of them at once.

A row takes 1.5 kB with its indexes: refreshed every minute, today's twelve would be 26 MB a day.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["ROWS_AT_ONCE", "ROWS_PER_DAY", "Allowance"]

ROWS_PER_DAY = 3_000  # 4.5 MB: every six minutes in a steady flow into one day
ROWS_AT_ONCE = 500  # what may be written beyond that after a quiet time: 40 refreshes of one day, one of 31 days
_LEAST_SECONDS = 60.0
_SECONDS_A_ROW = 86_400 / ROWS_PER_DAY


@dataclass(frozen=True)
class Allowance:
    """What was written, as Unix seconds: when it was last, and until when it uses up what a day may have.

    The second is the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371): rows move it on, time
    catches up with it, and it may be ahead by what `ROWS_AT_ONCE` are worth.
    """

    written_at: float = 0.0
    used_until: float = 0.0

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "Allowance":
        """From what `stored()` gave; an empty mapping is an unused allowance."""
        return cls(float(stored.get("written_at", 0.0)), float(stored.get("used_until", 0.0)))

    def stored(self) -> dict[str, float]:
        """As JSON can hold it."""
        return asdict(self)

    def permits(self, rows: int, now: float) -> bool:
        """Whether so many rows may be written at `now`."""
        ahead = max(self.used_until, now) + rows * _SECONDS_A_ROW - now
        return now - self.written_at >= _LEAST_SECONDS and ahead <= ROWS_AT_ONCE * _SECONDS_A_ROW

    def after(self, rows: int, now: float) -> "Allowance":
        """The allowance once they are written."""
        return Allowance(now, max(self.used_until, now) + rows * _SECONDS_A_ROW)
