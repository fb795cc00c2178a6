"""Made-up traffic of two tenants around a period: events as bytes on the wire, other rows as they are; landing it."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from lah_platform.events.decode import decode
from lah_platform.events.envelope import Event
from lah_platform.events.examples import flat_example
from lah_platform.events.rejection import Rejection
from lah_platform.landing.batch import prepare
from lah_platform.landing.records import Partition, Record
from lah_platform.quality.suites import Verdict
from lah_platform.stores.audit import record
from lah_platform.stores.checks import write_verdicts
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.postgres import Connection
from lah_platform.stores.rollups import tick

FROM, TO = date(2026, 3, 2), date(2026, 3, 5)
START, END = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)
TENANTS = ("acme", "globex")
ENVIRONMENTS = ("production", "staging")
_MICROSECOND = timedelta(microseconds=1)
_EDGES = (START, START - _MICROSECOND, END, END - _MICROSECOND)
_TABLES = (
    "events, ledger, dead_letters, landing_batches, landing_offsets, rollup_1m, rollup_5m, rollup_15m, rollup_1h,"
    " rollup_6h, rollup_1d, rollup_1w, rollup_1mo, rollup_partial_sets, cost_daily, anomalies, incidents, checks,"
    " api_keys, reports"
)


@dataclass(frozen=True)
class Batch:
    """Messages that land together in one partition."""

    at: datetime
    partition: int
    messages: list[bytes]


@dataclass(frozen=True)
class Traffic:
    """Everything that a report counts."""

    batches: list[Batch]
    costs: list[dict[str, Any]] = field(default_factory=list)
    anomalies: list[dict[str, Any]] = field(default_factory=list)
    incidents: list[dict[str, Any]] = field(default_factory=list)
    keys: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[tuple[datetime, datetime, datetime, Verdict]] = field(default_factory=list)
    """checked_at, period_from, period_to"""


def made_up(seed: int, events: int = 150) -> Traffic:
    """The same traffic for the same seed: some outside the period, some on its edges, repeats, some that is broken."""
    draw = random.Random(seed)
    messages = [_message(draw, seed, number) for number in range(events)]
    for position in draw.sample(range(events), min(events, 8)):
        messages.append(messages[position])  # a retry
    messages += [b'{"event_id": 1', json.dumps({**flat_example("latency"), "severity": "loud"}).encode()]
    draw.shuffle(messages)
    cut = draw.randrange(len(messages) + 1)
    at = (START - timedelta(minutes=1), START + timedelta(hours=9, minutes=3))
    return Traffic(
        batches=[Batch(at[0], 0, messages[:cut]), Batch(at[1], 1, messages[cut:]), Batch(END, 0, messages[:3])],
        costs=list(_costs(draw)),
        anomalies=[_anomaly(draw, number) for number in range(20)],
        incidents=[_incident(draw, number) for number in range(12)],
        keys=[_key(draw, number) for number in range(10)],
        verdicts=list(_verdicts(draw)),
    )


def one_event(subtype: str, at: datetime = START, *, number: int = 1, **data: Any) -> bytes:
    """A valid message of acme, of production."""
    return _wire(random.Random(0), subtype, {}, at=at, tenant="acme", number=number, data=data)


def empty(connection: Connection) -> None:
    """Forget everything but the audit log, which cannot."""
    connection.execute(f"truncate {_TABLES} cascade".encode())


def fill(connection: Connection, url: str, traffic: Traffic) -> None:
    """Land the batches through landing itself, merge the rollups, and write the other rows."""
    connection.execute("select ensure_event_partition(%s::date + n) from generate_series(-2, 4) n", [FROM])
    store = PostgresLanding(url)
    try:
        for batch in traffic.batches:
            partition = Partition("lah.events", "one", batch.partition)
            start = store.adopt(partition, 0)
            records = [Record(partition, start + i, None, value) for i, value in enumerate(batch.messages)]
            store.land(prepare(records, {partition: start}, decoder=_decode, received_at=batch.at))
    finally:
        store.close()
    tick(connection, now=END)
    with connection.transaction():
        for table, rows in (("cost_daily", traffic.costs), ("anomalies", traffic.anomalies)):
            for row in rows:
                _insert(connection, table, {name: value for name, value in row.items() if name != "event_type"})
        for row in traffic.incidents:
            _insert(connection, "incidents", row)
        for row in traffic.keys:
            _insert(connection, "api_keys", {name: value for name, value in row.items() if name != "is_audited"})
    for row in traffic.keys:
        if row["is_audited"]:
            record(connection, "test", "create", "api_key", row["key_id"], row["tenant"], {})
    for checked_at, first, after, verdict in traffic.verdicts:
        write_verdicts(connection, [verdict], checked_at=checked_at, period_from=first, period_to=after, run_id=None)


def _decode(raw: bytes | None, _received_at: datetime) -> Event | Rejection:
    return decode(raw, now=END + timedelta(days=1))


def _insert(connection: Connection, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(row)
    if table == "anomalies":  # of whatever series of that kind there is
        row = {**row, "series_id": row["series_id"] or 0}
    places = ", ".join(f"%({name})s" for name in row)
    connection.execute(f"insert into {table} ({names}) values ({places})".encode(), row)


def _at(draw: random.Random) -> datetime:
    if draw.random() < 0.1:
        return draw.choice(_EDGES)
    return START - timedelta(hours=20) + timedelta(seconds=draw.randrange(110 * 3600))


def _message(draw: random.Random, seed: int, number: int) -> bytes:
    subtype, data = draw.choice(list(_payloads(draw)))
    correlation = str(UUID(int=draw.randrange(1, 12))) if draw.random() < 0.8 else None
    severity = draw.choice(["info", "warning", "critical"])
    return _wire(
        draw,
        subtype,
        {} if correlation is None else {"correlation_id": correlation},
        number=seed * 10_000 + number,
        at=_at(draw),
        tenant=draw.choice(TENANTS),
        severity=severity,
        environment=draw.choice(ENVIRONMENTS),
        data=data,
    )


def _wire(
    draw: random.Random,
    subtype: str,
    envelope: dict[str, Any],
    *,
    data: dict[str, Any],
    at: datetime,
    tenant: str,
    number: int = 1,
    severity: str = "info",
    environment: str = "production",
) -> bytes:
    event = {name: value for name, value in flat_example(subtype).items() if name not in ("parent_event_id",)}
    event.pop("correlation_id", None)
    payload = event["payload"]
    event |= {
        **envelope,
        "event_id": str(UUID(int=(number + 1) << 8 | draw.randrange(256))),
        "timestamp": at.isoformat(),
        "severity": severity,
        "environment": environment,
        "tags": {"tenant": tenant},
        "payload": {**payload, "data": {**payload["data"], **data}},
    }
    return json.dumps(event).encode()


def _payloads(draw: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    yes = draw.random() < 0.7
    words = draw.choice(["", "support", "billing"])
    yield "latency", {"model_id": draw.choice(["gpt-4", "kimi-k2"])}
    yield "error_rate", {"model_id": "gpt-4", "total_requests": 100, "failed_requests": draw.randrange(5)}
    yield "model_performance", {"model_id": "gpt-4", "quality_score": draw.choice([0.5, 0.79, 0.8, 0.95])}
    yield (
        "threat",
        {
            "threat_type": draw.choice(["data_exfiltration", "prompt_injection", {"other": "drift"}]),
            "threat_level": draw.choice(["low", "medium", "high", "critical"]),
        },
    )
    yield "auth", {"action": draw.choice(["login", "permission_denied"]), "success": yes}
    yield (
        "vulnerability",
        {
            "severity_score": draw.choice([3.0, 6.9, 7.0, 9.8]),
            "remediation_status": draw.choice(["identified", "patching", "patched", "accepted"]),
        },
    )
    yield (
        "privacy",
        {
            "operation": draw.choice(["data_access", "data_deletion", "data_sharing"]),
            "user_consent": yes,
            "purpose": words,
        },
    )
    yield "compliance_violation", {"regulation": draw.choice(["GDPR", "HIPAA"]), "remediation_required": yes}
    yield "policy_violation", {"severity": draw.choice(["low", "high"]), "auto_remediated": yes}
    yield "audit_trail", {"action": draw.choice(["update", "handle"])}
    yield "audit_trail", {"action": "handle"}
    yield "data_lineage", {"operation": draw.choice(["read", "transform", "aggregate"]), "source": words or None}
    statuses = [draw.choice(["pass", "fail", "manual"]) for _ in range(3)]
    yield (
        "compliance_check",
        {
            "framework": draw.choice(["SOC 2", "HIPAA"]),
            "passed": yes,
            "score": draw.choice([1, 0.5, 87.25]),
            "findings": [
                {"control_id": f"C{n}", "status": status, "description": "looked at"}
                for n, status in enumerate(statuses)
            ],
        },
    )


def _costs(draw: random.Random) -> Iterator[dict[str, Any]]:
    for days in range(-1, 4):
        for tenant in TENANTS:
            for model in ("gpt-4", "kimi-k2"):
                unpriced = draw.choice([0, 3, 10])
                yield {
                    "day": FROM + timedelta(days),
                    "tenant": tenant,
                    "model": model,
                    "environment": draw.choice(ENVIRONMENTS),
                    "service": "chat",
                    "team": "",
                    "requests": 10,
                    "input_tokens": 0,
                    "input_fresh_tokens": 0,
                    "input_cache_read_tokens": 0,
                    "input_cache_write_tokens": 0,
                    "input_unknown_tokens": 0,
                    "output_tokens": 0,
                    "reported_usd": _usd(draw),
                    "priced_usd": None if unpriced == 10 else _usd(draw),
                    "unpriced_requests": unpriced,
                    "other_usd": _usd(draw),
                    "computed_at": END,
                }


def _usd(draw: random.Random) -> Decimal:
    return Decimal(draw.randrange(10**14)) / 10**12


def _anomaly(draw: random.Random, number: int) -> dict[str, Any]:
    at = _at(draw)
    return {
        "anomaly_id": UUID(int=number),
        "tenant": draw.choice(TENANTS),
        "series_id": draw.randrange(1, 9),
        "metric": "events",
        "window_name": "1h",
        "anomaly_type": draw.choice(["spike", "drop"]),
        "method": "mad",
        "started_at": at,
        "peak_at": at,
        "ended_at": at,
        "score": 0.5,
        "baseline": 1.0,
        "observed": 2.0,
        "deviation": 3.0,
        "impact": draw.choice(["low", "high", "critical"]),
        "explanation": "",
        "detected_at": at,
    }


def _incident(draw: random.Random, number: int) -> dict[str, Any]:
    at = _at(draw)
    return {
        "incident_id": UUID(int=number),
        "tenant": draw.choice(TENANTS),
        "title": "x",
        "severity": draw.choice(["low", "high", "critical"]),
        "is_open": draw.random() < 0.5,
        "started_at": at,
        "ended_at": at,
        "story": "{}",
        "detected_at": at,
    }


def _key(draw: random.Random, number: int) -> dict[str, Any]:
    made = _at(draw)
    return {
        "key_id": f"{draw.randrange(16**8):08x}{number:04x}",
        "tenant": draw.choice(TENANTS),
        "role": draw.choice(["viewer", "admin"]),
        "label": "",
        "key_hmac": b"x",
        "created_at": made,
        "revoked_at": made + timedelta(hours=draw.randrange(1, 60)) if draw.random() < 0.4 else None,
        "expires_at": made + timedelta(hours=draw.randrange(1, 60)) if draw.random() < 0.4 else None,
        "is_audited": draw.random() < 0.7,
    }


def _verdicts(draw: random.Random) -> Iterator[tuple[datetime, datetime, datetime, Verdict]]:
    for number in range(12):
        name = draw.choice(["a", "b", "c", "d"])
        severity: Any = "warn" if name == "d" else "error"
        passed = draw.random() < 0.5
        first = draw.choice([START - timedelta(days=2), START, END, END + _MICROSECOND])
        checked_at = END + timedelta(minutes=number)
        verdict = Verdict("events", name, severity, True, passed, 5, 0 if passed else 2, {}, "look")
        yield checked_at, first, first + timedelta(days=1), verdict
