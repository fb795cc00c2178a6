"""Whoever reads with SQL sees the rows of the own tenants, whatever is set, named, called or defined."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import cycle
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from lah_platform.errors import ConfigurationError
from lah_platform.stores.postgres import Connection
from lah_platform.stores.readers import grant_reader, list_readers, revoke_reader
from tests.stores.event_rows import add_event, add_series

_REFUSED = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.WrongObjectType,
    psycopg.errors.ObjectNotInPrerequisiteState,
)
_AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
_OWN, _OTHER = "acme", "globex"
# Relations that a tenant is not shown, each with the reason
_NOT_SHOWN = {
    "api_keys": "secrets", "audit_log": "the operator's", "sql_readers": "the operator's", "reports": "by REST",
    "events": "payloads may be personal: by REST, with a role", "dead_letters": "raw bytes: by REST, with a role",
    "deliveries": "by REST",
    "identities_0": "the hub's own", "identities_1": "the hub's own", "identity_collisions_0": "the hub's own",
    "encryption_keys": "secrets", "subjects": "who is who", "subject_tombstones": "who was who",
    "event_subjects": "the hub's own", "content_policies": "by REST", "identity_collisions_1": "the hub's own",
    "metrics_1m_live": "its function reads every tenant's partials: by REST",
    "retention_rules": "by REST, with a role", "legal_holds": "by REST, with a role",
    "consents": "by REST, with a role", "erasure_receipts": "by REST, with a role",
    "subject_requests": "the operator's",
}  # fmt: skip


@pytest.fixture
def seeded(connection: Connection) -> Connection:
    for number, tenant in enumerate((_OWN, _OTHER)):
        series_id = add_series(connection, tenant=tenant)
        add_event(connection, number + 1, _AT, tenant=tenant, series_id=series_id)
        for table in (
            "rollup_1m",
            "rollup_5m",
            "rollup_15m",
            "rollup_1h",
            "rollup_6h",
            "rollup_1d",
            "rollup_1w",
            "rollup_1mo",
        ):
            connection.execute(
                f"insert into {table} values (%s, %s, 'events', 1, 1, null, 1, 1, 1, 0, 1, 1, 1, '{{}}', '{{}}', 1,"
                " %s)".encode(),
                [_AT, series_id, _AT],
            )
        connection.execute(
            "insert into anomalies (anomaly_id, tenant, series_id, metric, window_name, anomaly_type, method,"
            " started_at, peak_at, ended_at, score, baseline, observed, deviation, impact, explanation, detected_at)"
            " values (%s, %s, %s, 'events', '1h', 'spike', 'm', %s, %s, %s, 0.5, 1, 2, 3, 'low', 'x', %s)",
            [UUID(int=number + 1), tenant, series_id, _AT, _AT, _AT + timedelta(hours=1), _AT],
        )
        connection.execute(
            "insert into correlations values (%s, %s, 'temporal', %s, %s, 0.5, 0.5, 'x', %s)",
            [UUID(int=number + 1), tenant, _AT, _AT, _AT],
        )
        connection.execute(
            "insert into correlation_members values (%s, 1, 'effect', 'series', %s, 'events', %s)",
            [UUID(int=number + 1), f"{tenant}'s", _AT],
        )
        connection.execute(
            "insert into incidents (incident_id, tenant, title, severity, is_open, started_at, ended_at, story,"
            " detected_at) values (%s, %s, 'x', 'low', false, %s, %s, '{}', %s)",
            [UUID(int=number + 1), tenant, _AT, _AT, _AT],
        )
        connection.execute(
            "insert into incident_members values (%s, 1, 'anomaly', %s)", [UUID(int=number + 1), f"{tenant}'s"]
        )
        connection.execute(
            "insert into anomaly_dismissals (anomaly_id, tenant, series_id, metric, anomaly_type, started_at,"
            " deviation, dismissed_by) values (%s, %s, %s, 'events', 'spike', %s, 3, 'x')",
            [UUID(int=number + 1), tenant, series_id, _AT],
        )
        connection.execute(
            "insert into maintenance_windows (tenant, starts_at, ends_at, reason, created_by)"
            " values (%s, %s, %s, 'x', 'x')",
            [tenant, _AT, _AT + timedelta(hours=1)],
        )
        connection.execute(
            "insert into ledger (tenant, topic, partition, minute, received, stored, duplicate, dead_lettered)"
            " values (%s, 't', %s, %s, 1, 1, 0, 0)",
            [tenant, number, _AT],
        )
        connection.execute("insert into corrections values (%s, 1, %s)", [tenant, _AT])
        for relation in ("live_inbox", "live_changes"):
            connection.execute(
                f"insert into {relation} (kind, change, tenant, noted_at) values ('anomaly', 'new', %s, %s)",
                [tenant, _AT],
            )
        connection.execute(
            "with verdict as (insert into checks (checked_at, asset, check_name, severity, blocking, passed, advice)"
            " values (%s, 'events', 'x', 'warn', false, true, '') returning check_id)"
            " insert into tenant_verdicts select check_id, %s, true, 1, 0 from verdict",
            [_AT, tenant],
        )
        connection.execute("insert into quality_scores values (%s, %s, 100, 1, 0, 1, 0, %s)", [_AT, tenant, _AT])
        connection.execute(
            "insert into payload_shapes values (%s, %s, 'm', 'telemetry', 'latency', 'f', 'string', 1, 1)",
            [_AT, tenant],
        )
        connection.execute(
            "insert into suspect_windows (tenant, series_id, metric, window_name, window_rank, period_from, period_to,"
            " asset, check_name, advice, since) values (%s, %s, 'events', '1h', 4, %s, %s, 'rollup_1h', 'x', 'x', %s)",
            [tenant, series_id, _AT, _AT + timedelta(hours=1), _AT],
        )
    connection.execute("insert into sql_readers values ('somebody else', %s)", [_OTHER])
    return connection


@contextmanager
def _login(owner: Connection, *tenants: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection as a login that reads the rows of `tenants`."""
    name, password = f"reader_{secrets.token_hex(6)}", secrets.token_hex(12)
    owner.execute(sql.SQL("create role {} login password {}").format(sql.Identifier(name), sql.Literal(password)))
    for tenant in tenants:
        grant_reader(owner, name, tenant, actor="test")
    info = owner.info
    try:
        with psycopg.connect(
            host=info.host, port=info.port, dbname=info.dbname, user=name, password=password, autocommit=True
        ) as connection:
            yield connection
    finally:
        owner.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
        owner.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def _views(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    rows = connection.execute(
        "select relname from pg_class where relnamespace = 'lah_tenant'::regnamespace order by relname"
    )
    return [str(name) for (name,) in rows]


def _tenants_seen(reader: psycopg.Connection[tuple[object, ...]]) -> dict[str, set[str]]:
    """By view: the tenants whose rows it shows, by any text in them."""
    seen = {}
    for view in _views(reader):
        rows = reader.execute(sql.SQL("select v::text from lah_tenant.{} v").format(sql.Identifier(view))).fetchall()
        text = " ".join(str(row) for row in rows)
        seen[view] = {tenant for tenant in (_OWN, _OTHER) if tenant in text}
    return seen


def test_every_relation_with_a_tenant_is_shown_by_tenant_or_has_a_reason_not_to_be(connection: Connection) -> None:
    rows = connection.execute(
        "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant'"
        " where c.relnamespace = 'lah'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition"
    ).fetchall()
    assert {name for (name,) in rows} == (set(_views(connection)) | _NOT_SHOWN.keys()) - {
        "metrics", "prices", "correlation_members", "incident_members"
    }  # fmt: skip


def test_a_reader_sees_the_own_rows_in_every_view_and_no_other_tenants(seeded: Connection) -> None:
    nobodys = {"metrics", "prices", "ledger_imbalance", "cost_daily", "forecasts", "forecast_models"}
    with _login(seeded, _OWN) as reader:
        seen = _tenants_seen(reader)
        assert {view: tenants for view, tenants in seen.items() if view not in nobodys} == {
            view: {_OWN} for view in seen.keys() - nobodys
        }
        assert all(_OTHER not in seen[view] for view in nobodys & seen.keys())
    with _login(seeded, _OWN, _OTHER) as both:
        assert _tenants_seen(both)["metrics_1h"] == {_OWN, _OTHER}
    with _login(seeded) as nobody, pytest.raises(psycopg.errors.InsufficientPrivilege):
        _tenants_seen(nobody)


def test_no_setting_and_no_role_shows_another_tenants_rows(seeded: Connection) -> None:
    with _login(seeded, _OWN) as reader:
        settings = reader.execute(
            "select name, vartype, enumvals, min_val, max_val from pg_settings where context = 'user'"
            " and name not in ('statement_timeout', 'transaction_timeout', 'lock_timeout', 'idle_session_timeout')"
        ).fetchall()
        shown = reader.execute(
            "select relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant'"
            " where relnamespace = 'lah_tenant'::regnamespace order by relname"
        ).fetchall()
        views = cycle(str(name) for (name,) in shown)
        tried: dict[str, int] = {}
        for name, kind, choices, least, most in settings:
            values = {"bool": ["on", "off"], "enum": choices, "integer": [least, most], "real": [least, most]}
            for value in values.get(str(kind), ["lah", "lah_tenant, lah", _OTHER]):  # type: ignore[attr-defined]
                with suppress(psycopg.Error):
                    reader.execute("select set_config(%s, %s, false)", [name, str(value)])
                for view in (next(views), next(views), next(views)):
                    asked = sql.SQL("select array_agg(distinct tenant) from lah_tenant.{}").format(sql.Identifier(view))
                    with suppress(psycopg.Error):  # some settings make a statement fail, none may make it see more
                        (row,) = reader.execute(asked).fetchall()
                        assert row[0] in ([_OWN], None), (view, name, value)
                        tried[view] = tried.get(view, 0) + (row[0] == [_OWN])
            reader.execute("reset all")
        empty = {"ledger_imbalance", "cost_daily", "forecasts", "forecast_models"}
        assert {view for view, times in tried.items() if times > 10} >= {str(name) for (name,) in shown} - empty
        for name, value in (("lah.tenant", _OTHER), ("app.tenant", _OTHER), ("session_user", _OTHER)):
            with suppress(psycopg.Error):
                reader.execute("select set_config(%s, %s, false)", [name, value])
        for role in ("lah_reader", "lah_tenant_reader", "lah", "postgres", "pg_read_all_data"):
            for statement in ("set role {}", "set session authorization {}"):
                with suppress(psycopg.Error):
                    reader.execute(sql.SQL(statement).format(sql.Identifier(role)))
                (row,) = reader.execute("select array_agg(distinct tenant) from lah_tenant.metrics_1h").fetchall()
                assert row[0] == [_OWN], (statement, role)


def test_a_readers_own_function_is_called_for_own_rows_only(seeded: Connection) -> None:
    with _login(seeded, _OWN) as reader:
        reader.execute(
            "create function pg_temp.leak(text) returns boolean language plpgsql cost 0.0000001 as"
            " $$ begin raise warning 'saw %', $1; return true; end $$"
        )
        heard: list[str] = []
        reader.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
        for view in ("metrics_1h", "series", "anomalies", "ledger"):
            reader.execute(f"select * from lah_tenant.{view} where pg_temp.leak(tenant)".encode()).fetchall()
        assert set(heard) == {f"saw {_OWN}"}


def test_no_table_of_the_hub_is_read_and_nothing_is_written(seeded: Connection) -> None:
    with _login(seeded, _OWN) as reader:
        relations = reader.execute(
            "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname in ('lah', 'lah_tenant') and c.relkind in ('r', 'p', 'v', 'm', 'S')"
        ).fetchall()
        assert len(relations) > 60
        for schema, name in relations:
            at = sql.Identifier(str(schema), str(name))
            if schema == "lah":
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute(sql.SQL("select * from {}").format(at))
            for statement in ("delete from {}", "truncate {}", "drop table {}"):
                with pytest.raises(_REFUSED):
                    reader.execute(sql.SQL(statement).format(at))
        for statement in ("create table lah.mine (n integer)", "create table lah_tenant.mine (n integer)",
                          "create or replace view lah_tenant.series as select 1", "grant lah_reader to current_user",
                          f"insert into lah.sql_readers values (session_user, '{_OTHER}')"):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(statement.encode())


def test_no_function_of_the_hub_tells_or_does_anything_about_others(seeded: Connection) -> None:
    calls = [
        "drop_event_partitions(current_date)",
        "drop_event_day('2026-03-04')",
        "event_table_days()",
        "ensure_event_partition('2030-01-01')",
        "event_day_table('2030-01-01')",
        "lah_add_tenant_view('events', 'true')",
        "lah_report_rows('select 1')",
        "audit_field('x')",
        "audit_content_hash(1, now(), '', '', '', '', '', '{}', gen_random_uuid())",
        "lah_hold_privacy_epoch()",
        "lah_next_privacy_epoch()",
        "lah_is_held('events', 'acme', '', now(), '')",
        "lah_report_rows('select 1')",
    ]
    with _login(seeded, _OWN) as reader:
        for call in calls:
            with pytest.raises(psycopg.Error):
                reader.execute(f"select lah.{call}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("select * from lah.rollup_pending_buckets()")
        assert reader.execute("select lah.lah_my_tenants()").fetchone() == ([_OWN],)
        known = {
            row[0]
            for row in reader.execute(
                "select proname from pg_proc where pronamespace = 'lah'::regnamespace"
                " and prorettype <> 'trigger'::regtype"  # which nobody can call
            )
        }
        pure = {name for name in known if name.startswith(("lah_hist", "lah_m2", "lah_stddev", "lah_series"))}
        tried = {call.split("(")[0] for call in calls} | {"rollup_pending_buckets", "lah_my_tenants"}
        assert known - pure - tried == {"lah_without_personal"}  # of its argument only


def test_revoking_holds_from_the_next_statement_on_and_each_step_is_audited(seeded: Connection) -> None:
    with _login(seeded, _OWN) as reader:
        name = reader.info.user
        assert {(each.role_name, each.tenant) for each in list_readers(seeded)} == {
            (name, _OWN),
            ("somebody else", _OTHER),
        }
        assert not grant_reader(seeded, name, _OWN, actor="test")
        assert revoke_reader(seeded, name, actor="test") == [_OWN]
        assert reader.execute("select count(*) from lah_tenant.metrics_1h").fetchone() == (0,)
        steps = seeded.execute("select action, object_id, tenant from audit_log where object_type = 'sql_reader'")
        assert steps.fetchall() == [("grant", name, _OWN), ("revoke", name, _OWN)]


def test_a_login_that_is_not_there_or_reads_everything_anyway_is_refused(connection: Connection) -> None:
    with pytest.raises(ConfigurationError, match="There is no login"):
        grant_reader(connection, "nobody at all", _OWN, actor="test")
    with pytest.raises(ConfigurationError, match="whatever is granted"):
        grant_reader(connection, connection.info.user, _OWN, actor="test")
