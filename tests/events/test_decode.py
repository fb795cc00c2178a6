"""Decoding: every event of the catalog is read exactly as sent, in either spelling, and no bytes can break it."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lah_platform.events.decode import decode
from lah_platform.events.envelope import Event
from lah_platform.events.examples import EXAMPLE_DATA, flat_example, nested_example
from lah_platform.events.limits import Limits
from lah_platform.events.payloads import PAYLOAD_TYPE_OF
from lah_platform.events.rejection import Rejection
from tests.events.strategies import NOW, any_json, as_nested, damaged, flat_events, texts, timestamps, to_wire


def accepted(message: bytes | dict[str, Any], **options: Any) -> Event:
    raw = message if isinstance(message, bytes) else to_wire(message).encode()
    event = decode(raw, now=NOW, **options)
    assert isinstance(event, Event), event
    return event


def comparable(event: Event) -> Event:
    """Without the order and spacing of the payload's bytes."""
    tree = json.loads(event.payload_json, parse_float=str, parse_int=str)
    return msgspec.structs.replace(event, payload_json=json.dumps(tree, sort_keys=True).encode())


def assert_holds(read: Any, sent: Any) -> None:
    """Everything sent that the struct has a field for was read with exactly the value sent."""
    if isinstance(read, msgspec.Struct):
        for field in type(read).__struct_fields__:
            assert_holds(getattr(read, field), sent.get(field))
    elif isinstance(read, dict):
        assert read.keys() == sent.keys()
        for key, value in read.items():
            assert_holds(value, sent[key])
    elif isinstance(read, list):
        for item, item_sent in zip(read, sent, strict=True):
            assert_holds(item, item_sent)
    elif isinstance(read, Decimal):
        assert read == Decimal(str(sent))
    else:
        assert read == sent


@pytest.mark.parametrize("subtype", EXAMPLE_DATA)
def test_every_subtype_of_the_catalog_is_read_in_both_spellings(subtype: str) -> None:
    flat, nested = accepted(flat_example(subtype)), accepted(nested_example(subtype))
    assert comparable(flat) == comparable(nested)
    assert flat.payload_type == PAYLOAD_TYPE_OF.get(subtype, "custom")
    assert flat.subtype == ("shadow_ai_scan" if subtype == "custom" else subtype)
    assert_holds(flat.payload, EXAMPLE_DATA[subtype])


def test_the_examples_cover_the_whole_catalog() -> None:
    assert set(EXAMPLE_DATA) == {*PAYLOAD_TYPE_OF, "custom"}


@settings(deadline=None, max_examples=100)
@given(flat_events())
def test_an_event_is_read_as_it_was_sent_and_unknown_fields_are_kept(sent: dict[str, Any]) -> None:
    event = accepted(sent)
    assert event.event_id == UUID(sent["event_id"])
    assert event.timestamp == datetime.fromisoformat(sent["timestamp"])
    assert event.timestamp.tzinfo is UTC
    assert event.source_module == sent["source_module"].replace("cost-ops", "costops")
    assert (event.event_type, event.severity, event.environment, event.tags) == (
        sent["event_type"],
        sent["severity"],
        sent["environment"],
        sent["tags"],
    )
    assert event.schema_version == sent.get("schema_version", "1.0.0")
    assert event.tenant == sent["tags"].get("tenant", "default")
    assert str(event.correlation_id) == str(sent.get("correlation_id"))
    assert str(event.parent_event_id) == str(sent.get("parent_event_id"))
    data = sent["payload"]["data"]
    assert_holds(event.payload, data)
    as_sent = json.loads(to_wire(data), parse_float=str, parse_int=str)
    assert json.loads(event.payload_json, parse_float=str, parse_int=str) == as_sent


@settings(deadline=None, max_examples=100)
@given(flat_events())
def test_both_spellings_mean_the_same(sent: dict[str, Any]) -> None:
    assert comparable(accepted(as_nested(sent))) == comparable(accepted(sent))


@settings(deadline=None, max_examples=100)
@given(flat_events(), st.permutations(range(12)), st.sampled_from(["", " ", "\n\t"]))
def test_the_order_of_fields_and_white_space_mean_nothing(sent: dict[str, Any], order: list[int], space: str) -> None:
    names = sorted(sent, key=lambda name: order[list(sent).index(name) % len(order)])
    shuffled = to_wire({name: sent[name] for name in names}).encode()
    assert comparable(accepted(space.encode() + shuffled + space.encode())) == comparable(accepted(sent))
    nested = as_nested(sent)
    swapped = {"payload": nested["payload"], "x": 1, "common": nested["common"]}
    assert comparable(accepted(swapped)) == comparable(accepted(sent))


