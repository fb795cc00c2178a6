"""Forecasts and what is made of them as they look on the wire; conventions as in `models`."""

from datetime import datetime

from pydantic import BaseModel, Field

from api.models import SeriesDimensions

__all__ = ["Forecast", "ForecastModel", "ForecastOutlook"]


class Forecast(SeriesDimensions):
    """One forecast value with its prediction interval."""

    tenant: str
    series_id: int
    metric: str
    window: str
    method: str
    target_start: datetime
    trained_through: datetime
    value: float
    lower: float
    upper: float
    level: float = Field(description="Share of outcomes that `lower` and `upper` should hold.")
    lower_80: float | None = Field(description="With `upper_80`: should hold 80 % of outcomes.")
    upper_80: float | None
    backtest_wape: float | None = Field(description="Weighted absolute percentage error of the backtest.")
    computed_at: datetime


class ForecastModel(SeriesDimensions):
    """What one forecast was made of, its backtest, and how it came out. Errors are shares: 0.1 is 10 %."""

    tenant: str
    series_id: int
    metric: str
    window: str
    method: str
    trained_through: datetime
    horizon: int
    weights: dict[str, float] = Field(description="What each member counts in the weighted median.")
    origins: int
    backtest_mape: float | None
    backtest_smape: float | None
    backtest_wape: float | None
    backtest_mase: float | None
    naive_wape: float | None = Field(description="WAPE of the better seasonal naive method in the backtest.")
    forecastability: float | None = Field(description="1 less the spectral entropy: 0 is noise.")
    is_forecastable: bool | None = Field(description="Whether the backtest's MAPE is 12 % or less.")
    verdict: str
    computed_at: datetime
    judged_buckets: int = Field(description="How many of the forecast buckets have come about.")
    mape: float | None
    smape: float | None
    wape: float | None
    mase: float | None
    coverage_80: float | None
    coverage_95: float | None
    judged_at: datetime | None


class ForecastTotal(BaseModel):
    """A sum over all buckets: the mean, the median, and what should hold 80 and 95 % of outcomes."""

    mean: float
    median: float
    lower_80: float
    upper_80: float
    lower: float
    upper: float


class ReachedBy(BaseModel):
    """The chance that the limit is reached by the end of a bucket."""

    target_start: datetime
    probability: float


class SeriesSummed(BaseModel):
    """How many series of a tenant are in a sum."""

    tenant: str
    series: int


class ForecastOutlook(BaseModel):
    """What forecasts sum up to, and when a limit is reached."""

    metric: str
    window: str
    from_: datetime = Field(alias="from")
    to: datetime
    summed: list[SeriesSummed]
    trained_through: datetime = Field(description="The earliest of their origins.")
    forecast_until: datetime = Field(description="How far the forecasts reach; before `to` where that is later.")
    already: float = Field(description="What there was before the first forecast bucket.")
    limit: float
    probability: float = Field(description="That the limit is reached before `to` and `forecast_until`.")
    earliest: datetime | None = Field(description="The bucket by which one path in ten has reached it.")
    likely: datetime | None = Field(description="The bucket by which half of all paths have reached it.")
    total: ForecastTotal
    reached_by: list[ReachedBy]
