"""What an operator asks first: versions, connections, clock, disk, ledger, lag: green, or what to do."""

import importlib.metadata
import platform
import shutil
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from lah_platform.errors import LahError
from lah_platform.settings import Settings
from lah_platform.stack.encryption import encryption_finding
from lah_platform.stack.endpoints import database_url, kafka_bootstrap, read_state
from lah_platform.stack.finding import Finding
from lah_platform.stores.embedded.ports import is_free
from lah_platform.stores.kafka import topic_id
from lah_platform.stores.migrations import OLDEST_SERVER_VERSION, has_timescaledb, schema_snapshot, status
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.queries import queries

__all__ = ["Finding", "examine"]

_LEAST_FREE_BYTES = 2_000_000_000
_MOST_CLOCK_SKEW = timedelta(seconds=2)
_MOST_LAG = timedelta(minutes=2)
_MOST_PENDING = 200_000


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; a part that does not answer is a finding, never an exception."""
    findings = [_python(), _disk(settings)]
    try:
        with connect(database_url(settings)) as connection:
            findings += [look(connection) for look in _DATABASE]
            findings.append(encryption_finding(connection, settings))
    except LahError as error:
        findings.append(Finding("PostgreSQL", False, error.message, error.advice))
    if settings.has_broker:
        findings.append(_broker(settings))
    findings += _processes(settings)
    return findings


def _python() -> Finding:
    version = platform.python_version()
    hub = importlib.metadata.version("llm-analytics-hub")
    dagster = importlib.metadata.version("dagster")
    return Finding(
        "Versions", sys.version_info >= (3, 11), f"hub {hub}, Python {version}, Dagster {dagster}", "Use 3.11+"
    )


def _disk(settings: Settings) -> Finding:
    folder = next(parent for parent in [settings.home, *settings.home.parents] if parent.exists())
    free = shutil.disk_usage(folder).free
    return Finding(
        "Disk", free >= _LEAST_FREE_BYTES, f"{free / 1e9:.1f} GB free at {folder}", "Free space, or move LAH_HOME"
    )


def _server(connection: Connection) -> Finding:
    version = connection.info.server_version
    extension = "TimescaleDB offered" if has_timescaledb(connection) else "plain PostgreSQL: native partitions"
    return Finding(
        "PostgreSQL",
        version >= OLDEST_SERVER_VERSION,
        f"{version // 10000}.{version % 10000}, {extension}",
        "Use PostgreSQL 15 to 18",
    )


def _clock(connection: Connection) -> Finding:
    (theirs,) = connection.execute("select clock_timestamp()").fetchone() or (datetime.now(UTC),)
    skew = abs(datetime.now(UTC) - theirs)
    return Finding(
        "Clock",
        skew <= _MOST_CLOCK_SKEW,
        f"{skew.total_seconds() * 1000:.0f} ms from the database's",
        "Synchronise both machines by NTP: receipt times and finality depend on it",
    )


def _schema(connection: Connection) -> Finding:
    missing = [f"{step.version:04d}" for step in status(connection) if step.applied_at is None]
    if missing:
        return Finding("Schema", False, f"migrations {', '.join(missing)} are missing", "Run `lah migrate`")
    return Finding("Schema", True, f"current, {len(schema_snapshot(connection).splitlines())} objects")


def _ledger(connection: Connection) -> Finding:
    stack = queries("stack")
    ((unbalanced, broken, disagreeing),) = connection.execute(stack["imbalance"]).fetchall()
    ((received, stored, duplicate, dead),) = connection.execute(stack["ledger_totals"]).fetchall()
    figures = f"received {received:,} = stored {stored:,} + duplicate {duplicate:,} + dead-lettered {dead:,}"
    return Finding(
        "Ledger",
        not unbalanced and not broken and not disagreeing,
        f"{figures}; {unbalanced} unbalanced rows, {broken} breaks in offsets, {disagreeing} minutes unlike batches",
        "Read the views ledger_imbalance, offset_breaks and ledger_against_batches (`lah sql`); "
        "docs/ledger.md says what each finding means and what to do",
    )


def _lag(connection: Connection) -> Finding:
    rows = connection.execute(
        "select topic, partition, caught_up_at from landing_offsets o where topic_id = (select n.topic_id from"
        " landing_offsets n where n.topic = o.topic order by n.updated_at desc limit 1) order by 1, 2"
    ).fetchall()
    now = datetime.now(UTC)
    behind = [
        f"{topic}[{number}]" for topic, number, at in rows if topic != "rest" and (at is None or now - at > _MOST_LAG)
    ]
    return Finding(
        "Landing",
        not behind,
        f"{len(rows)} partitions, {len(behind)} behind" + (f": {', '.join(behind)}" if behind else ""),
        "Is `lah land` running (`lah up` starts it)? Its log says what it waits for",
    )


def _pending(connection: Connection) -> Finding:
    ((waiting, final_before),) = connection.execute(
        "select (select coalesce(sum(group_count), 0)::bigint from rollup_partial_sets),"
        " (select nullif(final_before, '-infinity') from rollup_state)"
    ).fetchall()
    return Finding(
        "Rollups",
        waiting < _MOST_PENDING,
        f"{waiting:,} partials wait, final before {final_before}",
        "The sensor landing_progress merges them: is the Dagster daemon running, is the sensor on?",
    )


_DATABASE: list[Callable[[Connection], Finding]] = [_server, _clock, _schema, _ledger, _lag, _pending]


def _broker(settings: Settings) -> Finding:
    try:
        identity = topic_id(kafka_bootstrap(settings), settings.topic)
    except LahError as error:
        return Finding("Broker", False, error.message, error.advice)
    return Finding("Broker", True, f"topic {settings.topic} ({identity})")


def _processes(settings: Settings) -> list[Finding]:
    state = read_state(settings)
    if state is None:
        return [Finding("Processes", True, f"none started from {settings.home} on {socket.gethostname()}")]
    ports = {"Dagster UI": state.dagster_url, "API": state.api_url}
    return [
        Finding(
            name, not is_free(int(url.rsplit(":", 1)[1])), url, "Read its log in LAH_HOME/logs; `lah down && lah up`"
        )
        for name, url in ports.items()
        if url
    ]
