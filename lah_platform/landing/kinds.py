"""Events by kind of payload, with the measures that their payloads fill as arrays, and the partial rollups of them.

Belongs here: what landing does to the rows of one batch by column. How they are written is the store's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from lah_platform.events.measures import MEASURE_TYPES, measured
from lah_platform.events.payloads import Payload
from lah_platform.landing.amounts import units_of
from lah_platform.landing.columns import EventColumns
from lah_platform.landing.shapes import Shape
from lah_platform.rollups.aggregates import Aggregates
from lah_platform.rollups.metrics import METRICS
from lah_platform.rollups.values import MetricValues, aggregate

__all__ = ["Kind", "Numbers", "kinds", "partials"]


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
    classes = sorted({shape.payload_class for shape in events.distinct_shapes().values()}, key=attrgetter("__name__"))
    class_of = events.by_shape(lambda shape: classes.index(shape.payload_class), np.int64)
    return [_kind(each, events, np.flatnonzero(class_of == number)) for number, each in enumerate(classes)]


def _kind(payload_class: type[Payload], events: EventColumns, rows: npt.NDArray[np.intp]) -> Kind:
    # sorted rows keep the index pages that are written in cache: half of the index's cost
    mine = events.take(rows[np.argsort(events.timestamps_us[rows], kind="stable")])
    columns = measured(payload_class, mine.payloads)
    columns.pop("model", None)  # the shape's
    numbers, texts = {}, {}
    for name, values in columns.items():
        nulls = values.count(None)
        if MEASURE_TYPES[name] == "text":
            texts[name] = values
        elif nulls < len(values):
            is_null = np.zeros(len(values), np.bool_)
            if nulls:
                is_null[:] = [value is None for value in values]
                values = [0 if value is None else value for value in values]
            numbers[name] = Numbers(_ARRAY[MEASURE_TYPES[name]](values), is_null)
    return Kind(mine, numbers, texts)


_ARRAY: Mapping[str, Callable[[list[Any]], npt.NDArray[Any]]] = {
    "float": lambda values: np.array(values, np.float64),
    "integer": lambda values: np.array(values, np.int64),
    "decimal": units_of,
}


def partials(made: Sequence[Kind], series: Mapping[Shape, int]) -> Aggregates:
    """The events' aggregates by minute, series and metric; `series` has the ids."""
    return aggregate([part for kind in made for part in _metric_values(kind, series)])


def _metric_values(kind: Kind, series: Mapping[Shape, int]) -> list[MetricValues]:
    times_us = kind.events.timestamps_us
    subtype = kind.events.shape(0).subtype  # only custom events have several, and no measures
    ids = kind.events.by_shape(series.__getitem__, np.int64)
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
