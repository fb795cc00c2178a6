"""Who may do what: roles, permissions, and the one table that says which route needs which.

Deny by default: a route that is not in ROUTES answers nobody, and the app does not even start with one.
Tenancy is not here but in every query: a caller sees its key's tenant, an operator's key ('*') all of them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, get_args

from fastapi import Depends, FastAPI, Request, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection
from starlette.routing import WebSocketRoute

from api.credentials import Principal
from api.gate import Gate
from api.problems import Problem
from lah_platform.stores.keys import Role

__all__ = [
    "OPERATORS_ONLY",
    "PUBLIC",
    "ROLES",
    "ROUTES",
    "Caller",
    "Permission",
    "admitted",
    "authorise",
    "check_declared",
    "presented_by",
    "roles_with",
]

Permission = Literal[
    "events:write",
    "events:read",
    "metrics:read",
    "live:read",
    "signals:read",
    "anomalies:dismiss",
    "maintenance:manage",
    "costs:read",
    "reports:read",
    "reports:generate",
    "checks:read",
    "dead_letters:read",
    "backfills:operate",
    "runs:read",
    "monitoring:read",
    "keys:manage",
    "retention:manage",
    "retention:prove",
    "subjects:manage",
    "privacy:manage",
    "personal:read",
    "access:review",
    "system:describe",
    "audit:read",
]
PUBLIC: Final = "public"

_AGGREGATES: frozenset[Permission] = frozenset(
    {"metrics:read", "live:read", "signals:read", "costs:read", "checks:read", "runs:read", "monitoring:read"}
)
_EVIDENCE: frozenset[Permission] = frozenset(
    {
        "events:read",
        "reports:read",
        "reports:generate",
        "dead_letters:read",
        "audit:read",
        "access:review",
        "system:describe",
    }
)
_RIGHTS: frozenset[Permission] = frozenset(
    {"retention:manage", "retention:prove", "subjects:manage", "privacy:manage", "personal:read"}
)
ROLES: Final[Mapping[Role, frozenset[Permission]]] = MappingProxyType(
    {
        "viewer": _AGGREGATES,
        "analyst": _AGGREGATES | {"events:read", "reports:read", "anomalies:dismiss", "maintenance:manage"},
        "ingest": frozenset({"events:write"}),
        "compliance": _AGGREGATES | _EVIDENCE | _RIGHTS,
        "admin": frozenset(get_args(Permission)),
    }
)

ROUTES: Final[Mapping[tuple[str, str], Permission | Literal["public"]]] = MappingProxyType(
    {
        ("POST", "/api/v1/events"): "events:write",
        ("POST", "/api/v1/events/batch"): "events:write",
        ("GET", "/api/v1/events"): "events:read",
        ("GET", "/api/v1/events/{event_id}"): "events:read",
        ("GET", "/api/v1/events/{event_id}/personal"): "personal:read",
        ("GET", "/api/v1/privacy/content-policies"): "privacy:manage",
        ("POST", "/api/v1/privacy/content-policies"): "privacy:manage",
        ("GET", "/api/v1/metrics"): "metrics:read",
        ("GET", "/api/v1/lineage"): "metrics:read",
        ("GET", "/api/v1/watermarks"): "metrics:read",
        ("POST", "/api/v1/timeseries/query"): "metrics:read",
        ("GET", "/api/v1/stream"): "live:read",
        ("WEBSOCKET", "/api/v1/stream/socket"): "live:read",
        ("GET", "/api/v1/anomalies"): "signals:read",
        ("POST", "/api/v1/anomalies/{anomaly_id}/dismiss"): "anomalies:dismiss",
        ("GET", "/api/v1/anomalies/maintenance"): "signals:read",
        ("POST", "/api/v1/anomalies/maintenance"): "maintenance:manage",
        ("DELETE", "/api/v1/anomalies/maintenance/{maintenance_id}"): "maintenance:manage",
        ("GET", "/api/v1/correlations"): "signals:read",
        ("GET", "/api/v1/incidents"): "signals:read",
        ("GET", "/api/v1/incidents/{incident_id}"): "signals:read",
        ("GET", "/api/v1/forecasts"): "signals:read",
        ("GET", "/api/v1/forecasts/models"): "signals:read",
        ("GET", "/api/v1/forecasts/outlook"): "signals:read",
        ("GET", "/api/v1/costs"): "costs:read",
        ("GET", "/api/v1/prices"): "costs:read",
        ("GET", "/api/v1/reports"): "reports:read",
        ("GET", "/api/v1/reports/{report_id}"): "reports:read",
        ("GET", "/api/v1/reports/{report_id}/documents/{format}"): "reports:read",
        ("GET", "/api/v1/reports/{report_id}/verification"): "reports:read",
        ("POST", "/api/v1/reports"): "reports:generate",
        ("GET", "/api/v1/reports/requests/{report_request_id}"): "reports:generate",
        ("DELETE", "/api/v1/reports/requests/{report_request_id}"): "reports:generate",
        ("GET", "/api/v1/access-review"): "access:review",
        ("GET", "/api/v1/system-description"): "system:describe",
        ("GET", "/api/v1/deliveries"): "reports:read",
        ("GET", "/api/v1/checks"): "checks:read",
        ("GET", "/api/v1/checks/history"): "checks:read",
        ("GET", "/api/v1/checks/{asset}/{rule}/rows"): "checks:read",
        ("GET", "/api/v1/quality-scores"): "checks:read",
        ("GET", "/api/v1/suspects"): "checks:read",
        ("GET", "/api/v1/dead-letters"): "dead_letters:read",
        ("POST", "/api/v1/backfills"): "backfills:operate",
        ("GET", "/api/v1/backfills"): "backfills:operate",
        ("GET", "/api/v1/backfills/{request_id}"): "backfills:operate",
        ("DELETE", "/api/v1/backfills/{request_id}"): "backfills:operate",
        ("GET", "/api/v1/runs"): "runs:read",
        ("GET", "/api/v1/keys"): "keys:manage",
        ("POST", "/api/v1/keys"): "keys:manage",
        ("POST", "/api/v1/keys/{key_id}/rotate"): "keys:manage",
        ("DELETE", "/api/v1/keys/{key_id}"): "keys:manage",
        ("GET", "/api/v1/retention/rules"): "retention:manage",
        ("POST", "/api/v1/retention/rules"): "retention:manage",
        ("DELETE", "/api/v1/retention/rules/{rule_id}"): "retention:manage",
        ("GET", "/api/v1/retention/holds"): "retention:manage",
        ("POST", "/api/v1/retention/holds"): "retention:manage",
        ("DELETE", "/api/v1/retention/holds/{hold_id}"): "retention:manage",
        ("GET", "/api/v1/retention/runs"): "retention:prove",
        ("POST", "/api/v1/consents"): "subjects:manage",
        ("POST", "/api/v1/consents/query"): "subjects:manage",
        ("POST", "/api/v1/consents/withdraw"): "subjects:manage",
        ("POST", "/api/v1/subjects/export"): "subjects:manage",
        ("POST", "/api/v1/subjects/erase"): "subjects:manage",
        ("GET", "/api/v1/subjects/receipts"): "subjects:manage",
        ("POST", "/api/v1/subjects/verify"): "subjects:manage",
        ("GET", "/api/v1/audit"): "audit:read",
        ("GET", "/api/v1/audit/heads"): "audit:read",
        ("GET", "/metrics/prometheus"): "monitoring:read",
        ("GET", "/health"): PUBLIC,
        ("GET", "/ready"): PUBLIC,
        ("GET", "/docs"): PUBLIC,
        ("GET", "/openapi.json"): PUBLIC,
    }
)

# What covers every tenant's rows (recomputations, reports, runs, receipts of retention) is the operator's
OPERATORS_ONLY: Final[frozenset[Permission]] = frozenset(
    {"backfills:operate", "reports:generate", "runs:read", "retention:prove", "system:describe"}
)


_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    description="`Authorization: Bearer lah_...`, or a token of the configured issuer",
)
_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="api_key", description="`X-API-Key: lah_...`")


def authorise(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    header: Annotated[str | None, Security(_header)],
) -> Principal | None:
    """The caller, when the route's permission is among its role's; None for a public route."""
    asked = (request.method, request.scope["route"].path)
    if ROUTES.get(asked) == PUBLIC:
        return None
    return admitted(request, (bearer.credentials if bearer else header) or "", asked)


def presented_by(headers: Mapping[str, str]) -> str:
    """The credential that a request carries in either header; empty: none."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")


