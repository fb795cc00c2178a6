"""A query of time series: everything that may be asked of one metric, checked.

Belongs here: the model and its refusals. JSON, keys and cursors' texts belong to others.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

from lah_platform.rollups.metrics import METRICS, NUMBER_OF, Metric
from lah_platform.timeseries.buckets import MINUTE_US, Bucket, bucket, whole
from lah_platform.timeseries.fields import Field, read_field
from lah_platform.timeseries.filters import Filter, check_dimension, read_filter
from lah_platform.timeseries.refusal import QueryError, one_of

__all__ = ["FILLS", "MOST_CELLS", "MOST_ROWS", "Fill", "Order", "Query", "make_query"]

FillName = Literal["none", "null", "previous", "linear", "zero", "constant"]
FILLS: Final = ("none", "null", "previous", "linear", "zero")
MOST_ROWS: Final = 1_000_000
"""Rows of an answer, and how far an offset may skip."""
MOST_CELLS: Final = 1_000_000
"""Buckets times groups that a fill may make."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_MOST_FIELDS, _MOST_FILTERS, _MOST_DIMENSIONS, _MOST_ORDERS = 16, 16, 8, 4


@dataclass(frozen=True)
class Fill:
    """What stands in a bucket without values; `none`: no row does."""

    name: FillName
    constant: float = 0.0


@dataclass(frozen=True)
class Order:
    """One column that rows are sorted by; nulls come last."""

    column: str
    is_descending: bool


@dataclass(frozen=True)
class Query:
    """One metric's values of [from, to), whole minutes in µs since 1970 UTC, by bucket and `group_by`."""

    metric: Metric
    from_us: int
    to_us: int
    bucket: Bucket
    fields: tuple[Field, ...]
    filters: tuple[Filter, ...]
    group_by: tuple[str, ...]
    fill: Fill
    order: tuple[Order, ...]
    limit: int
    offset: int
    cursor: str | None

    @property
    def needs_histograms(self) -> bool:
        return any(field.function == "quantile" for field in self.fields)


def make_query(
    *,
    metric: str,
    from_: datetime,
    to: datetime,
    fields: Sequence[str],
    window: str | None = None,
    filters: Sequence[tuple[str, str, str | Sequence[str]]] = (),
    group_by: Sequence[str] = (),
    fill: str | float = "none",
    order: Sequence[str] = ("time",),
    limit: int = 1000,
    offset: int = 0,
    cursor: str | None = None,
) -> Query:
    """The checked query; QueryError names the first field that is not usable and what to ask instead.

    `window` None: the range is one bucket. `filters`: dimension, operator, value. `fill`: one of FILLS, or the
    constant. `order`: `time`, fields or dimensions, descending with `-` in front.
    """
    if metric not in NUMBER_OF:
        raise QueryError("metric", f"no metric is called {metric!r}", one_of(metric, NUMBER_OF))
    what = METRICS[NUMBER_OF[metric]]
    from_us, to_us = _whole_minute(from_, "from"), _whole_minute(to, "to")
    if from_us >= to_us:
        raise QueryError("to", "`to` is not later than `from`", "A range is half-open, [from, to): give a later `to`")
    size = whole(from_us, to_us) if window is None else bucket(window)
    _check_number(len(fields), 1, _MOST_FIELDS, "fields")
    _check_number(len(filters), 0, _MOST_FILTERS, "filters")
    _check_number(len(group_by), 0, _MOST_DIMENSIONS, "group_by")
    _check_number(len(order), 0, _MOST_ORDERS, "order")
    _check_number(limit, 1, MOST_ROWS, "limit")
    _check_number(offset, 0, MOST_ROWS, "offset")
    if cursor is not None and offset:
        raise QueryError("offset", "a cursor says already where to go on", "Send `cursor` or `offset`, not both")
    _check_unique(fields, "fields")
    _check_unique(group_by, "group_by")
    read = tuple(read_field(name, what, f"fields.{place}") for place, name in enumerate(fields))
    dimensions = tuple(check_dimension(name, f"group_by.{place}") for place, name in enumerate(group_by))
    return Query(
        metric=what,
        from_us=from_us,
        to_us=to_us,
        bucket=size,
        fields=read,
        filters=tuple(read_filter(*each, place=f"filters.{place}") for place, each in enumerate(filters)),
        group_by=dimensions,
        fill=_fill(fill, read, what),
        order=_order(order, [field.name for field in read], dimensions),
        limit=limit,
        offset=offset,
        cursor=cursor,
    )


def _whole_minute(at: datetime, place: str) -> int:
    if at.utcoffset() is None:
        raise QueryError(place, "the time has no offset", "Say which instant is meant, such as 2026-01-31T09:00:00Z")
    if not _EPOCH <= at <= _LATEST:
        raise QueryError(place, "the time lies outside 1970 to 2200", "Nothing is stored there: ask nearer")
    at_us = (at - _EPOCH) // timedelta(microseconds=1)
    if at_us % MINUTE_US:
        before = at.astimezone(UTC).replace(second=0, microsecond=0)
        raise QueryError(
            place,
            "rollups begin at whole minutes, so this range cannot be answered exactly",
            f"Use {before:%Y-%m-%dT%H:%M:%SZ} or {before + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}",
        )
    return at_us


def _fill(asked: str | float, fields: Sequence[Field], metric: Metric) -> Fill:
    if isinstance(asked, str):
        if asked not in FILLS:
            raise QueryError("fill", f"no fill is called {asked!r}", one_of(asked, FILLS) + ", or a number")
        return Fill(asked)  # type: ignore[arg-type]
    if not math.isfinite(asked) or abs(asked) >= 10**15:
        raise QueryError("fill", f"{asked} is no usable number", "Give one within ±10^15")
    for field in fields:
        if field.function == "count" and asked != int(asked):
            raise QueryError("fill", f"a count cannot be {asked}", "Give a whole number, or leave `count` out")
        if (
            field.function == "sum"
            and metric.is_exact
            and Decimal(repr(asked)).quantize(Decimal("1e-12")) != Decimal(repr(asked))
        ):
            raise QueryError("fill", f"an exact sum cannot be {asked}", "Give at most 12 decimal places")
    return Fill("constant", float(asked))


def _order(asked: Sequence[str], fields: Sequence[str], dimensions: Sequence[str]) -> tuple[Order, ...]:
    found: list[Order] = []
    _check_unique([text.removeprefix("-") for text in asked], "order")
    for place, text in enumerate(asked):
        name = text.removeprefix("-")
        allowed = ["time", *fields, *dimensions]
        if name not in allowed:
            reason = f"rows have no column {name!r}"
            raise QueryError(f"order.{place}", reason, one_of(name, allowed) + "; `-` in front for descending")
        found.append(Order("bucket_start" if name == "time" else name, text.startswith("-")))
    return tuple(found)


def _check_number(number: int, least: int, most: int, place: str) -> None:
    if not least <= number <= most:
        raise QueryError(place, f"{number} is too {'few' if number < least else 'many'}", f"Use {least} to {most}")


def _check_unique(names: Sequence[Any], place: str) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise QueryError(f"{place}.{number}", f"{name!r} stands there twice", "Name it once")
