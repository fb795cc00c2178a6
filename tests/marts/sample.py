"""Rows for the tables that the marts read, drawn from a seed; what was drawn is kept for the naive recomputation."""

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import polars as pl

from lah_platform.rollups.aggregate import ROWS_SCHEMA, aggregate_minutes, merge, with_measures
from lah_platform.rollups.windows import window
from lah_platform.stores.postgres import Connection
from tests.audit_rows import write_past

FIRST = date(2026, 3, 1)
LONG_AGO = datetime(2026, 4, 1, tzinfo=UTC)
TOKENS = (
    "input_fresh_tokens",
    "input_cache_read_tokens",
    "input_cache_write_tokens",
    "input_unknown_tokens",
)
_DETAILS: dict[str, list[dict[str, Any]]] = {
    "threat": [{"mitigation_status": status} for status in ("detected", "blocked", "mitigated", "investigating")],
    "vulnerability": [{"remediation_status": status} for status in ("identified", "patching", "patched", "accepted")],
    "auth": [{"success": True}, {"success": False}],
    "privacy": [{"user_consent": True}, {"user_consent": False}],
    "compliance_check": [{"passed": True}, {"passed": False}],
    "compliance_violation": [{}],
    "policy_violation": [{}],
    "audit_trail": [{"action": "grant_role"}],
    "data_lineage": [{"operation": "read"}],
}


@dataclass
class Sample:
    """Rows as dicts, by table; `measured` holds each event of the rollups with its series' tenant and model."""

    costs: list[dict[str, Any]] = field(default_factory=list)
    measured: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    dead_letters: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    audit_log: list[dict[str, Any]] = field(default_factory=list)
    final_before: datetime = datetime(2026, 3, 5, tzinfo=UTC)


def _days(rng: random.Random, share: float) -> list[date]:
    return [FIRST + timedelta(days=n) for n in range(20) if rng.random() < share]


