"""`lah demo --exit --json` as a user runs it: real processes, real events, and nothing left behind."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from lah_platform.replay.planted import EPISODES
from lah_platform.rollups.windows import WINDOWS
from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.postgres import Connection, connect
from tests.rollups.recount import assert_rollups_equal_recount

_EVENTS = 10_000  # the fewest that something is planted in
_DEADLINE_SECONDS = 280


@dataclass
class Demo:
    """One finished demo: its exit status, JSON, and where it ran."""

    status: int
    summary: dict[str, Any]
    home: Path
    outside_connections: str
    errors: str
    left_running: list[str]


def _processes_of(home: Path) -> list[str]:
    """Every process whose command or environment names the demo's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(home) in " ".join([*process.cmdline(), *process.environ().values()]):
                found.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, traces: Path) -> Demo:
    home = tmp_path_factory.mktemp("demo")
    watched = home / "connections.txt"
    environment = os.environ | {
        "LAH_HOME": str(home / "lah"),
        "LAH_TRACES": str(traces),
        "LAH_TEST_CONNECTIONS": str(watched),
        "PYTHONPATH": str(Path(__file__).parent / "watch"),
    }
    command = [sys.executable, "-m", "lah_platform.cli", "demo", "--events", f"{_EVENTS}", "--exit", "--json"]
    done = subprocess.run(
        command,
        env=environment,
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_SECONDS,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "{}"
    outside = watched.read_text(encoding="utf-8") if watched.exists() else ""
    return Demo(done.returncode, json.loads(last), home / "lah", outside, done.stderr, _processes_of(home))


@pytest.fixture(scope="module")
def tables(demo: Demo) -> Iterator[Connection]:
    """The demo's own database, started again after it."""
    server = EmbeddedPostgres(demo.home / "postgres", port=unused_port())
    server.start()
    with connect(server.url) as connection:
        yield connection
    server.destroy()


@pytest.mark.timeout(_DEADLINE_SECONDS + 20)
def test_the_main_job_on_real_traces_completes_every_stage(demo: Demo) -> None:
    assert demo.status == 0, demo.errors[-3000:]
    summary = demo.summary
    wanted = "received stored duplicate dead_lettered rollup_rows anomalies forecasts correlations costs_rows"
    for name in [*wanted.split(), "checks_passed", "checks_failed", "report_paths", "seconds"]:
        assert name in summary
    assert summary["source"].startswith("real traces")
    assert summary["received"] == summary["stored"] + summary["duplicate"] + summary["dead_lettered"] > 0
    assert summary["dead_lettered"] == 12
    assert all(summary["rollup_rows"][window.name] > 0 for window in WINDOWS)
    assert summary["checks_failed"] == 0
    assert set(summary["report_paths"]) == {"soc2", "gdpr", "hipaa", "eu_ai_act", "iso_42001", "executive"}
    assert all(Path(path).read_bytes().startswith(b"%PDF") for path in summary["report_paths"].values())
    assert 0 < summary["peak_resident_mib"] < 3 * 1024


def test_it_finds_everything_that_was_planted_and_says_where(demo: Demo) -> None:
    planted = demo.summary["planted"]
    assert planted["note"] == ""
    assert {each["name"]: each["is_found"] for each in planted["episodes"]} == {kind.name: True for kind in EPISODES}
    for each in planted["episodes"]:
        assert each["started_at"] <= each["detected_from"] < each["detected_to"] <= each["ended_at"], each["name"]
        assert f"planted {each['name']}, {each['metric']} of {each['service']}" in demo.errors
    (incident,) = planted["incidents"]
    assert (incident["named"], incident["is_found"]) == (incident["root_cause"], True)
    assert float(incident["cost_usd"]) > 0


def test_every_window_and_measure_equals_a_naive_recomputation_from_the_events(demo: Demo, tables: Connection) -> None:
    assert_rollups_equal_recount(tables)
    assert tables.execute("select count(*) from events").fetchone() == (demo.summary["stored"],)


def test_daily_costs_equal_the_events_to_the_last_digit(tables: Connection) -> None:
    events = tables.execute("select sum(cost_usd) from events where event_type = 'cost'").fetchone()
    costs = tables.execute("select sum(reported_usd) + sum(other_usd) from cost_daily").fetchone()
    assert events == costs


def test_tokens_are_priced_from_the_price_book_as_producers_priced_them(tables: Connection) -> None:
    """The replay's producers charge list prices; what they report and what the hub computes must agree per day."""
    apart = tables.execute(
        "select day, model, reported_usd, priced_usd from cost_daily where reported_usd > 0 and unpriced_requests = 0"
        " and abs(reported_usd - priced_usd) > 0.0001 * reported_usd"
    ).fetchall()
    priced = tables.execute("select count(*) from cost_daily where priced_usd > 0").fetchone()
    assert apart == []
    assert priced is not None
    assert priced[0] > 0


def test_nothing_is_left_running_after_it(demo: Demo) -> None:
    assert demo.left_running == []


def test_no_process_of_it_looked_up_or_connected_to_anything_outside(demo: Demo) -> None:
    assert demo.outside_connections == ""


def test_its_logs_hold_no_secret(demo: Demo) -> None:
    secrets = [path.read_text(encoding="ascii").strip() for path in demo.home.glob("*.key")]
    secrets += [(demo.home / name).read_text(encoding="ascii").strip() for name in ("secret", "postgres/password")]
    logs = "".join(path.read_text(encoding="utf-8", errors="replace") for path in demo.home.rglob("*.log"))
    assert len(secrets) == 6  # two API keys, the signing and the master key, the server's secret, the database's
    assert [secret for secret in secrets if secret in logs + demo.errors] == []
