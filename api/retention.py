"""Rules of retention and legal holds, and the receipts of what retention removed.

A tenant's compliance officers set them for that tenant; an operator for anyone's, or for everyone's ("*").
"""

from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Path, Response, status

from api.access import Caller
from api.bodies import Body, read_json
from api.examples import HOLD, HOLD_ID, RULE, RULE_ID
from api.models_retention import Hold, HoldRequest, Holds, RetentionRuns, Rule, RuleRequest, Rules
from api.openapi import json_body
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.errors import ConfigurationError
from lah_platform.privacy.retention import EVERYONE
from lah_platform.privacy.retention import Rule as RetentionRule
from lah_platform.stores.retention_receipts import runs
from lah_platform.stores.retention_rules import holds, place_hold, release_hold, remove_rule, rules, set_rule

__all__ = ["add_routes", "tenant_asked"]

_RULES: Final = "/api/v1/retention/rules"
_HOLDS: Final = "/api/v1/retention/holds"
_RUNS: Final = "/api/v1/retention/runs"
_Services = Annotated[Services, Depends(services_of)]


def list_rules(caller: Caller, services: _Services) -> dict[str, Any]:
    """Rules of retention that concern your tenant; an operator sees all. LAH_RETENTION_DAYS ends everything else."""
    with services.pool.connection() as connection:
        return {"items": rules(connection, caller.tenant)}


def enter_rule(caller: Caller, services: _Services, body: Body, response: Response) -> dict[str, Any]:
    """Set how long what is kept. The next nightly run removes what is past it, or `lah retention run` now."""
    asked = read_json(RuleRequest, body)
    tenant = tenant_asked(caller, asked.tenant, may_be_everyone=True)
    rule = RetentionRule(tenant, asked.class_, asked.keep_days, asked.table_name, asked.event_type)
    with services.pool.connection() as connection:
        try:
            made = set_rule(connection, rule, most_days=services.settings.retention_days, actor=caller.actor)
        except ConfigurationError as error:
            raise Problem("invalid-parameter", error.message, field="class", advice=error.advice) from error
    response.headers["Location"] = f"{_RULES}/{made['rule_id']}"
    return made


def take_rule_back(
    caller: Caller,
    services: _Services,
    rule_id: Annotated[int, Path(description="Its number.", ge=1, lt=2**63, examples=[RULE_ID])],
) -> Response:
    """Take a rule back; what it removed stays removed."""
    with services.pool.connection() as connection:
        if not remove_rule(connection, rule_id, tenant=caller.tenant, actor=caller.actor):
            raise Problem(
                "not-found", f"There is no rule {rule_id}", field="rule_id", advice=f"GET {_RULES} lists them"
            )
    return Response(status_code=status.HTTP_204_NO_CONTENT)


def list_holds(caller: Caller, services: _Services) -> dict[str, Any]:
    """Legal holds that concern your tenant, released ones too; an operator sees all."""
    with services.pool.connection() as connection:
        return {"items": holds(connection, caller.tenant)}


def enter_hold(caller: Caller, services: _Services, body: Body, response: Response) -> dict[str, Any]:
    """Hold rows: neither retention nor an erasure removes them until the hold is released."""
    asked = read_json(HoldRequest, body)
    tenant = tenant_asked(caller, asked.tenant, may_be_everyone=True)
    with services.pool.connection() as connection:
        try:
            made = place_hold(
                connection,
                tenant,
                asked.reason,
                actor=caller.actor,
                class_=asked.class_ or "",
                event_type=asked.event_type,
                subject_id=asked.subject_id,
                from_at=asked.from_,
                to_at=asked.to,
            )
        except ConfigurationError as error:
            field = "to" if "period" in error.message else "reason"
            raise Problem("invalid-parameter", error.message, field=field, advice=error.advice) from error
    response.headers["Location"] = f"{_HOLDS}/{made['hold_id']}"
    return made


def let_hold_go(
    caller: Caller,
    services: _Services,
    hold_id: Annotated[int, Path(description="Its number.", ge=1, lt=2**63, examples=[HOLD_ID])],
) -> Response:
    """Release a hold. It stays in the list, with who released it and when."""
    with services.pool.connection() as connection:
        if not release_hold(connection, hold_id, tenant=caller.tenant, actor=caller.actor):
            raise Problem("not-found", f"No hold {hold_id} holds", field="hold_id", advice=f"GET {_HOLDS} lists them")
    return Response(status_code=status.HTTP_204_NO_CONTENT)


def list_runs(services: _Services) -> dict[str, Any]:
    """Runs of retention that removed something, newest first, each with its signed receipt; the operator's."""
    with services.pool.connection() as connection:
        return {"items": runs(connection)}


def tenant_asked(caller: Caller, asked: str | None, *, may_be_everyone: bool = False) -> str:
    """Whose rows a request is about. Raises Problem when they are not the caller's, or it is not said whose."""
    tenant = asked or caller.tenant
    if tenant != caller.tenant and not caller.is_operator:
        raise Problem("not-permitted", "A tenant's key is about that tenant's rows only", field="tenant",
                      advice="Leave the tenant out, or use the operator's key")  # fmt: skip
    if tenant == EVERYONE and not may_be_everyone:
        raise Problem("invalid-parameter", "It has to be said whose rows", field="tenant", advice="Name the tenant")
    return tenant


def add_routes(app: FastAPI) -> None:
    """What is kept how long, what must not go, and what went."""
    app.add_api_route(_RULES, list_rules, methods=["GET"], tags=["rights"], response_model=Rules)
    app.add_api_route(
        _RULES,
        enter_rule,
        methods=["POST"],
        tags=["rights"],
        response_model=Rule,
        status_code=status.HTTP_201_CREATED,
        openapi_extra=json_body("What is kept how long.", RuleRequest.model_json_schema(), RULE),
    )
    app.add_api_route(f"{_RULES}/{{rule_id}}", take_rule_back, methods=["DELETE"], tags=["rights"],
                      status_code=status.HTTP_204_NO_CONTENT)  # fmt: skip
    app.add_api_route(_HOLDS, list_holds, methods=["GET"], tags=["rights"], response_model=Holds)
    app.add_api_route(
        _HOLDS,
        enter_hold,
        methods=["POST"],
        tags=["rights"],
        response_model=Hold,
        status_code=status.HTTP_201_CREATED,
        openapi_extra=json_body("What must not go, and why.", HoldRequest.model_json_schema(), HOLD),
    )
    app.add_api_route(f"{_HOLDS}/{{hold_id}}", let_hold_go, methods=["DELETE"], tags=["rights"],
                      status_code=status.HTTP_204_NO_CONTENT)  # fmt: skip
    app.add_api_route(_RUNS, list_runs, methods=["GET"], tags=["rights"], response_model=RetentionRuns)
