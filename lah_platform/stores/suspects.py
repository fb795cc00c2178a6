"""Rollup windows that failed a check: marked in `suspect_windows` until a later check of them passes.

Belongs here: which windows. Does not: showing them (the views metrics_*, `suspects`).
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from lah_platform.quality.conditions import batch_of, failing
from lah_platform.quality.registry import rule_of
from lah_platform.quality.rules import Asset, filled
from lah_platform.quality.verdicts import Verdict
from lah_platform.rollups.windows import WINDOWS, Window
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["mark_suspects"]

_Q = queries("checks")
_OF_TABLE = {window.table: window for window in WINDOWS}
_MINUTE = timedelta(minutes=1)


def mark_suspects(
    connection: Connection, verdicts: Iterable[Verdict], period_from: datetime, period_to: datetime, *, at: datetime
) -> int:
    """Mark the windows that blocking rules of rollups fail in the period, and clear those that they pass now.

    Returns how many are newly suspect. More than 10,000 of one rule are marked by series and metric, from the first
    that failed to the last. Verdicts of other assets are passed over. What failed is looked for anew, so windows that
    were repaired since the verdict are not marked.
    """
    marked = 0
    with connection.transaction():
        connection.execute("set local work_mem = '64MB'")
        for verdict in verdicts:
            window = _OF_TABLE.get(verdict.asset)
            if window is None or not verdict.is_blocking:
                continue
            asset, rule = rule_of(verdict.asset, verdict.check_name)
            asked = _asked(asset, window, verdict, period_from, period_to, at)
            if verdict.passed:
                connection.execute(_Q["clear_suspects"], asked)
                continue
            statement = filled(
                _Q["mark_suspects"].decode(),
                batch=_literally(batch_of(asset, period_from, period_to)),
                failing=_literally(failing(asset, rule, period_from, period_to)),
                bucket_end=_end_of(window),
            )
            marked += connection.execute(statement.encode(), asked).rowcount
    return marked


def _asked(
    asset: Asset, window: Window, verdict: Verdict, period_from: datetime, period_to: datetime, at: datetime
) -> dict[str, object]:
    start = window.floor(period_from)
    last = window.floor(period_to.astimezone(UTC) - timedelta(microseconds=1))
    return {
        "asset": asset.name,
        "check_name": verdict.check_name,
        "advice": verdict.advice,
        "window_name": window.name,
        "window_rank": WINDOWS.index(window) + 1,
        "period_from": start,
        "period_to": window.end(last),
        "at": at,
    }


def _end_of(window: Window) -> str:
    if window.length is None:
        return "(bucket_start at time zone 'UTC' + interval '1 month') at time zone 'UTC'"
    return f"bucket_start + interval '{window.length // _MINUTE} minutes'"


def _literally(text: str) -> str:
    return text.replace("%", "%%")
