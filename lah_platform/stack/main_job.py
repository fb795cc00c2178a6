"""The demo's main job: replay, wait until everything is landed and materialized, and say what there is."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg import sql

from lah_platform.errors import ConfigurationError, StackError
from lah_platform.rollups.windows import WINDOWS
from lah_platform.settings import Settings
from lah_platform.stack.lineage import materialized_at
from lah_platform.stack.planted import Planted, as_plain, planted_and_found
from lah_platform.stack.replaying import Replayed, replay
from lah_platform.stack.supervisor import Supervisor
from lah_platform.stores.backfills import request_backfill, state_of
from lah_platform.stores.embedded.process import wait_until
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.queries import queries
from lah_platform.stores.report_files import report_paths
from lah_platform.stores.report_runs import list_reports
from lah_platform.stores.rollups import pending

__all__ = ["Summary", "run_main_job", "summarise"]

_Q = queries("stack")
_LANDING_SECONDS = 180.0
_ROLLUP_SECONDS = 240.0
_RUN_SECONDS = 300.0
_ACTOR = "lah demo"
_MARTS = ("cost_by_team_day", "model_service_levels", "compliance_evidence_daily")
# producers' topic; written beside every run; signed every hour; of closed days, where there is an archive
_NOT_OURS_TO_MAKE = (
    *("kafka_events", "checks", "audit_log", "audit_heads", "events_archive"),
    *("daily_reports", "weekly_reports", "monthly_reports", "quarterly_reports", "deliveries"),  # of a plan's schedules
)


@dataclass
class Summary:
    """What `lah demo` says at its end: rows of every stage, verdicts, and whether what was planted was found."""

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    dead_lettered: int = 0
    rollup_rows: dict[str, int] = field(default_factory=dict)
    anomalies: int = 0
    forecasts: int = 0
    correlations: int = 0
    costs_rows: int = 0
    priced_usd: Decimal = Decimal(0)
    marts_rows: dict[str, int] = field(default_factory=dict)
    checks_passed: int = 0
    checks_failed: int = 0
    failed_checks: list[str] = field(default_factory=list)
    never_materialized: list[str] = field(default_factory=list)
    report_paths: dict[str, str] = field(default_factory=dict)
    planted: Planted = field(default_factory=Planted)
    planted_sent: int = 0
    source: str = ""
    peak_resident_mib: int = 0
    seconds: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def is_balanced(self) -> bool:
        return self.received == self.stored + self.duplicate + self.dead_lettered

    def missing(self) -> list[str]:
        """What a complete demo has and this one has not; empty when all is there."""
        lacks = [f"rollup {name}" for name, rows in self.rollup_rows.items() if not rows]
        stages = {
            "events": self.stored,
            "anomalies": self.anomalies,
            "forecasts": self.forecasts,
            "correlations": self.correlations,
            "costs": self.costs_rows,
            "priced tokens": self.priced_usd,
            "checks": self.checks_passed,
            "reports": self.report_paths,
        } | {f"mart {name}": self.marts_rows.get(name, 0) for name in _MARTS}
        lacks += [name for name, there in stages.items() if not there]
        lacks += [f"materialization of {name}" for name in self.never_materialized]
        lacks += [f"check {name} failed" for name in self.failed_checks]
        lacks += self.planted.missing()
        told_of = len(self.planted.episodes) + len(self.planted.incidents)
        lacks += (
            [f"{self.planted_sent - told_of} planted things that did not land"] if told_of < self.planted_sent else []
        )
        return lacks if self.is_balanced else [*lacks, "a ledger that balances"]


def run_main_job(
    settings: Settings,
    hub: Supervisor,
    *,
    events: int,
    run: str,
    on_total: Callable[[int], None],
    on_produced: Callable[[int], None],
    on_step: Callable[[str], None],
) -> Summary:
    """Replay the traces into the running `hub` and wait for every table.

    Raises StackError when a stage does not finish in its time, naming the stage and the log to read, and
    ConfigurationError for a hub without a broker.
    """
    bootstrap = hub.bootstrap
    if bootstrap is None:
        raise ConfigurationError("The demo replays through Kafka", "Unset LAH_KAFKA_BOOTSTRAP, or name a broker by it")
    stages: dict[str, float] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        on_step(name)
        started = time.monotonic()
        result = step()
        stages[name] = round(time.monotonic() - started, 2)
        return result

    def send() -> Replayed:
        return replay(
            settings,
            "all",
            database_url=hub.database_url,
            bootstrap=bootstrap,
            run=run,
            events=events,
            on_total=on_total,
            on_produced=on_produced,
        )

    with connect(hub.database_url) as connection:
        before = _received(connection)
        sent = timed("replay", send)
        everything = before + sent.messages
        timed("landing", lambda: _wait(hub, "landing", lambda: _received(connection) >= everything, _LANDING_SECONDS))
        if sent.was_loaded and not summarise(connection, settings).missing():
            return _described(summarise(connection, settings), connection, run, sent, stages, hub)
        timed("rollups", lambda: _wait(hub, "code", lambda: pending(connection) == 0, _ROLLUP_SECONDS))
        timed("costs, signals, checks, report", lambda: _run(hub, connection, "daily"))
        timed("marts", lambda: _wait(hub, "marts", lambda: _has_fresh_marts(hub), _RUN_SECONDS))
        return _described(summarise(connection, settings), connection, run, sent, stages, hub)


def summarise(connection: Connection, settings: Settings) -> Summary:
    """Counts of everything that is there now."""
    summary = Summary()
    (totals,) = connection.execute(_Q["ledger_totals"]).fetchall()
    summary.received, summary.stored, summary.duplicate, summary.dead_lettered = totals
    for window in WINDOWS:
        statement = sql.SQL("select count(*) from {}").format(sql.Identifier(window.table))
        (rows,) = connection.execute(statement).fetchone() or (0,)
        summary.rollup_rows[window.name] = rows
    (served,) = connection.execute(_Q["served_rows"]).fetchall()
    summary.anomalies, summary.forecasts, summary.correlations, summary.costs_rows, summary.priced_usd = served
    summary.marts_rows = _marts(connection)
    verdicts = connection.execute(_Q["latest_checks"]).fetchall()
    summary.checks_passed = sum(passed for _, _, passed, _, _ in verdicts)
    summary.failed_checks = [f"{asset}.{name}" for asset, name, passed, _, _ in verdicts if not passed]
    summary.checks_failed = len(summary.failed_checks)
    for entry in reversed(list_reports(connection, tenant="*")):
        path = report_paths(settings.home, entry)["pdf"]
        if path.exists():
            summary.report_paths[entry.name] = str(path)
    return summary


def _marts(connection: Connection) -> dict[str, int]:
    names = connection.execute(
        "select table_name from information_schema.tables where table_schema = 'marts' order by table_name"
    ).fetchall()
    rows = {}
    for (name,) in names:
        statement = sql.SQL("select count(*) from {}").format(sql.Identifier("marts", name))
        (count,) = connection.execute(statement).fetchone() or (0,)
        rows[name] = count
    return rows


def _described(
    summary: Summary, connection: Connection, run: str, sent: Replayed, stages: dict[str, float], hub: Supervisor
) -> Summary:
    summary.planted = planted_and_found(connection, run, f"nothing, for {sent.why_nothing_planted}")
    summary.planted_sent = sent.planted
    summary.never_materialized = sorted(
        name for name, at in materialized_at(hub.dagster_url).items() if not at and name not in _NOT_OURS_TO_MAKE
    )
    summary.source = sent.description
    summary.stage_seconds = stages
    hub.note_memory()
    summary.peak_resident_mib = hub.peak_resident_bytes // 2**20
    return summary


def _received(connection: Connection) -> int:
    (totals,) = connection.execute(_Q["ledger_totals"]).fetchall()
    return int(totals[0])


def _has_fresh_marts(hub: Supervisor) -> bool:
    """Whether the marts' own automation has built them since the day's costs were computed."""
    at = materialized_at(hub.dagster_url)
    return all(at.get(mart, 0.0) > at["cost_daily"] for mart in _MARTS)


def _run(hub: Supervisor, connection: Connection, table: str) -> None:
    (first, last) = connection.execute(_Q["event_span"]).fetchall()[0]
    request = uuid.uuid4()
    request_backfill(connection, request, table=table, start=first, end=last, actor=_ACTOR)

    def finished() -> bool:
        state, run_id = state_of(connection, request)
        if state in ("failed", "cancelled"):
            raise StackError(
                f"The run for '{table}' {state}", f"Open {hub.dagster_url}/runs/{run_id or ''} and read why"
            )
        return bool(state == "succeeded")

    _wait(hub, "dagster-daemon", finished, _RUN_SECONDS)


def _wait(hub: Supervisor, log: str, condition: Callable[[], bool], seconds: float) -> None:
    def revive_and_ask() -> bool:
        hub.revive()
        hub.note_memory()
        return condition()

    if not wait_until(revive_and_ask, seconds=seconds, poll_seconds=0.25):
        raise StackError(f"{log} had not finished after {seconds:g} s", f"Read {hub.log_of(log)}, then try again")


def as_json(summary: Summary) -> str:
    """The summary as one line."""
    whole = asdict(summary) | {"planted": as_plain(summary.planted)}
    return json.dumps(whole, default=lambda each: each.isoformat() if isinstance(each, datetime) else str(each))
