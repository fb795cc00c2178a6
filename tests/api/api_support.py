"""What the API's tests share: the app with a key for everyone, and rows to read."""

import base64
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from api.app import create_app
from api.examples import ANOMALY_ID, BACKFILL_ID, INCIDENT_ID, KEY_ID, REPORT_ID, REPORT_REQUEST_ID
from api.services import Services
from lah_platform.compliance.detached import Format, ReportKey, detached_record, digest
from lah_platform.compliance.signing import Signer
from lah_platform.events.decode import decode
from lah_platform.events.envelope import Event
from lah_platform.events.examples import EXAMPLE_DATA, flat_example
from lah_platform.events.rejection import Rejection
from lah_platform.privacy.master_key import HeldKeys
from lah_platform.privacy.subjects import Person
from lah_platform.rollups.histogram import key
from lah_platform.rollups.windows import WINDOWS
from lah_platform.settings import Settings
from lah_platform.stores.audit_heads import sign_new_head
from lah_platform.stores.content_policies import set_policy
from lah_platform.stores.doors import DirectDoor
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.keys import EVERY_TENANT, ROLES, create_key
from lah_platform.stores.postgres import Connection, connect, open_pool
from lah_platform.stores.subjects import resolve_subjects

with warnings.catch_warnings():
    # Starlette wants its client built on httpx2, which no locked package brings
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SIGNING_KEY = base64.b64encode(bytes(range(32))).decode()
SECRET = b"a secret of the tests, long enough"
_MASTER = HeldKeys("file", {1: bytes(32)})
TENANTS = ("acme", "globex")

LISTS = {
    "events": "/api/v1/events",
    "metrics": "/api/v1/metrics",
    "anomalies": "/api/v1/anomalies",
    "correlations": "/api/v1/correlations",
    "incidents": "/api/v1/incidents",
    "forecasts": "/api/v1/forecasts",
    "forecast_models": "/api/v1/forecasts/models",
    "costs": "/api/v1/costs",
    "reports": "/api/v1/reports",
    "checks": "/api/v1/checks",
    "check_history": "/api/v1/checks/history",
    "quality_scores": "/api/v1/quality-scores",
    "suspects": "/api/v1/suspects",
    "dead_letters": "/api/v1/dead-letters",
}


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Api:
    """The app, and a key for every (tenant, role)."""

    app: FastAPI
    services: Services
    keys: dict[tuple[str, str], str]
    url: str

    def client(self, tenant: str | None = "acme", role: str = "admin") -> TestClient:
        """A client that sends the key of that tenant and role; None: no key."""
        headers = {} if tenant is None else {"Authorization": f"Bearer {self.keys[tenant, role]}"}
        return TestClient(self.app, headers=headers)

    def changed(self, **services: Any) -> "Api":
        """The same database behind an app whose services differ."""
        changed = replace(self.services, **services)
        return Api(create_app(changed), changed, self.keys, self.url)


def decode_at_now(raw: bytes | None, _received_at: datetime) -> Event | Rejection:
    return decode(raw, now=NOW)


@contextmanager
def running_api(url: str) -> Iterator[Api]:
    """The app on the migrated database at `url`, with a key for every tenant and role."""
    door = DirectDoor(url, decoder=decode_at_now)
    with open_pool(url, application_name="test-api", max_size=4, statement_timeout_ms=15_000) as pool:
        services = Services(
            pool=pool,
            door=door,
            settings=Settings(signing_key=SecretStr(SIGNING_KEY)),
            secret=SECRET,
            keys=KeyRing(_MASTER),
            clock=lambda: NOW,
        )
        keys = {}
        with pool.connection() as connection:
            for tenant, role in product((*TENANTS, EVERY_TENANT), ROLES):
                if (tenant, role) != (EVERY_TENANT, "ingest"):
                    _, keys[tenant, role] = create_key(
                        connection, SECRET, tenant=tenant, role=role, label="test", actor="test"
                    )
        yield Api(create_app(services), services, keys, url)
    door.close()


