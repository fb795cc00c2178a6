"""Commands that start, watch and stop the hub."""

import os
import signal
import threading
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lah_platform.settings import settings

__all__ = ["demo", "doctor", "down", "land", "up"]

_console = Console(stderr=True, highlight=False)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]


def _say(line: str) -> None:
    _console.print(f"[dim]·[/dim] {line}")


def _until_told() -> threading.Event:
    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    return told


def up() -> None:
    """Start everything and stay until Ctrl-C.

    Example: lah up
    """
    from lah_platform.cli.summary import places
    from lah_platform.stack.supervisor import Supervisor

    with Supervisor(settings(), _say).running() as hub:
        told = _until_told()
        places(_console, hub)
        hub.watch(told.is_set, told.wait)
        _say("Stopping")
    _say("Everything is stopped")


def demo(
    events: Annotated[int, typer.Option(min=1000, help="About how many events to replay.")] = 60_000,
    run: Annotated[
        str, typer.Option(help="The run's name; a run that was loaded before is not loaded again.")
    ] = "demo",
    exit_: Annotated[bool, typer.Option("--exit", help="End after the summary: 0 only if all is complete.")] = False,
    json_: Json = False,
) -> None:
    """The main job on real events: start, replay, materialize every table, summarise; then serve until Ctrl-C.

    Example: lah demo --events 60000 --exit --json
    """
    from lah_platform.cli.summary import places, print_summary
    from lah_platform.stack.main_job import as_json, run_main_job
    from lah_platform.stack.supervisor import Supervisor

    started = time.monotonic()
    with Supervisor(settings(), _say).running() as hub:
        bar = Progress(
            TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=_console
        )
        with bar:
            task = bar.add_task("replay", total=None)
            summary = run_main_job(
                settings(),
                hub,
                events=events,
                run=run,
                on_total=lambda total: bar.update(task, total=total),
                on_produced=lambda count: bar.update(task, completed=count),
                on_step=lambda step: bar.console.print(f"[dim]·[/dim] {step} ..."),
            )
        summary.seconds = round(time.monotonic() - started, 2)
        print_summary(_console, summary)
        missing = summary.missing()
        if not exit_:
            told = _until_told()
            places(_console, hub)
            if json_:
                print(as_json(summary), flush=True)
            hub.watch(told.is_set, told.wait)
        _say("Stopping")
    if json_ and exit_:
        print(as_json(summary), flush=True)
    if missing:
        _console.print(f"[red]Not complete:[/red] {', '.join(missing)}")
        raise typer.Exit(1)


def down(
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing when nothing runs.")] = False,
    remove_data: Annotated[bool, typer.Option("--remove-data", help="Also remove the embedded parts' data.")] = False,
) -> None:
    """Stop everything that `lah up` or `lah demo` started here.

    Example: lah down
    """
    import shutil

    from lah_platform.stack.stopping import data_paths, stop_stack

    stopped = stop_stack(settings())
    if stopped or not quiet:
        _say("Stopped" if stopped else "Nothing was running")
    if remove_data:
        for path in data_paths(settings()):
            shutil.rmtree(path, ignore_errors=True)


def land() -> None:
    """One landing process: Kafka to PostgreSQL, exactly once, until SIGTERM. `lah up` starts one by itself.

    Ends with 0 when everything read is committed, with 75 when PostgreSQL was away and something is not.

    Example: LAH_KAFKA_BOOTSTRAP=broker:9092 LAH_CONSUMER_GROUP=lah lah land
    """
    os.environ.setdefault("POLARS_MAX_THREADS", "1")  # read at import; a batch is too small to share among threads

    from lah_platform.stack import logs
    from lah_platform.stack.endpoints import database_url, kafka_bootstrap
    from lah_platform.stack.landing_process import NOT_LANDED_STATUS, run_landing

    logs.configure()
    if run_landing(settings(), database_url=database_url(settings()), bootstrap=kafka_bootstrap(settings())):
        raise typer.Exit(NOT_LANDED_STATUS)


def doctor(json_: Json = False) -> None:
    """Versions, connections, extensions, clock, disk, ledger and lag: green, or what to do.

    Example: lah doctor --json
    """
    import json

    from lah_platform.stack.doctor import examine

    findings = examine(settings())
    for finding in findings:
        mark = "[green]ok[/green]  " if finding.is_healthy else "[red]fix[/red] "
        _console.print(f"{mark} {finding.subject}: {finding.observed}")
        if not finding.is_healthy:
            _console.print(f"      {finding.advice}")
    if json_:
        print(json.dumps([vars(finding) for finding in findings]))
    if not all(finding.is_healthy for finding in findings):
        raise typer.Exit(1)
