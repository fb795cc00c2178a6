"""What a person reads at the end of the demo."""

from datetime import datetime

from rich.console import Console
from rich.table import Table

from lah_platform.stack.main_job import Summary
from lah_platform.stack.planted import Planted
from lah_platform.stack.supervisor import Supervisor

__all__ = ["places", "print_summary"]

_NOT_FOUND = "[red]not found[/red]"


def print_summary(console: Console, summary: Summary) -> None:
    """Events, rows per table, verdicts and seconds per stage."""
    console.print(f"\n{summary.source}")
    console.print(
        f"received {summary.received:,} = stored {summary.stored:,} + duplicate {summary.duplicate:,}"
        f" + dead-lettered {summary.dead_lettered:,}" + ("" if summary.is_balanced else "  [red]does not balance[/red]")
    )
    table = Table("table", "rows", box=None, pad_edge=False)
    rows = {f"rollup {name}": count for name, count in summary.rollup_rows.items()} | {
        "cost_daily": summary.costs_rows,
        "anomalies": summary.anomalies,
        "forecasts": summary.forecasts,
        "correlations": summary.correlations,
    }
    for name, count in (rows | {f"marts.{name}": count for name, count in summary.marts_rows.items()}).items():
        table.add_row(name, f"{count:,}")
    console.print(table)
    console.print(f"checks: {summary.checks_passed} passed, {summary.checks_failed} failed")
    for name in summary.failed_checks:
        console.print(f"  [red]failed[/red] {name}")
    _print_planted(console, summary.planted)
    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in summary.stage_seconds.items())
    console.print(f"{stages}; {summary.seconds:.1f} s in all, {summary.peak_resident_mib:,} MiB resident at most")
    for name, path in summary.report_paths.items():
        console.print(f"report {name}: {path}", soft_wrap=True)


def _print_planted(console: Console, planted: Planted) -> None:
    """A line for each thing that was planted: what the hub made of it."""
    if planted.note:
        console.print(f"planted: {planted.note}")
    for each in planted.episodes:
        what = f"planted {each.name}, {each.metric} of {each.service}, {_span(each.started_at, each.ended_at)}"
        told = f"{each.anomaly_type}, {_span(each.detected_from, each.detected_to)}"
        console.print(f"{what}: {f'found as {told}' if each.is_found else _NOT_FOUND}", soft_wrap=True)
    for incident in planted.incidents:
        what = f"planted incident, from {incident.root_cause}, {_span(incident.started_at, incident.ended_at)}"
        named = f"told as from {incident.named or 'somewhere'}"
        if incident.confidence is not None:
            named += f" ({incident.confidence:.0%} sure)"
        told = f"{named}, {_span(incident.detected_from, incident.detected_to)}"
        if not incident.is_found:
            told = f"[red]{told}[/red]" if incident.incident_id else _NOT_FOUND
        console.print(f"{what}: {told}", soft_wrap=True)


def _span(start: datetime | None, end: datetime | None) -> str:
    return f"{start:%d %b %H:%M} to {end:%d %b %H:%M} UTC" if start and end else "never"


def places(console: Console, hub: Supervisor) -> None:
    """Where to look now."""
    console.print(f"\nDagster    {hub.dagster_url}/asset-groups", soft_wrap=True)
    console.print(f"REST docs  {hub.api_url}/docs", soft_wrap=True)
    for name, key in hub.demo_keys.items():
        console.print(f"           key of {name}: {key}", soft_wrap=True)
    console.print("SQL        lah sql          (in this folder: .venv/bin/lah sql)")
    console.print("\nCtrl-C stops everything.")