def seed(api: Api) -> None:
    """Rows of both tenants in every table that is served."""
    with connect(api.url) as connection:
        for place, tenant in enumerate(TENANTS):
            _seed_events(api, tenant)
            _seed_tables(connection, tenant, place)
        _seed_common(connection)


def _seed_events(api: Api, tenant: str) -> None:
    # The same event_id in both tenants: an id alone must never open another tenant's event
    events = [flat_example(subtype) for subtype in EXAMPLE_DATA]
    broken = {**flat_example("latency"), "severity": "loud"}
    answer = api.client(tenant, "ingest").post("/api/v1/events/batch", json=[*events, broken]).json()
    assert (answer["accepted"], answer["rejected"]) == (len(events), 1)


def _seed_tables(connection: Connection, tenant: str, place: int) -> None:
    start = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
    (series_id,) = connection.execute(
        "select series_id from series where tenant = %s and subtype = 'latency'", [tenant]
    ).fetchone() or (0,)
    for window in WINDOWS:
        bucket = window.floor(start)
        connection.execute(
            f"insert into {window.table} values (%s, %s, 'latency_ms', 2, 469, null, 234, 235, 234.5, 0.5, 234, 235,"
            " 235, %s, '{2}', 1, %s), (%s, %s, 'cost_usd', 1, null, 0.000001, 1e-6, 1e-6, 1e-6, 0, 1e-6, 1e-6, 1e-6,"
            " %s, '{1}', 1, %s)",
            [bucket, series_id, [key(234.0)], NOW, bucket, series_id, [key(1e-6)], NOW],
        )
    anomaly_id = UUID(ANOMALY_ID) if tenant == TENANTS[0] else UUID(int=10 + place)
    connection.execute(
        "insert into anomalies values (%s, %s, %s, 'latency_ms', '1h', 'spike', 'mad', %s, %s, %s, 0.7, 200, 900, 12,"
        " 'high', 'Latency is high', %s)",
        [anomaly_id, tenant, series_id, start, start, start + timedelta(hours=1), NOW],
    )
    connection.execute(
        "insert into maintenance_windows (tenant, starts_at, ends_at, reason, created_by)"
        " values (%s, %s, %s, 'move', 'test')",
        [tenant, NOW, NOW + timedelta(hours=1)],
    )
    connection.execute(
        "insert into correlations values (%s, %s, 'causal_chain', %s, %s, 0.8, 0.9, 'One caused the other', %s)",
        [UUID(int=20 + place), tenant, start, start, NOW],
    )
    connection.execute(
        "insert into correlation_members values (%s, 1, 'root_cause', 'anomaly', %s, 'latency_ms', %s),"
        " (%s, 2, 'effect', 'series', %s, 'cost_usd', %s)",
        [UUID(int=20 + place), str(anomaly_id), start, UUID(int=20 + place), str(series_id), start],
    )
    incident_id = UUID(INCIDENT_ID) if tenant == TENANTS[0] else UUID(int=50)
    story = {
        "what": ["Latency is high"],
        "since": start.isoformat(),
        "until": start.isoformat(),
        "where": {
            "hurt": "service chat",
            "symptom": "latency",
            "is_significant": True,
            "candidates": [
                {
                    "node": "model gpt-4o",
                    "confidence": 0.9,
                    "path": ["service chat", "model gpt-4o"],
                    "explained_share": 1.0,
                    "excess_per_step": 12.5,
                    "unit": "seconds",
                    "deviations": 40.0,
                    "onset": start.isoformat(),
                }
            ],
        },
        "hurts": {"service": ["chat"], "model": ["gpt-4o"], "team": ["search"]},
        "costs": {"cost_usd": 1.5, "main_cause": "cache", "volume_usd": 0.5, "cache_usd": 1.0},
        "next": ["Look at model gpt-4o (90%)"],
    }
    connection.execute(
        "insert into incidents values (%s, %s, 'latency_ms of service chat above the usual', 'high', false, %s, %s,"
        " 'model gpt-4o', 0.9, 1.5, %s, %s)",
        [incident_id, tenant, start, start + timedelta(hours=1), Jsonb(story), NOW],
    )
    connection.execute(
        "insert into incident_members values (%s, 0, 'anomaly', %s)", [incident_id, str(UUID(int=10 + place))]
    )
    connection.execute(
        "insert into forecasts values"
        " (%s, %s, 'latency_ms', '1h', 'combination', %s, %s, 5, 4, 6, 0.95, 0.1, %s, 4.5, 5.5),"
        " (%s, %s, 'cost_usd', '1d', 'combination', %s, %s, 5, 4, 6, 0.95, 0.1, %s, 4.5, 5.5)",
        [tenant, series_id, NOW + timedelta(hours=1), NOW, NOW, tenant, series_id, NOW, NOW - timedelta(days=1), NOW],
    )
    connection.execute(
        "insert into forecast_models"
        " select f.tenant, f.series_id, f.metric, f.window_name, f.method, f.trained_through,"
        " 1, '{\"level\": 1}', 2, 0.1, 0.1, 0.1, 0.9, 0.2, 0.5, 1, 0.3, true, 'Can be forecast.', f.computed_at"
        " from forecasts f where f.tenant = %s",
        [tenant],
    )
    connection.execute(
        "insert into cost_daily values ('2026-01-31', %s, 'gpt-4o', 'production', 'chat', 'search', 3, 30, 10, 10, 5,"
        " 5, 7, 0.000000000001, 12345678901234.5, 0, 0, %s)",
        [tenant, NOW],
    )
    _seed_report(connection, tenant, UUID(REPORT_ID) if tenant == TENANTS[0] else UUID(int=40))