def test_a_flat_event_may_carry_a_field_of_its_own_that_is_called_common() -> None:
    assert accepted({"common": {"a": 1}, **flat_example("latency")}).subtype == "latency"


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=200) | damaged() | any_json.map(lambda tree: json.dumps(tree).encode()))
def test_no_bytes_make_it_raise_and_every_refusal_names_a_field_and_a_reason(raw: bytes) -> None:
    outcome = decode(raw, now=NOW)
    if isinstance(outcome, Rejection):
        assert outcome.field
        assert outcome.reason
        assert outcome.tenant
        for text in (outcome.field, outcome.reason, outcome.tenant):
            text.encode()
            assert "\x00" not in text
            assert len(text.encode()) <= 2000
        assert "`" not in outcome.reason  # a decoder's own words got through


@settings(deadline=None, max_examples=150)
@given(damaged())
def test_malformed_is_said_exactly_when_the_bytes_are_not_json(raw: bytes) -> None:
    """The oracle is the standard library, told that NaN is no JSON."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    outcome = decode(raw, now=NOW, limits=Limits(max_depth=500))
    code = outcome.code if isinstance(outcome, Rejection) else "accepted"
    try:
        json.loads(raw.decode(), parse_constant=refuse)
    except UnicodeDecodeError:
        assert code == "not_utf8"
    except ValueError:
        assert code == "malformed_json"
    else:
        assert code not in ("not_utf8", "malformed_json")


@settings(deadline=None)
@given(timestamps)
def test_any_offset_is_turned_into_utc(moment: datetime) -> None:
    event = accepted(flat_example("latency", moment.isoformat()))
    assert event.timestamp == moment
    assert event.timestamp.utcoffset() == timedelta(0)


@settings(deadline=None)
@given(st.timedeltas(timedelta(days=-500), timedelta(hours=1)), st.timedeltas(timedelta(0), timedelta(days=450)))
@example(timedelta(minutes=5), timedelta(days=400))
@example(timedelta(minutes=5, microseconds=1), timedelta(days=400))
@example(timedelta(days=-400), timedelta(days=400))
@example(timedelta(days=-400, microseconds=-1), timedelta(days=400))
def test_only_events_between_the_oldest_and_the_latest_allowed_moment_are_taken(
    distance: timedelta, max_age: timedelta
) -> None:
    limits = Limits(max_age=max_age, max_future_skew=timedelta(minutes=5))
    outcome = decode(to_wire(flat_example("auth", (NOW + distance).isoformat())).encode(), now=NOW, limits=limits)
    code = outcome.code if isinstance(outcome, Rejection) else "accepted"
    assert code == (
        "future_timestamp" if distance > timedelta(minutes=5) else "too_old" if -distance > max_age else "accepted"
    )


@settings(deadline=None)
@given(texts.filter(bool), texts.filter(bool))
def test_a_bound_topic_takes_its_own_tenants_events_and_those_that_name_none(mine: str, theirs: str) -> None:
    unnamed = flat_example("latency")
    named = {**unnamed, "tags": {"tenant": theirs}}
    assert accepted(unnamed, topic_tenant=mine).tenant == mine
    outcome = decode(to_wire(named).encode(), now=NOW, topic_tenant=mine)
    if mine == theirs:
        assert isinstance(outcome, Event)
    else:
        assert isinstance(outcome, Rejection)
        assert (outcome.code, outcome.field, outcome.tenant) == ("wrong_tenant", "tags.tenant", mine)


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(0, 99), st.integers(0, 99))
def test_any_version_of_major_one_is_read_and_no_other(major: int, minor: int, patch: int) -> None:
    version = f"{major}.{minor}.{patch}"
    message = {**flat_example("latency"), "schema_version": version}
    outcome = decode(to_wire(message).encode(), now=NOW)
    if major == 1:
        assert isinstance(outcome, Event)
        assert outcome.schema_version == version
    else:
        assert isinstance(outcome, Rejection)
        assert (outcome.code, outcome.field) == ("unsupported_schema_version", "schema_version")


@pytest.mark.parametrize("common", [False, True])
def test_another_major_is_named_even_when_its_fields_cannot_be_read(common: bool) -> None:
    envelope = {"schema_version": "2.0.0", "id": 7, "tags": {"tenant": "acme"}}
    outcome = decode(json.dumps({"common": envelope} if common else envelope).encode(), now=NOW)
    assert isinstance(outcome, Rejection)
    field = "common.schema_version" if common else "schema_version"
    assert (outcome.code, outcome.field, outcome.tenant) == ("unsupported_schema_version", field, "acme")
