"""What protects every route alike: the OWASP API Security Top 10 as docs/security.md has it, and its list of tests."""

import re
from pathlib import Path
from typing import Any

import pytest
from api_support import TENANTS, Api
from test_api_access import _BODIES, _IDS, _address
from test_api_kept import CLOSED, QUERY

from api.access import OPERATORS_ONLY, PUBLIC, ROUTES
from api.examples import EVENT_ID, REPORT_ID
from api.formats import FORMATS
from api.headers import SECURITY_HEADERS
from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.postgres import connect

_PAGE = PROJECT_ROOT / "docs" / "security.md"
_METRICS = "/api/v1/metrics?window=1h&metric=latency_ms&from=2026-01-31T00:00:00Z&to=2026-01-31T12:00:00Z"
_RULES = {"/api/v1/checks/{asset}/{rule}/rows": "a rule is everyone's, the rows that broke it are one's own"}
_NOBODYS = {"/api/v1/prices"}
_OTHERWISE_BOUNDED = {
    "/api/v1/watermarks": "one row a window",
    "/api/v1/anomalies/maintenance": "the next 1,000",
    "/api/v1/privacy/content-policies": "one a tenant",
    "/api/v1/events/{event_id}/personal": "events of one id",
    "/api/v1/retention/rules": "one a tenant, class, table and type",
    "/api/v1/retention/holds": "people place them",
    "/api/v1/retention/runs": "the newest 50",
    "/api/v1/subjects/receipts": "the newest 100",
}


def test_every_test_that_the_page_names_exists(request: pytest.FixtureRequest) -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", _PAGE.read_text()))
    assert len(named) > 40
    for path, name in named:
        assert re.search(rf"^def {name}\(", (PROJECT_ROOT / path).read_text(), re.MULTILINE), (path, name)
        configured = [request.config.rootpath / each for each in request.config.getini("testpaths")]
        assert any((PROJECT_ROOT / path).is_relative_to(each) for each in configured), f"{path} is not collected"
        assert Path(path).name.startswith("test_"), path


def test_the_page_answers_every_item_of_the_list_with_a_test_or_a_reason() -> None:
    items = re.split(r"^### ", _PAGE.read_text(), flags=re.MULTILINE)[1:]
    assert [each.split(" ")[0] for each in items] == [f"API{number}:2023" for number in range(1, 11)]
    for each in items:
        assert "`tests/" in each or "Does not apply" in each, each.splitlines()[0]


def test_no_address_with_an_id_opens_or_changes_another_tenants_object(seeded: Api) -> None:
    with connect(seeded.url) as connection:  # the example's events have the same id in both tenants
        connection.execute("delete from events where tenant = %s and event_id = %s", [TENANTS[1], EVENT_ID])
    asked = 0
    for (method, path), needed in ROUTES.items():
        if "{" not in path or needed in OPERATORS_ONLY or path in _RULES:
            continue
        assert any(each in path for each in _IDS), path
        answer = seeded.client(TENANTS[1], "admin").request(method, _address(path), json=_BODIES.get(path))
        assert (answer.status_code, answer.json()["type"]) == (404, "/docs#not-found"), (method, path)
        assert seeded.client(TENANTS[0], "admin").request(method, _address(path), json=_BODIES.get(path)).is_success
        asked += 1
    assert asked == 12


def test_no_format_of_any_list_shows_a_row_of_another_tenant(served: Api) -> None:
    document, asked = served.app.openapi(), 0
    for path, operations in document["paths"].items():
        offered = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if not {"text/csv", "application/x-ndjson"} <= offered.keys() or path in _NOBODYS:
            continue
        for own, other in (TENANTS, TENANTS[::-1]):
            for kind in FORMATS:
                answer = served.client(own).get(_address(path), headers={"Accept": kind.media_type})
                assert answer.headers["content-type"].startswith(kind.media_type)
                found = _texts(answer.content, kind.media_type)
                assert own in found, (path, kind)
                assert other not in found, (path, kind)
                asked += 1
    for own, other in (TENANTS, TENANTS[::-1]):
        page = served.client(own).get(f"/api/v1/reports/{REPORT_ID}", headers={"Accept": "text/html"})
        assert other not in page.text
    assert asked >= 3 * 2 * len(FORMATS)


def _texts(content: bytes, media_type: str) -> str:
    import polars as pl

    if media_type.endswith("parquet"):
        return pl.read_parquet(content).write_csv()
    if media_type.endswith("arrow.stream"):
        return pl.read_ipc_stream(content).write_csv()
    return content.decode()


