"""What is configured: the access review of the caller's tenant, and the description of the whole system."""

from typing import Annotated

from fastapi import Depends, FastAPI, Header, Response
from fastapi.responses import HTMLResponse, JSONResponse

from api.access import ROLES, Caller
from api.formats import JSON, quality
from api.headers import REPORT_POLICY
from api.models_configuration import Facts
from api.services import Services, services_of
from lah_platform.compliance.facts import FactsDocument, facts_content, facts_html
from lah_platform.stores.facts_documents import make_access_review, make_system_description
from lah_platform.stores.report_plan import load_plan

__all__ = ["add_routes"]

_Accepts = Annotated[str, Header(description="`text/html` for the page, else JSON.")]
_Parts = Annotated[Services, Depends(services_of)]


def access_review(caller: Caller, services: _Parts, accept: _Accepts = "application/json") -> Response:
    """Who can reach what: keys and their use, readers with SQL, roles, the issuer; an operator sees logins too."""
    with services.pool.connection() as connection:
        document = make_access_review(
            connection, services.settings, tenant=caller.tenant, roles=_roles(), now=services.clock()
        )
    return _answer(document, accept)


def system_description(_caller: Caller, services: _Parts, accept: _Accepts = "application/json") -> Response:
    """What runs, how it is set, what it holds and whom it talks to, with the source of each fact."""
    with services.pool.connection() as connection:
        document = make_system_description(
            connection,
            services.settings,
            roles=_roles(),
            targets=load_plan(services.settings).places(),
            now=services.clock(),
        )
    return _answer(document, accept)


def add_routes(app: FastAPI) -> None:
    """Documents on what is configured."""
    for path, route in (("access-review", access_review), ("system-description", system_description)):
        app.add_api_route(
            f"/api/v1/{path}",
            route,
            methods=["GET"],
            tags=["evidence"],
            response_model=Facts,
            responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
        )


def _roles() -> dict[str, frozenset[str]]:
    return {role: frozenset(permissions) for role, permissions in ROLES.items()}


def _answer(document: FactsDocument, accept: str) -> Response:
    content = facts_content(document)
    if quality(accept, "text/html") > quality(accept, JSON.media_type):
        return HTMLResponse(facts_html(content), headers={"Vary": "Accept", "Content-Security-Policy": REPORT_POLICY})
    return JSONResponse(content, headers={"Vary": "Accept"})
