"""The documentation pages: `/docs`, rendered from the OpenAPI document alone, and `/openapi.json`.

The usual viewers load scripts from elsewhere; this page loads nothing.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.access import ROLES
from api.problems import KINDS

__all__ = ["add_routes", "render"]

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_PAGING: Final = ("limit", "cursor")


def docs(request: Request) -> HTMLResponse:
    """This reference, as a page."""
    return HTMLResponse(
        render(request.app.openapi(), str(request.base_url).rstrip("/")), headers={"Content-Security-Policy": _POLICY}
    )


def openapi_json(request: Request) -> JSONResponse:
    """The OpenAPI 3.1 document."""
    return JSONResponse(request.app.openapi())


def add_routes(app: FastAPI) -> None:
    """The page and the document."""
    app.add_api_route("/docs", docs, methods=["GET"], tags=["operations"], response_class=HTMLResponse)
    app.add_api_route("/openapi.json", openapi_json, methods=["GET"], tags=["operations"])


def render(document: Mapping[str, Any], base_url: str) -> str:
    """The page of an OpenAPI document, with examples for the server at `base_url`."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    environment.filters["type_name"] = _type_name
    environment.filters["fields"] = lambda schema: _fields(schema, document)
    environment.filters["paragraphs"] = lambda text: [part.strip() for part in text.split("\n\n") if part.strip()]
    environment.filters["curl"] = _curl
    environment.filters["ordered"] = _ordered
    return environment.get_template("reference.html.jinja").render(
        document=document, kinds=KINDS.values(), roles=ROLES, base_url=base_url
    )


def _ordered(parameters: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What is required first, then the filters, paging last."""
    return sorted(parameters, key=lambda each: (not each["required"], each["name"] in _PAGING))


def _type_name(schema: Mapping[str, Any]) -> str:
    """A schema in a word or two."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    if "anyOf" in schema:
        return " or ".join(_type_name(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_type_name(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "any")


def _fields(schema: Mapping[str, Any], document: Mapping[str, Any], prefix: str = "") -> list[dict[str, str]]:
    """The fields of an answer, one row each; those of a list's items and of objects inside are named by their path."""
    schema = _resolved(schema, document)
    if schema.get("type") == "array":
        return _fields(schema.get("items", {}), document, f"{prefix.rstrip('.')}[].")
    found = []
    for name, each in schema.get("properties", {}).items():
        found.append({"name": prefix + name, "type": _type_name(each), "text": str(each.get("description", ""))})
        inner = _resolved(each, document)
        if inner.get("type") == "array" or "properties" in inner:
            found += _fields(inner, document, f"{prefix}{name}.")
    return found


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in schema:
        found: Mapping[str, Any] = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return found
    return schema


def _curl(operation: Mapping[str, Any], method: str, address: str) -> str:
    """The operation's example as a command."""
    query = []
    for parameter in operation.get("parameters", ()):
        examples = parameter["schema"].get("examples")
        if not examples:
            continue
        if parameter["in"] == "path":
            address = address.replace(f"{{{parameter['name']}}}", str(examples[0]))
        elif parameter["in"] == "query":
            query.append(f"{parameter['name']}={examples[0]}")
    words = ["curl"]
    if operation.get("security") != []:
        words.append('-H "Authorization: Bearer $LAH_KEY"')
    if method == "post":
        words.append("--json @body.json")
    words.append(f"'{address}{'?' if query else ''}{'&'.join(query)}'")
    return " ".join(words)
