"""A real server over a real socket, built from the environment as a deployment builds it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lah_platform.events.examples import flat_example
from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.process import wait_until
from lah_platform.stores.keys import create_key, server_secret
from lah_platform.stores.postgres import connect


@pytest.fixture
def server_url(database: str, tmp_path: Path) -> Iterator[str]:
    port = unused_port()
    environment = {
        "PATH": os.environ["PATH"],
        "LAH_HOME": str(tmp_path),
        "LAH_DATABASE_URL": database,
        "LAH_KAFKA_BOOTSTRAP": "none",
        "LAH_API_PORT": str(port),
    }
    with (tmp_path / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "api.main"], cwd=PROJECT_ROOT, env=environment, stdout=log, stderr=log
        )
        url = f"http://127.0.0.1:{port}"
        try:
            assert wait_until(lambda: _answers(url) or process.poll() is not None, seconds=60)
            assert process.poll() is None, (tmp_path / "api.log").read_text()
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) in (0, -signal.SIGTERM), (tmp_path / "api.log").read_text()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).is_success
    except httpx.TransportError:
        return False


def test_a_server_takes_an_event_gives_it_back_and_stops_when_told(
    server_url: str, database: str, tmp_path: Path
) -> None:
    with connect(database) as connection:
        _, key = create_key(
            connection, server_secret(tmp_path), tenant="acme", role="admin", label="demo", actor="test", is_demo=True
        )
    with httpx.Client(base_url=server_url, headers={"X-API-Key": key}) as client:
        assert client.get("/ready").json() == {"ready": True, "reasons": []}
        event = flat_example("latency")
        del event["event_id"]
        event["timestamp"] = _server_time(client)
        made = client.post("/api/v1/events", json=event)
        assert made.status_code == 200, made.text
        found = client.get(f"/api/v1/events/{made.json()['event_id']}")
        assert found.json()["payload"] == event["payload"]
        assert client.post("/api/v1/events/batch", content=b" " * (8 * 1024 * 1024 + 1)).status_code == 413
        assert "server" not in found.headers


def _server_time(client: httpx.Client) -> str:
    from email.utils import parsedate_to_datetime

    return parsedate_to_datetime(client.get("/health").headers["date"]).isoformat()
