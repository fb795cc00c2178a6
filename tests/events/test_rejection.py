"""Refusals: each says which field is wrong, and why, in words a producer's developer can act on."""

import json
import re
from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.events.decode import decode
from lah_platform.events.envelope import SEVERITY_RANK, Event, Severity
from lah_platform.events.examples import flat_example, nested_example
from lah_platform.events.limits import Limits
from lah_platform.events.rejection import Rejection, RejectionCode
from lah_platform.stores.postgres import Connection
from tests.events.strategies import NOW, AsWritten, to_wire


def refused(message: bytes | dict[str, Any] | None, **options: Any) -> Rejection:
    raw = message if isinstance(message, bytes | None) else to_wire(message).encode()
    outcome = decode(raw, now=NOW, **options)
    assert isinstance(outcome, Rejection), outcome
    return outcome


def flat(subtype: str = "token_usage", **data: Any) -> dict[str, Any]:
    message = flat_example(subtype)
    message["payload"]["data"] |= data
    return message


def nested(subtype: str = "token_usage", **payload: Any) -> dict[str, Any]:
    message = nested_example(subtype)
    message["payload"] |= payload
    return message


def without(message: dict[str, Any], *path: str) -> dict[str, Any]:
    parent = message
    for name in path[:-1]:
        parent = parent[name]
    del parent[path[-1]]
    return message


def envelope(**fields: Any) -> dict[str, Any]:
    return flat_example("latency") | fields


def common(**fields: Any) -> dict[str, Any]:
    message = nested_example("latency")
    message["common"] |= fields
    return message


DEEP = json.loads("[" * 70 + "]" * 70)
LONG = "é" * 129  # 258 bytes, 129 characters

