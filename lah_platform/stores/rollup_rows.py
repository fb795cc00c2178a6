"""Rows of the rollup tables in and out of PostgreSQL, by column and without an object a value.

Belongs here: how groups are read as arrays and written as binary COPY. When, and under which lock, is in `rollups`.
"""

import struct
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from psycopg import sql

from lah_platform.landing.columns import at_us
from lah_platform.rollups.aggregates import Aggregates, fitting
from lah_platform.rollups.histogram import PERCENTILES
from lah_platform.rollups.metrics import METRICS, NUMBER_OF
from lah_platform.stores.binary_arrays import array_cursor, sent_bigints, sent_integers
from lah_platform.stores.binary_copy import END, POSTGRES_EPOCH_US, START, Fixed, big_endian, block, field, numeric
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["copy_keys", "copy_rows", "groups_of", "read_rows"]

_READ = sql.SQL(queries("rollups")["read_rows"].decode())
_DECIMALS = 12
_METRIC_FIELDS = [field(metric.name.encode()) for metric in METRICS]
_INTEGER_OID, _BIGINT_OID = 23, 20
_WORD = 0xFFFFFFFF


def read_rows(
    connection: Connection, sources: Sequence[tuple[int, sql.Composable]], parameters: dict[str, Any] | None = None
) -> tuple[Aggregates, npt.NDArray[np.int64]]:
    """The rows of every source, a query of whole rows of a rollup table, and for each row its source's number.

    In one statement, so of one snapshot. ValueError for a metric that this version does not know.
    """
    statement = sql.SQL(" union all ").join(
        _READ.format(number=sql.Literal(number), source=source) for number, source in sources
    )
    parts, numbers = [], []
    found = array_cursor(connection).execute(statement, parameters).fetchall()
    for number, *columns, sizes, hist_keys, hist_counts in found:
        histograms = sent_integers(hist_keys, sizes), sent_bigints(hist_counts, sizes)
        parts.append(groups_of(*[*columns, sizes, *histograms]))
        numbers.append(np.full(len(parts[-1]), number, np.int64))
    return Aggregates.concat(parts), np.concatenate(numbers) if numbers else np.empty(0, np.int64)


def groups_of(
    series_ids: Any,
    metrics: list[str],
    starts_us: Any,
    counts: Any,
    rounded: Any,
    exact: list[str] | None,
    low: Any,
    high: Any,
    means: Any,
    m2: Any,
    sizes: Any,
    hist_keys: Any,
    hist_counts: Any,
) -> Aggregates:
    """Groups from their columns as an `array_cursor` returns them; of the sums only those that are there.

    `rounded` are sums of float metrics, `exact` of the others as text; None is none. ValueError for a metric that this
    version does not know, and when a sum is not of its metric's kind.
    """
    numbers = _numbers_of(metrics)
    sums, exact_sums = _all_sums(numbers, rounded, exact)
    return Aggregates(
        metric_of=numbers,
        series_ids=series_ids,
        starts_us=starts_us,
        counts=counts,
        sums=sums,
        exact_sums=exact_sums,
        low=low,
        high=high,
        means=means,
        m2=m2,
        hist_keys=hist_keys.astype(np.int64, copy=False),
        hist_counts=hist_counts,
        offsets=np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]),
    )


def _numbers_of(metrics: Sequence[str]) -> npt.NDArray[np.int64]:
    try:
        return np.array([NUMBER_OF[name] for name in metrics], np.int64)
    except KeyError as error:
        raise ValueError(f"no metric is called {error}: rollups of a newer version are here; start that one") from None


def _all_sums(
    numbers: npt.NDArray[np.int64], rounded: npt.NDArray[np.float64] | None, exact: Sequence[str] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    exactness = np.array([metric.exactness for metric in METRICS])[numbers]
    is_float = exactness == "float"
    texts = exact or []
    if (0 if rounded is None else len(rounded)) != is_float.sum() or len(texts) != (~is_float).sum():
        raise ValueError("a metric has exact and rounded sums in one bucket: recompute the bucket from its events")
    sums = np.full(len(numbers), np.nan)
    if rounded is not None:
        sums[is_float] = rounded
    is_whole = (exactness[~is_float] == "integer").tolist()
    found = fitting([_exact(text, only_whole=whole) for text, whole in zip(texts, is_whole, strict=True)])
    exact_sums = np.zeros(len(numbers), found.dtype)
    exact_sums[~is_float] = found
    return sums, exact_sums


def _exact(text: str, *, only_whole: bool) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole) if only_whole else int(whole + fraction.ljust(_DECIMALS, "0"))


