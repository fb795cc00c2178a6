"""What many events share: everything of an event but its identity, its time, its tags and its payload's figures.

A fleet sends few shapes and many events, so what depends on the shape alone (validation of names, series, encoding) is
done once a shape.
"""

from collections.abc import Hashable, Sequence

from lah_platform.events.envelope import Event
from lah_platform.events.names import DIMENSION_TAGS
from lah_platform.events.payloads import Payload
from lah_platform.rollups.series import SeriesKey, chosen_tags

__all__ = ["Shape", "ShapeBook"]

_MOST_SHAPES = 20_000  # a producer that puts a request's id into a dimension makes a shape of every event


class Shape:
    """One combination; the same combination is the same object as long as its book remembers it."""

    __slots__ = (
        "environment",
        "event_type",
        "model",
        "payload_class",
        "payload_type",
        "schema_version",
        "series",
        "severity",
        "source_module",
        "subtype",
        "tenant",
    )

    def __init__(self, event: Event, series_tags: Sequence[str]) -> None:
        self.tenant = event.tenant
        self.source_module = event.source_module
        self.event_type = event.event_type
        self.payload_type = event.payload_type
        self.subtype = event.subtype
        self.severity = event.severity
        self.environment = event.environment
        self.schema_version = event.schema_version
        self.payload_class: type[Payload] = type(event.payload)
        self.model: str | None = getattr(event.payload, "model_id", None)
        tags = event.tags
        self.series = SeriesKey(
            tenant=event.tenant,
            event_type=event.event_type,
            subtype=event.subtype,
            model=self.model or "",
            environment=event.environment,
            service=tags.get("service", ""),
            region=tags.get("region", ""),
            team=tags.get("team", ""),
            source_module=event.source_module,
            provider=getattr(event.payload, "provider", None) or tags.get("provider", ""),
            tags=chosen_tags(tags, series_tags),
        )


class ShapeBook:
    """Shapes by any key that determines them: each has its place in `known`, which grows until `tidy`.

    `series_tags` names the tags that are dimensions of a series besides those every deployment has.
    """

    def __init__(self, series_tags: Sequence[str] = ()) -> None:
        self.series_tags = series_tags
        self.known: list[Shape] = []
        self._places: dict[Hashable, int] = {}
        self.find = self._places.get
        """The place of a key's shape, None when it is not known."""

    def of(self, key: Hashable, event: Event) -> int:
        """The place in `known` of the shape under `key`, which `event` has."""
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self.known)
            self.known.append(Shape(event, self.series_tags))
        return place

    def place(self, event: Event) -> int:
        """The place in `known` of the shape that `event` has."""
        key = (
            event.tenant,
            event.source_module,
            event.event_type,
            event.subtype,
            event.severity,
            event.environment,
            event.schema_version,
            type(event.payload),
            getattr(event.payload, "model_id", None) or getattr(event.payload, "provider", None),
            *map(event.tags.get, (*DIMENSION_TAGS, *self.series_tags)),
        )
        return self.of(key, event)

    def tidy(self) -> None:
        """Between two batches: begin anew, with another `known`, when there are too many shapes."""
        if len(self.known) >= _MOST_SHAPES:
            self._places.clear()
            self.known = []
