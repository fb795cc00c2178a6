"""Partial rollups in and out of the table `rollup_partial_sets`: a batch's groups as arrays, one row a UTC day."""

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lah_platform.rollups.aggregates import Aggregates
from lah_platform.rollups.combine import merge, roll_up
from lah_platform.rollups.metrics import METRICS
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.binary_arrays import (
    bigint_array,
    double_array,
    integer_array,
    numeric_array,
    text_array,
    timestamptz_array,
)
from lah_platform.stores.binary_copy import END, POSTGRES_EPOCH_US, START, field, numeric
from lah_platform.stores.rollup_rows import groups_of

__all__ = ["SET_COLUMNS", "Taken", "partial_copy"]

SET_COLUMNS = (
    *("day", "first_minute", "group_count", "series_ids", "metrics", "minutes", "counts", "sums", "exact_sums"),
    *("minima", "maxima", "means", "m2s", "hist_sizes", "hist_keys", "hist_counts"),
)
_DAY_US = 86_400_000_000


def partial_copy(made: Aggregates) -> bytes:
    """Binary COPY into SET_COLUMNS of every group."""
    days = made.starts_us // _DAY_US
    rows = [_row(made.take(np.flatnonzero(days == day)), day) for day in np.unique(days).tolist()]
    return b"".join([START, *rows, END])


def _row(made: Aggregates, day: int) -> bytes:
    is_float = made.is_("float")
    values = (
        struct.pack(">i", day - POSTGRES_EPOCH_US // _DAY_US),
        struct.pack(">q", int(made.starts_us.min()) - POSTGRES_EPOCH_US),
        struct.pack(">i", len(made)),
        bigint_array(made.series_ids),
        text_array([METRICS[place].name for place in made.metric_of.tolist()]),
        timestamptz_array(made.starts_us),
        bigint_array(made.counts),
        double_array(made.sums, ~is_float),
        numeric_array(numeric(made.exact_sums, made.is_("integer")), is_float),
        *(double_array(each) for each in (made.low, made.high, made.means, made.m2)),
        integer_array(np.diff(made.offsets)),
        integer_array(made.hist_keys),
        bigint_array(made.hist_counts),
    )
    return struct.pack(">h", len(SET_COLUMNS)) + b"".join(map(field, values))


@dataclass(frozen=True)
class Taken:
    """Partials taken out of their table: those that no window counts, and those that the minutes count already."""

    fresh: Aggregates
    in_minutes: Aggregates

    @classmethod
    def of(cls, sets: Sequence[Sequence[Any]]) -> "Taken":
        """The groups of sets as `rollups.sql` selects them through an `array_cursor`, in their order.

        ValueError for a metric that this version does not know.
        """
        groups = ([groups_of(*each[1:]) for each in sets if each[0] is known] for known in (False, True))
        return cls(*map(Aggregates.concat, groups))

    def only(self, numbers: Collection[int]) -> "Taken":
        """Those of some metrics, by their numbers."""
        parts = (self.fresh, self.in_minutes)
        return Taken(*(each.take(np.flatnonzero(np.isin(each.metric_of, list(numbers)))) for each in parts))

    def levels(self, *, minutes_only: bool = False) -> list[Aggregates]:
        """What each window lacks of them, in the order of WINDOWS."""
        minutes = merge(self.fresh, WINDOWS[0])
        if minutes_only:
            return [minutes, *[Aggregates.concat([])] * (len(WINDOWS) - 1)]
        parts = merge(Aggregates.concat([minutes, self.in_minutes]), WINDOWS[0]) if len(self.in_minutes) else minutes
        return [minutes, *list(roll_up(parts).values())[1:]]
