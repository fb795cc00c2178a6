"""What became of documents that were to be delivered. No caller names an address: the operator's file does."""

from typing import Annotated, Any, Final, Literal

from fastapi import Depends, FastAPI, Query
from pydantic import Field

from api.access import Caller
from api.lists import read_page
from api.models import Page
from api.models_deliveries import Delivery
from api.parameters import Paging
from api.services import Services, services_of

__all__ = ["add_routes"]

# Names of targets and why they failed tell of the operator's other systems
_OPERATORS: Final = ("target", "last_error")


class DeliveryFilter(Paging):
    """Which deliveries."""

    state: Literal["waiting", "sending", "delivered", "failed"] | None = Field(
        None, description="How it stands; failed: given up."
    )


def list_deliveries(
    caller: Caller, services: Annotated[Services, Depends(services_of)], asked: Annotated[DeliveryFilter, Query()]
) -> dict[str, Any]:
    """Documents of reports on their way to folders, object stores and webhooks, newest first."""
    page = read_page(services, "deliveries", caller, asked, state=asked.state)
    hidden = () if caller.is_operator else _OPERATORS
    rows = [{name: value for name, value in each.items() if name not in hidden} for each in page.rows]
    return {"items": rows, "next_cursor": page.next_cursor}


def add_routes(app: FastAPI) -> None:
    """Deliveries."""
    app.add_api_route(
        "/api/v1/deliveries",
        list_deliveries,
        methods=["GET"],
        tags=["evidence"],
        response_model=Page[Delivery],
        response_model_exclude_unset=True,
    )
