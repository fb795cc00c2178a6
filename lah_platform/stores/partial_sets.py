"""Partial rollups in and out of the table `rollup_partial_sets`: a batch's groups as arrays, one row a UTC day."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from lah_platform.rollups.aggregates import Aggregates
from lah_platform.rollups.metrics import METRICS
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

__all__ = ["SET_COLUMNS", "partial_copy", "partials"]

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


def partials(sets: Sequence[Sequence[Any]]) -> Aggregates:
    """The groups of sets as `rollups.sql` selects them through an `array_cursor`, in their order.

    ValueError for a metric that this version does not know.
    """
    return Aggregates.concat([groups_of(*each) for each in sets])
