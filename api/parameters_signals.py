"""What may stand behind the question mark of anomalies, correlations, incidents and forecasts."""

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import BaseModel, Field

from api.parameters import Instant, MetricName, Text, TimeRange, WindowName
from lah_platform.rollups.windows import window

__all__ = [
    "AnomalyFilter",
    "CorrelationFilter",
    "ForecastFilter",
    "ForecastModelFilter",
    "IncidentFilter",
    "OutlookFilter",
]

IMPACTS: Final = ("negligible", "low", "medium", "high", "critical")


class SignalFilter(TimeRange):
    """Which findings on series."""

    metric: MetricName | None = Field(None, description="What was measured.", examples=["latency_ms"])
    window: WindowName | None = Field(None, description="Size of bucket.")
    model: Text | None = Field(None, description="Model id.", examples=["gpt-4o"])

    @property
    def windows(self) -> list[str] | None:
        """Both spellings of the window's name."""
        return [window(self.window).name, window(self.window).every] if self.window else None


class AnomalyFilter(SignalFilter):
    """Which anomalies, by when they started."""

    type: Literal["spike", "drop", "pattern_deviation", "frequency_anomaly", "distribution_shift"] | None = Field(
        None, description="Type of anomaly.", examples=["spike"]
    )
    impact: Literal["negligible", "low", "medium", "high", "critical"] | None = Field(
        None, description="This impact or a higher one.", examples=["low"]
    )

    @property
    def impacts(self) -> Sequence[str] | None:
        """The impacts asked for."""
        return list(IMPACTS[IMPACTS.index(self.impact) :]) if self.impact else None


class ForecastFilter(SignalFilter):
    """Which forecasts, by the window they are for."""

    method: Text | None = Field(None, description="Such as `combination`.")
    origins: Literal["latest", "all"] = Field("latest", description="`all`: what was forecast earlier, too.")
    growth: float = Field(1, ge=0, le=1000, description="What if there were so many times the requests.")
    price: float = Field(1, ge=0, le=1000, description="What if prices were so many times as high.")


class ForecastModelFilter(SignalFilter):
    """Which forecasts, by when they were made."""

    method: Text | None = Field(None, description="Such as `combination`.")


class OutlookFilter(BaseModel):
    """What to sum up, and the limit."""

    metric: MetricName = Field(description="What is forecast.", examples=["cost_usd"])
    limit: float = Field(ge=0, description="The budget, or the rate limit.", examples=[1000])
    window: Literal["1h", "1d"] = Field("1d", description="Which forecasts: 48 hours or 31 days.")
    kind: Literal["sum", "value"] = Field(
        "sum",
        description="`sum`: the running sum since `from` reaches it; `value`: one bucket does (rates and latencies).",
    )
    from_: Instant | None = Field(None, alias="from", description="Start of the budget; default: of this month.")
    to: Instant | None = Field(None, description="End of the budget; default: of the month of `from`.")
    series_id: int | None = Field(None, ge=1, lt=2**63, description="One series; default: the sum of all.")
    model: Text | None = Field(None, description="Model id.", examples=["gpt-4o"])
    growth: float = Field(1, ge=0, le=1000, description="What if there were so many times the requests.")
    price: float = Field(1, ge=0, le=1000, description="What if prices were so many times as high.")


class CorrelationFilter(TimeRange):
    """Which correlations, by when they started."""

    type: (
        Literal[
            "causal_chain",
            "temporal",
            "pattern_match",
            "anomaly",
            "cost_impact",
            "security_incident",
            "performance_degradation",
            "compliance_cascade",
        ]
        | None
    ) = Field(None, description="Type of correlation.", examples=["causal_chain"])
    min_strength: float = Field(0, ge=0, le=1, description="At least this strength.", examples=[0.1])
    min_confidence: float = Field(0, ge=0, le=1, description="At least this confidence.")


class IncidentFilter(TimeRange):
    """Which incidents, by when they started."""

    severity: Literal["negligible", "low", "medium", "high", "critical"] | None = Field(
        None, description="This severity or a higher one.", examples=["low"]
    )
    is_open: bool | None = Field(None, description="Whether it goes on.")

    @property
    def severities(self) -> Sequence[str] | None:
        """The severities asked for."""
        return list(IMPACTS[IMPACTS.index(self.severity) :]) if self.severity else None
