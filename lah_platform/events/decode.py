"""Bytes to `Event` or `Rejection`: the one door into the hub. Never raises, whatever the bytes.

The order of the checks is the order of the answers: whether the record can be read at all, which version it speaks,
whose it is and when, and only then its payload. Wording belongs in `explain.py`, payload types in `payloads/`.
"""

from datetime import UTC, datetime, timedelta

import msgspec

from lah_platform.events import jsonb
from lah_platform.events.envelope import (
    DEFAULT_SCHEMA_VERSION,
    DEFAULT_TENANT,
    SOURCE_MODULE_ALIASES,
    Envelope,
    Event,
    FlatMessage,
    NestedMessage,
)
from lah_platform.events.explain import explain_data, explain_message, readable_tenant, sent_path
from lah_platform.events.limits import DEFAULT_LIMITS, Limits
from lah_platform.events.money import money_problem
from lah_platform.events.names import DIMENSION_TAGS, name_problem, tenant_problem
from lah_platform.events.nested import NestedProblem, flatten
from lah_platform.events.payloads import DATA_TYPE, SUBTYPE_OF, Payload
from lah_platform.events.payloads.cost import ApiCost, Cost
from lah_platform.events.payloads.custom import Custom
from lah_platform.events.rejection import UNKNOWN_TENANT, WHOLE_RECORD, Rejection, reject
from lah_platform.events.versions import version_problem


class _Spelling(msgspec.Struct, gc=False):
    common: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    event_type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_SPELLING = msgspec.json.Decoder(_Spelling)
_FLAT = msgspec.json.Decoder(FlatMessage)
_NESTED = msgspec.json.Decoder(NestedMessage)
_DATA: dict[str, msgspec.json.Decoder[Payload]] = {
    payload_type: msgspec.json.Decoder(data_type) for payload_type, data_type in DATA_TYPE.items()
}
# Spares the attempt to read it as flat; where it does not match, that attempt fails and the nested one is next.
_NESTED_START = b'{"common"'
_DAY = timedelta(days=1)
_NAME_FIELD: dict[type[Payload], str] = {Custom: "custom_type", ApiCost: "provider"}
_NOT_RENAMED: dict[str, str] = {}


def decode(
    raw: bytes | None, *, now: datetime, limits: Limits = DEFAULT_LIMITS, topic_tenant: str | None = None
) -> Event | Rejection:
    """Read one record in either spelling.

    `raw` is the record's value, None for a Kafka tombstone. `now` (aware) is the clock that `limits` compare the
    event's timestamp with. `topic_tenant` is the tenant that the topic or API key is bound to: a record that names
    none belongs to it, one that names another is refused.
    """
    if raw is None:
        return reject("tombstone", WHOLE_RECORD, "has no value", UNKNOWN_TENANT)
    refusal = _unreadable(raw, limits, topic_tenant)
    if refusal is not None:
        return refusal

    message = _message(raw, topic_tenant)
    if isinstance(message, Rejection):
        return message
    is_nested = isinstance(message, NestedMessage)
    envelope = message.common if isinstance(message, NestedMessage) else message
    tenant = envelope.tags.get("tenant", DEFAULT_TENANT if topic_tenant is None else topic_tenant)
    refusal = _refused_envelope(envelope, "common." if is_nested else "", tenant, topic_tenant, now, limits)
    if refusal is not None:
        return refusal

    if isinstance(message, NestedMessage):
        flattened = flatten(message.payload)
        if isinstance(flattened, NestedProblem):
            return reject(flattened.code, flattened.field, flattened.reason, tenant)
        at = "payload"
        payload_type, data, renamed = flattened
    else:
        at = "payload.data"
        payload_type, data, renamed = message.payload.payload_type, bytes(message.payload.data), _NOT_RENAMED
    try:
        payload = _DATA[payload_type].decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        return explain_data(error, data, payload_type, at, renamed, tenant)
    problem = _payload_problem(payload, data)
    if problem is not None:
        return reject("invalid_field", sent_path(at, problem[0], renamed), problem[1], tenant)

    timestamp = envelope.timestamp
    source_module: str = envelope.source_module
    return Event(
        tenant,
        envelope.event_id,
        timestamp if timestamp.tzinfo is UTC else timestamp.astimezone(UTC),
        SOURCE_MODULE_ALIASES.get(source_module, source_module),
        envelope.event_type,
        envelope.severity,
        envelope.environment,
        envelope.schema_version,
        envelope.correlation_id,
        envelope.parent_event_id,
        envelope.tags,
        payload_type,
        payload.custom_type if isinstance(payload, Custom) else SUBTYPE_OF[type(payload)],
        payload,
        data,
    )


