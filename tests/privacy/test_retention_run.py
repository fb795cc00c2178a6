"""Retention takes what is due and not held, and nothing else: in PostgreSQL, in the archive, by its own receipt."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lah_platform.compliance.signing import Signer
from lah_platform.privacy.retention import EVERYONE, Rule
from lah_platform.stores.dead_letters import expire_bytes
from lah_platform.stores.postgres import Connection
from lah_platform.stores.retention_receipts import check_run
from lah_platform.stores.retention_rules import due_now, holds, place_hold, release_hold, rules, set_rule
from lah_platform.stores.retention_run import Outcome, run_retention
from tests.landing.messages import NOW
from tests.stores.archiving import DAY, TODAY, Hub
from tests.stores.event_rows import add_event, add_series

_SIGNER = Signer("bWFrZSBhIHNpZ25pbmcga2V5IG9mIDMyIGJ5dGVzISE=")
_TOKEN = "enc:v1:QUJD"
_SUBJECT = UUID(int=77)


@pytest.fixture
def hub(database: str, connection: Connection, tmp_path: Path) -> Hub:
    return Hub(database, connection, tmp_path / "archive")


def _run(hub: Hub, *, dry_run: bool = False, most_days: int = 400) -> Outcome:
    return run_retention(
        hub.connection,
        due_now(hub.connection, TODAY, most_days=most_days),
        now=NOW,
        actor="test",
        signer=lambda: _SIGNER,
        archive_dir=hub.folder,
        recompute=hub.recompute,
        dry_run=dry_run,
    )


def _set(hub: Hub, tenant: str, class_: str, days: int, **narrow: str) -> None:
    set_rule(hub.connection, Rule(tenant, class_, days, **narrow), most_days=400, actor="test")  # type: ignore[arg-type]


def _fill(hub: Hub, days: int = 4, per_day: int = 3) -> None:
    """Events of two tenants and types on the `days` days before today, one of each day with personal content."""
    number = 0
    for ago in range(1, days + 1):
        for tenant in ("acme", "globex"):
            for kind in ("cost", "telemetry"):
                for n in range(per_day):
                    number += 1
                    content = {"user_id": _TOKEN, "said": "a"} if n == 0 else {"said": f"{_SUBJECT}" if n == 1 else "b"}
                    add_event(
                        hub.connection,
                        number,
                        datetime.combine(TODAY - ago * DAY, datetime.min.time(), NOW.tzinfo) + n * timedelta(hours=7),
                        tenant=tenant,
                        event_type=kind,
                        payload=json.dumps(content),
                        latency_ms=number / 3,
                    )


def _left(hub: Hub) -> set[tuple[Any, ...]]:
    """Every event that is left anywhere: its id, tenant, type, day and content."""
    found = {
        (f"{row[0]}", *row[1:])
        for row in hub.rows(
            "select event_id, tenant, event_type, (ts at time zone 'UTC')::date, payload::text from events"
        )
    }
    for (path,) in hub.rows("select path from archive_files"):
        frame = pl.read_parquet(hub.folder / path, hive_partitioning=False)
        kept = frame.select("event_id", "tenant", "event_type", pl.col("ts").dt.date(), "payload")
        found |= set(kept.iter_rows())
    return found


def test_each_tenant_and_type_is_kept_as_long_as_its_rule_says_and_the_receipt_adds_up(hub: Hub) -> None:
    _fill(hub)
    before = _left(hub)
    _set(hub, EVERYONE, "events", 3)
    _set(hub, "acme", "events", 1, event_type="cost")
    would = _run(hub, dry_run=True)
    assert (_left(hub), would.document) == (before, None)
    done = _run(hub)
    oldest = {("acme", "cost"): TODAY - DAY}
    assert _left(hub) == {row for row in before if row[3] >= oldest.get((row[1], row[2]), TODAY - 3 * DAY)}
    assert [(d.day, d.rows_dropped) for d in would.drops] == [(d.day, d.rows_dropped) for d in done.drops]
    assert done.document is not None
    assert done.document["receipt"]["rows_written_in_other_tables"] == {}
    assert check_run(done.document, keys=[_SIGNER.public_key]) is None
    assert _run(hub).document is None, "nothing was left to drop"
    ((action, rows),) = hub.rows(
        "select action, (details ->> 'rows_dropped')::int from audit_log where object_type = 'retention_run'"
    )
    assert (action, rows) == ("retention", len(before - _left(hub)))


def test_personal_content_goes_and_every_number_beside_it_stays(hub: Hub) -> None:
    _fill(hub)
    numbers = hub.rows("select ts, event_id, latency_ms, series_id from events order by event_id")
    _set(hub, "acme", "personal", 2)
    done = _run(hub)
    assert hub.rows("select ts, event_id, latency_ms, series_id from events order by event_id") == numbers
    gone = [row for row in _left(hub) if "[expired]" in row[4]]
    assert {(row[1], row[3] < TODAY - 2 * DAY) for row in gone} == {("acme", True)}
    assert sum(drop.rows_dropped for drop in done.drops) == len(gone) == 4
    assert not any(_TOKEN in row[4] for row in _left(hub) if row[1] == "acme" and row[3] < TODAY - 2 * DAY)
    assert any(_TOKEN in row[4] for row in _left(hub) if row[1] == "globex" and row[3] < TODAY - 2 * DAY)


@pytest.mark.parametrize("class_", ["events", "personal"])
def test_files_of_the_archive_are_held_to_the_same_rules(hub: Hub, class_: str) -> None:
    _fill(hub)
    before = _left(hub)
    for ago in (3, 4):
        hub.archive(TODAY - ago * DAY)
    assert hub.drop(TODAY - 4 * DAY) is None
    assert _left(hub) == before
    _set(hub, "acme", class_, 2)
    place_hold(hub.connection, "acme", "case 7", event_type="cost", actor="test")
    done = _run(hub)
    assert {drop.store for drop in done.drops if drop.rows_dropped} == {"postgresql", "archive"}
    left = _left(hub)
    concerned = {row for row in before if row[1:3] == ("acme", "telemetry") and row[3] < TODAY - 2 * DAY}
    if class_ == "events":
        assert left == before - concerned
    else:
        assert {row[0] for row in left} == {row[0] for row in before}
        changed = {row for row in left - before}
        assert {row[0] for row in changed} == {row[0] for row in concerned if _TOKEN in row[4]}
    assert check_run(done.document, keys=[_SIGNER.public_key]) is None
    assert len(hub.files()) == len(hub.rows("select from archive_files")), "no file is left that nobody knows"
    for ago in (3, 4):
        assert hub.archive(TODAY - ago * DAY).file is None, "the files are what PostgreSQL and the records say"


@given(data=st.data())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_under_a_hold_goes_and_everything_else_that_is_due_does(hub: Hub, data: st.DataObject) -> None:
    hub.connection.execute("truncate legal_holds, retention_rules, retention_runs, retention_drops")
    hub.connection.execute("delete from events")
    _fill(hub, days=3)
    before = _left(hub)
    _set(hub, EVERYONE, "events", 1)
    tenant = data.draw(st.sampled_from([EVERYONE, "acme"]))
    class_ = data.draw(st.sampled_from(["", "events", "personal"]))
    kind = data.draw(st.sampled_from(["", "cost"]))
    subject = data.draw(st.sampled_from([None, _SUBJECT]))
    first, last = data.draw(st.sampled_from([(None, None), (2, None), (None, 2), (3, 2)]))
    start, end = (None if each is None else _midnight(TODAY - each * DAY) for each in (first, last))
    hold = place_hold(hub.connection, tenant, "case", actor="test", class_=class_, event_type=kind,
                      subject_id=subject, from_at=start, to_at=end)  # fmt: skip
    held = {
        row
        for row in before
        if class_ in ("", "events")
        and tenant in (EVERYONE, row[1])
        and kind in ("", row[2])
        and (subject is None or f"{subject}" in row[4])
        and (start is None or row[3] >= start.date())
        and (end is None or row[3] < end.date())
    }
    done = _run(hub)
    assert _left(hub) == {row for row in before if row[3] >= TODAY - DAY or row in held}
    assert sum(drop.rows_held for drop in done.drops) == len({row for row in held if row[3] < TODAY - DAY})
    assert release_hold(hub.connection, hold["hold_id"], actor="test")
    _run(hub)
    assert _left(hub) == {row for row in before if row[3] >= TODAY - DAY}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), NOW.tzinfo)


def test_other_tables_lose_what_is_due_and_dead_letters_their_bytes_only(hub: Hub) -> None:
    for tenant in ("acme", "globex"):
        series_id = add_series(hub.connection, tenant=tenant)
        for ago in (1, 9):
            at = NOW - ago * DAY
            hub.connection.execute(
                "insert into rollup_1m values (%s, %s, 'events', 1, 1, null, 1, 1, 1, 0, 1, 1, 1, '{}', '{}', 1, %s)",
                [at, series_id, at],
            )
            hub.connection.execute(
                "insert into dead_letters (tenant, topic, topic_id, partition, record_offset, dead_lettered_at, code,"
                " field, reason, raw) values (%s, 't', %s, 0, %s, %s, 'too_old', '$', 'x', 'bytes')",
                [tenant, tenant, ago, at],
            )
            hub.connection.execute(
                "insert into checks (checked_at, asset, check_name, severity, blocking, passed, advice)"
                " values (%s, 'events', 'x', 'warn', false, true, '')",
                [at],
            )
    _set(hub, "acme", "rollups", 5, table_name="rollup_1m")
    _set(hub, "globex", "dead_letters", 5)
    _set(hub, EVERYONE, "checks", 5)
    done = _run(hub)
    days = [(t, (NOW.date() - at.date()).days) for t, at in hub.rows(
        "select tenant, bucket_start from rollup_1m join series using (series_id) order by 1, 2 desc")]  # fmt: skip
    assert days == [("acme", 1), ("globex", 1), ("globex", 9)]
    letters = hub.rows("select tenant, record_offset, raw is null, code from dead_letters order by 1, 2")
    assert letters == [("acme", 1, False, "too_old"), ("acme", 9, False, "too_old"),
                       ("globex", 1, False, "too_old"), ("globex", 9, True, "too_old")]  # fmt: skip
    assert hub.rows("select count(*) from checks") == [(2,)]
    assert done.document is not None
    assert done.document["receipt"]["rows_written_in_other_tables"] == {}
    assert _run(hub).document is None


def test_a_receipt_that_was_altered_in_any_place_is_refused(hub: Hub) -> None:
    _fill(hub, days=2, per_day=1)
    _set(hub, EVERYONE, "events", 1)
    document = _run(hub).document
    assert document is not None
    text = json.dumps(document)
    assert check_run(json.loads(text), keys=[_SIGNER.public_key]) is None
    for place in range(0, len(text), 7):
        altered = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
        try:
            other = json.loads(altered)
        except ValueError:
            continue
        if other != document:
            assert check_run(other, keys=[_SIGNER.public_key]), altered


def test_rollups_of_a_day_that_lost_events_are_not_computed_again_from_the_rest(hub: Hub) -> None:
    from lah_platform.errors import ConfigurationError

    _fill(hub, days=2)
    hub.recompute(TODAY - 2 * DAY)
    rolled = hub.rows("select * from rollup_1d order by 1, 2, 3")
    _set(hub, "acme", "events", 1)
    _run(hub)
    with pytest.raises(ConfigurationError, match="no longer kept"):
        hub.recompute(TODAY - 2 * DAY)
    assert hub.rows("select * from rollup_1d order by 1, 2, 3") == rolled


def test_rules_and_holds_are_replaced_listed_and_audited(hub: Hub) -> None:
    _set(hub, "acme", "events", 30)
    _set(hub, "acme", "events", 20)
    assert [(each["tenant"], each["keep_days"]) for each in rules(hub.connection, "acme")] == [("acme", 20)]
    assert rules(hub.connection, "globex") == []
    hold = place_hold(hub.connection, "acme", "case 7", actor="test")
    assert [each["hold_id"] for each in holds(hub.connection, "acme", active=True)] == [hold["hold_id"]]
    assert not release_hold(hub.connection, hold["hold_id"], tenant="globex", actor="test")
    assert release_hold(hub.connection, hold["hold_id"], tenant="acme", actor="test")
    assert not release_hold(hub.connection, hold["hold_id"], actor="test")
    assert holds(hub.connection, active=True) == []
    steps = hub.rows(
        "select action, details ->> 'keep_days_before' from audit_log where object_type <> 'schema' order by position"
    )
    assert steps == [("set", None), ("set", "30"), ("place", None), ("release", None)]


def test_bytes_of_dead_letters_under_a_hold_outlive_their_days(hub: Hub) -> None:
    for tenant in ("acme", "globex"):
        hub.connection.execute(
            "insert into dead_letters (tenant, topic, topic_id, partition, record_offset, dead_lettered_at, code,"
            " field, reason, raw) values (%s, %s, 'one', 0, 0, %s, 'too_old', '$', 'x', 'bytes')",
            [tenant, tenant, NOW - 9 * DAY],
        )
    place_hold(hub.connection, "acme", "case", actor="test", subject_id=_SUBJECT)
    assert expire_bytes(hub.connection, NOW - DAY) == 1
    assert hub.rows("select tenant from dead_letters where raw is not null") == [("acme",)]
