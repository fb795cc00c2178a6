"""The command's root: subcommands, and how an error reaches a person."""

import sys

import typer

from lah_platform.cli import anomalies, checks, configuration, data, operate, stack
from lah_platform.cli.audit import audit
from lah_platform.cli.deliveries import controls, deliveries, schedules
from lah_platform.cli.encryption import encryption, privacy
from lah_platform.cli.keys import keys
from lah_platform.cli.prices import prices
from lah_platform.cli.readers import readers
from lah_platform.cli.reports import reports
from lah_platform.cli.retention import holds, retention
from lah_platform.cli.subjects import consents, subjects
from lah_platform.errors import LahError

__all__ = ["app", "main"]

app = typer.Typer(
    name="lah",
    help="LLM Analytics Hub: every LLM operations event once, in your own PostgreSQL, and the tables made from it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(stack.up)
app.command()(stack.demo)
app.command()(stack.down)
app.command()(stack.land)
app.command()(stack.doctor)
app.command()(data.replay)
app.command()(data.backfill)
app.add_typer(checks.checks, name="checks")
app.command()(configuration.access_review)
app.command()(configuration.system_description)
app.add_typer(data.dead_letters, name="dead-letters")
reports.command()(controls)
reports.command()(schedules)
reports.add_typer(deliveries, name="deliveries")
app.add_typer(reports, name="report")
app.add_typer(keys, name="keys")
app.add_typer(prices, name="prices")
app.add_typer(readers, name="readers")
app.add_typer(retention, name="retention")
app.add_typer(holds, name="holds")
app.add_typer(encryption, name="encryption")
app.add_typer(privacy, name="privacy")
app.add_typer(audit, name="audit")
app.add_typer(subjects, name="subject")
app.add_typer(consents, name="consents")
app.add_typer(anomalies.anomalies, name="anomalies")
app.add_typer(operate.migrate, name="migrate")
app.command()(operate.sql)


def main() -> None:
    """Run `lah`; what a user can act on ends with one line and status 1."""
    try:
        app()
    except LahError as error:
        print(f"lah: {error}", file=sys.stderr)
        sys.exit(1)
