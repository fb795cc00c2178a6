"""What decoding accepts, PostgreSQL takes: one record that it refused would fail the whole batch with it."""

import json
import random
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.events import jsonb
from lah_platform.events.decode import decode
from lah_platform.events.envelope import Event
from lah_platform.events.examples import flat_example
from lah_platform.events.payloads.quantities import MAX_NAME_BYTES
from lah_platform.stores.postgres import Connection
from tests.events.strategies import NOW, AsWritten, any_json, damaged, to_wire

_SIGN = st.sampled_from(["", "-"])
_DIGITS = st.sampled_from(["0", "1", "7" * 30, "9" * 199, "9" * 308, "9" * 400, "1" * 1001, "5" * 17000])
numbers = st.builds(
    lambda sign, whole, fraction, exponent: AsWritten(f"{sign}{whole}{fraction}{exponent}"),
    _SIGN,
    _DIGITS,
    st.just("") | _DIGITS.map(lambda digits: f".{digits}"),
    st.just("")
    | st.builds(
        lambda mark, sign, zeros, digits: f"{mark}{sign}{zeros}{digits}",
        st.sampled_from("eE"),
        st.sampled_from(["", "+", "-"]),
        st.sampled_from(["", "0", "0000"]),
        st.sampled_from([0, 9, 99, 100, 308, 309, 400, 401, 999, 16383, 16384, 131072, 10**12]).map(str),
    ),
)
strings = st.lists(
    st.sampled_from(
        ["a", "\\\\", "\\u0000", "\\\\u0000", "\\ud800", "\\udc00", "\\ud83d\\ude00", '\\"', "1e999,", "é"]
    ),
    max_size=4,
).map(lambda parts: AsWritten('"' + "".join(parts) + '"'))
repeated = st.builds(
    lambda a, b: AsWritten('{"a":' + to_wire(a) + ',"a":' + to_wire(b) + "}"), numbers | strings, any_json
)


@pytest.mark.parametrize("place", ["payload.data.x", "payload.data.data"])
def test_every_accepted_payload_and_tag_goes_into_jsonb(connection: Connection, place: str) -> None:
    accepted = 0

    @settings(deadline=None, max_examples=150)
    @given(numbers | strings | repeated | st.lists(numbers | strings, max_size=3))
    def holds(value: Any) -> None:
        nonlocal accepted
        message = flat_example("custom")
        message["payload"]["data"][place.rpartition(".")[2]] = value
        event = decode(to_wire(message).encode(), now=NOW)
        if isinstance(event, Event):
            accepted += 1
            tags = json.dumps(event.tags)
            connection.execute("select %s::jsonb, %s::jsonb", [event.payload_json.decode(), tags])
        else:
            assert event.field.startswith((place, "$"))

    holds()
    assert accepted > 20


def test_damaged_records_that_are_accepted_all_the_same_go_into_jsonb(connection: Connection) -> None:
    @settings(deadline=None, max_examples=100)
    @given(damaged())
    def holds(raw: bytes) -> None:
        event = decode(raw, now=NOW)
        if isinstance(event, Event):
            tags = json.dumps(event.tags)
            connection.execute("select %s::jsonb, %s::jsonb", [event.payload_json.decode(), tags])

    holds()


@settings(deadline=None, max_examples=100)
@given(st.lists(numbers | strings | any_json, max_size=4))
def test_the_quick_look_never_misses_what_the_exact_one_finds(values: list[Any]) -> None:
    document = to_wire({"values": values})
    found = {problem.code for problem in jsonb.unstorable(jsonb.parse(document))}
    if "nul_character" in found:
        assert jsonb.may_hold_nul(document.encode())
    surrogates = any("half of" in problem.reason for problem in jsonb.unstorable(jsonb.parse(document)))
    if "invalid_field" in found and not surrogates:
        assert jsonb.may_hold_extreme_number(document.encode())


@pytest.mark.parametrize("letter", ["a", "é", "語", "😀"])
def test_the_longest_names_allowed_fit_the_keys_of_the_tables(connection: Connection, letter: str) -> None:
    shuffled = random.Random(7)

    def longest() -> str:
        size = len(letter.encode())
        noise = "".join(chr(shuffled.randrange(ord(letter), ord(letter) + 20)) for _ in range(MAX_NAME_BYTES // size))
        assert MAX_NAME_BYTES - size < len(noise.encode()) <= MAX_NAME_BYTES
        return noise

    message = flat_example("latency")
    message |= {"environment": longest(), "tags": {name: longest() for name in ("tenant", "service", "region", "team")}}
    message["payload"]["data"]["model_id"] = longest()
    event = decode(json.dumps(message).encode(), now=NOW)
    assert isinstance(event, Event), event
    names = [event.tenant, event.event_type, longest(), message["payload"]["data"]["model_id"], event.environment]
    names += [event.tags[name] for name in ("service", "region", "team")]
    connection.execute(
        "insert into series (tenant, event_type, subtype, model, environment, service, region, team)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s)",
        names,
    )


def test_the_database_would_indeed_refuse_what_is_refused_here(connection: Connection) -> None:
    for text in ('"\\u0000"', '"\\ud800"', "1e-20000", "1e200000", '{"a": 1e-99999, "a": 1}'):
        with pytest.raises(psycopg.DataError):
            connection.execute("select %s::jsonb", [text])
