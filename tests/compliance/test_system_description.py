"""The system description is what is configured: it changes with the settings and the tables, and hides every secret."""

import importlib.metadata
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lah_platform.compliance.facts import FactsDocument, facts_content
from lah_platform.compliance.system_description import QUERIED, masked
from lah_platform.settings import Settings
from lah_platform.stores.facts_documents import make_system_description
from lah_platform.stores.keys import create_key
from lah_platform.stores.migrations import status
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from tests.compliance.traffic import fill, made_up

_ROLES = {"viewer": frozenset({"metrics:read"})}


def _described(connection: Connection, **settings: Any) -> FactsDocument:
    now = datetime.now(UTC)
    return make_system_description(connection, Settings(**settings), roles=_ROLES, targets=(), now=now)


def _rows(document: FactsDocument, table_id: str) -> list[dict[str, Any]]:
    table = document.table(table_id)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def _value(document: FactsDocument, table_id: str, key: str, column: str) -> Any:
    table = document.table(table_id)
    return next(row[column] for row in _rows(document, table_id) if row[table.columns[0]] == key)


def test_a_setting_that_is_changed_changes_the_description_and_says_where_it_is_set(
    connection: Connection, tmp_path: Path
) -> None:
    before = _described(connection)
    assert _value(before, "settings", "LAH_RETENTION_DAYS", "value") == "400"
    assert _value(before, "settings", "LAH_RETENTION_DAYS", "from") == "default"
    after = _described(connection, retention_days=90, archive_dir=tmp_path, hot_days=40)
    assert _value(after, "settings", "LAH_RETENTION_DAYS", "value") == "90"
    assert _value(after, "settings", "LAH_RETENTION_DAYS", "from") == "environment"
    assert [row["kept_for"] for row in _rows(after, "retention")][:2] == ["90 days", "40 days"]
    assert {row["variable"] for row in _rows(after, "settings")} == {
        f"LAH_{name.upper()}" for name in Settings.model_fields
    }


def test_the_numbers_are_those_of_the_tables(connection: Connection, database: str) -> None:
    fill(connection, database, made_up(40))
    create_key(connection, b"a secret of the tests, long enough", tenant="new", role="viewer", label="", actor="test")
    found = _described(connection)
    for row in _rows(found, "relations"):
        counted = connection.execute(f"select count(*) from lah.{row['table']}".encode()).fetchone()
        assert (row["rows"],) == counted, row
        assert row["rows_are"] == "counted"
    tables = connection.execute(
        "select relname::text from pg_class where relnamespace = 'lah'::regnamespace and relkind in ('r', 'p')"
        " and not relispartition"
    ).fetchall()
    assert {row["table"] for row in _rows(found, "relations")} == {name for (name,) in tables}
    sent = dict(connection.execute("select tenant, sum(stored)::bigint from ledger group by tenant").fetchall())
    assert sum(sent.values()) > 0
    tenants = {row["tenant"]: row["stored"] for row in _rows(found, "tenants")}
    assert {tenant: tenants[tenant] for tenant in sent} == sent
    keys = {row["tenant"]: row["valid_keys"] for row in _rows(found, "tenants")}
    assert (tenants["new"], keys["new"]) == (0, 1)
    newest = status(connection)[-1]
    assert f"{newest.version:04d} {newest.name}" in _value(found, "versions", "schema lah", "version")
    assert _value(found, "versions", "dagster", "version") == importlib.metadata.version("dagster")


def test_whom_the_hub_talks_to_is_listed_and_a_hub_of_its_own_talks_to_nobody(connection: Connection) -> None:
    assert _rows(_described(connection), "third_parties") == []
    found = _described(
        connection,
        oidc_issuer="https://issuer.example",
        kafka_bootstrap="broker.example:9092",
        database_url="postgresql://lah:hunter2@db.example/lah",
    )
    assert {row["address"] for row in _rows(found, "third_parties")} == {
        "https://issuer.example",
        "broker.example:9092",
        "host=db.example dbname=lah",
    }


def test_what_dagster_keeps_is_described_once_it_has_run(connection: Connection) -> None:
    assert "until" in _described(connection).table("assets").note
    connection.execute("create table dagster.asset_keys (asset_key text, last_materialization_timestamp timestamp)")
    connection.execute(
        "insert into dagster.asset_keys values ('[\"cost_daily\"]', '2026-01-02 03:04:05'), ('[\"x\"]', null)"
    )
    assert _rows(_described(connection), "assets") == [
        {"asset": "cost_daily", "last_made": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}
    ]


def test_every_table_names_a_query_that_exists(connection: Connection) -> None:
    found = _described(connection)
    for each in QUERIED:
        assert each.table_id in queries("system")
        assert f"system.{each.table_id}" in found.table(each.table_id).source
    assert all(table.source for table in found.tables)


_secrets = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=12, max_size=30)


@given(
    _secrets, st.sampled_from(["sasl.password", "ssl.key.password", "sasl.oauthbearer.client.secret", "ssl.key.pem"])
)
def test_no_secret_is_shown_whatever_it_is_set_by(secret: str, entry: str) -> None:
    shown = masked("kafka_settings", {entry: secret, "session.timeout.ms": "6000"})
    assert shown is not None
    assert secret not in shown
    assert "session.timeout.ms=6000" in shown
    for address in (f"https://user:{secret}@host/x", f"kafka://{secret}@host:1,kafka://{secret}@host:2"):
        assert secret not in str(masked("address", address))


def test_no_secret_of_a_whole_hub_is_shown(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LAH_SECRET", "LAH_SIGNING_KEY"):
        monkeypatch.setenv(variable, "hunter2-hunter2-hunter2")
    monkeypatch.setenv("LAH_DATABASE_URL", "postgresql://lah:hunter2@db/lah")
    monkeypatch.setenv("LAH_KAFKA_SETTINGS", '{"sasl.password": "hunter2"}')
    found = _described(connection)
    assert "hunter2" not in str(facts_content(found))
    assert _value(found, "settings", "LAH_SECRET", "value") == "set, not shown"


def test_an_api_with_a_certificate_says_whose_it_is_and_until_when(connection: Connection, tmp_path: Path) -> None:
    assert "HTTP" in _described(connection).table("api_transport").note
    broken = tmp_path / "certificate.pem"
    broken.write_text("not a certificate")
    found = _described(connection, api_certificate=broken, api_certificate_key=broken)
    assert _value(found, "api_transport", "scheme", "value") == "https"
    assert "cannot be read" in _value(found, "api_transport", "certificate", "value")