CASES: list[tuple[Any, str, str, str]] = [
    (None, "tombstone", "$", "has no value"),
    (b" " * (1024 * 1024 + 1), "too_large", "$", "takes 1048577 bytes; at most 1048576 are taken"),
    (b'{"a": "\xff"}', "not_utf8", "$", "is not UTF-8 at byte 7"),
    (b"", "malformed_json", "$", "is not JSON: Expecting value"),
    (b'{"a": 1', "malformed_json", "$", "is not JSON"),
    (b'{"severity": "info",}', "malformed_json", "$", "is not JSON"),
    (b'{"severity": NaN}', "malformed_json", "$", "is not JSON"),
    (b"[1, 2]", "invalid_field", "$", "is JSON but not an object"),
    (b"null", "invalid_field", "$", "is JSON but not an object"),
    (b"[" * 2000, "too_deep", "$", "nests deeper than 64 levels"),
    (flat(changes=DEEP), "too_deep", "$", "nests deeper than 64 levels"),
    # the envelope
    (b"{}", "missing_field", "event_id", "is missing"),
    (without(envelope(), "timestamp"), "missing_field", "timestamp", "is missing"),
    (without(common(), "common", "severity"), "missing_field", "common.severity", "is missing"),
    (without(envelope(), "payload"), "missing_field", "payload", "is missing"),
    (without(common(), "payload"), "missing_field", "payload", "is missing"),
    (envelope(event_id="17"), "invalid_field", "event_id", "is not a UUID"),
    (common(parent_event_id=7), "invalid_field", "common.parent_event_id", "must be a UUID or null, not an integer"),
    (envelope(timestamp="2026-02-01T10:00:00"), "invalid_field", "timestamp", "must say its offset from UTC"),
    (envelope(timestamp="yesterday"), "invalid_field", "timestamp", "is not an RFC 3339 timestamp"),
    (envelope(timestamp=1769940000), "invalid_field", "timestamp", "must be a timestamp, not an integer"),
    (envelope(severity="fatal"), "invalid_field", "severity", "is not one of debug, info, warning, error, critical; "),
    (common(source_module="llm-x"), "invalid_field", "common.source_module", "is not one of llm-observatory, "),
    (envelope(environment=None), "invalid_field", "environment", "must be text, not null"),
    (envelope(environment="x" * 257), "invalid_field", "environment", "must have at most 256 characters"),
    (envelope(environment=LONG), "invalid_field", "environment", "takes 258 bytes of UTF-8; at most 256 are taken"),
    (envelope(tags={"service": "chat", "n": 1}), "invalid_field", "tags.n", "must be text, not an integer"),
    (common(tags={"a.b": None}), "invalid_field", "common.tags.a.b", "must be text, not null"),
    (envelope(tags=[]), "invalid_field", "tags", "must be an object, not a list"),
    (envelope(tags={"team": LONG}), "invalid_field", "tags.team", "takes 258 bytes of UTF-8; at most 256 are taken"),
    (envelope(tags={"tenant": ""}), "invalid_field", "tags.tenant", "is empty"),
    (common(tags={"tenant": LONG}), "invalid_field", "common.tags.tenant", "takes 258 bytes"),
    (envelope(schema_version="one"), "invalid_field", "schema_version", "is not a semantic version"),
    (envelope(schema_version="01.0.0"), "invalid_field", "schema_version", "is not a semantic version"),
    (envelope(schema_version="1.0.0\n"), "invalid_field", "schema_version", "is not a semantic version"),
    (common(schema_version="2.1.0"), "unsupported_schema_version", "common.schema_version", "another major than 1"),
    (envelope(timestamp="2026-02-01T12:05:01Z"), "future_timestamp", "timestamp", "ahead of the hub's clock"),
    (common(timestamp="2024-12-01T00:00:00Z"), "too_old", "common.timestamp", "more than 400 days old"),
    (envelope(timestamp="0001-01-01T00:00:00+23:59"), "too_old", "timestamp", "more than 400 days old"),
    (envelope(timestamp="9999-12-31T23:59:59-23:59"), "future_timestamp", "timestamp", "ahead of the hub's clock"),
    # which payload
    (envelope(payload={"payload_type": "latency"}), "unknown_payload", "payload.payload_type", "is not one of teleme"),
    (envelope(payload={"data": {}}), "missing_field", "payload.payload_type", "is missing"),
    (envelope(payload={"payload_type": "cost"}), "missing_field", "payload.data", "is missing"),
    (without(flat(), "payload", "data", "telemetry_type"), "missing_field", "payload.data.telemetry_type", "is missin"),
    (flat(telemetry_type="tokens"), "unknown_payload", "payload.data.telemetry_type", "is not one of latency, throug"),
    (flat(telemetry_type=None), "invalid_field", "payload.data.telemetry_type", "must be text"),
    (nested(type="tokens"), "unknown_payload", "payload.type", "'tokens' is not one of latency, throughput,"),
    (nested(type=5), "invalid_field", "payload.type", "must be text"),
    (without(nested(), "payload", "type"), "missing_field", "payload.type", "is missing"),
    (nested(telemetry_type="latency"), "invalid_field", "payload.telemetry_type", "contradicts the type 'token_usage'"),
    (flat("custom", custom_type=""), "invalid_field", "payload.data.custom_type", "must have at least 1 characters"),
    (flat("custom", custom_type=LONG), "invalid_field", "payload.data.custom_type", "takes 258 bytes of UTF-8"),
    # the payload
    (flat(total_tokens="12"), "invalid_field", "payload.data.total_tokens", "must be an integer, not text"),
    (nested(total_tokens=1.5), "invalid_field", "payload.total_tokens", "must be an integer, not a number"),
    (flat(prompt_tokens=-1), "invalid_field", "payload.data.prompt_tokens", "must be at least 0"),
    (flat(prompt_tokens=2**63), "invalid_field", "payload.data.prompt_tokens", "must be at most 9223372036854775807"),
    (flat(token_derivation="all"), "invalid_field", "payload.data.token_derivation", "is not one of inclusive, exclus"),
    (flat(model_id=LONG), "invalid_field", "payload.data.model_id", "takes 258 bytes of UTF-8; at most 256 are taken"),
    (nested("latency", latency_ms="9"), "invalid_field", "payload.latency_ms", "must be a number, not text"),
    (nested("latency", latency_ms=AsWritten("1e-500")), "invalid_field", "payload.latency_ms", "has the exponent -500"),
    (without(nested("latency"), "payload", "latency_ms"), "missing_field", "payload.total_latency_ms", "is missing"),
    (flat("latency", ttft_ms=-0.5), "invalid_field", "payload.data.ttft_ms", "must be at least 0"),
    (flat("latency", ttft_ms=1e141), "invalid_field", "payload.data.ttft_ms", "must be at most 1e+140"),
    (flat("latency", ttft_ms=AsWritten("1e999")), "invalid_field", "payload.data.ttft_ms", "out of the range of doubl"),
    (flat("latency", breakdown={}), "missing_field", "payload.data.breakdown.queue_time_ms", "is missing"),
    (
        flat("error_rate", error_breakdown={"a": 1, "b": -1}),
        "invalid_field",
        "payload.data.error_breakdown.b",
        "at lea",
    ),
    (flat("vulnerability", severity_score=10.1), "invalid_field", "payload.data.severity_score", "must be at most 10"),
    (flat("threat", threat_type="x"), "invalid_field", "payload.data.threat_type", "is not one of prompt_injection, "),
    (flat("threat", threat_type={}), "missing_field", "payload.data.threat_type.other", "is missing"),
    (
        nested("compliance_check", findings=[{"control_id": "1", "status": "pass", "description": ""}, {"status": 1}]),
        "invalid_field",
        "payload.findings[1].status",
        "must be text, not an integer",
    ),
    (flat("audit_trail", changes=None), "invalid_field", "payload.data.changes", "must be an object, not null"),
    # money
    (flat("token_cost", total_cost_usd=10**16), "invalid_field", "payload.data.total_cost_usd", "is too large"),
    (flat("api_cost", total_cost_usd="NaN"), "invalid_field", "payload.data.total_cost_usd", "not written like a JSON"),
    (flat("api_cost", total_cost_usd="1_0"), "invalid_field", "payload.data.total_cost_usd", "not written like a JSON"),
    (flat("api_cost", total_cost_usd="ten"), "invalid_field", "payload.data.total_cost_usd", "is not a number"),
    (flat("api_cost", total_cost_usd="1e999999999"), "invalid_field", "payload.data.total_cost_usd", "is too large"),
    (nested("budget_alert", budget_limit_usd=None), "invalid_field", "payload.budget_limit_usd", "must be a number, n"),
    # what PostgreSQL cannot hold
    (flat(request_id="a\x00b"), "nul_character", "payload.data.request_id", "holds the character U+0000"),
    (envelope(tags={"a\x00": "b"}), "nul_character", "tags.a�", "a key holds the character U+0000"),
    (nested(x={"y": ["", "\x00"]}), "nul_character", "payload.x.y[1]", "holds the character U+0000"),
    (flat(x=AsWritten('"\\ud800"')), "invalid_field", "payload.data.x", "half of a surrogate pair"),
    (flat(x=AsWritten("1e400000")), "invalid_field", "payload.data.x", "out of the range of double precision"),
    (flat(x=[AsWritten("1e-20000")]), "invalid_field", "payload.data.x[0]", "has the exponent -20000"),
    (
        nested(x={"y": AsWritten("0." + "1" * 20000)}),
        "invalid_field",
        "payload.x.y",
        "is written with 20002 characters",
    ),
    (flat(x=AsWritten('{"a": 1e-99999, "a": 1}')), "invalid_field", "payload.data.x.a", "has the exponent -99999"),
    (flat(x=AsWritten('{"a": "\\u0000", "a": 1}')), "nul_character", "payload.data.x.a", "holds the character U+0000"),
]


