"""Answers about closed windows are sent again as they were, but never to whom, or when, they are not right."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import httpx
import pytest
from api_support import Api, Clock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.errors import UndefinedTable

from api.credentials import REVOKED_WITHIN_S
from api.formats import FORMATS, KEPT_S
from lah_platform.stores.postgres import connect

QUERY = "/api/v1/timeseries/query"
METRICS = "/api/v1/metrics"
CLOSED = {"from": "2026-01-31T00:00:00Z", "to": "2026-01-31T12:00:00Z"}
LONGEST_S = 60  # until a table that was edited by hand is read again
NOTED = "insert into live_inbox (kind, change, tenant) values ('rollup', 'corrected', '{}')"
ASKED = {"metric": "latency_ms", "window": "1h", "fields": ["count", "p95"], **CLOSED}
LISTED = {"metric": "latency_ms", "window": "1h", **CLOSED}


@pytest.fixture
def closed(seeded: Api) -> Api:
    """The app with rows of both tenants in windows that are all final."""
    _set(seeded, "update rollup_state set final_before = '2026-02-01'")
    _set(seeded, "update rollup_1h set count = 20 + series_id where metric = 'latency_ms'")
    return seeded


def _set(api: Api, *statements: str) -> None:
    with connect(api.url) as connection, connection.transaction():
        for statement in statements:
            connection.execute(statement.encode())


def _correct(api: Api, tenant: str, count: int) -> None:
    """A closed window gets other counts, and the live feed hears of it, as ticks and recomputations have it."""
    _set(
        api,
        f"update rollup_1h r set count = {count}, revision = revision + 1, computed_at = computed_at + interval '1 s'"
        f" from series s where s.series_id = r.series_id and s.tenant = '{tenant}' and metric = 'latency_ms'",
        NOTED.format(tenant),
    )


@contextmanager
def _without_rollups(api: Api) -> Iterator[None]:
    """While the table of hours cannot be read, only what is kept can be answered."""
    _set(api, "alter table rollup_1h rename to metrics_elsewhere")
    try:
        yield
    finally:
        _set(api, "alter table metrics_elsewhere rename to rollup_1h")


def _keeping(api: Api, **services: Any) -> Api:
    """The app with all keys verified, as they are a request after the first."""
    api = api.changed(**{"monotonic_s": Clock()} | services)
    for tenant, role in api.keys:
        api.client(tenant, role).get(METRICS, params=LISTED)
    return api


def _ask(api: Api, tenant: str = "acme", role: str = "viewer", **headers: str) -> Any:
    return api.client(tenant, role).post(QUERY, json=ASKED, headers=headers)


def _ask_at(path: str, api: Api, tenant: str, role: str, accept: str) -> Any:
    if path == QUERY:
        return _ask(api, tenant, role, Accept=accept)
    return api.client(tenant, role).get(path, params=LISTED, headers={"Accept": accept})


def test_a_kept_answer_is_the_same_to_the_byte_and_needs_no_table(closed: Api) -> None:
    api = _keeping(closed)
    for accept in ("application/json", "text/csv", "application/vnd.apache.arrow.stream"):
        first = _ask(api, Accept=accept)
        with _without_rollups(closed):
            again = _ask(api, Accept=accept)
            known = _ask(api, Accept=accept, **{"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (200, first.content)
        unlike = {"content-length", "transfer-encoding"}
        assert {k: v for k, v in again.headers.items() if k not in unlike} == {
            k: v for k, v in first.headers.items() if k not in unlike
        }
        assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", first.headers["etag"])


def test_a_listing_of_closed_windows_is_kept_too(closed: Api) -> None:
    api = _keeping(closed)
    _set(closed, "update rollup_state set final_before = '2026-02-01'")
    first = api.client().get(METRICS, params=LISTED)
    assert first.json()["items"][0]["is_final"]
    with _without_rollups(closed):
        assert api.client().get(METRICS, params=LISTED).content == first.content
    assert api.client().get(METRICS, params=LISTED | {"limit": 1}).status_code == 200


def test_a_correction_is_seen_as_soon_as_the_answer_is_no_longer_believed(closed: Api) -> None:
    clock = Clock()
    api = _keeping(closed, monotonic_s=clock)
    before = _ask(api)
    for _ in range(3):
        clock.now_s += 0.8 * KEPT_S
        assert _ask(api).content == before.content
    _correct(closed, "acme", 99)
    assert _ask(api).content == before.content
    clock.now_s += KEPT_S
    after = _ask(api)
    assert after.json()["items"][0]["count"] == 99
    assert _ask(api, **{"If-None-Match": before.headers["etag"]}).content == after.content
    clock.now_s += KEPT_S
    assert _ask(api, **{"If-None-Match": before.headers["etag"]}).content == after.content
    clock.now_s += KEPT_S
    assert _ask(api, **{"If-None-Match": after.headers["etag"]}).status_code == 304


def test_while_nothing_closed_is_corrected_no_table_of_rollups_is_read(closed: Api) -> None:
    clock = Clock()
    api = _keeping(closed, monotonic_s=clock)
    _ask(api)
    clock.now_s += KEPT_S
    first = _ask(api)
    with _without_rollups(closed):
        for _ in range(20):
            clock.now_s += KEPT_S
            assert _ask(api).content == first.content
        _set(closed, NOTED.format("globex"))
        clock.now_s += KEPT_S
        assert _ask(api).content == first.content, "another tenant's corrections are nothing to this one"
        _set(closed, NOTED.format("*"))
        clock.now_s += KEPT_S
        with pytest.raises(UndefinedTable):
            _ask(api)


def test_an_edit_by_hand_is_seen_within_a_minute(closed: Api) -> None:
    clock = Clock()
    api = _keeping(closed, monotonic_s=clock)
    _ask(api)
    _set(closed, "update rollup_1h set count = 55, revision = revision + 1")
    clock.now_s += LONGEST_S
    assert _ask(api).json()["items"][0]["count"] == 55


def test_an_answer_that_still_stands_is_sent_from_what_is_kept_without_reading_histograms_again(closed: Api) -> None:
    clock = Clock()
    api = _keeping(closed, monotonic_s=clock)
    before = _ask(api)
    clock.now_s += KEPT_S
    _set(closed, NOTED.format("acme"))
    # what an answer is told apart by, revisions and times, stays; only its own bytes could still say the old count
    _set(closed, "update rollup_1h set count = 99")
    assert _ask(api).content == before.content


def test_while_one_asks_whether_an_answer_stands_the_others_have_it_at_once(closed: Api) -> None:
    clock = Clock()
    api = _keeping(closed, monotonic_s=clock)
    key = {"X-API-Key": api.keys["acme", "viewer"]}
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"

    async def asked() -> None:
        transport = httpx.ASGITransport(api.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub", headers=key) as client:
            first = await client.post(QUERY, json=ASKED)
            clock.now_s += KEPT_S
            assert (await client.post(QUERY, json=ASKED)).content == first.content
            clock.now_s += 0.8 * LONGEST_S
            with connect(api.url) as watching, connect(api.url) as connection:
                with connection.transaction():
                    connection.execute("lock table rollup_1h in access exclusive mode")
                    asking = asyncio.create_task(client.post(QUERY, json=ASKED))
                    async with asyncio.timeout(20):
                        while watching.execute(waiting.encode()).fetchone() != (1,):
                            await asyncio.sleep(0.01)
                        assert (await client.post(QUERY, json=ASKED)).content == first.content
                    assert not asking.done()
                    clock.now_s += LONGEST_S
                    late = asyncio.create_task(client.post(QUERY, json=ASKED))
                    await asyncio.sleep(0)
                    connection.execute("update rollup_1h set count = 77, revision = 9 where metric = 'latency_ms'")
                assert (await asking).content == first.content, "it read before the correction"
                assert (await late).json()["items"][0]["count"] == 77

    asyncio.run(asked())


def test_open_windows_are_never_kept(closed: Api) -> None:
    _set(closed, "update rollup_state set final_before = '2026-01-31T11:00:00Z'")
    api = _keeping(closed)
    assert _ask(api).status_code == 200
    with _without_rollups(closed), pytest.raises(UndefinedTable):
        _ask(api)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.lists(
        st.tuples(
            st.sampled_from(["acme", "globex", "*"]),
            st.sampled_from(["viewer", "analyst", "admin", "ingest"]),
            st.sampled_from([QUERY, METRICS]),
            st.sampled_from([each.media_type for each in FORMATS]),
            st.sampled_from([0, 0.5, 0.8 * KEPT_S, KEPT_S, REVOKED_WITHIN_S]),
            st.sampled_from([None, "acme", "globex"]),
        ),
        min_size=2,
        max_size=12,
    )
)
def test_whoever_asks_in_whatever_order_gets_what_an_app_that_keeps_nothing_says(
    closed: Api, asked: list[tuple[str, str, str, str, float, str | None]]
) -> None:
    clock = Clock()
    keeping = _keeping(closed, monotonic_s=clock)
    forgetful = closed.changed(monotonic_s=count(step=100).__next__)  # for which everything is long ago at once
    for number, (tenant, role, path, accept, passes_s, corrected) in enumerate(asked):
        if (tenant, role) == ("*", "ingest"):
            continue
        if corrected is not None:
            _correct(closed, corrected, 1000 + number)
            passes_s = KEPT_S
        clock.now_s += passes_s
        fresh, found = (_ask_at(path, api, tenant, role, accept) for api in (forgetful, keeping))
        assert found.status_code == fresh.status_code == (403 if role == "ingest" else 200)
        assert found.content == fresh.content or found.status_code == 403


def test_a_revoked_key_gets_no_kept_answer_either(closed: Api) -> None:
    clock = Clock()
    api = _keeping(closed, monotonic_s=clock)
    made = api.client("acme", "admin").post("/api/v1/keys", json={"role": "viewer"}).json()
    mine = {"X-API-Key": made["key"]}
    assert [api.client(None).post(QUERY, json=ASKED, headers=mine).status_code for _ in range(2)] == [200, 200]
    api.client("acme", "admin").delete(f"/api/v1/keys/{made['key_id']}")
    clock.now_s += REVOKED_WITHIN_S
    assert _ask(api).status_code == 200
    assert api.client(None).post(QUERY, json=ASKED, headers=mine).status_code == 401


def test_kept_answers_count_towards_the_rate_limit(closed: Api) -> None:
    limited = closed.services.settings.model_copy(update={"rate_limit": "3/hour"})
    api = _keeping(closed, settings=limited)
    assert [_ask(api).status_code for _ in range(5)] == [200, 200, 429, 429, 429]
