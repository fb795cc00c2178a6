"""The OpenAPI document: FastAPI's, plus what it cannot know: problems, permissions, security per route."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.access import PUBLIC, ROUTES, roles_with
from api.problems import MEDIA_TYPE, ProblemDetails
from lah_platform.events.json_schema import wire_schema

__all__ = ["EVENT_SCHEMA", "TITLE", "build_document", "json_body", "query_parameters", "server_version"]

_SCHEMAS: Final = "#/components/schemas/"
EVENT_SCHEMA: Final = {"$ref": f"{_SCHEMAS}Event"}
TITLE: Final = "LLM Analytics Hub"
_DESCRIPTION: Final = """\
Every LLM operations event once, and the tables made from it.

**Keys.** Send `Authorization: Bearer lah_...` or `X-API-Key: lah_...`. A key belongs to one tenant and sees that
tenant's rows only; its role says what it may do. An operator's key belongs to every tenant. Where an issuer of
tokens is configured, its JWTs are taken as bearer tokens too.

**Times** are RFC 3339; a range is half-open, `[from, to)`. **Money** and exact sums are decimal strings.
**Lists** come in pages: pass `next_cursor` as `cursor`. **Errors** are problem details (RFC 9457) that name the field
and what to do next. A parameter that is not documented is refused.
"""
_TAGS: Final = (
    ("events", "Submitting events, and reading them back."),
    ("tables", "What is made from events: rollups and costs."),
    ("signals", "Anomalies, forecasts, correlations and incidents."),
    ("live", "What changes, as it changes."),
    ("evidence", "Reports, verdicts of checks, and what could not be stored."),
    ("rights", "What is kept how long and what must not go; consents; a person's data handed out or erased."),
    ("keys", "API keys: made, rotated and revoked."),
    ("operations", "Recomputing, monitoring, and this document."),
)


def json_body(description: str, schema: Mapping[str, Any], examples: Mapping[str, Any]) -> dict[str, Any]:
    """The OpenAPI request body of a route that reads its body itself (see `api/bodies.py`)."""
    named = {name: {"value": value} for name, value in examples.items()}
    content = {"application/json": {"schema": dict(schema), "examples": named}}
    return {"requestBody": {"description": description, "required": True, "content": content}}


def build_document(app: FastAPI) -> dict[str, Any]:
    """The whole document of `app`."""
    document = get_openapi(
        title=TITLE,
        version=server_version(),
        description=_DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS],
    )
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(_event_schemas())
    schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
    problem = {MEDIA_TYPE: {"schema": {"$ref": f"{_SCHEMAS}ProblemDetails"}}}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            schemas.update(_definitions(operation))
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {"description": "A problem (RFC 9457).", "content": problem}
            permission = ROUTES[(method.upper(), path)]
            if permission == PUBLIC:
                operation["security"] = []
            else:
                operation["x-permission"] = permission
                operation["x-roles"] = roles_with(permission)
    return document


def _definitions(operation: Mapping[str, Any]) -> dict[str, Any]:
    """What the schemas of a body refer to, taken out of them, for where OpenAPI keeps such."""
    content = operation.get("requestBody", {}).get("content", {})
    return {name: each for body in content.values() for name, each in body["schema"].pop("$defs", {}).items()}


@cache
def server_version() -> str:
    """The version that answers."""
    try:
        return version("llm-analytics-hub")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0+checkout"


def _event_schemas() -> dict[str, Any]:
    """The published contract's schemas as REST takes them, where OpenAPI keeps them."""
    event = json.loads(json.dumps(wire_schema()).replace("#/$defs/", _SCHEMAS))
    definitions: dict[str, Any] = event.pop("$defs")
    for each in definitions.values():
        if "event_id" in each.get("required", ()):  # which REST makes where it is not sent
            each["required"].remove("event_id")
            each["properties"]["event_id"] = {"anyOf": [each["properties"]["event_id"], {"type": "null"}]}
    return {**definitions, "Event": {name: value for name, value in event.items() if not name.startswith("$")}}


def query_parameters(document: Mapping[str, Any]) -> dict[tuple[str, str], frozenset[str]]:
    """The documented query parameters of every (method, path)."""
    return {
        (method.upper(), path): frozenset(
            each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"
        )
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
