"""Verdicts of quality rules in table `checks`: every one is kept, the latest of each rule is what holds."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from lah_platform.quality.suites import Verdict
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["StoredVerdict", "latest_verdicts", "write_verdicts"]


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
    period_from: datetime,
    period_to: datetime,
    run_id: str | None,
) -> int:
    """Add the verdicts in one transaction; returns how many. Earlier ones stay."""
    rows = [
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
        }
        for verdict in verdicts
    ]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(queries("checks")["write_verdict"], rows)
    return len(rows)


def latest_verdicts(connection: Connection, asset: str | None = None) -> list[StoredVerdict]:
    """The latest verdict of every rule, of one asset or of all, sorted by asset and rule."""
    rows = connection.execute(queries("checks")["latest_verdicts"], {"asset": asset}).fetchall()
    return [StoredVerdict(Verdict(*row[:9]), *row[9:]) for row in rows]
