"""Reading one page of a listing for a caller; every list route goes through here, and so does its tenant."""

from api.credentials import Principal
from api.parameters import Paging
from api.problems import Problem
from api.services import Services
from lah_platform.stores.serving import CursorError, Page, page

__all__ = ["read_page"]


def read_page(
    services: Services,
    name: str,
    caller: Principal,
    asked: Paging,
    /,
    *,
    view: str | None = None,
    **filters: object,
) -> Page:
    """The page of the listing `name` that was asked for, of the caller's tenant.

    Raises Problem for a cursor that is none.
    """
    with services.pool.connection() as connection:
        try:
            return page(
                connection,
                name,
                tenant=caller.tenant,
                limit=asked.limit,
                cursor=asked.cursor,
                view=view,
                **filters,
            )
        except CursorError as error:
            raise Problem(
                "invalid-parameter",
                "The cursor is not one that this address gave out",
                field="cursor",
                advice="Start again without `cursor`",
            ) from error
