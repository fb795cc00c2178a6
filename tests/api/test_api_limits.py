"""What one caller may take up: bytes and seconds; and what a browser's page from elsewhere may: nothing."""

import socket
import time
from pathlib import Path

import httpx
import pytest
from api_support import Api, TestClient
from psycopg_pool import ConnectionPool
from server_support import running_server
from stream_support import serving

from api.access import PUBLIC, ROUTES
from api.headers import SECURITY_HEADERS
from api.problems import Problem
from api.refusals import Refusals
from lah_platform.stores.embedded.process import wait_until
from lah_platform.stores.postgres import connect

_POSTS = sorted(path for (method, path), needed in ROUTES.items() if method == "POST" and needed != PUBLIC)


def test_every_address_that_reads_a_body_refuses_one_that_is_too_large(api: Api) -> None:
    small = api.changed(max_body_bytes=1000)
    without_body = {"/api/v1/anomalies/{anomaly_id}/dismiss"}
    for path in _POSTS:
        client = small.client("acme" if "events" in path else "*", "ingest" if "events" in path else "admin")
        address = path.replace("{key_id}", "0123456789ab").replace("{anomaly_id}", "0" * 32)
        answer = client.post(address, content=b" " * 1001)
        if path in without_body:
            assert answer.status_code == 404, path
        else:
            assert (answer.status_code, answer.json()["type"]) == (413, "/docs#too-large"), path
            assert answer.json()["advice"]


