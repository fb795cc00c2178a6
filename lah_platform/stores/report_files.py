"""A report made, kept in the database, and written beside it as HTML and JSON for people who read files."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path

from lah_platform.compliance.report import NAME, build_report
from lah_platform.errors import ConfigurationError
from lah_platform.stores.cold_events import refuse_cold_days
from lah_platform.stores.postgres import Connection
from lah_platform.stores.reports import read_inputs, write_report

__all__ = ["make_report", "report_path"]

_DAY = timedelta(days=1)


def report_path(home: Path, name: str, period_from: date, period_to: date) -> Path:
    """The HTML file of a report on the UTC days [period_from, period_to), named by first and last day."""
    return home / "reports" / f"{name}-{period_from}-{period_to - _DAY}.html"


def make_report(
    connection: Connection, home: Path, name: str, *, tenant: str, start: date, end: date, actor: str, now: datetime
) -> Path:
    """Make the report `name` for the UTC days `start` to `end` (included); returns its HTML file, JSON beside it.

    `tenant` "*" covers all. Raises ConfigurationError for an unknown name, an empty period, and days whose events have
    left PostgreSQL.
    """
    if name != NAME:
        raise ConfigurationError(f"No report is called {name!r}", f"There is {NAME}")
    if start > end:
        raise ConfigurationError(f"The period {start} to {end} is empty", "Name the earlier day first")
    refuse_cold_days(connection, start, end, what=name)
    inputs = read_inputs(connection, tenant=tenant, period_from=start, period_to=end + _DAY)
    report = build_report(inputs, generated_at=now)
    write_report(connection, report, requested_by=actor)
    path = report_path(home, name, start, end + _DAY)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report.html, encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(report.content, indent=2), encoding="utf-8")
    return path
