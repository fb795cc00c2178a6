"""REST items: a retry is the same event, the key decides the tenant, and nothing that was sent is lost."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.events.decode import decode
from lah_platform.events.envelope import Event
from lah_platform.events.examples import EXAMPLE_DATA, flat_example, nested_example
from lah_platform.events.limits import Limits
from lah_platform.events.rejection import Rejection
from lah_platform.ingress.rest import RestItem, rest_item
from tests.events.strategies import NOW, as_nested, damaged, flat_events, texts, to_wire

ONES = b"\xff" * 10


def taken(item: Any, **options: Any) -> RestItem:
    arguments: dict[str, Any] = {"tenant": "acme", "now": NOW} | options
    outcome = rest_item(item, **arguments)
    assert isinstance(outcome, RestItem), outcome
    return outcome


def refused(item: Any, **options: Any) -> Rejection:
    arguments: dict[str, Any] = {"tenant": "acme", "now": NOW} | options
    outcome = rest_item(item, **arguments)
    assert isinstance(outcome, Rejection), outcome
    return outcome


def without_id(subtype: str = "latency", nested: bool = False) -> dict[str, Any]:
    item = nested_example(subtype) if nested else flat_example(subtype)
    del (item["common"] if nested else item)["event_id"]
    return item


def wire(item: Any) -> bytes:
    return to_wire(item).encode()


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("subtype", EXAMPLE_DATA)
def test_an_item_becomes_a_flat_wire_message_of_the_keys_tenant(subtype: str, nested: bool) -> None:
    item = taken(wire(nested_example(subtype) if nested else flat_example(subtype)))
    message = json.loads(item.raw)
    expected = flat_example(subtype)
    assert message == expected | {"tags": expected["tags"] | {"tenant": "acme"}}
    assert str(item.event_id) == expected["event_id"]
    assert item.is_retry_safe
    assert item.event == decode(item.raw, now=NOW)


@settings(deadline=None, max_examples=80)
@given(flat_events(), st.booleans(), st.booleans())
def test_everything_sent_is_kept_and_means_the_same_on_the_topic(
    message: dict[str, Any], nested: bool, named: bool
) -> None:
    message["tags"].pop("tenant", None)
    if named:
        message["tags"]["tenant"] = "acme"
    item = taken(wire(as_nested(message) if nested else message))
    on_topic = decode(item.raw, now=NOW)
    assert isinstance(on_topic, Event)
    assert on_topic == item.event
    assert (on_topic.tenant, on_topic.event_id, on_topic.tags) == (
        "acme",
        UUID(message["event_id"]),
        message["tags"] | {"tenant": "acme"},
    )
    exact: dict[str, Any] = {"parse_float": str, "parse_int": str}
    sent = json.loads(to_wire(message["payload"]["data"]), **exact)
    assert json.loads(on_topic.payload_json, **exact) == sent


def test_all_digits_of_a_number_survive() -> None:
    raw = wire(flat_example("api_cost")).replace(b"1.5", b"0.1000000000000000055511151231257827")
    assert b"0.1000000000000000055511151231257827" in taken(raw).raw


@pytest.mark.parametrize("nested", [False, True])
@given(texts, texts, st.integers(0, 5), st.integers(0, 5))
def test_a_retry_with_the_same_idempotency_key_is_the_same_event_and_no_other(
    nested: bool, key: str, other_key: str, index: int, other_index: int
) -> None:
    raw = wire(without_id(nested=nested))
    first = taken(raw, idempotency_key=key, index=index)
    assert first.is_retry_safe
    assert taken(raw, idempotency_key=key, index=index, now=NOW + timedelta(seconds=9), random_bytes=bytes) == first
    other = taken(raw, idempotency_key=other_key, index=other_index)
    assert (other.event_id == first.event_id) == ((key, index) == (other_key, other_index))
    assert taken(raw, idempotency_key=key, index=index, tenant="globex").event_id != first.event_id


def test_derived_ids_never_change_between_releases() -> None:
    item = taken(wire(without_id()), idempotency_key="k", index=3)
    # uuid5 of ["acme", "k", 3]
    assert item.event_id == UUID("c7f79966-e8a6-53ea-9d4a-ab1cdbefaf8e")


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("missing", [True, False])
def test_without_a_key_the_id_is_a_uuid7_of_the_events_time_and_not_retry_safe(nested: bool, missing: bool) -> None:
    sent = without_id(nested=nested)
    if not missing:
        (sent["common"] if nested else sent)["event_id"] = None
    item = taken(wire(sent), random_bytes=lambda size: ONES[:size])
    assert not item.is_retry_safe
    assert (item.event_id.version, item.event_id.variant) == (7, "specified in RFC 4122")
    assert item.event_id.int >> 80 == int(item.event.timestamp.timestamp() * 1000)
    assert item.event_id.int & (1 << 62) - 1 == (1 << 62) - 1
    assert json.loads(item.raw)["event_id"] == str(item.event_id)
    assert taken(wire(sent)).event_id != taken(wire(sent)).event_id


def test_an_id_that_was_sent_wins_over_the_idempotency_key() -> None:
    raw = wire(flat_example("auth"))
    assert taken(raw, idempotency_key="k").event_id == UUID(flat_example("auth")["event_id"])


@pytest.mark.parametrize("nested", [False, True])
def test_another_tenants_name_is_refused(nested: bool) -> None:
    item = nested_example("latency") if nested else flat_example("latency")
    (item["common"] if nested else item)["tags"]["tenant"] = "globex"
    rejection = refused(wire(item))
    field = "common.tags.tenant" if nested else "tags.tenant"
    assert (rejection.code, rejection.field, rejection.tenant) == ("wrong_tenant", field, "acme")


def test_a_refusal_names_the_field_as_the_client_wrote_it() -> None:
    item = nested_example("latency")
    item["payload"]["latency_ms"] = -1
    assert refused(wire(item)).field == "payload.latency_ms"
    assert refused(wire(without_id() | {"tags": 7})).field == "tags"
    assert refused(wire(without_id(nested=True) | {"common": 7})).field == "common"
    assert refused(wire(flat_example("auth") | {"event_id": "x"})).field == "event_id"
    assert refused(b"[]").code == "invalid_field"
    assert refused(b"{").code == "malformed_json"
    assert refused(b"[" * 5000).code == "too_deep"
    assert refused(b" " * 100, limits=Limits(max_bytes=99)).code == "too_large"


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=100) | damaged(), texts.filter(bool))
def test_no_bytes_make_it_raise_and_refusals_belong_to_the_keys_tenant(raw: bytes, tenant: str) -> None:
    outcome = rest_item(raw, tenant=tenant, now=NOW)
    if isinstance(outcome, Rejection):
        assert outcome.tenant == tenant
    else:
        landed = decode(outcome.raw, now=NOW)
        assert isinstance(landed, Event)
        assert landed.tenant == tenant
        assert landed == outcome.event


@settings(deadline=None, max_examples=50)
@given(flat_events(("telemetry", "security", "governance")))
def test_a_mapping_is_read_like_its_json(message: dict[str, Any]) -> None:
    message["tags"].pop("tenant", None)
    assert taken(message).event == taken(json.dumps(message).encode()).event


def test_a_mapping_that_is_no_json_is_refused() -> None:
    item = flat_example("latency")
    item["payload"]["data"]["ttft_ms"] = float("nan")
    assert refused(item).code == "malformed_json"
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert refused(deep).code == "too_deep"
