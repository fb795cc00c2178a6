"""Wire messages as hypothesis makes them: any event that the catalog allows, and damage to its bytes."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

from lah_platform.events.envelope import Envelope
from lah_platform.events.payloads import CUSTOM, STRUCTS, TAG_FIELD
from lah_platform.events.payloads.custom import Custom

NOW = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)

# What PostgreSQL and UTF-8 can hold.
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=60)
_scalars = st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats(-1e300, 1e300) | texts
any_json = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
timestamps = st.datetimes(
    datetime(2025, 2, 1),  # noqa: DTZ001 (hypothesis puts the offset on)
    datetime(2026, 1, 31),  # noqa: DTZ001
    timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


class AsWritten(str):
    """A JSON number, exactly as it is to stand on the wire."""


def to_wire(tree: Any) -> str:
    """JSON text of a tree that may hold `AsWritten` numbers."""
    if isinstance(tree, AsWritten):
        return str(tree)
    if isinstance(tree, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{to_wire(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(map(to_wire, tree)) + "]"
    return json.dumps(tree, ensure_ascii=False)


def money(max_digits: int = 40) -> st.SearchStrategy[AsWritten]:
    """Amounts that fit the column, with more decimals than it has, in plain and in exponent notation."""
    amounts = st.decimals(Decimal("-9999999999999999"), Decimal("9999999999999999"), places=20)
    tiny = st.builds(
        lambda digits, exponent: f"{digits}e-{exponent}", st.integers(0, 10**9), st.integers(1, max_digits)
    )
    return (amounts.map(lambda amount: format(amount, "f")) | tiny).map(AsWritten)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any JSON value that a field of this type takes."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return any_json
    if origin is Annotated:
        return _constrained(arguments[0], arguments[1:])
    if origin in (Union, UnionType):
        return st.one_of([values_of(argument) for argument in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        return st.lists(values_of(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(texts, values_of(arguments[1]), max_size=3)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return members_of(hint)
    return {str: texts, bool: st.booleans(), type(None): st.none()}[hint]


def _constrained(base: Any, metas: tuple[msgspec.Meta, ...]) -> st.SearchStrategy[Any]:
    if all(meta == msgspec.Meta(extra_json_schema=meta.extra_json_schema) for meta in metas):
        return values_of(base)  # nothing but a remark
    bounds = {name: getattr(meta, name) for meta in metas for name in ("ge", "le") if getattr(meta, name) is not None}
    if base is int:
        return st.integers(bounds["ge"], bounds["le"])
    if base is float:
        floats = st.floats(bounds["ge"], bounds["le"])
        return floats | st.integers(max(-1000, int(bounds["ge"])), min(1000, int(bounds["le"])))
    if base is Decimal:
        return money()
    assert base is str
    return texts.filter(bool)


def members_of(struct: type[msgspec.Struct], *, extra: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    """Any object that the struct reads, its optional fields present or not, with or without unknown fields."""
    hints = get_type_hints(struct, include_extras=True)
    required = {field.name: values_of(hints[field.name]) for field in msgspec.structs.fields(struct) if field.required}
    optional = {name: values_of(hint) for name, hint in hints.items() if name not in required}
    unknown = st.dictionaries(texts.map(lambda name: f"x_{name}"), any_json, max_size=2) if extra else st.just({})
    return st.builds(lambda known, more: {**known, **more}, st.fixed_dictionaries(required, optional=optional), unknown)


SUBTYPES = [(payload_type, subtype) for payload_type, structs in STRUCTS.items() for subtype in structs]


@st.composite
def envelopes(draw: st.DrawFn) -> dict[str, Any]:
    hints = get_type_hints(Envelope, include_extras=True)
    tags = draw(st.dictionaries(texts, texts, max_size=3))
    tags |= draw(st.fixed_dictionaries({}, optional={"tenant": texts.filter(bool), "service": texts, "team": texts}))
    return {
        "event_id": str(draw(st.uuids())),
        "timestamp": draw(timestamps).isoformat(),
        **{name: draw(values_of(hints[name])) for name in ("source_module", "event_type", "severity", "environment")},
        "tags": tags,
        **draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "schema_version": st.sampled_from(["1.0.0", "1.2.3", "1.99.0-rc.1+build"]),
                    "correlation_id": st.none() | st.uuids().map(str),
                    "parent_event_id": st.none() | st.uuids().map(str),
                },
            )
        ),
    }


@st.composite
def flat_events(draw: st.DrawFn, payload_types: tuple[str, ...] = (*STRUCTS, CUSTOM)) -> dict[str, Any]:
    """Any valid message of the flat spelling, as a tree for `to_wire`."""
    choices = [pair for pair in SUBTYPES if pair[0] in payload_types] + [(CUSTOM, CUSTOM)] * (CUSTOM in payload_types)
    payload_type, subtype = draw(st.sampled_from(choices))
    if payload_type == CUSTOM:
        data = draw(members_of(Custom))
    else:
        data = {TAG_FIELD[payload_type]: subtype, **draw(members_of(STRUCTS[payload_type][subtype]))}
    return {**draw(envelopes()), "payload": {"payload_type": payload_type, "data": data}}


def as_nested(flat: dict[str, Any]) -> dict[str, Any]:
    """The same event in the nested spelling."""
    payload_type, data = flat["payload"]["payload_type"], dict(flat["payload"]["data"])
    subtype = CUSTOM if payload_type == CUSTOM else data.pop(TAG_FIELD[payload_type])
    if subtype == "latency":
        data["latency_ms"] = data.pop("total_latency_ms")
    common = {name: value for name, value in flat.items() if name != "payload"}
    return {"common": common, "payload": {"type": subtype, **data}}


_SHARDS = [
    b"\\u0000",
    b"\\ud800",
    b"\\udc00\\ud800",
    b"\xff",
    b"\xed\xa0\x80",
    b"1e9999",
    b"1e-99999",
    b"[" * 80,
    b"-",
    b"null",
    b'"',
    b"{",
    b"}",
    b",",
    b":",
    b"NaN",
    b"9" * 320,
    b"\x00",
    b"\xef\xbb\xbf",
    b'"a":1,',
    b"\\",
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid message with pieces cut out, put in or replaced."""
    tree = draw(flat_events())
    raw = to_wire(as_nested(tree) if draw(st.booleans()) else tree).encode()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(len(raw), start + 8)))
        raw = raw[:start] + draw(st.sampled_from(_SHARDS) | st.binary(max_size=4)) + raw[end:]
    return raw
