"""Forecasts beyond the next buckets: how earlier ones came out, what they sum up to, and when a limit is reached."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import polars as pl
from fastapi import Depends, FastAPI, Query, Response

from api.access import Caller
from api.formats import Accepted, documented
from api.lists import read_range
from api.models import RangePage
from api.models_outlooks import ForecastModel, ForecastOutlook
from api.parameters import within
from api.parameters_signals import ForecastModelFilter, OutlookFilter
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.forecasts.metrics import COSTS, FORECAST, VOLUMES, adds_up
from lah_platform.forecasts.outlook import outlook
from lah_platform.forecasts.what_if import factor_of
from lah_platform.rollups.windows import window
from lah_platform.stores import serving

__all__ = ["add_routes"]

_RECENT: Final = timedelta(days=7)
_FULL: Final = {"value", "lower", "upper", "lower_80", "upper_80"}


def list_forecast_models(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    asked: Annotated[ForecastModelFilter, Query()],
    kind: Accepted,
    response: Response,
) -> Any:
    """What forecasts made in the range were made of, their backtest, and how they came out; by default of a week."""
    span = within(asked, services.clock(), _RECENT, ahead=timedelta(seconds=1))
    return read_range(
        services,
        "forecast_models",
        caller,
        asked,
        span,
        kind,
        ForecastModel,
        response,
        metric=asked.metric,
        windows=asked.windows,
        model=asked.model,
        method=asked.method,
    )


def forecast_outlook(
    caller: Caller, services: Annotated[Services, Depends(services_of)], asked: Annotated[OutlookFilter, Query()]
) -> dict[str, Any]:
    """What forecasts sum up to by the end of the month, and when a budget or rate limit is reached, with probability.

    Errors that one forecast's buckets share are taken to be shared by all series: the cautious case.
    """
    start = asked.from_ or _month(services.clock())
    end = asked.to or _month(start + timedelta(days=32))
    if start >= end:
        raise Problem("invalid-parameter", "`from` is not before `to`", field="from")
    if asked.kind == "sum" and asked.metric in FORECAST and not adds_up(asked.metric):
        raise Problem(
            "invalid-parameter",
            f"{asked.metric} by {asked.window} does not add up over time",
            field="kind",
            advice="Use kind=value: the limit is reached by one bucket",
        )
    of = {"metric": asked.metric, "tenant": caller.tenant, "model": asked.model, "series_id": asked.series_id}
    factor = factor_of(asked.metric, growth=asked.growth, price=asked.price)
    already = 0.0
    with services.pool.connection() as connection:
        found = serving.rows(connection, "forecast_outlook", windows=[asked.window], from_=start, to=end, **of)
        if not found:
            raise Problem(
                "not-found",
                f"There is no forecast of {asked.metric} by {asked.window} between `from` and `to`",
                advice="`lah backfill forecasts` makes forecasts; series with fewer than three buckets get none",
            )
        if asked.metric not in VOLUMES | COSTS and len({row["series_id"] for row in found}) > 1:
            raise Problem(
                "invalid-parameter",
                f"{asked.metric} of several series does not add up",
                field="series_id",
                advice="Name one series by series_id, as in GET /api/v1/forecasts",
            )
        first = min(row["target_start"] for row in found)
        if asked.kind == "sum" and first > start:
            counted = serving.row(connection, "amount_so_far", from_=start, to=first, **of)
            already = float(counted["amount"]) if counted else 0.0
    frame = pl.DataFrame(found, infer_schema_length=None).with_columns(pl.col(name) * factor for name in _FULL)
    seen = outlook(frame, asked.limit, is_cumulative=asked.kind == "sum", already=already)
    reach, bucket = seen.reach, window(asked.window)
    return {
        "metric": asked.metric,
        "window": asked.window,
        "from": start,
        "to": end,
        "summed": frame.group_by("tenant").agg(series=pl.col("series_id").n_unique()).sort("tenant").to_dicts(),
        "trained_through": frame["trained_through"].min(),
        "forecast_until": bucket.end(bucket.floor(seen.starts[-1])),
        "already": already,
        "limit": asked.limit,
        "probability": reach.probability,
        "earliest": None if reach.earliest is None else seen.starts[reach.earliest],
        "likely": None if reach.likely is None else seen.starts[reach.likely],
        "total": vars(seen.total),
        "reached_by": [
            {"target_start": at, "probability": chance}
            for at, chance in zip(seen.starts, reach.by_bucket.tolist(), strict=True)
        ],
    }


def _month(at: datetime) -> datetime:
    return datetime(at.year, at.month, 1, tzinfo=UTC)


def add_routes(app: FastAPI) -> None:
    """How forecasts came out, and the outlook."""
    app.add_api_route(
        "/api/v1/forecasts/models",
        list_forecast_models,
        methods=["GET"],
        tags=["signals"],
        response_model=RangePage[ForecastModel],
        responses=documented(has_tag=False),
    )
    app.add_api_route(
        "/api/v1/forecasts/outlook", forecast_outlook, methods=["GET"], tags=["signals"], response_model=ForecastOutlook
    )