def admitted(connection: HTTPConnection, presented: str, asked: tuple[str, str]) -> Principal:
    """Who presents the credential over it, when his role may ask for that method and path. Raises Problem."""
    needed = ROUTES.get(asked)
    if needed is None or needed == PUBLIC:
        raise Problem("not-permitted", f"No permission is declared for {' '.join(asked)}")
    if not presented:
        raise Problem("key-required", "The request carries no API key", headers={"WWW-Authenticate": "Bearer"})
    gate: Gate = connection.app.state.gate
    principal = gate.admit(presented, connection.client.host if connection.client else "")
    if needed not in ROLES[principal.role]:
        raise Problem("not-permitted", f"The role {principal.role} may not do this; {_roles_text(needed)} may")
    if needed in OPERATORS_ONLY and not principal.is_operator:
        raise Problem(
            "not-permitted",
            "This concerns every tenant, and the key belongs to one",
            advice="Use the operator's admin key, whose tenant is '*'",
        )
    return principal


async def _require(principal: Annotated[Principal | None, Depends(authorise)]) -> Principal:
    if principal is None:
        raise AssertionError("a public route has no caller")
    return principal


Caller = Annotated[Principal, Depends(_require)]


def roles_with(permission: Permission) -> list[Role]:
    """The roles that hold the permission, in the order of ROLES."""
    return [role for role, permissions in ROLES.items() if permission in permissions]


def check_declared(app: FastAPI) -> None:
    """Raises ValueError when a route of the app has no permission, or is of a kind that would bypass `authorise`."""
    for route in app.routes:
        if isinstance(route, WebSocketRoute) and ("WEBSOCKET", route.path) in ROUTES:
            continue  # which asks `admitted` itself
        if not isinstance(route, APIRoute):
            raise ValueError(f"{route!r} would bypass access control: add it with app.add_api_route")
        for method in route.methods or ():
            if (method, route.path) not in ROUTES:
                raise ValueError(f"{method} {route.path} has no permission: declare one in api/access.py")


def _roles_text(permission: Permission | Literal["public"]) -> str:
    return " or ".join(roles_with(permission)) if permission != PUBLIC else "everyone"
