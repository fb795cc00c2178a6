"""What REST refuses reaches the dead letters and can never become an event, least of all another tenant's."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from lah_platform.events.decode import decode
from lah_platform.events.examples import EXAMPLE_DATA, flat_example, nested_example
from lah_platform.events.rejection import Rejection
from lah_platform.ingress.refused import refused_record, sent_event_id, sent_tenant
from lah_platform.ingress.rest import rest_item

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_names = st.sampled_from(["event_id", "timestamp", "tags", "event_type", "severity", "payload", "schema_version", "x"])
_values = _json | st.sampled_from(
    [{"tenant": "globex"}, {"tenant": "*"}, {"tenant": 5}, "2026-02-20T00:00:00Z", "2019-01-01T00:00:00Z", "2.0.0"]
)


@st.composite
def _spoiled(draw: st.DrawFn) -> bytes:
    """A valid event of either spelling with some fields changed or left out."""
    subtype = draw(st.sampled_from(sorted(EXAMPLE_DATA)))
    event: dict[str, Any] = draw(st.sampled_from([flat_example, nested_example]))(subtype)
    envelope = event.get("common", event)
    for name in draw(st.lists(_names, max_size=3)):
        if draw(st.booleans()):
            envelope.pop(name, None)
        else:
            envelope[name] = draw(_values)
    return json.dumps(event).encode()


def _other_tenant() -> bytes:
    return json.dumps({**flat_example("latency"), "tags": {"tenant": "globex"}}).encode()


def _ahead() -> bytes:
    return json.dumps(flat_example("latency", "2026-01-31T13:00:00Z")).encode()


@given(item=_spoiled() | st.binary(max_size=80) | _json.map(lambda value: json.dumps(value).encode()))
@example(item=_other_tenant())
@example(item=_ahead())
def test_a_refused_item_is_a_dead_letter_of_its_sender_at_any_later_time(item: bytes) -> None:
    read = rest_item(item, tenant="acme", now=NOW)
    if not isinstance(read, Rejection):
        return
    record = refused_record(item, read, tenant="acme", now=NOW)
    is_wrapped = "refused_by" in record.decode("utf-8", "replace")
    for later in (timedelta(0), timedelta(hours=2), timedelta(days=30)):
        landed = decode(record, now=NOW + later)
        assert isinstance(landed, Rejection)
        assert landed.tenant in ("acme", "unknown")
        assert is_wrapped or landed.code == read.code


def test_an_item_without_a_tenant_is_dead_lettered_for_its_own_fault() -> None:
    event = {**flat_example("latency"), "severity": "loud"}
    del event["event_id"], event["tags"]
    item = json.dumps(event).encode()
    read = rest_item(item, tenant="acme", now=NOW)
    assert isinstance(read, Rejection)
    landed = decode(refused_record(item, read, tenant="acme", now=NOW), now=NOW)
    assert landed == read


def test_what_is_wrapped_says_why_it_was_refused_and_what_was_sent() -> None:
    read = rest_item(_other_tenant(), tenant="acme", now=NOW)
    assert isinstance(read, Rejection)
    wrapped = json.loads(refused_record(_other_tenant(), read, tenant="acme", now=NOW))
    assert (wrapped["code"], wrapped["field"], wrapped["reason"]) == ("wrong_tenant", "tags.tenant", read.reason)
    assert wrapped["sent"] == _other_tenant().decode()
    assert wrapped["tags"] == {"tenant": "acme"}


@given(item=_spoiled() | st.binary(max_size=80))
def test_reading_an_items_head_never_fails(item: bytes) -> None:
    assert sent_event_id(item) is None or isinstance(sent_event_id(item), str)
    assert sent_tenant(item) is None or isinstance(sent_tenant(item), str)


def test_the_head_is_read_in_both_spellings() -> None:
    for event in (flat_example("latency"), nested_example("latency")):
        event.get("common", event)["tags"]["tenant"] = "acme"
        item = json.dumps(event).encode()
        assert sent_tenant(item) == "acme"
        assert sent_event_id(item) == flat_example("latency")["event_id"]
