"""What a run of retention removed of one table and UTC day, and what stayed."""

from dataclasses import dataclass
from datetime import date
from typing import Any

__all__ = ["Drop"]


@dataclass(frozen=True)
class Drop:
    """Numbers and checksums (decimal text, sums over rows) of one table's rows of one day.

    `rows_dropped` of the classes personal and dead_letters are rows whose content went; the rows stay.
    """

    store: str
    table: str
    class_: str
    day: date
    rows_before: int
    rows_dropped: int
    rows_after: int
    rows_held: int
    checksum_before: str
    checksum_dropped: str
    checksum_after: str

    def told(self) -> dict[str, Any]:
        """As a receipt says it."""
        said = {**vars(self), "class": self.class_, "day": f"{self.day}"}
        del said["class_"]
        return said
