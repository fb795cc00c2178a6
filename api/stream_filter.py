"""What may stand behind the question mark of a live stream."""

from collections.abc import Callable
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from api.live_messages import KINDS, Wanted
from api.parameters import METRIC_NAMES, WINDOW_NAMES, Dimensions, TagFilter, Text, listed
from lah_platform.events.envelope import EventType
from lah_platform.rollups.metrics import metric
from lah_platform.rollups.windows import window

__all__ = ["StreamFilter"]


def _kind(name: str) -> str:
    if name not in KINDS:
        raise ValueError(f"no kind is called {name!r}: use some of {', '.join(KINDS)}")
    return name


def _listed(read: Callable[[str], str]) -> AfterValidator:
    return AfterValidator(lambda text: ",".join(read(each) for each in text.split(",")))


class StreamFilter(Dimensions, TagFilter):
    """What to hear of; filters that do not fit a kind of message leave that kind out."""

    ID: ClassVar = r"^[0-9]{1,18}(\.[0-9]{1,9})?$"

    kind: Annotated[str, _listed(_kind)] | None = Field(
        None,
        max_length=100,
        description="Some of `rollup`, `anomaly`, `alert`, comma-separated; default: all.",
        json_schema_extra=listed(KINDS),
    )
    metric: Annotated[str, _listed(lambda name: metric(name).name)] | None = Field(
        None,
        max_length=400,
        description="Metrics, comma-separated.",
        examples=["latency_ms"],
        json_schema_extra=listed(METRIC_NAMES),
    )
    window: Annotated[str, _listed(lambda name: window(name).name)] | None = Field(
        None,
        max_length=100,
        description="Sizes of bucket, comma-separated.",
        examples=["1m"],
        json_schema_extra=listed(WINDOW_NAMES),
    )
    type: EventType | None = Field(None, description="`event_type`.")
    subtype: Text | None = Field(None, description="Subtype of the events.")
    region: Text | None = Field(None, description="Tag `region`.")
    source_module: Text | None = Field(None, description="Which producer sent the events.")
    provider: Text | None = Field(None, description="Who serves the model: of the payload, else tag `provider`.")
    open: bool = Field(False, description="Also minutes that have not closed, as each merge leaves them.")
    follow: bool = Field(True, description="`false`: end when all that is there has been sent.", examples=["false"])
    last_event_id: str | None = Field(
        None, pattern=ID, description="The id to go on behind; `0`: all of the last hour.", examples=["0"]
    )

    def wanted(self, tenant: str) -> Wanted:
        """What a reader of that tenant hears."""
        named = {
            "event_type": self.type,
            "subtype": self.subtype,
            "model": self.model,
            "environment": self.environment,
            "service": self.service,
            "region": self.region,
            "team": self.team,
            "source_module": self.source_module,
            "provider": self.provider,
        }
        return Wanted(
            tenant=tenant,
            kinds=_split(self.kind),
            metrics=_split(self.metric),
            windows=_split(self.window),
            dimensions={name: value for name, value in named.items() if value is not None},
            tags=dict(tag.split(":", 1) for tag in self.tag),
            with_open=self.open,
        )


def _split(text: str | None) -> frozenset[str]:
    return frozenset(text.split(",")) if text else frozenset()