def test_whichever_header_a_key_is_sent_in_nobody_gets_what_was_kept_for_another(seeded: Api) -> None:
    with connect(seeded.url) as connection:
        connection.execute("update rollup_state set final_before = '2026-02-01'")
        connection.execute("update rollup_1h set count = 20 + series_id where metric = 'latency_ms'")
    first, second = (seeded.keys[tenant, "viewer"] for tenant in TENANTS)
    client = seeded.changed().client(None)
    query = {"metric": "latency_ms", "window": "1h", "fields": ["count"], **CLOSED}
    expected = {key: client.post(QUERY, json=query, headers={"X-API-Key": key}).json() for key in (first, second)}
    assert expected[first]["items"] != expected[second]["items"]
    for _ in range(2):  # once asked, once kept
        for bearer in (
            f"Bearer {first}",
            f"bearer  {first}",
            f"Bearer\t{first}",
            f"Basic {first}",
            "Bearer ",
            "Bearer",
        ):
            headers = {"Authorization": bearer, "X-API-Key": second}
            answer = client.post(QUERY, json=query, headers=headers)
            if answer.status_code != 401:
                is_firsts = bearer.lower().startswith("bearer ") and first in bearer
                assert answer.json()["items"] == expected[first if is_firsts else second]["items"], bearer


def test_a_body_with_a_field_that_is_not_documented_is_refused_and_changes_nothing(seeded: Api) -> None:
    asked = set()
    for path, operations in seeded.app.openapi()["paths"].items():
        if "requestBody" not in operations.get("post", {}) or path.startswith("/api/v1/events"):
            continue  # events keep what they are sent beside their fields, by their contract
        body = {**_BODIES[path], "is_operator": True}
        answer = seeded.client("*", "admin").post(_address(path), json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, "is_operator"), path
        asked.add(path)
    assert asked == {path for path in _BODIES if not path.startswith("/api/v1/events")}


def test_every_list_has_a_limit_and_a_most(served: Api) -> None:
    schemas = served.app.openapi()["components"]["schemas"]
    for path, operations in served.app.openapi()["paths"].items():
        schema = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        name = schema.get("application/json", {}).get("schema", {}).get("$ref", "").rsplit("/", 1)[-1]
        if "items" not in schemas.get(name, {}).get("properties", {}) or path in _OTHERWISE_BOUNDED:
            continue
        (limit,) = (each["schema"] for each in operations["get"]["parameters"] if each["name"] == "limit")
        assert limit["maximum"] <= 1000, path


def test_keys_come_in_pages(seeded: Api) -> None:
    client = seeded.client("*", "admin")
    whole = client.get("/api/v1/keys").json()["items"]
    paged: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get("/api/v1/keys", params={"limit": 4, **cursor}).json()
        paged += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert [each["key_id"] for each in paged] == [each["key_id"] for each in whole]


def test_answers_of_every_kind_carry_the_security_headers(seeded: Api) -> None:
    limited = seeded.services.settings.model_copy(update={"rate_limit": "1/hour"})
    client = seeded.client("acme", "admin")
    tag = client.get(_METRICS).headers["etag"]
    answers = {
        304: client.get(_METRICS, headers={"If-None-Match": tag}),
        401: seeded.client(None).get(_METRICS),
        403: client.get("/api/v1/backfills"),
        404: client.get("/api/v1/nothing"),
        405: client.put("/api/v1/keys"),
        406: client.get(_METRICS, headers={"Accept": "image/png"}),
        422: client.get("/api/v1/costs?limit=0"),
    }
    busy = seeded.changed(settings=limited).client("acme", "admin")
    answers[429] = next(each for each in iter(lambda: busy.get("/api/v1/costs"), None) if each.status_code == 429)
    with connect(seeded.url) as connection:
        connection.execute("drop table cost_daily cascade")
    bug = type(client)(seeded.app, headers=client.headers, raise_server_exceptions=False)
    answers[500] = bug.get("/api/v1/costs")
    for status, answer in answers.items():
        assert answer.status_code == status
        assert all(name in answer.headers for name in SECURITY_HEADERS), status
        assert not {"server", "x-powered-by", "access-control-allow-origin"} & set(answer.headers), status
    assert answers[405].headers["allow"] == "GET, POST"


def test_a_note_with_a_character_that_no_database_takes_is_refused(seeded: Api) -> None:
    path = _address("/api/v1/anomalies/{anomaly_id}/dismiss")
    answer = seeded.client().post(path, params={"note": "a\0b"})
    assert (answer.status_code, answer.json()["field"]) == (422, "note")
    body = _BODIES["/api/v1/anomalies/maintenance"] | {"reason": "a\0b"}
    answer = seeded.client().post("/api/v1/anomalies/maintenance", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, "reason")


def test_what_is_served_is_documented_and_what_is_public_is_four_addresses(served: Api) -> None:
    documented = {(m.upper(), path) for path, each in served.app.openapi()["paths"].items() for m in each}
    assert {asked for asked in ROUTES if asked[0] != "WEBSOCKET"} == documented
    assert {path for (_, path), needed in ROUTES.items() if needed == PUBLIC} == {
        "/health", "/ready", "/docs", "/openapi.json",
    }  # fmt: skip