def _seed_report(connection: Connection, tenant: str, report_id: UUID) -> None:
    content = {"tenant": tenant}
    documents: dict[Format, bytes] = {
        "html": f"<h1>Report of {tenant}</h1>".encode(),
        "pdf": f"%PDF {tenant}".encode(),
        "json": json.dumps(content).encode(),
        "csv": f"tenant\r\n{tenant}\r\n".encode(),
    }
    record = detached_record(
        ReportKey("soc2", tenant, "*", "2026-01-19", "2026-01-26"),
        1,
        documents,
        generated_at=NOW,
        requested_by="test",
        chain_head=None,
        signer=Signer(SIGNING_KEY),
    )
    connection.execute(
        "insert into reports (report_id, name, tenant, period_from, period_to, generated_at, content, sha256,"
        " requested_by) values (%s, 'soc2', %s, '2026-01-19', '2026-01-26', %s, %s, 'ab', 'test')",
        [report_id, tenant, NOW, Jsonb(content)],
    )
    for name, body in {**documents, "signature": record}.items():
        connection.execute(
            "insert into report_documents values (%s, %s, 'x', %s, %s)", [report_id, name, body, digest(body)]
        )
    connection.execute(
        "insert into deliveries (delivery_id, report_id, format, tenant, target, kind, attempts, last_error,"
        " requested_at, next_attempt_at)"
        " values (gen_random_uuid(), %s, 'json', %s, 'vault', 'store', 1, 'answered 500', %s, %s)",
        [report_id, tenant, NOW, NOW],
    )


def add_persons(connection: Connection) -> None:
    """The person of the examples, in both tenants."""
    with connection.transaction():
        resolve_subjects(connection, KeyRing(_MASTER), {Person(tenant, "customer-9") for tenant in TENANTS})


