"""What changed, noted for live streams in the transaction that changes it.

Belongs here: entries of `live_inbox`. Their order, and reading them, is in `live_changes`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from psycopg import sql

from lah_platform.landing.columns import at_us, from_us
from lah_platform.rollups.aggregates import Aggregates
from lah_platform.rollups.metrics import METRICS
from lah_platform.rollups.windows import WINDOWS, Window
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["note_check", "note_closed", "note_merged", "note_recomputed", "noting_changes"]

_Q = queries("live")
_MOST_ROWS: Final = 20_000  # of a tenant and window at once; beyond that a reader is better off asking for the period
_MOST_BUCKETS: Final = 10  # that close at once: more have waited for the hub, not for their end
_NAMES: Final = np.array([metric.name for metric in METRICS])
_NOTHING: Final[Mapping[str, Any]] = dict.fromkeys(
    ["window", "starts", "series_ids", "metrics", "object_ids", "from", "to"]
)


def note_merged(connection: Connection, groups: Aggregates, window_of: npt.NDArray[np.int64]) -> None:
    """Rows that a tick wrote: minutes that are open yet as `updated`, closed buckets of every window as `corrected`.

    The watermark stays where it is until the transaction ends.
    """
    (final_before,) = connection.execute(_Q["final_before"]).fetchone() or (None,)
    final_us = None if final_before is None else at_us(final_before)
    is_closed = np.zeros(len(groups), np.bool_)
    if final_us is not None:
        for number, each in enumerate(WINDOWS):
            of_window = window_of == number
            is_closed[of_window] = groups.starts_us[of_window] < each.floor_us(np.array([final_us]))[0]
    for number, each in enumerate(WINDOWS):
        of_window = window_of == number
        _note_rows(connection, each, "corrected", groups, np.flatnonzero(of_window & is_closed))
        if number == 0:
            _note_rows(connection, each, "updated", groups, np.flatnonzero(of_window & ~is_closed))


def note_closed(connection: Connection, was: datetime | None, now: datetime) -> None:
    """The watermark moved from `was` to `now` (UTC): rows of the buckets that ended between are `closed`."""
    for each in WINDOWS:
        to = each.floor(now)
        from_ = each.floor(was) if was is not None else to
        if from_ >= to:
            continue
        if each.length is not None and (to - from_) / each.length > _MOST_BUCKETS:
            _note(connection, "recomputed", "closed", "*", window=each.name, **{"from": from_, "to": to})
            continue
        statement = sql.SQL(_Q["note_closed"].decode()).format(table=sql.Identifier(each.table))
        connection.execute(statement, {"window": each.name, "from": from_, "to": to})


def note_recomputed(
    connection: Connection,
    window: Window,
    start: datetime,
    end: datetime,
    series_ids: npt.NDArray[np.int64],
    metrics: Sequence[str],
) -> None:
    """Rows of `window` in [start, end) UTC were computed again, and those of these series changed."""
    for tenant in sorted(set(_tenants(connection, series_ids).values())):
        _note(
            connection,
            "recomputed",
            "corrected",
            tenant,
            window=window.name,
            metrics=list(metrics),
            **{"from": start, "to": end},
        )


@contextmanager
def noting_changes(
    connection: Connection, kind: Literal["anomalies", "incidents"], replaced: Mapping[str, Any]
) -> Iterator[None]:
    """What the block makes of the anomalies or incidents `replaced` and of its `ids`; inside a transaction."""
    connection.execute(_Q["make_before"])
    connection.execute("truncate live_before")
    connection.execute(_Q[f"remember_{kind}"], dict(replaced))
    yield
    connection.execute(_Q[f"note_{kind}"], {"ids": replaced["ids"]})


def note_check(connection: Connection, asset: str, check_name: str) -> None:
    """The rule was judged once more; an alert when it is of severity error and fails, or holds again. For everybody."""
    connection.execute(_Q["note_check"], {"asset": asset, "check_name": check_name})


def _note_rows(
    connection: Connection, window: Window, change: str, groups: Aggregates, places: npt.NDArray[np.intp]
) -> None:
    if not len(places):
        return
    tenant_of = _tenants(connection, groups.series_ids[places])
    of_place = np.array([tenant_of.get(each, "") for each in groups.series_ids[places].tolist()])
    for tenant in np.unique(of_place).tolist():
        rows = places[of_place == tenant]
        starts_us, series_ids = groups.starts_us[rows], groups.series_ids[rows]
        names = _NAMES[groups.metric_of[rows]]
        if len(rows) > _MOST_ROWS:
            period = {
                "from": from_us(int(starts_us.min())),
                "to": window.end(from_us(int(starts_us.max()))),
                "metrics": np.unique(names).tolist(),
            }
            _note(connection, "recomputed", change, tenant, window=window.name, **period)
            continue
        order = np.lexsort((names, series_ids, starts_us))
        _note(
            connection,
            "rollup",
            change,
            tenant,
            window=window.name,
            starts=[from_us(each) for each in starts_us[order].tolist()],
            series_ids=series_ids[order].tolist(),
            metrics=names[order].tolist(),
        )


def _tenants(connection: Connection, series_ids: npt.NDArray[np.int64]) -> dict[int, str]:
    known = {"series_ids": np.unique(series_ids).tolist()}
    return dict(connection.execute(_Q["tenants_of_series"], known).fetchall())


def _note(connection: Connection, kind: str, change: str, tenant: str, **what: Any) -> None:
    connection.execute(_Q["note"], {**_NOTHING, **what, "kind": kind, "change": change, "tenant": tenant})
