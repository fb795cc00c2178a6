"""Every kind of thing that the hub promises to keep a record of leaves one, whoever does it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from lah_platform.compliance.audit_kinds import KINDS, OTHER, kind_of
from lah_platform.compliance.detached import ReportKey
from lah_platform.costs.price_book import PriceRow
from lah_platform.privacy.retention import Rule
from lah_platform.stores.anomaly_feedback import add_maintenance
from lah_platform.stores.audit import list_entries, record, record_reading
from lah_platform.stores.backfills import request_backfill, set_state
from lah_platform.stores.costs import ensure_price_book, load_price_book
from lah_platform.stores.keys import create_key, revoke_key, rotate_key
from lah_platform.stores.postgres import Connection
from lah_platform.stores.readers import grant_reader, revoke_reader
from lah_platform.stores.report_runs import write_report
from lah_platform.stores.retention_rules import place_hold, release_hold, set_rule
from lah_platform.stores.retention_setting import note_retention

_AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
_SECRET = b"0123456789abcdef"
_PRICE = PriceRow(
    model="m",
    provider="p",
    valid_from=_AT,
    valid_to=None,
    input_usd_per_mtok=Decimal("1.25"),
    cache_read_usd_per_mtok=None,
    cache_write_usd_per_mtok=None,
    output_usd_per_mtok=Decimal(3),
    source="contract 7",
)


def _keys(connection: Connection) -> None:
    key, _ = create_key(connection, _SECRET, tenant="acme", role="viewer", label="", actor="ann")
    rotate_key(connection, _SECRET, key.key_id, grace=timedelta(hours=1), actor="ann")
    revoke_key(connection, key.key_id, actor="ann")


def _readers(connection: Connection) -> None:
    connection.execute("create role lah_test_kinds login")
    try:
        grant_reader(connection, "lah_test_kinds", "acme", actor="ann")
        revoke_reader(connection, "lah_test_kinds", actor="ann")
    finally:
        connection.execute("drop owned by lah_test_kinds")
        connection.execute("drop role lah_test_kinds")


def _prices(connection: Connection) -> None:
    load_price_book(connection, [_PRICE], actor="ann")
    connection.execute("update prices set output_usd_per_mtok = 4")
    connection.execute("delete from prices")


def _retention(connection: Connection) -> None:
    for days in (400, 400, 90):
        note_retention(connection, retention_days=days, hot_days=None, has_archive=False, actor="ann")
    set_rule(connection, Rule("acme", "events", 30), most_days=400, actor="ann")
    hold = place_hold(connection, "acme", "case 7", actor="ann")
    release_hold(connection, hold["hold_id"], actor="ann")


def _backfill(connection: Connection) -> None:
    request = UUID(int=1)
    today = date(2026, 3, 4)
    request_backfill(connection, request, table="forecasts", start=today, end=today, actor="ann")
    set_state(connection, request, "succeeded", "run")


def _report(connection: Connection) -> None:
    write_report(
        connection,
        ReportKey("gdpr", "acme", "production", "2026-03-01", "2026-04-01"),
        revision=1,
        supersedes=None,
        changes=[],
        content={},
        documents={"json": b"{}"},
        generated_at=_AT,
        requested_by="ann",
    )


def _reading(connection: Connection) -> None:
    record_reading(connection, "ann", tenant="acme", what="subject 7", purpose="access request 12", rows=3)


def _maintenance(connection: Connection) -> None:
    add_maintenance(connection, _AT, _AT + timedelta(hours=1), tenant="acme", model=None, reason="x", actor="ann")


# What is done, and the actions that are then in the log; of erasure and rights: tests/privacy
_DONE: Mapping[str, tuple[Callable[[Connection], None], list[str]]] = {
    "key": (_keys, ["create", "rotate", "revoke"]),
    "role": (_readers, ["grant", "revoke"]),
    "price": (_prices, ["insert", "update", "delete"]),
    "retention": (_retention, ["set", "set", "set", "place", "release"]),
    "backfill": (_backfill, ["backfill", "backfill_succeeded"]),
    "report": (_report, ["generate"]),
    "personal_data": (_reading, ["read"]),
    "signals": (_maintenance, ["add"]),
}


@pytest.mark.parametrize("kind", _DONE)
def test_what_is_done_is_in_the_log(connection: Connection, kind: str) -> None:
    do, actions = _DONE[kind]
    do(connection)
    entries = list_entries(connection, kind=kind)
    assert [entry["action"] for entry in reversed(entries)] == actions
    assert {entry["actor"] for entry in entries} <= {"ann", "dagster for ann", "sql:lah"}
    others = {kind_of(entry["action"], entry["object_type"]) for entry in list_entries(connection)}
    assert others == {kind, "schema"}


def test_the_schema_of_a_new_hub_is_in_its_log_from_the_first_migration_on(connection: Connection) -> None:
    entries = list_entries(connection, kind="schema")[::-1]
    applied = connection.execute("select version, name, sha256 from schema_migrations order by version").fetchall()
    told = dict(entries[0]["details"]["before"])
    told |= {entry["object_id"]: entry["details"]["sha256"] for entry in entries}
    assert told == {f"{version:04d}_{name}": sha256 for version, name, sha256 in applied}


def test_a_price_is_noted_with_the_book_it_makes_whoever_changes_it_and_what_changes_none_is_not(
    connection: Connection,
) -> None:
    ensure_price_book(connection)
    ensure_price_book(connection)
    (shipped,) = list_entries(connection, kind="price")
    assert (shipped["actor"], shipped["details"]["rows"] > 10) == ("lah", True)
    load_price_book(connection, [replace(_PRICE, model="mine")], actor="key:1")
    connection.execute("update prices set source = source where model = 'no such model'")
    connection.execute("update prices set source = 'x' where model = 'mine'")
    last, loaded, _ = list_entries(connection, kind="price")
    assert (loaded["actor"], loaded["details"]["models"], loaded["details"]["sources"]) == (
        "key:1",
        ["mine"],
        ["contract 7"],
    )
    assert last["actor"].startswith("sql:")
    assert len({each["details"]["book_sha256"] for each in (shipped, loaded, last)}) == 3


def test_an_entry_has_the_first_kind_that_holds_and_each_kind_lists_its_own(connection: Connection) -> None:
    told = {
        ("erase", "subject"): "erasure",
        ("grant", "consent"): "rights",
        ("retention", "archive"): "retention",
        ("rewrite", "table"): "archive",
        ("read", "personal_data"): "personal_data",
        ("rotate", "tenant_key"): "key",
        ("set", "content_policy"): "policy",
        ("deliver", "delivery"): "report",
        ("place", "legal_hold"): "retention",
        ("sing", "song"): OTHER,
    }
    for action, object_type in told:
        record(connection, "ann", action, object_type, "x", "acme", {})
    for (action, object_type), kind in told.items():
        assert kind_of(action, object_type) == kind
        listed = {(entry["action"], entry["object_type"]) for entry in list_entries(connection, kind=kind)}
        assert (action, object_type) in listed
        assert {kind_of(*each) for each in listed} == {kind}
    assert sum(len(list_entries(connection, kind=kind)) for kind in KINDS) == len(list_entries(connection))
    only = list_entries(connection, tenant="acme", limit=2)
    assert [entry["action"] for entry in only] == ["sing", "place"]