def _seed_common(connection: Connection) -> None:
    for tenant in TENANTS:
        set_policy(connection, tenant, "keep", actor="test")
        connection.execute(
            "insert into retention_rules (tenant, class, keep_days, set_by) values (%s, 'events', 300, 'test')",
            [tenant],
        )
        connection.execute(
            "insert into legal_holds (tenant, class, reason, placed_by) values (%s, 'costs', 'case', 'x')", [tenant]
        )
        connection.execute(
            "insert into erasure_receipts (receipt_id, tenant, identifier_hmac, subject_id, erased_at, erased_by,"
            " removed) values (gen_random_uuid(), %s, sha256(%s::bytea), gen_random_uuid(), %s, 'x', '{}')",
            [tenant, tenant.encode(), NOW],
        )
    add_persons(connection)

    connection.execute(
        "insert into retention_runs values (%s, %s, %s, 'test', '{\"kind\": \"retention\"}', 'x', 'x')",
        [UUID(int=60), NOW, NOW],
    )
    sign_new_head(connection, Signer("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), NOW)
    connection.execute(
        "insert into prices values ('gpt-4o', '2025-01-01', '2026-01-01', 'openai', 5, 2.5, null, 15, 'a list'),"
        " ('gpt-4o', '2026-01-01', 'infinity', 'openai', 2.5, 1.25, null, 10, 'a list'),"
        " ('claude', '2026-01-31 08:00Z', 'infinity', 'anthropic', 3, 0.3, 3.75, 15, 'another')"
    )
    connection.execute(
        "insert into live_inbox (kind, change, tenant, object_ids)"
        " select 'anomaly', 'new', tenant, array_agg(anomaly_id) from anomalies group by tenant"
    )
    for key_id, tenant in ((KEY_ID, TENANTS[0]), ("ba9876543210", TENANTS[1])):
        connection.execute(
            "insert into api_keys (key_id, tenant, role, label, key_hmac) values (%s, %s, 'viewer', 'seeded', '\\x00')",
            [key_id, tenant],
        )
    connection.execute(
        "insert into checks (checked_at, asset, check_name, severity, blocking, passed, checked_rows, failed_rows,"
        " observed, advice) values (%s, 'events', 'ids_are_unique', 'error', true, false, 100, 1, '{\"twice\": 1}',"
        " 'Look'), (%s, 'events', 'ids_are_unique', 'error', true, true, 101, 0, '{}', 'Fine')",
        [NOW - timedelta(hours=1), NOW],
    )
    for tenant in TENANTS:
        connection.execute("insert into tenant_verdicts select check_id, %s, passed, 50, 1 from checks", [tenant])
        connection.execute(
            "insert into quality_scores values ('2026-01-31', %s, 97.5, 20, 1, 1000, 3, %s)", [tenant, NOW]
        )
        connection.execute(
            "insert into suspect_windows (tenant, series_id, metric, window_name, window_rank, period_from, period_to,"
            " asset, check_name, advice, since) values (%s, 999, 'latency_ms', '1h', 4, %s, %s, 'rollup_1h',"
            " 'moments_are_possible', 'Report it', %s)",
            [tenant, NOW - timedelta(hours=1 + len(tenant)), NOW, NOW],
        )
    connection.execute(
        "insert into backfill_requests values (%s, 'cost_daily', '2026-01-01', '2026-01-31', 'test', %s),"
        " (%s, 'compliance_report', '2026-01-01', '2026-01-31', 'test', %s)",
        [BACKFILL_ID, NOW, REPORT_REQUEST_ID, NOW],
    )
    # Of Dagster's tables what is read of them; tests/api/test_api_runs.py has Dagster's own
    connection.execute(
        "create table dagster.runs (id bigint, run_id text, pipeline_name text, status text,"
        " create_timestamp timestamp, start_time float8, end_time float8)"
    )
    connection.execute("create table dagster.run_tags (run_id text, key text, value text)")
    connection.execute(
        "create table dagster.event_logs (run_id text, dagster_event_type text, asset_key text, partition text)"
    )
    connection.execute("insert into dagster.runs values (1, 'r1', 'cost_daily', 'SUCCESS', %s, 0, 1)", [NOW])


def problem_of(api: Api, path: str, **parameters: Any) -> dict[str, Any]:
    answer = api.client("*", "admin").get(path, params=parameters)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == 422
    assert problem["advice"]
    return problem


def required_by(path: str) -> dict[str, str]:
    return {"window": "1h", "metric": "latency_ms"} if "metrics" in path else {}
