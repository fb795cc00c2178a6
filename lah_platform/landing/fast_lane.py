"""Reading ordinary records by the column, many times cheaper than one by one and with the same result.

Ordinary is what nearly every record is: flat spelling, canonical UUIDs, a shape that was seen before. What is not, or
not surely, is left to the contract's own `decode`, which this module must agree with and never replaces: it refuses
nothing itself.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import numpy.typing as npt

from lah_platform.events import jsonb
from lah_platform.events.envelope import DEFAULT_SCHEMA_VERSION, Event, EventType, Severity, SourceModule, Timestamp
from lah_platform.events.limits import DEFAULT_LIMITS, Limits
from lah_platform.events.money import money_problem
from lah_platform.events.names import DIMENSION_TAGS
from lah_platform.events.payloads import DATA_TYPE, SUBTYPE_OF, Payload, PayloadType
from lah_platform.events.payloads.cost import MONEY_FIELDS, Cost
from lah_platform.events.payloads.custom import Custom
from lah_platform.landing.columns import EventColumns, Integers, UuidColumn, at_us, encode_tags
from lah_platform.landing.shapes import Shape, ShapeBook

__all__ = ["FastLane"]

Flags = npt.NDArray[np.bool_]


_NO_TAGS = b"{}"


class _WirePayload(msgspec.Struct, gc=False):
    payload_type: PayloadType
    data: msgspec.Raw


class _Wire(msgspec.Struct, gc=False):
    """The flat envelope with ids and tags unread: those are read for the whole batch, or known by their bytes."""

    event_id: str
    timestamp: Timestamp
    source_module: SourceModule
    event_type: EventType
    severity: Severity
    environment: str
    payload: _WirePayload
    schema_version: str = DEFAULT_SCHEMA_VERSION
    correlation_id: str | None = None
    parent_event_id: str | None = None
    tags: msgspec.Raw = msgspec.Raw(_NO_TAGS)


_WIRE = msgspec.json.Decoder(_Wire)
_DATA: dict[str, Callable[[msgspec.Raw], Payload]] = {
    payload_type: msgspec.json.Decoder(data_type).decode for payload_type, data_type in DATA_TYPE.items()
}
_WITH_MODEL = {struct for struct in SUBTYPE_OF if "model_id" in struct.__struct_fields__}
_envelope = attrgetter("source_module", "event_type", "severity", "environment", "schema_version")
_NIL = "00000000-0000-0000-0000-000000000000"
_HYPHENS_AT = [8, 13, 18, 23]
_HYPHEN = ord("-")
_CASE_MASK = 0xDF  # the bit in which "{" and "[" differ
_BRACKET = ord("[")
# A C call over many records holds the interpreter, and the thread that talks to the database waits for it
_STEP = 1024
_MOST_TAGS = 20_000
_TAGS = msgspec.json.Decoder(dict[str, str])


class _Tags(NamedTuple):
    dimensions: tuple[str | None, ...]
    json: bytes


_UNREADABLE = _Tags((), b"{}")
_dimensions, _json = attrgetter("dimensions"), attrgetter("json")


class _TagBook:
    """Tags by their bytes: a fleet repeats few, and where each event has its own they are read each time."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Tags] = {}

    def read(self, raw: list[bytes]) -> list[_Tags]:
        """`_UNREADABLE` where they are not texts by name."""
        known = self._known
        try:
            return [known[each] for each in raw]
        except KeyError:
            if len(known) >= _MOST_TAGS:
                known.clear()
            known.update((each, _tags(each)) for each in set(raw) - known.keys())
            return [known[each] for each in raw]


def _tags(raw: bytes) -> _Tags:
    try:
        tags = _TAGS.decode(raw)
    except msgspec.DecodeError:
        return _UNREADABLE
    return _Tags((tags.get("tenant"), *map(tags.get, DIMENSION_TAGS)), encode_tags(tags))


