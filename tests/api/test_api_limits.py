"""What one caller may take up: bytes and seconds; and what a browser's page from elsewhere may: nothing."""

import socket
import time

import pytest
from api_support import Api
from psycopg_pool import ConnectionPool
from stream_support import serving

from api.access import PUBLIC, ROUTES
from api.headers import SECURITY_HEADERS

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