@pytest.mark.parametrize(("message", "code", "field", "reason"), CASES, ids=[f"{c[1]}-{c[2]}" for c in CASES])
def test_a_refusal_names_the_field_and_the_reason(message: Any, code: str, field: str, reason: str) -> None:
    rejection = refused(message)
    assert (rejection.code, rejection.field) == (code, field)
    assert reason in rejection.reason


def test_every_code_of_decoding_is_reached_by_these_cases() -> None:
    # the first depends on the caller's tenant and has tests of its own, the others are the store's to say
    elsewhere = {"wrong_tenant", "database_rejected", "conflicting_timestamp"}
    assert {case[1] for case in CASES} == set(get_args(RejectionCode)) - elsewhere


@pytest.mark.parametrize(
    ("tags", "tenant"),
    [
        ({"tenant": "acme"}, "acme"),
        ({}, "default"),
        (None, "default"),
        ({"tenant": 5}, "unknown"),
        ({"tenant": ""}, "unknown"),
        ({"tenant": "x" * 257}, "unknown"),
        ({"tenant": "a\x00"}, "unknown"),
    ],
)
@pytest.mark.parametrize("spelling", [envelope, common])
def test_a_refused_record_is_booked_to_the_tenant_it_names_if_that_is_a_tenant(
    tags: Any, tenant: str, spelling: Any
) -> None:
    assert refused(spelling(severity="fatal", tags=tags)).tenant == tenant