def _moment(rng: random.Random, day: date) -> datetime:
    """Any moment of the UTC day, often its first or last microsecond."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    last = 24 * 3600 * 10**6 - 1
    return start + timedelta(microseconds=rng.choice([0, last, rng.randint(0, last), rng.randint(0, last)]))


def _usd(rng: random.Random) -> Decimal:
    return Decimal(rng.choice([0, rng.randint(1, 10**6), rng.randint(1, 10**27)])).scaleb(-12)


def draw(seed: int) -> Sample:
    rng = random.Random(seed)
    sample = Sample()
    for team in ("", "search", "support"):
        for tenant in ("acme", "globex"):
            for day in _days(rng, 0.6):
                sample.costs += [_cost(rng, day, tenant, model, team) for model in ("a", "b") if rng.random() < 0.8]
    sample.costs.append(_cost(rng, FIRST, "credited", "a", "search") | {"other_usd": Decimal("-1e6")})
    sample.costs.append(_cost(rng, FIRST, "credited", "a", "support"))
    nothing = {"reported_usd": Decimal(0), "other_usd": Decimal(0)}
    sample.costs.append(_cost(rng, FIRST, "idle", "a", "search") | nothing)
    for series in range(6):
        sample.measured += _measurements(rng, series)
    for number in range(600):
        sample.events.append(_evidence(rng, number))
    for number in range(200):
        _operate(rng, sample, number)
    return sample


def _cost(rng: random.Random, day: date, tenant: str, model: str, team: str) -> dict[str, Any]:
    buckets = {name: rng.choice([0, rng.randint(1, 10**6), 2**60]) for name in TOKENS}
    return {
        "day": day,
        "tenant": tenant,
        "model": model,
        "environment": "production",
        "service": rng.choice(["chat", "batch"]),
        "team": team,
        "requests": rng.randint(1, 1000),
        **buckets,
        "input_tokens": sum(buckets.values()),
        "output_tokens": rng.randint(0, 10**6),
        "reported_usd": _usd(rng),
        "priced_usd": rng.choice([None, _usd(rng)]),
        "unpriced_requests": rng.randint(0, 5),
        "other_usd": _usd(rng),
        "computed_at": LONG_AGO + timedelta(seconds=rng.randint(0, 10**6)),
    }


def _measurements(rng: random.Random, series: int) -> list[dict[str, Any]]:
    """Series 0 to 3 are two models of one tenant, of very different speed and size: means of percentiles are wrong."""
    tenant, model = ("acme", "ab"[series // 2]) if series < 4 else ("globex", "a")
    slowness = 50.0 ** (series % 2)
    rows = []
    for day in _days(rng, 0.5):
        base = {"series": series, "tenant": tenant, "model": model}
        for _ in range(rng.choice([1, 3, 400 if series % 2 == 0 else 30])):
            latency = rng.lognormvariate(5, 1) * slowness
            ttft = latency / 3 if rng.random() < 0.8 else None
            rows.append(base | {"ts": _moment(rng, day), "latency_ms": latency, "ttft_ms": ttft})
        for _ in range(rng.choice([0, 1, 5])):
            total = rng.choice([0, rng.randint(1, 2000)])
            failed = rng.choice([0, total // 1000, rng.randint(0, total)])
            rows.append(base | {"ts": _moment(rng, day), "total_requests": total, "failed_requests": failed})
    return rows


def _evidence(rng: random.Random, number: int) -> dict[str, Any]:
    subtype = rng.choice(sorted(_DETAILS))
    payload_type = "governance" if subtype in _GOVERNANCE else "security"
    if rng.random() < 0.1:
        payload_type = "custom"  # a custom event may be called like one of the catalog and is no evidence
    return {
        "ts": _moment(rng, FIRST + timedelta(days=rng.randint(0, 3))),
        "tenant": rng.choice(["acme", "globex"]),
        "event_id": UUID(int=number),
        "payload_type": payload_type,
        "event_type": "audit" if subtype == "audit_trail" else "security",
        "subtype": subtype,
        "payload": rng.choice(_DETAILS[subtype]),
    }


_GOVERNANCE = frozenset({"policy_violation", "audit_trail", "compliance_check", "data_lineage"})


def _operate(rng: random.Random, sample: Sample, number: int) -> None:
    at = _moment(rng, FIRST + timedelta(days=rng.randint(0, 3)))
    tenant = rng.choice(["acme", "globex", "unknown"])
    counts = {name: rng.randint(0, 3) for name in ("stored", "duplicate", "dead_lettered")}
    lost = rng.choice([0, 0, 0, 2])
    minute = at.replace(second=0, microsecond=0)
    sample.ledger.append(
        {"topic": "t", "partition": number, "minute": minute, "tenant": tenant, "received": sum(counts.values()) + lost}
        | counts
    )
    replayed_at = at if rng.random() < 0.5 else None
    sample.dead_letters.append({"tenant": tenant, "dead_lettered_at": at, "replayed_at": replayed_at, "offset": number})
    sample.checks.append({"checked_at": at, "passed": rng.random() < 0.7})
    sample.audit_log.append({"at": at, "tenant": rng.choice(["acme", "*"])})


def _insert(connection: Connection, table: str, rows: list[dict[str, Any]]) -> None:
    columns = list(rows[0])
    values = ", ".join(f"%({name})s" for name in columns)
    with connection.cursor() as cursor:
        cursor.executemany(f"insert into {table} ({', '.join(columns)}) values ({values})".encode(), rows)


def write(connection: Connection, sample: Sample) -> None:
    """Insert the sample; the rollups are made by the hub's own functions."""
    _insert(connection, "cost_daily", sample.costs)
    _write_rollups(connection, sample)
    connection.execute("update rollup_state set final_before = %s", (sample.final_before,))
    for day in {row["ts"].date() for row in sample.events}:
        connection.execute("select ensure_event_partition(%s)", (day,))
    constant = {"series_id": 0, "received_at": LONG_AGO, "source_module": "llm-sentinel", "severity": "info"} | {
        "environment": "test",
        "schema_version": "1.0.0",
        "tags": "{}",
        "topic": "t",
        "partition": 0,
        "record_offset": 0,
    }
    _insert(connection, "events", [constant | row | {"payload": json.dumps(row["payload"])} for row in sample.events])
    _insert(connection, "ledger", sample.ledger)
    letter = {"topic": "t", "topic_id": "", "partition": 0, "code": "c", "field": "f", "reason": "r"}
    _insert(
        connection,
        "dead_letters",
        [
            letter | {("record_offset" if k == "offset" else k): v for k, v in row.items()}
            for row in sample.dead_letters
        ],
    )
    check = {"asset": "events", "check_name": "c", "severity": "warn", "blocking": False, "advice": ""}
    _insert(connection, "checks", [check | row for row in sample.checks])
    write_past(connection, sample.audit_log)


def _write_rollups(connection: Connection, sample: Sample) -> None:
    ids = {}
    for series in sorted({row["series"] for row in sample.measured}):
        row = next(row for row in sample.measured if row["series"] == series)
        dimensions = (row["tenant"], row["model"], f"service-{series}")
        ids[series] = connection.execute(
            "insert into series (tenant, event_type, subtype, model, environment, service, region, team)"
            " values (%s, 'telemetry', 'latency', %s, 'test', %s, '', '') returning series_id",
            dimensions,
        ).fetchone()
    empty = dict.fromkeys(ROWS_SCHEMA)
    rows = [
        empty | {"series_id": ids[row["series"]][0], "subtype": "latency"} | {k: row[k] for k in row if k in empty}  # type: ignore[index]
        for row in sample.measured
    ]
    days = with_measures(merge(aggregate_minutes(pl.DataFrame(rows, schema=ROWS_SCHEMA)), window("1d")))
    stamps = {"revision": 1, "computed_at": LONG_AGO}
    _insert(connection, "rollup_1d", [row | stamps for row in days.drop("avg", "stddev").to_dicts()])