def copy_keys(connection: Connection, groups: Aggregates, window_of: npt.NDArray[np.int64]) -> None:
    """Into `rollup_keys`: which row of which window each group is."""
    if not len(groups):
        return
    fixed = [*_key(groups), Fixed(big_endian(window_of, ">i2"))]
    names = ["bucket_start", "series_id", "window_number", "metric"]
    _copy(connection, "rollup_keys", names, [block(fixed), _metrics(groups)])


def copy_rows(
    connection: Connection, table: str, groups: Aggregates, window_of: npt.NDArray[np.int64] | None, now: datetime
) -> None:
    """Into a rollup table, as rows of revision 1 computed `now`; with `window_of` into the table `rollup_stage`."""
    count = len(groups)
    if not count:
        return
    is_float = groups.is_("float")
    fixed = {
        **dict(zip(("bucket_start", "series_id"), _key(groups), strict=True)),
        "count": Fixed(big_endian(groups.counts, ">i8")),
        "sum": Fixed(big_endian(groups.sums, ">f8"), ~is_float),
        "sum_exact": Fixed(numeric(groups.exact_sums, groups.is_("integer")), is_float),
        "min": Fixed(big_endian(groups.low, ">f8")),
        "max": Fixed(big_endian(groups.high, ">f8")),
        "mean": Fixed(big_endian(groups.means, ">f8")),
        "m2": Fixed(big_endian(groups.m2, ">f8")),
        **{name: Fixed(big_endian(groups.quantiles(q), ">f8")) for name, q in PERCENTILES.items()},
        "revision": Fixed(big_endian(np.ones(count, np.int64), ">i4")),
        "computed_at": Fixed(big_endian(np.full(count, at_us(now) - POSTGRES_EPOCH_US), ">i8")),
    }
    if window_of is not None:
        fixed["window_number"] = Fixed(big_endian(window_of, ">i2"))
    names = [*fixed, "metric", "hist_keys", "hist_counts"]
    _copy(connection, table, names, [block(list(fixed.values())), _metrics(groups), _histograms(groups)])


def _key(groups: Aggregates) -> list[Fixed]:
    starts = Fixed(big_endian(groups.starts_us - POSTGRES_EPOCH_US, ">i8"))
    return [starts, Fixed(big_endian(groups.series_ids, ">i8"))]


def _metrics(groups: Aggregates) -> list[bytes]:
    return [_METRIC_FIELDS[number] for number in groups.metric_of.tolist()]


def _histograms(groups: Aggregates) -> list[bytes]:
    """Each group's integer[] of keys and bigint[] of counts, with their lengths in front."""
    sizes = groups.sizes
    words_of = 12 + 5 * sizes
    ends = np.cumsum(words_of)
    first = ends - words_of
    words = np.zeros(int(ends[-1]), ">u4")
    for at, oid, width in ((first, _INTEGER_OID, 1), (first + 6 + 2 * sizes, _BIGINT_OID, 2)):
        words[at] = 20 + 4 * (1 + width) * sizes
        words[at + 1] = 1  # dimension
        words[at + 3] = oid
        words[at + 4] = sizes
        words[at + 5] = 1  # lower bound
    within = np.arange(len(groups.hist_keys)) - np.repeat(groups.offsets[:-1], sizes)
    keys = np.repeat(first + 6, sizes) + 2 * within
    words[keys], words[keys + 1] = 4, groups.hist_keys & _WORD
    counts = np.repeat(first + 12 + 2 * sizes, sizes) + 3 * within
    words[counts], words[counts + 2] = 8, groups.hist_counts & _WORD
    if (is_long := groups.hist_counts > _WORD).any():
        words[counts[is_long] + 1] = groups.hist_counts[is_long] >> 32
    octets = words.tobytes()
    stops = (4 * ends).tolist()
    return [octets[start:stop] for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def _copy(connection: Connection, table: str, names: Sequence[str], parts: Sequence[list[bytes]]) -> None:
    count = len(parts[0])
    pieces: list[bytes] = [struct.pack(">h", len(names))] * (count * (1 + len(parts)))
    for at, part in enumerate(parts, 1):
        pieces[at :: 1 + len(parts)] = part
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(b"".join([START, *pieces, END]))
