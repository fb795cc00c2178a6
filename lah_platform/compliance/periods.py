"""Periods of reports: whole UTC days, ISO weeks, months and quarters."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

__all__ = ["PERIODS", "Period", "PeriodName"]

PeriodName = Literal["day", "week", "month", "quarter"]
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """One kind of period; `cron` is when one ends (UTC midnight). A period is named by its first day."""

    name: PeriodName
    cron: str

    def start(self, day: date) -> date:
        """The first day of the period that `day` is in."""
        match self.name:
            case "day":
                return day
            case "week":
                return day - day.weekday() * _DAY
            case "month":
                return day.replace(day=1)
            case "quarter":
                return day.replace(month=3 * ((day.month - 1) // 3) + 1, day=1)

    def next_start(self, day: date) -> date:
        """The first day of the period after the one that `day` is in."""
        longest = {"day": 1, "week": 7, "month": 31, "quarter": 92}[self.name]
        return self.start(self.start(day) + longest * _DAY)

    def last_whole(self, today: date) -> tuple[date, date]:
        """The last period that has ended on `today`, as [first day, first day after it)."""
        end = self.start(today)
        return self.start(end - _DAY), end


PERIODS: Final[Mapping[str, Period]] = {
    period.name: period
    for period in (
        Period("day", "0 0 * * *"),
        Period("week", "0 0 * * 1"),
        Period("month", "0 0 1 * *"),
        Period("quarter", "0 0 1 1,4,7,10 *"),
    )
}
