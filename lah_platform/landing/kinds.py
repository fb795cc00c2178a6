"""Events by kind of payload, with the measures that their payloads fill as arrays, and the partial rollups of them.

Belongs here: what landing does to the rows of one batch by column. How they are written is the store's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lah_platform.events.measures import MEASURE_TYPES, measured
from lah_platform.landing.columns import EventColumns, Integers
from lah_platform.rollups.metrics import METRICS
from lah_platform.rollups.series import SeriesKey
from lah_platform.rollups.values import MetricValues, aggregate_values

__all__ = ["Kind", "Numbers", "kinds", "partials"]

_PLACES = 12
_WIDE = Context(prec=60)  # the caller's own context may round


@dataclass(frozen=True, slots=True)
class Numbers:
    """One column: doubles, int64, or units of the twelfth decimal place as int64 or, beyond those, Python integers."""

    values: npt.NDArray[Any]
    is_null: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Kind:
    """Events of one payload class in order of time; every column of `numbers` and `texts` has one value an event.

    A column of MEASURE_TYPES that is in neither is null for all of them.
    """

    events: EventColumns
    numbers: Mapping[str, Numbers] = field(default_factory=dict)
    texts: Mapping[str, list[str]] = field(default_factory=dict)


def kinds(events: EventColumns) -> list[Kind]:
    """The events by payload class, in an order that is the same in every process, so that two never lock crosswise."""
    classes = [shape.payload_class for shape in events.shapes]
    made = []
    for each in sorted(set(classes), key=attrgetter("__name__")):
        rows = np.flatnonzero(np.array([payload_class is each for payload_class in classes], np.bool_))
        # sorted rows keep the index pages that are written in cache: half of the index's cost
        mine = events.take(rows[np.argsort(events.timestamps_us[rows], kind="stable")])
        columns = measured(each, mine.payloads)
        columns.pop("model", None)  # the shape's
        numbers = {
            name: _NUMBERS[MEASURE_TYPES[name]](values)
            for name, values in columns.items()
            if MEASURE_TYPES[name] != "text" and values.count(None) < len(values)
        }
        made.append(Kind(mine, numbers, {name: columns[name] for name in columns if MEASURE_TYPES[name] == "text"}))
    return made


def _floats(values: list[float | None]) -> Numbers:
    numbers = np.array(values, np.float64)  # None becomes NaN, which no accepted event holds
    return Numbers(numbers, np.isnan(numbers))


def _integers(values: list[int | None]) -> Numbers:
    is_null = np.array([value is None for value in values], np.bool_) if None in values else _none_null(values)
    return Numbers(np.array([value or 0 for value in values] if None in values else values, np.int64), is_null)


def _units(amounts: list[Decimal | None]) -> Numbers:
    is_null = np.array([amount is None for amount in amounts], np.bool_) if None in amounts else _none_null(amounts)
    scaled = _WIDE.scaleb
    units = [0 if amount is None else int(scaled(amount, _PLACES)) for amount in amounts]
    try:
        return Numbers(np.array(units, np.int64), is_null)
    except OverflowError:  # beyond 9.2 million
        return Numbers(np.array(units, object), is_null)


def _none_null(values: Sequence[Any]) -> npt.NDArray[np.bool_]:
    return np.zeros(len(values), np.bool_)


_NUMBERS: Mapping[str, Callable[[list[Any]], Numbers]] = {"float": _floats, "integer": _integers, "decimal": _units}


def partials(made: Sequence[Kind], series: Mapping[SeriesKey, int]) -> pl.DataFrame:
    """The events' aggregates by minute, series and metric, as an aggregate frame."""
    return aggregate_values([part for kind in made for part in _metric_values(kind, series)])


def _metric_values(kind: Kind, series: Mapping[SeriesKey, int]) -> list[MetricValues]:
    shapes, times_us = kind.events.shapes, kind.events.timestamps_us
    subtype = shapes[0].subtype  # only custom events have several, and no measures
    id_of = {shape: series[shape.series] for shape in set(shapes)}
    ids: Integers = np.array([id_of[shape] for shape in shapes], np.int64)
    parts = []
    for metric in METRICS:
        if metric.column is None:
            parts.append(MetricValues(metric, ids, times_us, np.ones(len(ids), np.int64)))
        elif metric.subtype in (None, subtype) and (numbers := kind.numbers.get(metric.column)) is not None:
            if numbers.is_null.any():
                there = ~numbers.is_null
                parts.append(MetricValues(metric, ids[there], times_us[there], numbers.values[there]))
            else:
                parts.append(MetricValues(metric, ids, times_us, numbers.values))
    return parts
