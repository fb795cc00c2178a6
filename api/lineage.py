"""What a served number was made from."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query

from api.access import Caller
from api.models_lineage import NumberLineage
from api.parameters import LineageOf
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.rollups.metrics import metric
from lah_platform.rollups.windows import window
from lah_platform.stores.number_lineage import number_lineage

__all__ = ["add_routes"]


def get_lineage(
    caller: Caller, services: Annotated[Services, Depends(services_of)], asked: Annotated[LineageOf, Query()]
) -> dict[str, Any]:
    """What one number of a rollup was made from, as of which revision: the rows of every shorter window, the events and
    their offsets in the log, and the archive's files of its days. `is_explained` says whether the events add up to it.
    """
    size = window(asked.window)
    start = size.floor(asked.bucket_start)
    with services.pool.connection() as connection:
        found = number_lineage(
            connection,
            tenant=caller.tenant,
            window=size,
            metric=metric(asked.metric),
            series_id=asked.series_id,
            start=start,
        )
    if found is None:
        detail = f"Series {asked.series_id} has no {asked.metric} in the {size.name} bucket of {start.isoformat()}"
        raise Problem("not-found", detail, field="series_id", advice="GET /api/v1/metrics lists the series' buckets")
    return found | {"window": size.name}


def add_routes(app: FastAPI) -> None:
    """Where numbers come from."""
    app.add_api_route("/api/v1/lineage", get_lineage, methods=["GET"], tags=["tables"], response_model=NumberLineage)
