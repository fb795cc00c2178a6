"""Reading request bodies: bounded in size, time and number, and not before the caller is known.

FastAPI would read and parse a declared body first and authorise afterwards; these dependencies come after `authorise`.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from api.problems import Problem
from api.services import Services, services_of

__all__ = ["Body", "Submission", "read_json"]

_Model = TypeVar("_Model", bound=BaseModel)


def read_json(model: type[_Model], body: bytes) -> _Model:
    """The body as `model`. Raises Problem when it is no JSON, RequestValidationError when it is not that."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        if faults[0]["type"] == "json_invalid":
            raise Problem("malformed-body", f"The body is not JSON: {faults[0]['msg']}") from error
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from error


async def _body(request: Request, services: Annotated[Services, Depends(services_of)]) -> bytes:
    too_large = Problem("too-large", f"A body may have at most {services.max_body_bytes} bytes")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > services.max_body_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(services.max_body_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > services.max_body_bytes:
                    raise too_large
    except TimeoutError as error:  # else it would hold a place among those that submit for ever
        what = f"The body did not arrive within {services.max_body_s:g} s"
        raise Problem("too-slow", what, headers={"Connection": "close"}) from error
    return bytes(body)


async def _admission(request: Request, services: Annotated[Services, Depends(services_of)]) -> AsyncIterator[None]:
    state = request.app.state
    if state.submissions >= services.max_submissions:
        raise Problem(
            "too-busy", f"{services.max_submissions} submissions are under way already", headers={"Retry-After": "1"}
        )
    state.submissions += 1
    try:
        yield
    finally:
        state.submissions -= 1


async def _submission(_admitted: Annotated[None, Depends(_admission)], body: Annotated[bytes, Depends(_body)]) -> bytes:
    return body


Body = Annotated[bytes, Depends(_body)]
"""The request's body, at most `max_body_bytes`."""

Submission = Annotated[bytes, Depends(_submission)]
"""The body of a submission of events; at most `max_submissions` at a time, so that memory is bounded."""
