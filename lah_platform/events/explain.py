"""Why a decoder refused a record, in plain words and with the field named.

Only refused records come here, so this may be slow: it reads them a second time, without a schema. What is accepted
is decided in `decode.py`.
"""

import re
from typing import Any

import msgspec

from lah_platform.events import jsonb
from lah_platform.events.envelope import DEFAULT_TENANT, NestedMessage
from lah_platform.events.names import tenant_problem
from lah_platform.events.payloads import DATA_TYPE, TAG_FIELD
from lah_platform.events.rejection import UNKNOWN_TENANT, WHOLE_RECORD, Rejection, RejectionCode, reject
from lah_platform.events.schema_walk import literals, locate, tags_of
from lah_platform.events.versions import version_problem

_AT = re.compile(r"(.*) - at `\$(.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.+)`\Z")
_INVALID_VALUE = re.compile(r"Invalid (?:enum )?value (.*)\Z", re.DOTALL)
_EXPECTED = re.compile(r"Expected `([^`]+)`(?:, got `([^`]+)`)?(?: ?(of length )?([<>]=) (\S+))?(.*)\Z", re.DOTALL)

_PLAIN_TYPES = {
    "int": "an integer",
    "float": "a number",
    "decimal": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
    "datetime": "a timestamp",
    "uuid": "a UUID",
}
_PLAIN_MESSAGES = {
    "Invalid UUID": "is not a UUID",
    "Invalid RFC3339 encoded datetime": "is not an RFC 3339 timestamp such as 2026-01-31T08:00:00Z",
    "Invalid decimal string": "is not a number",
    "Number out of range": jsonb.OUT_OF_RANGE,
    "Integer value out of range": "is an integer of more digits than can be read",
    "Expected `datetime` with a timezone component": "must say its offset from UTC, such as Z or +02:00",
}
_BOUNDS = {">=": "at least", "<=": "at most"}


def readable_tenant(tree: Any, topic_tenant: str | None) -> str:
    """The tenant a refused record is booked to: the topic's when it is bound, else what the record says."""
    if not isinstance(tree, dict):
        return UNKNOWN_TENANT
    if topic_tenant is not None:
        return topic_tenant
    tags = _envelope(tree).get("tags", {})
    tenant = tags.get("tenant", DEFAULT_TENANT) if isinstance(tags, dict) else DEFAULT_TENANT
    if type(tenant) is not str or any(jsonb.unstorable(tenant)) or tenant_problem(tenant):
        return UNKNOWN_TENANT
    return tenant


def explain_message(error: Exception, raw: bytes, as_type: Any, topic_tenant: str | None) -> Rejection:
    """Why `raw` (UTF-8) could not be read as `as_type`, one of the two spellings."""
    if isinstance(error, RecursionError):
        return reject("too_deep", WHOLE_RECORD, "nests deeper than can be read", UNKNOWN_TENANT)
    try:
        tree = jsonb.parse(raw.decode())
    except (ValueError, RecursionError) as not_json:
        # the decoder may have met a wrong type first, but what is not JSON has no types
        return reject("malformed_json", WHOLE_RECORD, f"is not JSON: {not_json}", UNKNOWN_TENANT)
    tenant = readable_tenant(tree, topic_tenant)
    if not isinstance(tree, dict):
        return reject("invalid_field", WHOLE_RECORD, "is JSON but not an object", tenant)
    version = _envelope(tree).get("schema_version")
    if type(version) is str and (refused := version_problem(version)) and refused[0] == "unsupported_schema_version":
        field = "common.schema_version" if as_type is NestedMessage else "schema_version"
        return reject(refused[0], field, refused[1], tenant)
    if not isinstance(error, msgspec.ValidationError):
        # msgspec and the standard library agree on what JSON is, but for lone surrogates
        for problem in jsonb.unstorable(tree):
            return reject(problem.code, problem.path, problem.reason, tenant)
        return reject("malformed_json", WHOLE_RECORD, f"is not JSON: {error}", tenant)
    return _explain_validation(str(error), tree, as_type, "", {}, tenant)


def explain_data(
    error: Exception, data: bytes, payload_type: str, at: str, renamed: dict[str, str], tenant: str
) -> Rejection:
    """Why the payload's `data` could not be read; `at` is its path, `renamed` maps our names to the sent ones."""
    if isinstance(error, RecursionError):
        return reject("too_deep", at, "nests deeper than can be read", tenant)
    tree = jsonb.parse(data.decode())
    return _explain_validation(str(error), tree, DATA_TYPE[payload_type], at, renamed, tenant)


def sent_path(at: str, path: str, renamed: dict[str, str]) -> str:
    """The path of a field as the producer wrote it: `at` is the path of what was read, `path` goes on from there."""
    head, dot, rest = path.partition(".")
    return ".".join(part for part in (at, renamed.get(head, head) + dot + rest) if part)


def _explain_validation(
    message: str, tree: Any, as_type: Any, at: str, renamed: dict[str, str], tenant: str
) -> Rejection:
    match = _AT.match(message)
    text, path = (match[1], match[2]) if match else (message, "")
    place = locate(as_type, tree, path)
    missing = _MISSING.match(text)
    names = [*place.names, missing[1]] if missing else place.names
    path = "".join(name if name.startswith("[") else f".{name}" for name in names).removeprefix(".")
    field = sent_path(at, path, renamed)
    if missing:
        return reject("missing_field", field, "is missing", tenant)
    code: RejectionCode = "invalid_field"
    if names and _INVALID_VALUE.match(text) and names[-1] in ("payload_type", *TAG_FIELD.values()):
        code = "unknown_payload"
    allowed = literals(place.hint) or tags_of(as_type)
    return reject(code, field or WHOLE_RECORD, _in_plain_words(text, allowed), tenant)


def _in_plain_words(message: str, allowed: list[str]) -> str:
    if message in _PLAIN_MESSAGES:
        return _PLAIN_MESSAGES[message]
    if match := _INVALID_VALUE.match(message):
        return f"is not one of {', '.join(allowed)}; it is {match[1]}"
    if not (match := _EXPECTED.match(message)):
        return message
    expected, got, of_length, bound, limit, rest = match.groups()
    if of_length:
        return f"must have {_BOUNDS[bound]} {limit} characters"
    if bound:
        return f"must be {_BOUNDS[bound]} {limit}"
    return f"must be {_plain_types(expected)}{rest}" + (f", not {_plain_types(got)}" if got else "")


def _plain_types(names: str) -> str:
    return " or ".join(_PLAIN_TYPES.get(name, name) for name in names.split(" | "))


def _envelope(tree: dict[str, Any]) -> dict[str, Any]:
    common = tree.get("common", tree)
    return common if isinstance(common, dict) else {}
