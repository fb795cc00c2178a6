"""Made-up traffic of two tenants around a period, as plain rows, and the database filled with exactly these."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from lah_platform.stores.postgres import Connection

FROM, TO = date(2026, 3, 2), date(2026, 3, 5)
START, END = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)
TENANTS = ("acme", "globex")
_MICROSECOND = timedelta(microseconds=1)
_EDGES = (START, START - _MICROSECOND, END, END - _MICROSECOND)


@dataclass(frozen=True)
class Event:
    at: datetime
    tenant: str
    payload_type: str
    subtype: str
    severity: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class Traffic:
    """Everything that a report counts, as plain rows in the order of their table's columns."""

    events: list[Event]
    ledger: list[tuple[str, datetime, str, int, int, int]]
    """topic, minute, tenant, stored, duplicate, dead_lettered"""
    dead_letters: list[tuple[str, datetime, str, bool]]
    """tenant, at, code, is_replayed"""
    costs: list[tuple[date, str, str, int, int, Decimal, Decimal | None, Decimal]]
    """day, tenant, model, requests, unpriced, reported, priced, other"""
    anomalies: list[tuple[str, datetime, str, str, str]]
    """tenant, started_at, event_type of its series, anomaly_type, impact"""
    correlations: list[tuple[str, datetime, str, float]] = field(default_factory=list)
    """tenant, started_at, type, strength"""


def made_up(seed: int, events: int = 400) -> Traffic:
    """The same traffic for the same seed; some of it outside the period, some exactly on its edges."""
    draw = random.Random(seed)
    return Traffic(
        events=[_event(draw) for _ in range(events)],
        ledger=[
            (
                draw.choice(["lah.events", "rest"]),
                minute,
                tenant,
                draw.randrange(50),
                draw.randrange(5),
                draw.randrange(5),
            )
            for minute in sorted({_at(draw).replace(second=0, microsecond=0) for _ in range(40)})
            for tenant in (*TENANTS, "unknown")
        ],
        dead_letters=[
            (
                draw.choice([*TENANTS, "unknown"]),
                _at(draw),
                draw.choice(["invalid_json", "too_old"]),
                draw.random() < 0.5,
            )
            for _ in range(60)
        ],
        costs=[
            (
                FROM + timedelta(days),
                tenant,
                model,
                10,
                unpriced,
                _usd(draw),
                None if unpriced == 10 else _usd(draw),
                _usd(draw),
            )
            for days in range(-1, 4)
            for tenant in TENANTS
            for model in ("gpt-4", "kimi-k2")
            for unpriced in [draw.choice([0, 3, 10])]
        ],
        anomalies=[
            (
                draw.choice(TENANTS),
                _at(draw),
                draw.choice(["security", "telemetry"]),
                draw.choice(["spike", "drop"]),
                draw.choice(["low", "high", "critical"]),
            )
            for _ in range(30)
        ],
        correlations=[
            (draw.choice(TENANTS), _at(draw), draw.choice(["security_incident", "temporal"]), draw.random())
            for _ in range(20)
        ],
    )