def test_a_refused_record_of_a_bound_topic_is_booked_to_the_topics_tenant_unless_it_cannot_be_read() -> None:
    assert refused(envelope(severity="fatal", tags={"tenant": "globex"}), topic_tenant="acme").tenant == "acme"
    assert refused(envelope(tags={"tenant": "globex"}), topic_tenant="acme").tenant == "acme"
    assert refused(b"{", topic_tenant="acme").tenant == "unknown"


def test_a_backslash_before_u0000_is_not_the_character() -> None:
    message = flat(request_id="C:\\u0000")
    assert b"\\\\u0000" in to_wire(message).encode()
    assert isinstance(decode(to_wire(message).encode(), now=NOW), Event)


@settings(deadline=None)
@given(
    st.recursive(
        st.sampled_from([1, "]}[{", '"\\"']), lambda inner: st.lists(inner) | st.dictionaries(st.just("["), inner)
    )
)
def test_depth_is_counted_as_a_reader_would_nest(tree: Any) -> None:
    def depth(tree: Any) -> int:
        members = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else None
        return 0 if members is None else 1 + max(map(depth, members), default=0)

    message = flat("custom", data=tree)
    limit = depth(message)
    assert isinstance(decode(to_wire(message).encode(), now=NOW, limits=Limits(max_depth=limit)), Event)
    assert refused(message, limits=Limits(max_depth=limit - 1)).code == "too_deep"


def test_a_producer_cannot_make_a_reason_long_or_unprintable() -> None:
    rejection = refused(envelope(severity="\x07\n" + "x" * 100_000))
    assert len(rejection.reason) <= 400
    assert rejection.reason.isprintable()
    assert len(refused(envelope(tags={"k" * 100_000: 1})).field) <= 200


def test_limits_are_the_callers_to_set() -> None:
    raw = to_wire(flat()).encode()
    assert isinstance(decode(raw, now=NOW, limits=Limits(max_bytes=len(raw))), Event)
    assert refused(raw, limits=Limits(max_bytes=len(raw) - 1)).code == "too_large"
    assert refused(raw, limits=Limits(max_age=timedelta(hours=1))).code == "too_old"


def test_severities_are_ordered_as_in_the_database(connection: Connection) -> None:
    row = connection.execute("select enum_range(null::severity)::text[]").fetchone()
    assert row is not None
    assert sorted(SEVERITY_RANK, key=SEVERITY_RANK.__getitem__) == row[0]
    assert set(SEVERITY_RANK) == set(re.findall(r"'(\w+)'", str(Severity)))
