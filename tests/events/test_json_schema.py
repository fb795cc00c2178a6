"""The published schema says what decoding does: it is generated, current, and agrees on what is valid."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped, unused-ignore]

from lah_platform.events.decode import decode
from lah_platform.events.envelope import SEMVER_PATTERN, Event
from lah_platform.events.examples import EXAMPLE_DATA, flat_example, nested_example
from lah_platform.events.json_schema import wire_schema, wire_schema_text
from lah_platform.events.payloads.quantities import MONEY_TEXT_PATTERN
from tests.events.strategies import NOW, as_nested, flat_events, to_wire

PUBLISHED = Path(__file__).parents[2] / "docs" / "event-schema.json"
VALIDATOR = Draft202012Validator(wire_schema())


def is_decoded(message: dict[str, Any]) -> bool:
    return isinstance(decode(to_wire(message).encode(), now=NOW), Event)


def as_readers_see(message: dict[str, Any]) -> Any:
    return json.loads(to_wire(message))


def test_the_published_schema_is_the_generated_one() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == wire_schema_text(), (
        "the event types changed: run `python -m lah_platform.events.json_schema > docs/event-schema.json`"
    )


def test_the_schema_is_valid_draft_2020_12_and_names_no_address() -> None:
    Draft202012Validator.check_schema(wire_schema())
    addresses = set(re.findall(r"https?://[^\"]+", wire_schema_text()))
    assert addresses == {"https://json-schema.org/draft/2020-12/schema"}


@pytest.mark.parametrize("subtype", EXAMPLE_DATA)
def test_every_example_is_valid_by_the_schema(subtype: str) -> None:
    VALIDATOR.validate(flat_example(subtype))
    VALIDATOR.validate(nested_example(subtype))


@settings(deadline=None, max_examples=60)
@given(flat_events(), st.booleans())
def test_what_the_catalog_allows_is_valid_by_the_schema(message: dict[str, Any], nested: bool) -> None:
    VALIDATOR.validate(as_readers_see(as_nested(message) if nested else message))


def places(tree: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of all members of objects, the outermost first."""
    if not isinstance(tree, dict):
        return []
    return [place for key, value in tree.items() for place in [(*path, key), *places(value, (*path, key))]]


# No 1.0 in place of an integer: JSON Schema calls that an integer too.
_REPLACEMENTS: list[Any] = [None, True, -1, 1, 0.5, 11.5, "", "x", "1.5", "low", "pass", [], [1], {}, {"other": "x"}]
_MISSING = object()


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(list(EXAMPLE_DATA)), st.booleans(), st.data(), st.sampled_from([*_REPLACEMENTS, _MISSING]))
def test_schema_and_decoder_agree_on_a_changed_or_missing_field(
    subtype: str, nested: bool, data: st.DataObject, replacement: Any
) -> None:
    message = json.loads(json.dumps(nested_example(subtype) if nested else flat_example(subtype)))
    # formats are annotations in JSON Schema, so that text in place of an id or a time is not its business
    path = data.draw(
        st.sampled_from([place for place in places(message) if place[-1] not in ("event_id", "timestamp")])
    )
    parent = message
    for name in path[:-1]:
        parent = parent[name]
    if replacement is _MISSING:
        del parent[path[-1]]
    else:
        parent[path[-1]] = replacement
    assert VALIDATOR.is_valid(message) == is_decoded(message), path


@pytest.mark.parametrize(
    "text", ["0", "-0.5", "1e-7", "12.340E+2", "01", "1_0", " 1", "1.", ".5", "NaN", "+1", "\uff11"]
)
def test_schema_and_decoder_agree_on_money_as_text(text: str) -> None:
    message = flat_example("api_cost")
    message["payload"]["data"]["total_cost_usd"] = text
    assert VALIDATOR.is_valid(message) == is_decoded(message) == bool(re.search(MONEY_TEXT_PATTERN, text))


@pytest.mark.parametrize("version", ["1.0.0", "1.0.0-rc.1", "1.2.3+build.7", "1.0", "1.0.0-", "v1.0.0", "1.0.0-01"])
def test_schema_and_decoder_agree_on_what_a_version_is(version: str) -> None:
    message = flat_example("latency") | {"schema_version": version}
    assert VALIDATOR.is_valid(message) == is_decoded(message) == bool(re.search(SEMVER_PATTERN, version))