def fill(connection: Connection, traffic: Traffic) -> None:
    """Write the traffic straight into the tables."""
    connection.execute("select ensure_event_partition(%s::date + n) from generate_series(-2, 4) n", [FROM])
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "insert into events (ts, tenant, event_id, series_id, received_at, source_module, event_type, payload_type,"
            " subtype, severity, environment, schema_version, tags, payload, topic, partition, record_offset)"
            " values (%s, %s, %s, 1, %s, 'llm-sentinel', %s, %s, %s, %s, 'production', '1.0.0', '{}', %s, 't', 0, %s)",
            [
                (
                    e.at,
                    e.tenant,
                    UUID(int=n),
                    e.at,
                    e.payload_type,
                    e.payload_type,
                    e.subtype,
                    e.severity,
                    Jsonb(e.payload),
                    n,
                )
                for n, e in enumerate(traffic.events)
            ],
        )
        cursor.executemany(
            "insert into ledger values (%s, 0, %s, %s, %s, %s, %s, %s)",
            [(topic, minute, tenant, s + d + x, s, d, x) for topic, minute, tenant, s, d, x in traffic.ledger],
        )
        cursor.executemany(
            "insert into dead_letters (tenant, topic, topic_id, partition, record_offset, dead_lettered_at, code,"
            " field, reason, replayed_at, replayed_as) values (%s, 't', '', 0, %s, %s, %s, '', '', %s, %s)",
            [
                (tenant, n, at, code, END if is_replayed else None, "stored" if is_replayed else None)
                for n, (tenant, at, code, is_replayed) in enumerate(traffic.dead_letters)
            ],
        )
        cursor.executemany(
            "insert into cost_daily values (%s, %s, %s, 'p', '', '', %s, 0, 0, 0, 0, 0, 0, %s, %s, %s, %s, now())",
            [
                (day, tenant, model, n, usd, priced, un, other)
                for day, tenant, model, n, un, usd, priced, other in traffic.costs
            ],
        )
        cursor.executemany(
            "insert into series (tenant, event_type, subtype, model, environment, service, region, team)"
            " values (%s, %s, '', '', '', '', '', '')",
            [(tenant, event_type) for tenant in TENANTS for event_type in ("security", "telemetry")],
        )
        cursor.executemany(
            "insert into anomalies select %s, tenant, series_id, 'events', '1h', %s, 'mad', %s, %s, %s, 0.5, 1, 2, 3,"
            " %s, '', now() from series where tenant = %s and event_type = %s",
            [
                (UUID(int=n), anomaly_type, at, at, at, impact, tenant, event_type)
                for n, (tenant, at, event_type, anomaly_type, impact) in enumerate(traffic.anomalies)
            ],
        )
        cursor.executemany(
            "insert into correlations values (%s, %s, %s, %s, %s, %s, 0.5, '', now())",
            [
                (UUID(int=n), t, kind, at, at, strength)
                for n, (t, at, kind, strength) in enumerate(traffic.correlations)
            ],
        )


def _at(draw: random.Random) -> datetime:
    if draw.random() < 0.1:
        return draw.choice(_EDGES)
    return START - timedelta(hours=20) + timedelta(seconds=draw.randrange(110 * 3600))


def _usd(draw: random.Random) -> Decimal:
    return Decimal(draw.randrange(10**14)) / 10**12


def _event(draw: random.Random) -> Event:
    payload_type, subtype, payload = draw.choice(list(_payloads(draw)))
    severity = draw.choice(["info", "warning", "critical"])
    return Event(_at(draw), draw.choice(TENANTS), payload_type, subtype, severity, payload)


def _payloads(draw: random.Random) -> Iterator[tuple[str, str, dict[str, Any]]]:
    yes = draw.random() < 0.7
    yield "telemetry", "latency", {"total_latency_ms": 3}
    yield "security", "threat", {"threat_type": {"other": "drift"}, "threat_level": "high"}
    yield "security", "auth", {"action": draw.choice(["login", "permission_denied"]), "success": yes}
    yield "security", "privacy", {"operation": draw.choice(["data_access", "data_deletion"]), "user_consent": yes}
    yield "security", "compliance_violation", {"regulation": "GDPR", "remediation_required": yes}
    yield "governance", "policy_violation", {"severity": draw.choice(["low", "high"]), "auto_remediated": yes}
    yield "governance", "audit_trail", {"action": "update", "actor": draw.choice("abc")}
    statuses = [draw.choice(["pass", "fail", "manual"]) for _ in range(3)]
    yield (
        "governance",
        "compliance_check",
        {
            "framework": draw.choice(["SOC 2", "HIPAA"]),
            "passed": yes,
            "score": draw.choice([1, 0.5, 87.25]),
            "findings": [{"control_id": f"C{n}", "status": status} for n, status in enumerate(statuses)],
        },
    )
