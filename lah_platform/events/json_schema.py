"""The published contract: JSON Schema (draft 2020-12) of one wire message, generated from the structs that read it.

`python -m lah_platform.events.json_schema` prints the text of `docs/event-schema.json`. What a schema cannot say, and
`decode` checks all the same: semver's major, the clock, the tenant, sizes in bytes and depth, U+0000, the range of
money. JSON Schema also takes 1.0 for an integer; `decode` does not.
"""

import json
import sys
from functools import reduce
from operator import or_
from typing import Any

import msgspec

from lah_platform.events.envelope import Envelope
from lah_platform.events.nested import LATENCY_ALIAS, LATENCY_FIELD
from lah_platform.events.payloads import CUSTOM, DATA_TYPE, STRUCTS
from lah_platform.events.payloads.custom import Custom

SCHEMA_ID = "urn:lah:event:1"


def wire_schema() -> dict[str, Any]:
    """The schema of one event in either spelling. A new dict at every call."""
    spellings = (_flat_type(), _nested_type())
    references, definitions = msgspec.json.schema_components(spellings, ref_template="#/$defs/{name}")
    latency = definitions["NestedLatency"]
    alias = {LATENCY_ALIAS: latency["properties"][LATENCY_FIELD]}  # beside the field itself it is any other field
    latency["required"].remove(LATENCY_FIELD)
    latency["anyOf"] = [{"required": [LATENCY_ALIAS], "properties": alias}, {"required": [LATENCY_FIELD]}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Event",
        "description": "One event of the catalog, in the flat or the nested spelling. Unknown fields are kept.",
        "anyOf": [dict(reference) for reference in references],
        "$defs": _plain(definitions),
    }


def wire_schema_text() -> str:
    """`wire_schema` as the published file's text."""
    return json.dumps(wire_schema(), indent=2, ensure_ascii=False) + "\n"


def _flat_type() -> type[msgspec.Struct]:
    payloads: list[Any] = [
        msgspec.defstruct(f"{name.title()}Payload", [("data", data_type)], tag_field="payload_type", tag=name)
        for name, data_type in DATA_TYPE.items()
    ]
    return msgspec.defstruct("FlatEvent", [("payload", reduce(or_, payloads))], bases=(Envelope,), kw_only=True)


def _nested_type() -> type[msgspec.Struct]:
    by_subtype: dict[str, type[msgspec.Struct]] = {CUSTOM: Custom}
    for structs in STRUCTS.values():
        by_subtype.update(structs)
    payloads: list[Any] = [
        msgspec.defstruct(f"Nested{struct.__name__}", [], bases=(struct,), tag_field="type", tag=subtype)
        for subtype, struct in by_subtype.items()
    ]
    return msgspec.defstruct("NestedEvent", [("common", Envelope), ("payload", reduce(or_, payloads))])


def _plain(schema: Any) -> Any:
    """Money may be a number, which msgspec's schema of Decimal leaves out; `discriminator` is OpenAPI's, not ours."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items() if key != "discriminator"}
    if plain.get("format") == "decimal":
        del plain["format"]
        plain["type"] = ["number", "string"]
    return plain


if __name__ == "__main__":
    sys.stdout.write(wire_schema_text())
