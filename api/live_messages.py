"""What a live stream says: one message a row or object that changed, and who wants to hear it.

Belongs here: messages and filters, without a connection. Who reads them, and how fast, is in `live_hub`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from pydantic import BaseModel

from api.models import MetricRow
from api.models_operations import Check
from api.models_signals import Anomaly, Incident
from lah_platform.rollups.metrics import MEASURES, metric
from lah_platform.stores.live_changes import Change, Place
from lah_platform.stores.serving import Row

__all__ = ["DIMENSIONS", "KINDS", "Message", "Wanted", "id_of", "message_of", "place_of"]

KINDS: Final = ("rollup", "anomaly", "alert")
DIMENSIONS: Final = (
    "event_type",
    "subtype",
    "model",
    "environment",
    "service",
    "region",
    "team",
    "source_module",
    "provider",
)
_WHOLE: Final = 2**31 - 1
_MODELS: Final[Mapping[str, type[BaseModel]]] = {"rollup": MetricRow, "anomaly": Anomaly, "alert": Incident}
_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `data` is its JSON. For filters, what it is about: None where that is not known, so that it fits."""

    place: Place
    event: str
    change: str
    tenant: str
    window: str | None
    metrics: frozenset[str] | None
    dimensions: Mapping[str, frozenset[str]] | None
    tags: Mapping[str, str] | None
    data: str


@dataclass(frozen=True)
class Wanted:
    """What one reader hears: of its tenant ('*': of all), and of that what fits every filter that is set."""

    tenant: str
    kinds: frozenset[str] = _NONE
    metrics: frozenset[str] = _NONE
    windows: frozenset[str] = _NONE
    dimensions: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    with_open: bool = False

    def could_fit(self, change: Change) -> bool:
        """Whether the reader is to hear it, as far as that is known without reading what changed."""
        return self._hears(change.tenant, change.kind, change.change) and (
            change.key is None
            or (
                (not self.windows or change.window in self.windows)
                and (not self.metrics or change.key[2] in self.metrics)
            )
        )

    def _hears(self, tenant: str, event: str, change: str) -> bool:
        kind = "rollup" if event == "recomputed" else event
        return (
            (self.tenant == "*" or tenant in (self.tenant, "*"))
            and (self.with_open or change != "updated")
            and (not self.kinds or kind in self.kinds)
        )

    def fits(self, message: Message) -> bool:
        """Whether the reader is to hear it."""
        return (
            self._hears(message.tenant, message.event, message.change)
            and (not self.windows or message.window in self.windows)
            and (not self.metrics or message.metrics is None or not self.metrics.isdisjoint(message.metrics))
            and (message.dimensions is None or self._has_dimensions(message.dimensions))
            and (message.tags is None or self.tags.items() <= message.tags.items())
        )

    def _has_dimensions(self, found: Mapping[str, frozenset[str]]) -> bool:
        return all(value in found.get(name, _NONE) for name, value in self.dimensions.items())


def id_of(place: Place) -> str:
    """A place in the stream as the text that `Last-Event-ID` carries."""
    return f"{place[0]}.{place[1]}"


def place_of(text: str) -> Place:
    """The place that an id stands for; without an ordinal, behind the whole position. ValueError for other texts."""
    position, _, ordinal = text.partition(".")
    return int(position), int(ordinal) if ordinal else _WHOLE


def message_of(change: Change, row: Row | None) -> Message:
    """The message that tells `change`; `row` is what the lists show of it now, None when it is not there any more."""
    said: dict[str, Any] = {"kind": change.kind, "change": change.change, "tenant": change.tenant}
    metrics: frozenset[str] | None = None
    window = change.window
    if change.kind == "recomputed":
        assert change.period is not None
        said |= {"window": window, "from": change.period[0], "to": change.period[1], "metrics": change.metrics}
        metrics = None if change.metrics is None else frozenset(change.metrics)
    elif change.kind == "rollup":
        assert change.key is not None
        said |= {"window": window, **dict(zip(("bucket_start", "series_id", "metric"), change.key, strict=True))}
        metrics = frozenset((change.key[2],))
    else:
        is_check = row is not None and "check_name" in row
        said[f"{'check' if is_check else 'anomaly' if change.kind == 'anomaly' else 'incident'}_id"] = change.object_id
    if change.kind == "alert":
        metrics = _NONE  # a story of several
    elif change.kind == "anomaly" and row is not None:
        metrics, window = frozenset((row["metric"],)), row["window"]
    if change.kind in _MODELS:
        said["item"] = None if row is None else msgspec.Raw(_item(change.kind, row))
    said["noted_at"] = change.noted_at
    return Message(
        place=change.place,
        event=change.kind,
        change=change.change,
        tenant=change.tenant,
        window=window,
        metrics=metrics,
        dimensions=_dimensions(row),
        tags=None if row is None else row.get("tags") or {},
        data=msgspec.json.encode(said).decode(),
    )


def _dimensions(row: Row | None) -> dict[str, frozenset[str]] | None:
    if row is None:
        return None
    if "hurts" in row:
        hurts: Mapping[str, Sequence[str]] = row["hurts"] or {}
        return {name: frozenset(values) for name, values in hurts.items()}
    return {name: frozenset((row[name],)) for name in DIMENSIONS if row.get(name) is not None}


def _item(kind: str, row: Row) -> bytes:
    model = Check if "check_name" in row else _MODELS[kind]
    if kind == "rollup":
        means = metric(row["metric"]).measures
        measures = {name: row[name] for name in MEASURES if name in means}
        row = {**{name: value for name, value in row.items() if name not in MEASURES}, "measures": measures}
    return model.model_validate(row).model_dump_json(exclude_unset=True, by_alias=True).encode()
