"""Making, seeing, rotating and revoking API keys; an admin of a tenant sees to that tenant's, an operator to all."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Response, status

from api.access import Caller
from api.bodies import Body, read_json
from api.credentials import Principal
from api.examples import KEY, KEY_ID, ROTATION
from api.lists import read_page
from api.models import Page
from api.models_keys import Key, KeyRequest, MadeKey, RotationRequest
from api.openapi import json_body
from api.parameters import Paging
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.errors import ConfigurationError
from lah_platform.stores.keys import ApiKey, create_key, revoke_key, rotate_key

__all__ = ["add_routes"]

_PATH = "/api/v1/keys"
_KeyId = Annotated[str, Path(description="The id: what stands between the underscores of a key.", examples=[KEY_ID])]


def list_all_keys(
    caller: Caller, services: Annotated[Services, Depends(services_of)], asked: Annotated[Paging, Query()]
) -> dict[str, Any]:
    """Every key ever made for the tenant, oldest first; never the key itself."""
    page = read_page(services, "api_keys", caller, asked)
    return {"items": page.rows, "next_cursor": page.next_cursor}


def make_key(
    caller: Caller, services: Annotated[Services, Depends(services_of)], body: Body, response: Response
) -> dict[str, Any]:
    """Make a key. It is shown in this answer only: the hub keeps nothing it could be made from again."""
    asked = read_json(KeyRequest, body)
    life = None if asked.expires_in_days is None else timedelta(days=asked.expires_in_days)
    with services.pool.connection() as connection:
        try:
            made, text = create_key(
                connection,
                services.secret,
                tenant=_tenant(caller, asked.tenant),
                role=asked.role,
                label=asked.label,
                actor=caller.actor,
                life=life,
            )
        except ConfigurationError as error:
            field = "label" if "label" in error.message else "tenant"
            raise Problem("invalid-parameter", error.message, field=field, advice=error.advice) from error
    response.headers["Location"] = f"{_PATH}/{made.key_id}"
    return {**_shown(made), "key": text}


def rotate(
    caller: Caller, services: Annotated[Services, Depends(services_of)], key_id: _KeyId, body: Body
) -> dict[str, Any]:
    """Make a key that may do the same; the old one ends after the grace, by then whoever holds it has the new one."""
    asked = read_json(RotationRequest, body)
    grace = timedelta(minutes=asked.grace_minutes)
    with services.pool.connection() as connection:
        made = rotate_key(connection, services.secret, key_id, grace=grace, actor=caller.actor, tenant=caller.tenant)
    if made is None:
        raise _missing(key_id)
    return {**_shown(made[0]), "key": made[1]}


def revoke(caller: Caller, services: Annotated[Services, Depends(services_of)], key_id: _KeyId) -> Response:
    """Revoke a key; within five seconds no server process takes it any more."""
    with services.pool.connection() as connection:
        if not revoke_key(connection, key_id, actor=caller.actor, tenant=caller.tenant):
            raise _missing(key_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


def add_routes(app: FastAPI) -> None:
    """The life of API keys."""
    app.add_api_route(_PATH, list_all_keys, methods=["GET"], tags=["keys"], response_model=Page[Key])
    app.add_api_route(
        _PATH,
        make_key,
        methods=["POST"],
        tags=["keys"],
        response_model=MadeKey,
        status_code=status.HTTP_201_CREATED,
        openapi_extra=json_body("Whose key, and what it may do.", KeyRequest.model_json_schema(), KEY),
    )
    app.add_api_route(
        f"{_PATH}/{{key_id}}/rotate",
        rotate,
        methods=["POST"],
        tags=["keys"],
        response_model=MadeKey,
        status_code=status.HTTP_201_CREATED,
        openapi_extra=json_body("How long the old key lives on.", RotationRequest.model_json_schema(), ROTATION),
    )
    app.add_api_route(
        f"{_PATH}/{{key_id}}", revoke, methods=["DELETE"], tags=["keys"], status_code=status.HTTP_204_NO_CONTENT
    )


def _tenant(caller: Principal, asked: str | None) -> str:
    if asked is None or asked == caller.tenant:
        return caller.tenant
    if not caller.is_operator:
        raise Problem(
            "not-permitted",
            "A tenant's admin makes keys of that tenant only",
            field="tenant",
            advice="Leave the tenant out, or use the operator's admin key",
        )
    return asked


def _shown(key: ApiKey) -> dict[str, Any]:
    known = {name: getattr(key, name) for name in Key.model_fields if name != "prefix"}
    return known | {"prefix": f"lah_{key.key_id}_"}


def _missing(key_id: str) -> Problem:
    return Problem("not-found", f"There is no valid key {key_id}", field="key_id", advice="GET /api/v1/keys lists them")
