"""Errors on the wire: RFC 9457 problem details, each with the field it is about and what to do next.

Belongs here: the list of problems and how exceptions become them. Does not: deciding that something is wrong.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg import OperationalError
from psycopg.errors import QueryCanceled
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import Route

from lah_platform.errors import LahError, StoreUnavailable

__all__ = ["KINDS", "MEDIA_TYPE", "Kind", "Problem", "ProblemDetails", "add_handlers", "as_problem", "problem_response"]

MEDIA_TYPE: Final = "application/problem+json"
_RETRY_AFTER_S = 5  # a database restart takes about as long
_log = logging.getLogger("lah.api")


@dataclass(frozen=True)
class Kind:
    """One kind of problem: its status, title and what usually helps."""

    slug: str
    status: int
    title: str
    advice: str


KINDS: Final = {
    kind.slug: kind
    for kind in (
        Kind("malformed-body", 400, "The body cannot be read", "Send one JSON document in UTF-8"),
        Kind("key-required", 401, "An API key is needed", "Send `Authorization: Bearer <key>` or `X-API-Key: <key>`"),
        Kind("key-refused", 401, "The API key is not valid here", "Check the key, or ask an admin for a new one"),
        Kind("not-permitted", 403, "The key's role does not permit this", "Use a key with one of the roles named"),
        Kind("not-found", 404, "There is no such thing", "Check the address against /docs"),
        Kind("method-not-allowed", 405, "This address does not take that method", "Use one of the methods in `Allow`"),
        Kind("not-acceptable", 406, "No such format is written here", "Send `Accept` with one of the types in /docs"),
        Kind("too-slow", 408, "The body came too slowly", "Send it again, in smaller batches over a slow line"),
        Kind("conflict", 409, "It is not in a state for that", "Ask how it stands, and decide anew"),
        Kind("too-large", 413, "The body is too large", "Send smaller batches"),
        Kind("invalid-parameter", 422, "A parameter is not usable", "Correct the field named and send it again"),
        Kind("invalid-event", 422, "The event cannot be stored", "Correct the field named and send it again"),
        Kind("too-many-requests", 429, "Too many requests", "Send it again after `Retry-After` seconds"),
        Kind("too-busy", 429, "Too many submissions at once", "Send it again after `Retry-After` seconds"),
        Kind("internal", 500, "A bug, not your request", "Report it with the `instance`; it is in the server's log"),
        Kind("unavailable", 503, "Not available for the moment", "Send it again after `Retry-After` seconds"),
        Kind(
            "query-timeout", 504, "The query takes too long", "Ask for less: a shorter `from` to `to`, or more filters"
        ),
        Kind(
            "request-timeout",
            504,
            "The request takes too long",
            "Ask for less, or later. Events may have been taken: send them again with the same ids, which counts once",
        ),
    )
}


class ProblemDetails(BaseModel):
    """RFC 9457, with `field`, `advice` and, when there are several faults, `errors` in addition."""

    type: str = Field(description="Which kind of problem; a link into /docs.", examples=["/docs#invalid-parameter"])
    title: str
    status: int
    detail: str = Field(description="What is wrong with this request.")
    instance: str = Field(description="This occurrence.")
    field: str | None = Field(None, description="The parameter, header or body field it is about.")
    advice: str = Field(description="What to do next.")
    errors: list[dict[str, str]] | None = Field(None, description="Every fault as field and reason, if several.")


class Problem(HTTPException):
    """An answer that is an error. `slug` names one of KINDS."""

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        field: str | None = None,
        advice: str | None = None,
        headers: dict[str, str] | None = None,
        errors: Sequence[dict[str, str]] = (),
        instance: str | None = None,
    ) -> None:
        self.kind = KINDS[slug]
        super().__init__(self.kind.status, detail, headers)
        self.field = field
        self.advice = advice or self.kind.advice
        self.errors = list(errors)
        self.instance = instance


def add_handlers(app: FastAPI) -> None:
    """Make every error of `app` a problem."""

    def on_problem(request: Request, error: Exception) -> JSONResponse:
        problem = as_problem(error)
        if problem.kind.status == 405:  # Starlette names the methods of the first of the address's routes only
            path = request.scope["route"].path
            same = (route.methods for route in app.routes if isinstance(route, Route) and route.path == path)
            problem.headers = {"Allow": ", ".join(sorted(set().union(*(each or () for each in same))))}
        return problem_response(request.url.path, problem)

    for kind in (
        StarletteHTTPException,
        RequestValidationError,
        PoolTimeout,
        OperationalError,
        StoreUnavailable,
        LahError,
        Exception,
    ):
        app.add_exception_handler(kind, on_problem)


def as_problem(error: Exception) -> Problem:
    """The problem that an exception is to its asker."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _invalid([dict(each) for each in error.errors()])
        case StarletteHTTPException():
            return _from_status(error)
        case QueryCanceled():
            return Problem("query-timeout", "The database stopped the query at the server's time limit")
        case StoreUnavailable():
            return _unavailable(error.message, error.advice)
        case PoolTimeout() | OperationalError():
            _log.warning("the database does not answer: %s", error)
            return _unavailable("The database does not answer", None)
        case _:
            occurrence = f"urn:uuid:{uuid4()}"
            _log.error("%s", occurrence, exc_info=error)
            return Problem("internal", "The server failed to answer", instance=occurrence)


def _unavailable(detail: str, advice: str | None) -> Problem:
    return Problem("unavailable", detail, advice=advice, headers={"Retry-After": str(_RETRY_AFTER_S)})


def _from_status(error: StarletteHTTPException) -> Problem:
    slug = next((kind.slug for kind in KINDS.values() if kind.status == error.status_code), "malformed-body")
    detail = {404: "Nothing is served at this address", 405: "The address is served, the method is not"}
    return Problem(slug, detail.get(error.status_code, str(error.detail)), headers=dict(error.headers or {}))


def _invalid(errors: Sequence[dict[str, Any]]) -> Problem:
    """FastAPI's validation errors; a location reads ("query", "limit") or ("body", "to")."""
    faults = []
    for error in errors:
        place, *path = error["loc"]
        faults.append({"field": ".".join(map(str, path)) or str(place), "reason": str(error["msg"]), "in": str(place)})
    first = faults[0]
    return Problem(
        "invalid-parameter",
        f"{first['field']}: {first['reason']}",
        field=first["field"],
        errors=faults if len(faults) > 1 else (),
    )


def problem_response(path: str, problem: Problem) -> JSONResponse:
    """The problem as an answer to who asked at `path`."""
    details = ProblemDetails(
        type=f"/docs#{problem.kind.slug}",
        title=problem.kind.title,
        status=problem.kind.status,
        detail=problem.detail,
        instance=problem.instance or path,
        field=problem.field,
        advice=problem.advice,
        errors=problem.errors or None,
    )
    return JSONResponse(
        details.model_dump(exclude_none=True), problem.kind.status, headers=problem.headers, media_type=MEDIA_TYPE
    )
