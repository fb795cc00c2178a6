"""A running hub (`lah up`) as its users meet it: REST in, Dagster behind, three ways to compute a day again."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from lah_platform.settings import PROJECT_ROOT, Settings
from lah_platform.stack.endpoints import read_state
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.embedded.process import Child, wait_until
from lah_platform.stores.postgres import Connection, connect
from tests.rollups.recount import assert_rollups_equal_recount

pytestmark = pytest.mark.timeout(280)
_EVENTS = 300


class Hub:
    """`lah up` in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = os.environ | {"LAH_HOME": str(home)}
        self.child = Child(
            "hub", self._command("up"), log=home.with_suffix(".log"), env=self.environment, cwd=PROJECT_ROOT
        )
        self.child.wait_ready(lambda: b"Ctrl-C" in self.child.log.read_bytes(), seconds=120)
        state = read_state(Settings(home=home))
        assert state is not None
        assert state.api_url is not None
        assert state.dagster_url is not None
        assert state.postgres_port is not None
        self.dagster_url = state.dagster_url
        self.database_url = EmbeddedPostgres(home / "postgres", port=state.postgres_port).url
        self.api = httpx.Client(base_url=state.api_url, timeout=30)

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "lah_platform.cli", *arguments]

    def key(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {(self.home / f'demo-{name}.key').read_text(encoding='ascii')}"}

    def lah(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*arguments),
            env=self.environment,
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    def graphql(self, query: str) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.dagster_url}/graphql",
            data=json.dumps({"query": query}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer: dict[str, Any] = json.load(response)
            return answer


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    hub = Hub(tmp_path_factory.mktemp("hub") / "home")
    yield hub
    hub.api.close()
    assert hub.lah("down").returncode == 0
    assert hub.child.stop() == 0
    EmbeddedPostgres(hub.home / "postgres", port=1).destroy()


@pytest.fixture(scope="module")
def landed(hub: Hub) -> Iterator[Connection]:
    """The hub's database with a few hundred events of two days, sent by REST, rolled up."""
    now = datetime.now(UTC)
    items = [
        {
            "timestamp": (now - timedelta(minutes=9 * i + 1)).isoformat(),
            "source_module": "llm-observatory",
            "event_type": "telemetry",
            "severity": "info",
            "environment": "production",
            "payload": {
                "payload_type": "telemetry",
                "data": {
                    "telemetry_type": "latency",
                    "model_id": "m",
                    "request_id": f"r{i}",
                    "total_latency_ms": 10 + i,
                },
            },
        }
        for i in range(_EVENTS)
    ]
    headers = hub.key("acme") | {"Idempotency-Key": "first"}
    for _ in range(2):  # a retry with the same key is the same events
        answer = hub.api.post("/api/v1/events/batch", json=items, headers=headers)
        assert answer.status_code == 202, answer.text
    with connect(hub.database_url) as connection:

        def is_rolled_up() -> bool:
            row = connection.execute(
                "select (select sum(received) from ledger), (select count(*) from rollup_partial_sets),"
                " (select count(*) from rollup_1m)"
            ).fetchone()
            return row is not None and row[0] == 2 * _EVENTS and row[1] == 0 and row[2] > 0

        assert wait_until(is_rolled_up, seconds=90), hub.child.log_tail(20)
        yield connection


def test_a_retried_rest_batch_is_stored_once_and_its_repeat_is_counted(landed: Connection) -> None:
    row = landed.execute("select sum(stored)::int, sum(duplicate)::int, sum(dead_lettered)::int from ledger").fetchone()
    assert row == (_EVENTS, _EVENTS, 0)


def test_the_api_serves_what_the_rollups_say(hub: Hub, landed: Connection) -> None:
    parameters = {"window": "1d", "metric": "latency_ms", "from": (datetime.now(UTC) - timedelta(days=4)).isoformat()}
    served = hub.api.get("/api/v1/metrics", params=parameters, headers=hub.key("acme")).json()["items"]
    assert sum(item["measures"]["count"] for item in served) == _EVENTS
    assert_rollups_equal_recount(landed)


def _spoil(connection: Connection) -> None:
    for table in ("rollup_1m", "rollup_1h", "rollup_1d", "rollup_1mo"):
        connection.execute(f"update {table} set count = count + 1000, max = 1e9".encode())


def _through_the_command(hub: Hub, first: str, last: str) -> None:
    done = hub.lah("backfill", "rollups", "--from", first, "--to", last)
    assert done.returncode == 0, done.stderr


def _through_rest(hub: Hub, first: str, last: str) -> None:
    body = {"table": "rollup_1h", "from": first, "to": last}
    answer = hub.api.post("/api/v1/backfills", json=body, headers=hub.key("operator"))
    assert answer.status_code == 202, answer.text
    place = answer.headers["Location"]

    def state() -> str:
        return str(hub.api.get(place, headers=hub.key("operator")).json()["state"])

    assert wait_until(lambda: state() in ("succeeded", "failed"), seconds=120)
    assert state() == "succeeded"


def _through_the_ui(hub: Hub, first: str, last: str) -> None:
    start, days = datetime.fromisoformat(first), (datetime.fromisoformat(last) - datetime.fromisoformat(first)).days
    names = ", ".join(f'"{(start + timedelta(days=i)).date()}"' for i in range(days + 1))
    keys = ", ".join(f'{{path: ["rollup_{each}"]}}' for each in ("1m", "5m", "15m", "1h", "6h", "1d", "1w", "1mo"))
    launched = hub.graphql(
        f"mutation {{ launchPartitionBackfill(backfillParams: {{assetSelection: [{keys}], partitionNames: [{names}]}})"
        " { __typename ... on LaunchBackfillSuccess { backfillId } } }"
    )
    identity = launched["data"]["launchPartitionBackfill"]["backfillId"]

    def status() -> str:
        asked = hub.graphql(
            f'{{ partitionBackfillOrError(backfillId: "{identity}") {{ ... on PartitionBackfill {{ status }} }} }}'
        )
        return str(asked["data"]["partitionBackfillOrError"]["status"])

    assert wait_until(lambda: status() in ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED"), seconds=150)
    assert status() == "COMPLETED_SUCCESS"


@pytest.mark.parametrize("way", [_through_the_command, _through_rest, _through_the_ui])
def test_a_backfill_ends_with_the_same_tables_whichever_way_it_was_asked_for(
    way: Any, hub: Hub, landed: Connection
) -> None:
    (first, last), *_ = landed.execute(
        "select min(ts at time zone 'UTC')::date::text, max(ts at time zone 'UTC')::date::text from events"
    ).fetchall()
    _spoil(landed)
    with pytest.raises(AssertionError):
        assert_rollups_equal_recount(landed)
    way(hub, first, last)
    assert_rollups_equal_recount(landed)


def test_a_second_hub_in_the_same_home_is_refused_with_what_to_do(hub: Hub) -> None:
    refused = hub.lah("up")
    assert refused.returncode == 1
    assert "lah down" in refused.stderr


def test_the_doctor_finds_a_running_hub_healthy(hub: Hub, landed: Connection) -> None:
    assert landed.execute("select 1").fetchone() == (1,)
    examined = hub.lah("doctor", "--json")
    assert examined.returncode == 0, examined.stderr
    assert all(finding["is_healthy"] for finding in json.loads(examined.stdout.splitlines()[-1]))