class FastLane:
    """Knows the shapes of what it has let through. `limits` must be those of the `decode` that it stands in for."""

    def __init__(self, shapes: ShapeBook, limits: Limits = DEFAULT_LIMITS) -> None:
        self.shapes = shapes
        self._limits = limits
        self._tags = _TagBook()

    def read(self, values: Sequence[bytes | None], now: datetime, learn: Callable[[int], Event | None]) -> EventColumns:
        """The ordinary records among `values`; every other is absent from `positions`.

        `now` (aware) is the clock of the limits. `learn(i)` is what the contract makes of record i, None when it is
        refused: the first record of every shape has to pass it.
        """
        steps = range(0, len(values), _STEP)
        return EventColumns.concat(
            [self._read(values[start : start + _STEP], start, now, learn) for start in steps]
            or [EventColumns.of([], [], self.shapes)]
        )

    def _read(
        self, values: Sequence[bytes | None], start: int, now: datetime, learn: Callable[[int], Event | None]
    ) -> EventColumns:
        at: list[int] = []
        wires: list[_Wire] = []
        payloads: list[Payload] = []
        for i in self._readable(values):
            try:
                wire = _WIRE.decode(values[i])  # type: ignore[arg-type]
                payload = _DATA[wire.payload.payload_type](wire.payload.data)
            except (msgspec.DecodeError, RecursionError):
                continue
            at.append(i)
            wires.append(wire)
            payloads.append(payload)
        data = [bytes(wire.payload.data) for wire in wires]
        times = list(map(attrgetter("timestamp"), wires))
        timestamps_us = _timestamps_us(times)
        event_ids, is_ordinary = _uuids(list(map(attrgetter("event_id"), wires)))
        correlation_ids, is_readable = _uuids(list(map(attrgetter("correlation_id"), wires)))
        is_ordinary &= is_readable
        parent_event_ids, is_readable = _uuids(list(map(attrgetter("parent_event_id"), wires)))
        is_ordinary &= is_readable & ~event_ids.is_null
        is_ordinary &= timestamps_us <= at_us(now + self._limits.max_future_skew)
        is_ordinary &= timestamps_us >= at_us(now - self._limits.max_age)
        raw_tags = [bytes(wire.tags) for wire in wires]
        is_ordinary &= self._is_shallow([values[i] for i in at], raw_tags)  # type: ignore[misc]
        tags = self._tags.read(raw_tags)
        if _UNREADABLE in tags:
            is_ordinary &= np.array([each is not _UNREADABLE for each in tags], np.bool_)
        classes = list(map(type, payloads))
        is_ordinary &= _is_storable(payloads, classes, data)

        keys = list(zip(map(_envelope, wires), map(_dimensions, tags), classes, _names(payloads, classes), strict=True))
        shapes = list(map(self.shapes.find, keys))
        if None in shapes:
            for i, shape in enumerate(shapes):
                if shape is None and is_ordinary[i]:
                    shapes[i] = self.shapes.find(keys[i]) or self._learnt(keys[i], learn(start + at[i]))
                is_ordinary[i] &= shapes[i] is not None
        everything = EventColumns(
            np.array(at, np.int64) + start,
            cast("list[Shape]", shapes),
            timestamps_us,
            event_ids,
            correlation_ids,
            parent_event_ids,
            list(map(_json, tags)),
            payloads,
            data,
        )
        return everything if is_ordinary.all() else everything.take(np.flatnonzero(is_ordinary))

    def _learnt(self, key: Hashable, event: Event | None) -> Shape | None:
        return None if event is None else self.shapes.of(key, event)

    def _readable(self, values: Sequence[bytes | None]) -> Sequence[int]:
        """Places of the records whose bytes as a whole surely raise no question but that of depth."""
        present = {i: value for i, value in enumerate(values) if value is not None}
        if self._is_plain(present.values()):
            return list(present)
        return [i for i, value in present.items() if self._is_plain([value])]

    def _is_plain(self, values: Iterable[bytes]) -> bool:
        together = b"".join(values)
        is_small = len(together) <= self._limits.max_bytes
        return is_small and together.isascii() and not jsonb.may_hold_nul(together)

    def _is_shallow(self, values: list[bytes], tags: list[bytes]) -> Flags:
        """Which messages surely nest no deeper than allowed."""
        octets = np.frombuffer(b"".join(values), np.uint8)
        brackets = int(np.count_nonzero((octets & _CASE_MASK) == _BRACKET))
        # the message, its payload, the payload's data and mostly the tags: all others together may be one record's
        needed = 4 * len(values) - tags.count(_NO_TAGS)
        if brackets - needed <= self._limits.max_depth - 4:
            return np.ones(len(values), np.bool_)
        return np.array([v.count(b"{") + v.count(b"[") <= self._limits.max_depth for v in values], np.bool_)


def _timestamps_us(times: list[datetime]) -> Integers:
    # seconds and microseconds apart: a double holds no microseconds of a far year
    seconds = np.floor(np.array([time.timestamp() for time in times], np.float64)).astype(np.int64)
    return seconds * 1_000_000 + np.array([time.microsecond for time in times], np.int64)


def _uuids(texts: list[str | None]) -> tuple[UuidColumn, Flags]:
    """The column, and which of the texts are canonical UUIDs or absent."""
    if texts.count(None) == len(texts):
        return UuidColumn(np.zeros((len(texts), 16), np.uint8), np.ones(len(texts), np.bool_)), np.ones(
            len(texts), np.bool_
        )
    is_null = np.array([text is None for text in texts], np.bool_)
    present = [_NIL if text is None else text for text in texts]
    octets = _octets(present)
    if octets is not None:
        return UuidColumn(octets, is_null), np.ones(len(texts), np.bool_)
    is_canonical = np.array([_octets([text]) is not None for text in present], np.bool_)
    octets = _octets([text if fits else _NIL for text, fits in zip(present, is_canonical, strict=True)])
    assert octets is not None
    return UuidColumn(octets, is_null), is_canonical


def _octets(texts: list[str]) -> npt.NDArray[np.uint8] | None:
    """Shape (n, 16); None unless every text is 8-4-4-4-12 hexadecimal digits."""
    together = "".join(texts)
    if len(together) != 36 * len(texts) or not together.isascii():
        return None
    characters = np.frombuffer(together.encode(), np.uint8).reshape(-1, 36)
    if not (characters[:, _HYPHENS_AT] == _HYPHEN).all():
        return None
    try:
        octets = bytes.fromhex(together.replace("-", ""))
    except ValueError:
        return None
    if len(octets) != 16 * len(texts):
        return None  # spaces between the digits, or hyphens instead of them
    return np.frombuffer(octets, np.uint8).reshape(-1, 16)


def _is_storable(payloads: list[Payload], classes: list[type[Payload]], data: list[bytes]) -> Flags:
    """Which payloads hold no number that a closer look has to decide about."""
    storable = np.ones(len(payloads), np.bool_)
    if jsonb.may_hold_extreme_number(b",".join(data)):
        storable &= np.array([not jsonb.may_hold_extreme_number(each) for each in data], np.bool_)
    costs = [i for i, each in enumerate(classes) if each in MONEY_FIELDS]
    storable[[i for i in costs if money_problem(cast("Cost", payloads[i]), data[i])]] = False
    return storable


def _names(payloads: list[Any], classes: list[type[Payload]]) -> list[str | None]:
    """What besides its class a payload brings to its shape."""
    return [
        each.model_id if payload_class in _WITH_MODEL else each.custom_type if payload_class is Custom else None
        for each, payload_class in zip(payloads, classes, strict=True)
    ]