def _unreadable(raw: bytes, limits: Limits, topic_tenant: str | None) -> Rejection | None:
    """Why the bytes cannot be looked into; None also for broken JSON, which its decoder explains best."""
    if len(raw) > limits.max_bytes:
        reason = f"takes {len(raw)} bytes; at most {limits.max_bytes} are taken"
        return reject("too_large", WHOLE_RECORD, reason, UNKNOWN_TENANT)
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            return reject("not_utf8", WHOLE_RECORD, f"is not UTF-8 at byte {error.start}", UNKNOWN_TENANT)
    if jsonb.is_deeper_than(raw, limits.max_depth):
        return reject("too_deep", WHOLE_RECORD, f"nests deeper than {limits.max_depth} levels", UNKNOWN_TENANT)
    if jsonb.may_hold_nul(raw):
        try:
            tree = jsonb.parse(raw.decode())
        except (ValueError, RecursionError):
            return None
        for problem in jsonb.unstorable(tree):
            if problem.code == "nul_character":
                return reject(problem.code, problem.path, problem.reason, readable_tenant(tree, topic_tenant))
    return None


def _message(raw: bytes, topic_tenant: str | None) -> FlatMessage | NestedMessage | Rejection:
    is_nested = False
    try:
        is_nested = raw.startswith(_NESTED_START) and _is_nested(raw)
        if is_nested:
            return _NESTED.decode(raw)
        try:
            return _FLAT.decode(raw)
        except msgspec.ValidationError:
            is_nested = _is_nested(raw)
            if not is_nested:
                raise
            return _NESTED.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        return explain_message(error, raw, NestedMessage if is_nested else FlatMessage, topic_tenant)


def _is_nested(raw: bytes) -> bool:
    """Whether `common` is the nested spelling's envelope, not a flat producer's own extra field."""
    spelling = _SPELLING.decode(raw)
    return spelling.common is not msgspec.UNSET and spelling.event_type is msgspec.UNSET


def _refused_envelope(
    envelope: Envelope, at: str, tenant: str, topic_tenant: str | None, now: datetime, limits: Limits
) -> Rejection | None:
    version = envelope.schema_version
    if version != DEFAULT_SCHEMA_VERSION and (refused := version_problem(version)):
        return reject(refused[0], f"{at}schema_version", refused[1], _bookable(tenant, topic_tenant))
    if problem := tenant_problem(tenant):
        return reject("invalid_field", f"{at}tags.tenant", problem, _bookable(tenant, topic_tenant))
    if topic_tenant is not None and tenant != topic_tenant:
        reason = f"is {tenant!r}; what comes in here belongs to {topic_tenant!r}"
        return reject("wrong_tenant", f"{at}tags.tenant", reason, topic_tenant)
    timestamp = envelope.timestamp
    if timestamp > now + limits.max_future_skew:
        skew_s = limits.max_future_skew.total_seconds()
        reason = f"{timestamp.isoformat()} is more than {skew_s:g} s ahead of the hub's clock"
        return reject("future_timestamp", f"{at}timestamp", reason, tenant)
    if timestamp < now - limits.max_age:
        reason = f"{timestamp.isoformat()} is more than {limits.max_age / _DAY:g} days old"
        return reject("too_old", f"{at}timestamp", reason, tenant)
    if problem := name_problem(envelope.environment):
        return reject("invalid_field", f"{at}environment", problem, tenant)
    for tag in DIMENSION_TAGS:
        if (name := envelope.tags.get(tag)) is not None and (problem := name_problem(name)):
            return reject("invalid_field", f"{at}tags.{tag}", problem, tenant)
    return None


def _bookable(tenant: str, topic_tenant: str | None) -> str:
    if topic_tenant is not None:
        return topic_tenant
    return UNKNOWN_TENANT if tenant_problem(tenant) else tenant


def _payload_problem(payload: Payload, data: bytes) -> tuple[str, str] | None:
    """The first (field, reason) of what the types cannot say."""
    name_field = _NAME_FIELD.get(type(payload), "model_id")
    name: str | None = getattr(payload, name_field, None)
    if name is not None and (problem := name_problem(name)):
        return name_field, problem
    if isinstance(payload, Cost) and (money := money_problem(payload, data)):
        return money
    if jsonb.may_hold_extreme_number(data):
        for unstorable in jsonb.unstorable(jsonb.parse(data.decode())):
            return unstorable.path, unstorable.reason
    return None