@pytest.mark.parametrize(("path", "role"), [("/api/v1/events", "ingest"), ("/api/v1/timeseries/query", "viewer")])
def test_a_body_that_trickles_in_is_given_up_and_its_place_is_free_again(api: Api, path: str, role: str) -> None:
    impatient = api.changed(max_body_s=0.2, max_submissions=1)
    with serving(impatient) as url, socket.socket() as slow:
        host, port = url.removeprefix("http://").split(":")
        slow.settimeout(10)
        slow.connect((host, int(port)))
        began = time.monotonic()
        key = api.keys["acme", role]
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-Length: 100\r\n\r\n{{"
        slow.sendall(head.encode())
        answer = b""
        while chunk := slow.recv(65_536):
            answer += chunk
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"/docs#too-slow" in answer
        assert b"application/problem+json" in answer
        assert time.monotonic() - began < 5
    assert impatient.app.state.submissions == 0


def test_when_no_connection_is_free_the_answer_says_when_to_come_back(api: Api) -> None:
    with (
        ConnectionPool(api.url, min_size=1, max_size=1, timeout=0.1, open=True) as pool,
        pool.connection(),
    ):
        answer = api.changed(pool=pool).client("acme").get("/api/v1/costs")
    assert (answer.status_code, answer.json()["type"]) == (503, "/docs#unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["advice"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost"])
def test_a_page_from_elsewhere_is_let_in_by_no_answer(served: Api, origin: str) -> None:
    client = served.client("acme", "admin")
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-api-key"}
    for path in ("/api/v1/costs", "/api/v1/stream?follow=false", "/health", "/api/v1/nothing", "/openapi.json"):
        for answer in (client.get(path, headers={"Origin": origin}), client.options(path, headers=asked)):
            assert not [name for name in answer.headers if name.startswith("access-control-")], path
        assert not client.options(path, headers=asked).is_success
        assert all(name in client.get(path).headers for name in SECURITY_HEADERS), path


def test_a_request_is_given_up_at_its_limit_and_what_it_asked_the_database_is_cancelled(seeded: Api) -> None:
    settings = seeded.services.settings.model_copy(update={"request_seconds": 0.5})
    waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    with serving(seeded.changed(settings=settings)) as url, connect(seeded.url) as holder:
        key = {"X-API-Key": seeded.keys["acme", "viewer"]}
        with holder.transaction():
            holder.execute("lock table cost_daily in access exclusive mode")
            began = time.monotonic()
            answer = httpx.get(f"{url}/api/v1/costs", headers=key, timeout=10)
            assert time.monotonic() - began < 5
            assert (answer.status_code, answer.json()["type"]) == (504, "/docs#request-timeout")
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["advice"]
            assert set(SECURITY_HEADERS) <= {name.title() for name in answer.headers} | set(answer.headers)
            assert wait_until(lambda: holder.execute(waits).fetchone() == (0,), seconds=5)
        assert httpx.get(f"{url}/api/v1/costs", headers=key, timeout=10).status_code == 200


def test_a_stream_goes_on_behind_the_limit_of_other_requests(seeded: Api) -> None:
    settings = seeded.services.settings.model_copy(update={"request_seconds": 0.3})
    limited = seeded.changed(settings=settings, heartbeat_s=0.1)
    with (
        serving(limited) as url,
        httpx.stream(
            "GET", f"{url}/api/v1/stream", headers={"X-API-Key": seeded.keys["acme", "viewer"]}, timeout=10
        ) as answer,
    ):
        began = time.monotonic()
        lines = answer.iter_lines()
        while time.monotonic() - began < 0.8:
            next(lines)


def test_an_address_that_guesses_keys_is_held_before_the_database_is_asked_and_valid_keys_are_not(api: Api) -> None:
    settings = api.services.settings.model_copy(update={"refusal_limit": "3/minute"})
    with ConnectionPool(api.url, min_size=1, max_size=1, timeout=0.1, open=True) as pool:
        limited = api.changed(settings=settings, pool=pool)
        known, guesser = limited.client("acme", "viewer"), TestClient(limited.app)
        assert known.get("/api/v1/costs").status_code == 200
        guesses = [guesser.get("/api/v1/costs", headers={"X-API-Key": f"lah_{n:012x}_x"}) for n in range(4)]
        assert [answer.status_code for answer in guesses] == [401, 401, 401, 429]
        assert guesses[3].json()["type"] == "/docs#too-many-requests"
        assert 0 < int(guesses[3].headers["retry-after"]) <= 60
        assert known.get("/api/v1/costs").status_code == 200, "behind the same proxy as the one who guesses"
        with pool.connection():  # all there are: whoever needs the database gets 503
            held = guesser.get("/api/v1/costs", headers={"X-API-Key": "lah_ffffffffffff_x"})
            assert held.status_code == 429
        elsewhere = TestClient(limited.app, client=("192.0.2.7", 1))
        assert elsewhere.get("/api/v1/costs", headers={"X-API-Key": "lah_ffffffffffff_x"}).status_code == 401


def test_of_a_network_that_one_customer_has_all_addresses_count_as_one() -> None:
    refusals = Refusals("1/minute")
    refusals.count("2001:db8::1")
    with pytest.raises(Problem):
        refusals.check("2001:db8::ffff:1")
    for other in ("2001:db8:0:1::1", "192.0.2.1", "not an address"):
        refusals.check(other)
    refusals.count("::ffff:192.0.2.1")
    with pytest.raises(Problem):
        refusals.check("192.0.2.1")


@pytest.mark.parametrize(("trusted", "counts_as_one"), [("[]", True), ('["127.0.0.1"]', False)])
def test_only_a_trusted_proxy_says_whom_it_speaks_for(
    database: str, tmp_path: Path, trusted: str, counts_as_one: bool
) -> None:
    told = {"LAH_TRUSTED_PROXIES": trusted, "LAH_REFUSAL_LIMIT": "1/minute"}
    with running_server(database, tmp_path, told) as url:
        codes = [
            httpx.get(f"{url}/api/v1/costs", headers={"X-API-Key": "lah_0_x", "X-Forwarded-For": f"192.0.2.{n}"})
            for n in range(2)
        ]
    assert [answer.status_code for answer in codes] == ([401, 429] if counts_as_one else [401, 401])
