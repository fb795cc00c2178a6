"""docs/ledger.md: its queries, run as they stand, find nothing on a ledger in order, and find whatever is not."""

import re
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from lah_platform.landing.batch import prepare
from lah_platform.landing.records import Partition, Record
from lah_platform.settings import PROJECT_ROOT, Settings
from lah_platform.stack.doctor import examine
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.dead_letters import pending, replay
from lah_platform.stores.landing import PostgresLanding, SeriesBook
from lah_platform.stores.postgres import Connection
from tests.landing.messages import NOW, message

_PAGE = (PROJECT_ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
_STEPS = dict(re.findall(r"```sql\n-- (\w+)\. [^\n]*\n(.*?)```", _PAGE, re.DOTALL))
_COMPARING = ("2", "3a", "3b", "3c", "4", "4b", "5", "6", "7")
_BAD = b"{not json"


def _land(store: PostgresLanding, partition: int, start: int, values: list[bytes | None], *, gap: int = 0) -> None:
    at = Partition("lah.events", "one", partition)
    store.adopt(at, start)
    records = [Record(at, start + gap + i, None, value) for i, value in enumerate(values)]
    store.land(prepare(records, {at: start}, decoder=decode_now, received_at=NOW + timedelta(minutes=start)))


@pytest.fixture
def audited(database: str, connection: Connection) -> Connection:
    """Repeats, bad records, holes, a conflict in each mode, and two replayed dead letters, of two tenants."""
    old = {"schema_version": "2.0.0"}
    with closing(PostgresLanding(database)) as exact:
        _land(exact, 0, 0, [message(1), message(2), message(1), _BAD, message(8, **old), message(1, **old)])
        _land(exact, 1, 0, [message(2), message(3, tenant="globex"), message(2, minutes_ago=2), None], gap=2)
    with closing(PostgresLanding(database, strict_window=timedelta(hours=24))) as strict:
        _land(strict, 0, 6, [message(5), message(5, minutes_ago=3), message(5), message(6, tenant="globex")])

    def fixed(raw: bytes | None, _now: object) -> Any:
        return decode_now((raw or b"").replace(b"2.0.0", b"1.9.0"), NOW)

    for letter in pending(connection, "unsupported_schema_version"):
        replay(connection, letter, decoder=fixed, now=NOW + timedelta(hours=1), series=SeriesBook(100))
    return connection


def _run(connection: Connection, step: str) -> list[tuple[Any, ...]]:
    return connection.execute(_STEPS[step].encode()).fetchall()


def test_the_page_promises_in_these_words() -> None:
    assert (
        "an event (tenant, event_id and timestamp) is stored once for as long as it is kept, whatever the offset, "
        "the partition or the door it came through again, and each repeat is counted."
    ) in _PAGE


def test_every_query_of_the_page_is_run_here() -> None:
    assert _PAGE.count("```sql") == len(_STEPS)
    assert set(_STEPS) == {"1", *_COMPARING, "8a", "8b"}


def test_a_ledger_in_order_recounts_to_the_same_figures(audited: Connection) -> None:
    assert _run(audited, "1") == [(14, 7, 4, 3, 0)]
    assert {step: _run(audited, step) for step in _COMPARING} == {step: [] for step in _COMPARING}


def test_the_conflicts_of_both_modes_are_listed(audited: Connection) -> None:
    ((tenant, _, timestamps, earliest, latest, came_as),) = _run(audited, "8a")
    assert (tenant, timestamps, latest - earliest) == ("acme", 2, timedelta(minutes=1))
    assert came_as == ["lah.events[0]@1", "lah.events[1]@4"]
    assert [(tenant, conflicts) for tenant, conflicts, *_ in _run(audited, "8b")] == [("acme", 1)]


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("update ledger set duplicate = duplicate + 1 where tenant = 'globex' and partition = 1", {"2", "6"}),
        ("update ledger set received = received + 1, stored = stored + 1 where tenant = 'globex'", {"3a", "4"}),
        ("delete from ledger where tenant = 'unknown' and partition = 1", {"3a", "5"}),
        ("delete from landing_batches where from_offset = 0 and partition = 0", {"3a", "6"}),
        ("update landing_batches set from_offset = 7, no_record = -1 where from_offset = 6", {"3b"}),
        ("update landing_offsets set next_offset = next_offset + 1 where partition = 1", {"3c"}),
        ("delete from events where tenant = 'globex' and partition = 1", {"4", "6"}),
        ("delete from dead_letters where code = 'conflicting_timestamp'", {"5", "6"}),
        ("update dead_letters set replayed_at = null, replayed_as = null where replayed_as = 'stored'", {"4", "5"}),
    ],
)  # fmt: skip
def test_whatever_is_lost_added_or_moved_shows_in_the_steps_that_are_about_it(
    damage: str, found: set[str], audited: Connection
) -> None:
    audited.execute(damage.encode())
    shown = {step for step in _COMPARING if _run(audited, step)}
    assert found <= shown, shown


@pytest.mark.parametrize(
    ("view", "step", "damage"),
    [
        ("ledger_imbalance", "2", "update ledger set received = received - 1 where tenant = 'unknown'"),
        ("ledger_against_batches", "3a", "update ledger set received = received - 1 where tenant = 'unknown'"),
        ("offset_breaks", "3b", "update landing_batches set from_offset = 7, received = 3 where from_offset = 6"),
        ("offset_breaks", "3c", "update landing_offsets set next_offset = 3 where partition = 1"),
    ],
)  # fmt: skip
def test_the_views_list_what_the_page_counts_and_the_doctor_says_where_to_look(
    view: str, step: str, damage: str, audited: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ledger_line() -> Any:
        settings = Settings(database_url=database, kafka_bootstrap="none")  # type: ignore[arg-type]
        (line,) = (finding for finding in examine(settings) if finding.subject == "Ledger")
        return line

    monkeypatch.delenv("LAH_DATABASE_URL", raising=False)
    query = f"select count(*) from {view}".encode()
    assert audited.execute(query).fetchone() == (0,)
    healthy = ledger_line()
    assert healthy.is_healthy, healthy
    assert "received 14 = stored 7 + duplicate 4 + dead-lettered 3" in healthy.observed
    audited.execute(damage.encode())
    assert audited.execute(query).fetchone() == (len(_run(audited, step)),) != (0,)
    broken = ledger_line()
    assert not broken.is_healthy
    assert view in broken.advice
    assert "docs/ledger.md" in broken.advice


def test_a_gap_an_overlap_and_a_moved_offset_are_told_apart(audited: Connection) -> None:
    audited.execute(
        "insert into landing_batches"
        " (topic, topic_id, partition, from_offset, to_offset, received, no_record, landed_at) values"
        " ('lah.events', 'one', 1, 9, 12, 3, 0, now()), ('lah.events', 'one', 0, 8, 11, 3, 0, now())"
    )
    kinds = audited.execute("select partition, kind, expected_offset, found_offset from offset_breaks order by 1, 2")
    assert kinds.fetchall() == [
        (0, "next_offset", 11, 10),
        (0, "overlap", 10, 8),
        (1, "gap", 6, 9),
        (1, "next_offset", 12, 6),
    ]
