"""A real server over a real socket, built from the environment as a deployment builds it."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from api_support import TestClient
from confluent_kafka import Consumer, TopicPartition
from pydantic import SecretStr
from server_support import running_server
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect as open_socket

from api.app import create_app
from api.main import build_services
from lah_platform.errors import ConfigurationError
from lah_platform.events.examples import flat_example
from lah_platform.settings import Settings
from lah_platform.stores.embedded.broker import EmbeddedBroker
from lah_platform.stores.kafka import ensure_topic
from lah_platform.stores.keys import create_key, server_secret
from lah_platform.stores.postgres import connect


@pytest.fixture
def server_url(database: str, tmp_path: Path) -> Iterator[str]:
    with running_server(database, tmp_path) as url:
        yield url


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


def test_a_server_with_open_streams_says_goodbye_and_stops_when_told(database: str, tmp_path: Path) -> None:
    with connect(database) as connection:
        _, key = create_key(connection, server_secret(tmp_path), tenant="acme", role="viewer", label="", actor="test")
    with ExitStack() as stack:
        with running_server(database, tmp_path) as url:
            client = stack.enter_context(httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=20))
            answer = stack.enter_context(client.stream("GET", "/api/v1/stream"))
            lines = answer.iter_lines()
            assert next(lines) == ": here"
            socket = stack.enter_context(
                open_socket(f"{url.replace('http', 'ws')}/api/v1/stream/socket", additional_headers={"X-API-Key": key})
            )
            assert '"here"' in str(socket.recv())
        said = list(lines)
        assert 'data: {"reason": "the server is stopping"}' in said
        assert "event: end" in said
        with pytest.raises(ConnectionClosedError):
            list(socket)
        assert socket.close_code == 1012


def _server_time(client: httpx.Client) -> str:
    return parsedate_to_datetime(client.get("/health").headers["date"]).isoformat()


def test_with_a_broker_configured_events_go_there_and_everything_is_closed_at_the_end(
    database: str, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    topic = "test.api.server"
    ensure_topic(broker.bootstrap, topic, 1)
    services = build_services(
        Settings(home=tmp_path, database_url=SecretStr(database), kafka_bootstrap=broker.bootstrap, topic=topic)
    )
    with services.pool.connection() as connection:
        _, key = create_key(connection, server_secret(tmp_path), tenant="acme", role="ingest", label="", actor="test")
    with TestClient(create_app(services, owns_services=True), headers={"X-API-Key": key}) as client:
        assert client.get("/ready").json() == {"ready": True, "reasons": []}
        event = {**flat_example("latency"), "timestamp": datetime.now(UTC).isoformat()}
        answer = client.post("/api/v1/events", json=event)
        assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert services.pool.closed
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "test"})
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20) == (0, 1)
    consumer.close()


def test_without_its_parts_running_a_server_says_what_to_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="lah up"):
        build_services(Settings(home=tmp_path))


@pytest.mark.parametrize(
    ("host", "takes"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("hub.example", False)],
)
def test_demo_keys_are_taken_on_loopback_addresses_only(database: str, tmp_path: Path, host: str, takes: bool) -> None:
    services = build_services(
        Settings(home=tmp_path, database_url=SecretStr(database), kafka_bootstrap="none", api_host=host)
    )
    services.close()
    assert services.takes_demo_keys == takes
