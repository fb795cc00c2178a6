"""The live stream, from a real server over real sockets: nothing is missed, repeated, or another tenant's."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from api_support import NOW, SECRET, Api, seed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stream_support import SEND_BYTES, Event, events_of, ids_told, note, reading, serving, told
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect as open_socket

from api.live_messages import Message, Wanted, id_of, place_of
from lah_platform.stores.embedded.process import wait_until
from lah_platform.stores.keys import create_key, revoke_key
from lah_platform.stores.live_changes import settle
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.rollups import tick
from lah_platform.stores.watermark import advance_watermark


@pytest.fixture
def quick(api: Api) -> Api:
    return api.changed(live_poll_s=0.02, heartbeat_s=0.2)


@pytest.fixture
def url(quick: Api) -> Iterator[str]:
    with serving(quick) as url:
        yield url


@pytest.fixture
def feed(api: Api) -> Iterator[Connection]:
    with connect(api.url) as connection:
        yield connection


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(st.tuples(st.sampled_from(["acme", "globex"]), st.integers(1, 5)), max_size=4),
    between=st.lists(st.tuples(st.sampled_from(["acme", "globex"]), st.integers(1, 5)), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 6), max_size=5),
)
def test_wherever_a_reader_is_cut_off_it_misses_nothing_and_hears_nothing_twice_and_nothing_of_others(
    quick: Api,
    url: str,
    feed: Connection,
    before: list[tuple[str, int]],
    between: list[tuple[str, int]],
    cuts: list[int],
) -> None:
    with reading(quick, url) as events:
        at = next(events)[0]
    expected: list[str] = []
    for tenant, objects in before:
        expected += [each for each in note(feed, tenant, objects) if tenant == "acme"]
    heard: list[str] = []
    waiting = list(between)
    for cut in [*cuts, None]:
        with reading(quick, url, at=at) as events:
            if waiting:
                tenant, objects = waiting.pop()
                expected += [each for each in note(feed, tenant, objects) if tenant == "acme"]
            if cut is None:
                for tenant, objects in waiting:
                    expected += [each for each in note(feed, tenant, objects) if tenant == "acme"]
            left = len(expected) - len(heard)
            for id_, event, data in told(events, left if cut is None else min(cut, left)):
                assert (event, data["tenant"]) == ("anomaly", "acme")
                heard.append(data["anomaly_id"])
                at = id_
    assert heard == expected


def test_a_new_reader_hears_where_it_is_so_that_even_a_cut_before_the_first_message_loses_nothing(
    quick: Api, url: str, feed: Connection
) -> None:
    with reading(quick, url) as events:
        at, event, _ = next(events)
        assert event == "here"
    ids = note(feed, "acme", 2)
    with reading(quick, url, at=at) as events:
        assert ids_told(told(events, 2)) == ids


def test_a_reader_whose_filter_lets_nothing_through_is_kept_up_to_where_the_stream_is(
    quick: Api, url: str, feed: Connection
) -> None:
    with reading(quick, url, kind="alert") as events:
        first = next(events)
        note(feed, "acme", 3)
        later = next(each for each in events if each[0] != first[0])
    assert later[1] == "here"
    with reading(quick, url, at=later[0], follow="false") as events:
        assert [event for _, event, _ in events] == ["here"]


def test_a_slow_reader_is_told_what_it_missed_and_holds_up_nobody(api: Api, feed: Connection) -> None:
    slow_api = api.changed(live_poll_s=0.02, max_waiting_messages=1_500)
    total, at_once = 6_000, 1_000
    with serving(slow_api) as url, reading(slow_api, url) as prompt:
        next(prompt)
        host, port = url.removeprefix("http://").split(":")
        with socket.socket() as slow, ExitStack() as at_end:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SEND_BYTES)
            slow.connect((host, int(port)))
            key = api.keys["acme", "viewer"]
            slow.sendall(f"GET /api/v1/stream HTTP/1.0\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode())
            lines = at_end.enter_context(slow.makefile("r", encoding="utf-8", newline="\n"))
            assert next(lines).split()[1] == "200"
            events = events_of(line.rstrip("\r\n") for line in lines)
            while next(events)[1] != "here" or slow_api.app.state.live.open_streams < 2:
                pass
            ids: list[str] = []
            for _ in range(total // at_once):
                ids += note(feed, "acme", at_once)
                heard = told(prompt, at_once)  # so the prompt one keeps up while the other does not read at all
                assert ids_told(heard) == ids[-at_once:]
            found = []
            while sum(1 if event == "anomaly" else data["messages"] for _, event, data in found) < total:
                found += told(events, 1)
            gaps = [data for _, event, data in found if event == "gap"]
            assert gaps
            assert sum(gap["messages"] for gap in gaps) >= at_once
            places = [place_of(id_) for id_, _, _ in found]
            assert places == sorted(set(places))
            assert set(ids_told(found)) < set(ids)
            with reading(slow_api, url, at=gaps[0]["after"], follow="false") as again:
                missed = [each for each in again if place_of(each[0]) <= place_of(gaps[0]["to"]) and each[1] != "here"]
            assert len(missed) == gaps[0]["messages"]
            assert missed[0][0] == gaps[0]["from"]
            assert not set(ids_told(missed)) & set(ids_told(found))


def test_a_revoked_key_ends_its_streams_within_five_seconds_and_no_others(
    quick: Api, url: str, feed: Connection
) -> None:
    made, key = create_key(feed, SECRET, tenant="acme", role="viewer", label="", actor="test")
    headers = {"X-API-Key": key}
    socket_url = url.replace("http", "ws") + "/api/v1/stream/socket"
    with (
        reading(quick, url) as others,
        httpx.Client(timeout=10, headers=headers) as client,
        client.stream("GET", f"{url}/api/v1/stream") as answer,
        open_socket(socket_url, additional_headers=headers) as over_socket,
    ):
        events = events_of(answer.iter_lines())
        next(events)
        over_socket.recv()
        assert revoke_key(feed, made.key_id, actor="test")
        began = time.monotonic()
        (*_, last) = events
        assert (last[1], last[2]) == ("end", {"reason": "the credential is not valid any more"})
        texts: list[str] = []
        with pytest.raises(ConnectionClosedError):
            texts.extend(over_socket)
        goodbye = json.loads(texts[-1])["event"]
        assert time.monotonic() - began < 5
        assert (goodbye, over_socket.close_code) == ("end", 1008)
        ids = note(feed, "acme")
        assert ids_told(told(others, 1)) == ids
        assert client.get(f"{url}/api/v1/stream").status_code == 401


def test_one_credential_has_so_many_streams_and_a_closed_one_makes_room(api: Api) -> None:
    few = api.changed(max_streams_per_credential=2, max_streams=3)
    with serving(few) as url:
        with reading(few, url), reading(few, url):
            refused = httpx.get(f"{url}/api/v1/stream", headers={"X-API-Key": api.keys["acme", "viewer"]})
            assert (refused.status_code, refused.json()["type"]) == (429, "/docs#too-many-requests")
            assert int(refused.headers["retry-after"]) > 0
            with reading(few, url, tenant="globex"):
                other = httpx.get(f"{url}/api/v1/stream", headers={"X-API-Key": api.keys["*", "viewer"]})
                assert other.status_code == 429
        assert wait_until(lambda: few.app.state.live.open_streams == 0, seconds=5, poll_seconds=0.01)
        with reading(few, url) as events:
            assert next(events)[1] == "here"


def test_a_socket_says_the_same_as_the_events_and_is_as_well_guarded(quick: Api, url: str, feed: Connection) -> None:
    address = url.replace("http", "ws") + "/api/v1/stream/socket?follow=false&last_event_id=0"
    note(feed, "acme", 3)
    note(feed, "globex", 3)
    for tenant in ("acme", "globex", "*"):
        with reading(quick, url, tenant=tenant, at="0", follow="false") as events:
            by_events = list(events)
        with open_socket(address, additional_headers={"X-API-Key": quick.keys[tenant, "viewer"]}) as over_socket:
            by_socket = [json.loads(text) for text in over_socket]
        assert [(each["id"], each["event"], each["data"]) for each in by_socket] == by_events
        assert len(ids_told(by_events)) == (6 if tenant == "*" else 3)
    bad = address + "&knid=alert"
    for where, key, status in (
        (address, None, 401),
        (address, "lah_0123456789ab_" + "a" * 43, 401),
        (address, quick.keys["acme", "ingest"], 403),
        (bad, quick.keys["acme", "viewer"], 422),
        (address + "&window=2m", quick.keys["acme", "viewer"], 422),
    ):
        with pytest.raises(InvalidStatus) as refused:
            open_socket(where, additional_headers={"X-API-Key": key} if key else {})
        assert refused.value.response.status_code == status
        assert refused.value.response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("at", ["x", "1.2.3", "-1", "1" * 30, "1;2"])
def test_an_id_that_is_none_is_refused(api: Api, at: str) -> None:
    answer = api.client("acme").get("/api/v1/stream?follow=false", headers={"Last-Event-ID": at})
    assert answer.status_code == 422


def test_a_reader_who_comes_back_too_late_or_with_an_id_of_elsewhere_is_told(api: Api, feed: Connection) -> None:
    for _ in range(3):
        note(feed, "acme")
        settle(feed)
    feed.execute("delete from live_changes where position < 3")

    def first(at: str) -> Event:
        text = api.client("acme").get("/api/v1/stream?follow=false", headers={"Last-Event-ID": at}).text
        return next(events_of(iter(text.splitlines())))

    assert first("2.1")[1] == "anomaly"
    assert first("1.1")[1] == "gap"
    assert first("3.1")[1] == "here"
    assert (first("99")[1], "No such id" in first("99")[2]["reason"]) == ("gap", True)


def test_rollups_and_anomalies_are_told_as_the_lists_show_them(api: Api, feed: Connection) -> None:
    feed.execute("update rollup_state set final_before = %s", [NOW.replace(hour=8)])
    seed(api)
    tick(feed, now=NOW)
    advance_watermark(feed, now=NOW.replace(hour=8, minute=4), allowed_lateness=NOW - NOW, topic=None)
    client = api.client("acme")

    def heard(query: str) -> list[Any]:
        text = client.get(f"/api/v1/stream?follow=false&last_event_id=0&{query}").text
        return [data for _, event, data in events_of(iter(text.splitlines())) if event != "here"]

    listed = client.get("/api/v1/metrics?window=1m&metric=latency_ms&from=2026-01-31T08:00:00Z").json()["items"]
    closed = heard("kind=rollup&window=1m&metric=latency_ms")
    assert [each["change"] for each in closed] == ["closed"]
    assert [each["item"] for each in closed] == [row for row in listed if row["bucket_start"].endswith("08:00:00Z")]
    assert {each["change"] for each in heard("kind=rollup&window=1m&metric=latency_ms&open=true")} == {
        "closed",
        "updated",
    }
    (anomaly,) = heard("kind=anomaly")
    assert anomaly["item"] == client.get("/api/v1/anomalies").json()["items"][0]
    model = anomaly["item"]["model"]
    assert heard(f"kind=anomaly&model={model}&metric=latency_ms&window=1h") == [anomaly]
    for other in ("model=nobody", "metric=cost_usd", "window=1m", "tag=a:b", "subtype=x", "provider=x"):
        assert heard(f"kind=anomaly&{other}") == [], other


_TEXTS = st.sampled_from(["a", "b"])


@given(
    message=st.builds(
        Message,
        place=st.just((1, 1)),
        event=st.sampled_from(["rollup", "recomputed", "anomaly", "alert"]),
        change=st.sampled_from(["updated", "closed", "new"]),
        tenant=st.sampled_from(["acme", "globex", "*"]),
        window=st.none() | _TEXTS,
        metrics=st.none() | st.frozensets(_TEXTS),
        dimensions=st.none() | st.dictionaries(_TEXTS, st.frozensets(_TEXTS, min_size=1)),
        tags=st.none() | st.dictionaries(_TEXTS, _TEXTS),
        data=st.just("{}"),
    ),
    wanted=st.builds(
        Wanted,
        tenant=st.sampled_from(["acme", "*"]),
        kinds=st.frozensets(st.sampled_from(["rollup", "anomaly", "alert"])),
        metrics=st.frozensets(_TEXTS),
        windows=st.frozensets(_TEXTS),
        dimensions=st.dictionaries(_TEXTS, _TEXTS),
        tags=st.dictionaries(_TEXTS, _TEXTS),
        with_open=st.booleans(),
    ),
)
def test_no_filter_lets_another_tenants_message_through_and_one_more_filter_never_adds_any(
    message: Message, wanted: Wanted
) -> None:
    everything = Wanted(wanted.tenant, with_open=wanted.with_open)
    if wanted.fits(message):
        assert everything.fits(message)
        assert wanted.tenant == "*" or message.tenant in (wanted.tenant, "*")
    assert everything.fits(message) == (
        (wanted.tenant == "*" or message.tenant in (wanted.tenant, "*"))
        and (wanted.with_open or message.change != "updated")
    )


@given(place=st.tuples(st.integers(0, 2**62), st.integers(0, 2**31 - 1)))
def test_an_id_stands_for_its_place(place: tuple[int, int]) -> None:
    assert place_of(id_of(place)) == place
    assert place_of(str(place[0])) >= place
