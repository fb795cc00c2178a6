"""The document and the page: what they show is true, and they load nothing from anywhere."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from api_support import Api
from jsonschema import Draft202012Validator

from api.access import PUBLIC, ROUTES
from api.headers import SECURITY_HEADERS
from api.problems import KINDS

ROUTE_LIST = """\
DELETE /api/v1/anomalies/maintenance/{maintenance_id}: 204
DELETE /api/v1/backfills/{request_id}: 202
DELETE /api/v1/keys/{key_id}: 204
DELETE /api/v1/reports/requests/{report_request_id}: 202
DELETE /api/v1/retention/holds/{hold_id}: 204
DELETE /api/v1/retention/rules/{rule_id}: 204
GET /api/v1/access-review: 200
GET /api/v1/anomalies/maintenance: 200
GET /api/v1/anomalies: 200
GET /api/v1/audit/heads: 200
GET /api/v1/audit: 200
GET /api/v1/backfills/{request_id}: 200
GET /api/v1/backfills: 200
GET /api/v1/checks/history: 200
GET /api/v1/checks/{asset}/{rule}/rows: 200
GET /api/v1/checks: 200
GET /api/v1/correlations: 200
GET /api/v1/costs: 200
GET /api/v1/dead-letters: 200
GET /api/v1/deliveries: 200
GET /api/v1/events/{event_id}/personal: 200
GET /api/v1/events/{event_id}: 200
GET /api/v1/events: 200
GET /api/v1/forecasts/models: 200
GET /api/v1/forecasts/outlook: 200
GET /api/v1/forecasts: 200
GET /api/v1/incidents/{incident_id}: 200
GET /api/v1/incidents: 200
GET /api/v1/keys: 200
GET /api/v1/lineage: 200
GET /api/v1/metrics: 200 304
GET /api/v1/prices: 200 304
GET /api/v1/privacy/content-policies: 200
GET /api/v1/quality-scores: 200
GET /api/v1/reports/requests/{report_request_id}: 200
GET /api/v1/reports/{report_id}/documents/{format}: 200
GET /api/v1/reports/{report_id}/verification: 200
GET /api/v1/reports/{report_id}: 200
GET /api/v1/reports: 200
GET /api/v1/retention/holds: 200
GET /api/v1/retention/rules: 200
GET /api/v1/retention/runs: 200
GET /api/v1/runs: 200
GET /api/v1/stream: 200
GET /api/v1/subjects/receipts: 200
GET /api/v1/suspects: 200
GET /api/v1/system-description: 200
GET /api/v1/watermarks: 200
GET /docs: 200
GET /health: 200
GET /metrics/prometheus: 200
GET /openapi.json: 200
GET /ready: 200 503
POST /api/v1/anomalies/maintenance: 201
POST /api/v1/anomalies/{anomaly_id}/dismiss: 200
POST /api/v1/backfills: 202
POST /api/v1/consents/query: 200
POST /api/v1/consents/withdraw: 200
POST /api/v1/consents: 201
POST /api/v1/events/batch: 200 202
POST /api/v1/events: 200 202
POST /api/v1/keys/{key_id}/rotate: 201
POST /api/v1/keys: 201
POST /api/v1/privacy/content-policies: 200
POST /api/v1/reports: 202
POST /api/v1/retention/holds: 201
POST /api/v1/retention/rules: 201
POST /api/v1/subjects/erase: 200
POST /api/v1/subjects/export: 200
POST /api/v1/subjects/verify: 200
POST /api/v1/timeseries/query: 200 304
"""


@pytest.fixture
def document(served: Api) -> dict[str, Any]:
    found: dict[str, Any] = served.client(None).get("/openapi.json").json()
    return found


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield method.upper(), path, operation


def _requests(path: str, operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Every example request: address, parameters and body."""
    query = {}
    for parameter in operation.get("parameters", ()):
        for example in parameter["schema"].get("examples", ())[:1]:
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", str(example))
            elif parameter["in"] == "query":
                query[parameter["name"]] = example
    bodies = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
    for example in bodies.values() or [{"value": None}]:
        yield path, query, example["value"]


def _errors(schema: dict[str, Any], value: Any, document: dict[str, Any]) -> list[str]:
    whole = {**schema, "components": document["components"]}
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(whole).iter_errors(value)]


def test_the_routes_are_these_and_answer_with_these(document: dict[str, Any]) -> None:
    lines = sorted(
        f"{method} {path}: {' '.join(status for status in operation['responses'] if status != 'default')}\n"
        for method, path, operation in _operations(document)
    )
    assert "".join(lines) == ROUTE_LIST


def test_every_example_request_is_answered_as_the_document_says(seeded: Api, document: dict[str, Any]) -> None:
    client = seeded.client("*", "admin")
    executed = 0
    for method, path, operation in _operations(document):
        for address, query, body in _requests(path, operation):
            answer = client.request(method, address, params=query, json=body)
            assert answer.is_success, (method, address, answer.text)
            assert "{" not in address
            if answer.status_code == 204:
                executed += 1
                continue
            documented = operation["responses"][str(answer.status_code)].get("content", {})
            kind = answer.headers["content-type"].split(";")[0]
            assert kind in documented, (address, kind)
            if kind == "application/json":
                assert not _errors(documented[kind]["schema"], answer.json(), document), address
                assert answer.json().get("items") != [], f"the example of {address} finds nothing"
            executed += 1
    assert executed == len(ROUTES) - 1 + 4  # the socket is no request; three examples of an event, and of a query


def test_every_example_body_is_as_its_schema_says(document: dict[str, Any]) -> None:
    checked = 0
    for _, path, operation in _operations(document):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for name, example in content.get("examples", {}).items():
            assert not _errors(content["schema"], example["value"], document), (path, name)
            checked += 1
    assert checked == 21


def test_every_parameter_and_every_route_is_described(document: dict[str, Any]) -> None:
    for method, path, operation in _operations(document):
        assert operation["description"], path
        assert operation["tags"], path
        assert "ProblemDetails" in str(operation["responses"]["default"])
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (path, parameter["name"])
        is_public = ROUTES[(method, path)] == PUBLIC
        assert (operation["security"] == []) == is_public
        assert ("x-roles" in operation) != is_public


def test_every_reference_in_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)):
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"], reference


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.ids: set[str] = set()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.add(value or "")
            elif name in ("href", "src", "action", "data", "srcset"):
                self.links.add(value or "")


def test_the_page_shows_every_route_and_problem_and_loads_nothing(served: Api) -> None:
    answer = served.client(None).get("/docs")
    page = _Links()
    page.feed(answer.text)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "form"}
    assert all(link.startswith("#") or link == "/openapi.json" for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert "@import" not in answer.text
    assert "url(" not in answer.text
    assert set(KINDS) <= page.ids
    for _, path in ROUTES:
        assert path in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_every_answer_carries_the_security_headers(served: Api) -> None:
    for client in (served.client(None), served.client("acme", "admin")):
        for path in (
            "/health",
            "/docs",
            "/api/v1/events",
            "/api/v1/nothing",
            "/api/v1/events?limit=0",
            "/metrics/prometheus",
        ):
            answer = client.get(path)
            for name in SECURITY_HEADERS:
                assert name in answer.headers, (path, name)
            assert answer.headers["x-content-type-options"] == "nosniff"
