"""Commands on data: replay it in, compute it again, and look after dead letters."""

import json
import uuid
from datetime import UTC, date, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lah_platform.errors import ConfigurationError, StackError
from lah_platform.settings import settings

__all__ = ["backfill", "dead_letters", "day", "replay"]

_console = Console(stderr=True, highlight=False)
_WAIT_SECONDS = 3600.0
dead_letters = typer.Typer(
    help="Records that could not be stored: kept with their bytes, replayed after a fix.", no_args_is_help=True
)
Day = Annotated[str, typer.Option(help="A UTC day, such as 2026-11-01.")]


def day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{option} is not a day: {text!r}", "Write it as 2026-11-01") from None


def replay(
    source: Annotated[str, typer.Argument(help="azure-code, mooncake, servegen, llmperf, all, or a CSV/Parquet file.")],
    run: Annotated[str | None, typer.Option(help="The run's name; the same run is loaded once.")] = None,
    events: Annotated[int | None, typer.Option(min=1, help="Keep about so many events.")] = None,
    speed: Annotated[str, typer.Option(help="A multiple of the trace's own pace, or max.")] = "max",
    map_: Annotated[
        str | None, typer.Option("--map", help="For a file: field=column pairs, or a .toml or .json file of them.")
    ] = None,
    keep_times: Annotated[
        bool, typer.Option("--keep-times", help="For a file: do not shift times to end now.")
    ] = False,
) -> None:
    """Send a trace's events through Kafka into the running hub.

    Example: lah replay requests.csv --map timestamp=ts,model=model_name,input_tokens=prompt --speed 60
    """
    from lah_platform.replay.generic import parse_mapping
    from lah_platform.stack.endpoints import database_url, kafka_bootstrap
    from lah_platform.stack.replaying import replay as send

    if speed != "max":
        try:
            pace: float | None = float(speed.removesuffix("x"))
        except ValueError:
            raise ConfigurationError(
                f"--speed is not a number: {speed!r}", "Write a number, such as 60, or max"
            ) from None
    else:
        pace = None
    bar = Progress(TextColumn("  replay"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=_console)
    with bar:
        task = bar.add_task("replay", total=None)
        sent = send(
            settings(),
            source,
            database_url=database_url(settings()),
            bootstrap=kafka_bootstrap(settings()),
            run=run or f"{source}-{datetime.now(UTC):%Y%m%dT%H%M%S}",
            events=events,
            mapping=parse_mapping(map_) if map_ else None,
            keeps_times=keep_times,
            speed=pace,
            on_total=lambda total: bar.update(task, total=total),
            on_produced=lambda count: bar.update(task, completed=count),
        )
    print(sent.description)


def backfill(
    table: Annotated[str, typer.Argument(help="A table, such as cost_daily or rollup_1h; or daily, rollups, marts.")],
    from_: Annotated[str, typer.Option("--from", help="First UTC day, such as 2026-11-01.")],
    to: Annotated[str, typer.Option("--to", help="Last UTC day, included.")],
    metric: Annotated[list[str] | None, typer.Option(help="Of rollups: this metric only (repeat for more).")] = None,
    wait: Annotated[bool, typer.Option(help="Stay until the run has ended.")] = True,
) -> None:
    """Compute a table's days again, as one Dagster run, and show how many of the days are done.

    Ctrl-C stops waiting, not the run.

    Example: lah backfill cost_daily --from 2026-11-01 --to 2026-11-07
    Example: lah backfill rollups --metric latency_ms --from 2026-11-01 --to 2026-11-01
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.backfill_progress import progress_of
    from lah_platform.stores.backfills import BACKFILL_TABLES, check_days, request_backfill
    from lah_platform.stores.embedded.process import wait_until
    from lah_platform.stores.postgres import connect

    if table not in BACKFILL_TABLES:
        raise ConfigurationError(f"No table {table!r} can be backfilled", f"Name one of {', '.join(BACKFILL_TABLES)}")
    start, end = day(from_, "--from"), day(to, "--to")
    check_days(start, end, today=datetime.now(UTC).date(), retention_days=settings().retention_days, table=table)
    with connect(database_url(settings())) as connection:
        request = uuid.uuid4()
        request_backfill(
            connection, request, table=table, start=start, end=end, actor="lah backfill", metrics=metric or ()
        )
        print(f"requested {request}")
        if not wait:
            return
        text = TextColumn("  {task.description}")
        with Progress(text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=_console) as bar:
            task = bar.add_task(table, total=None)

            def has_ended() -> bool:
                now = progress_of(connection, request)
                total = now.days if now.days_done else None  # none of them yet, or computed in one piece
                bar.update(task, description=f"{table}: {now.description}", completed=now.days_done, total=total)
                return now.has_ended

            wait_until(has_ended, seconds=_WAIT_SECONDS, poll_seconds=0.5)
        ended = progress_of(connection, request)
    if ended.state != "succeeded":
        raise StackError(
            f"The backfill is {ended.state} (run {ended.run_id or 'not started'}), {ended.days_done} of {ended.days}"
            " days are computed",
            "Open the run in the Dagster UI and read why; `lah doctor` says whether the daemon runs",
        )
    print(f"succeeded in run {ended.run_id}: {ended.days} days")


@dead_letters.command("list")
def _list(
    code: Annotated[str | None, typer.Option(help="Only this reason code, such as missing_field.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that were replayed.")] = False,
    limit: Annotated[int, typer.Option(min=1)] = 50,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """The newest dead letters: where each came from and why it was refused.

    Example: lah dead-letters list --code missing_field
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.dead_letters import dead_letters as find
    from lah_platform.stores.postgres import connect

    with connect(database_url(settings())) as connection:
        letters = find(connection, code=code, pending_only=not all_, limit=limit)
    for letter in letters:
        if json_:
            print(json.dumps(letter, default=str))
        else:
            state = f" (replayed: {letter['replayed_as']})" if letter["replayed_at"] else ""
            place = f"{letter['topic']}[{letter['partition']}]@{letter['record_offset']}"
            print(f"{letter['dead_letter_id']:>6} {place:<28} {letter['field']} {letter['reason']}{state}")
    if not letters:
        print("There are none")


@dead_letters.command("show")
def _show(dead_letter_id: int) -> None:
    """One dead letter with its bytes and headers, as JSON; the reading is audited.

    Example: lah dead-letters show 7
    """
    from getpass import getuser

    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.audit import record_reading
    from lah_platform.stores.dead_letters import dead_letter
    from lah_platform.stores.master_keys import hub_key_ring
    from lah_platform.stores.postgres import connect

    with connect(database_url(settings())) as connection:
        letter = dead_letter(connection, dead_letter_id, hub_key_ring(settings()))
        what = f"dead letter {dead_letter_id}"
        record_reading(
            connection, f"cli:{getuser()}", tenant=letter["tenant"], what=what, purpose="shown by command", rows=1
        )

    def readable(value: Any) -> Any:
        return bytes(value).decode("utf-8", "backslashreplace") if isinstance(value, bytes | memoryview) else str(value)

    print(json.dumps(letter, default=readable, indent=2))


@dead_letters.command("replay")
def _replay(
    ids: Annotated[list[int] | None, typer.Argument(help="Which ones; none: every one that waits.")] = None,
    code: Annotated[str | None, typer.Option(help="Only this reason code.")] = None,
) -> None:
    """Decode dead letters again, after a fix, and store those that are good now; the ledger moves with them.

    Example: lah dead-letters replay --code unsupported_schema_version
    """
    from lah_platform.privacy.redaction import redactor
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stack.landing_process import decode_now
    from lah_platform.stores.conflicts import ConflictMemory
    from lah_platform.stores.dead_letters import pending
    from lah_platform.stores.dead_letters import replay as again
    from lah_platform.stores.landing import SeriesBook
    from lah_platform.stores.master_keys import hub_key_ring
    from lah_platform.stores.postgres import connect

    counts = {"stored": 0, "duplicate": 0, "dead_lettered": 0}
    with connect(database_url(settings())) as connection:
        series, keys = SeriesBook(settings().series_limit), hub_key_ring(settings())
        window = settings().strict_window
        memory = None if window is None else ConflictMemory(window)
        for each in ids or pending(connection, code):
            now = datetime.now(UTC)
            result = again(
                connection,
                each,
                decoder=decode_now,
                now=now,
                series=series,
                series_tags=settings().series_tags,
                memory=memory,
                keys=keys,
                redact=redactor(),
            )
            counts[result.outcome] += 1
            if result.reason:
                print(f"{each:>6} {result.outcome}: {result.reason}")
    print(f"stored {counts['stored']}, duplicate {counts['duplicate']}, still refused {counts['dead_lettered']}")
