"""Verdicts of quality rules in table `checks`: every one is kept, the latest of each rule is what holds.

With them goes what follows from them, in the same transaction: the scores of the days they cover.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from psycopg.types.json import Jsonb

from lah_platform.quality.verdicts import Verdict
from lah_platform.stores.live_feed import note_check
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["StoredVerdict", "latest_verdicts", "refresh_scores", "write_verdicts"]

_Q = queries("checks")
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class StoredVerdict:
    """A verdict with when (UTC) it was reached, for which period [from, to), and in which run."""

    verdict: Verdict
    checked_at: datetime
    period_from: datetime | None
    period_to: datetime | None
    run_id: str | None


def write_verdicts(
    connection: Connection,
    verdicts: Iterable[Verdict],
    *,
    checked_at: datetime,
    period_from: datetime | None,
    period_to: datetime | None,
    run_id: str | None,
) -> int:
    """Add the verdicts in one transaction; returns how many. Earlier ones stay. Scores of whole days covered follow.

    A verdict without a period is about everything there is, and about no day.
    """
    written = 0
    with connection.transaction(), connection.cursor() as cursor:
        for verdict in verdicts:
            row = cursor.execute(
                _Q["write_verdict"],
                {
                    "asset": verdict.asset,
                    "check_name": verdict.check_name,
                    "severity": verdict.severity,
                    "is_blocking": verdict.is_blocking,
                    "passed": verdict.passed,
                    "checked_rows": verdict.checked_rows,
                    "failed_rows": verdict.failed_rows,
                    "observed": Jsonb(dict(verdict.observed)),
                    "advice": verdict.advice,
                    "checked_at": checked_at,
                    "period_from": period_from,
                    "period_to": period_to,
                    "run_id": run_id,
                },
            ).fetchone()
            if verdict.tenants and row:
                of = verdict.tenants.values()
                cursor.execute(
                    _Q["write_tenant_verdicts"],
                    {
                        "check_id": row[0],
                        "tenants": list(verdict.tenants),
                        "passed": [each.passed for each in of],
                        "checked": [each.checked_rows for each in of],
                        "failed": [each.failed_rows for each in of],
                    },
                )
            if verdict.severity == "error":
                note_check(connection, verdict.asset, verdict.check_name)
            written += 1
        if period_from and period_to:
            start = period_from.astimezone(UTC)
            first = start.date() if start == _midnight(start.date()) else start.date() + _DAY
            refresh_scores(connection, first, period_to.astimezone(UTC).date(), computed_at=checked_at)
    return written


def refresh_scores(connection: Connection, day_from: date, day_to: date, *, computed_at: datetime) -> int:
    """Score the UTC days of [day_from, day_to) from the latest verdicts that cover them; returns how many rows."""
    if day_from >= day_to:
        return 0
    with connection.transaction():
        connection.execute(_Q["lock_scores"])
        asked = {"day_from": day_from, "day_to": day_to, "computed_at": computed_at}
        return connection.execute(_Q["refresh_scores"], asked).rowcount


def latest_verdicts(connection: Connection, asset: str | None = None) -> list[StoredVerdict]:
    """The latest verdict of every rule, of one asset or of all, sorted by asset and rule; without its tenants."""
    rows = connection.execute(_Q["latest_verdicts"], {"asset": asset}).fetchall()
    return [StoredVerdict(Verdict(*row[:9]), *row[9:]) for row in rows]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
