"""The same event_id under another timestamp: refused and counted in strict mode, stored and found in exact mode."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lah_platform.errors import Fenced
from lah_platform.landing.batch import Batch, prepare
from lah_platform.landing.loop import land_or_bisect
from lah_platform.landing.records import Partition, Record
from lah_platform.quality.suites import run_suite
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.conflicts import ConflictMemory
from lah_platform.stores.dead_letters import pending, replay
from lah_platform.stores.doors import DirectDoor
from lah_platform.stores.landing import PostgresLanding, SeriesBook
from lah_platform.stores.postgres import Connection
from tests.landing.messages import NOW, message

_P0, _P1 = Partition("t", "one", 0), Partition("t", "one", 1)
_BAD = b"{not json"
_DAY = timedelta(hours=24)


def _batch(
    partition: Partition, start: int, values: Sequence[bytes | None], *, later: timedelta = timedelta(0)
) -> Batch:
    records = [Record(partition, start + i, b"k", value) for i, value in enumerate(values)]
    return prepare(records, {partition: start}, decoder=decode_now, received_at=NOW + later)


@pytest.fixture
def strict(database: str) -> Iterator[PostgresLanding]:
    with closing(PostgresLanding(database, strict_window=_DAY)) as store:
        store.adopt(_P0, 0), store.adopt(_P1, 0)
        yield store


def _ledger(connection: Connection) -> tuple[int, ...] | None:
    return connection.execute(
        "select sum(received)::int, sum(stored)::int, sum(duplicate)::int, sum(dead_lettered)::int from ledger"
    ).fetchone()


def _unbalanced(connection: Connection) -> tuple[int, ...] | None:
    return connection.execute(
        "select (select count(*) from ledger_imbalance)::int, (select count(*) from ledger_against_batches)::int,"
        " (select count(*) from offset_breaks)::int"
    ).fetchone()


def test_in_strict_mode_an_id_under_another_timestamp_is_a_dead_letter_that_names_the_first(
    strict: PostgresLanding, connection: Connection
) -> None:
    other = message(1, minutes_ago=2)
    assert list(strict.land(_batch(_P0, 0, [message(1), message(2)])).outcomes) == ["stored", "stored"]
    assert list(strict.land(_batch(_P1, 0, [other, message(1), message(3)])).outcomes) == [
        "dead_lettered",
        "duplicate",
        "stored",
    ]
    letter = connection.execute(
        "select code, field, reason, raw, tenant, topic, partition, record_offset from dead_letters"
    ).fetchone()
    assert letter is not None
    assert letter[:2] == ("conflicting_timestamp", "timestamp")
    assert (NOW - timedelta(minutes=1)).isoformat() in letter[2]
    assert (bytes(letter[3]), *letter[4:]) == (other, "acme", "t", 1, 0)
    assert _ledger(connection) == (5, 3, 1, 1)
    assert _unbalanced(connection) == (0, 0, 0)


def test_of_several_timestamps_in_one_batch_the_first_in_offset_order_is_stored(
    strict: PostgresLanding, connection: Connection
) -> None:
    values = [_BAD, message(1, minutes_ago=5), message(1), message(1, minutes_ago=5), None, message(1, tenant="globex")]
    landed = land_or_bisect(strict, _batch(_P0, 0, values))
    assert list(landed.outcomes) == ["dead_lettered", "stored", "dead_lettered", "duplicate", "dead_lettered", "stored"]
    stored = connection.execute("select tenant, ts from events order by tenant").fetchall()
    assert stored == [("acme", NOW - timedelta(minutes=5)), ("globex", NOW - timedelta(minutes=1))]
    assert _ledger(connection) == (6, 2, 1, 3)


def test_partials_cover_what_was_stored_and_not_the_conflicts(strict: PostgresLanding, connection: Connection) -> None:
    strict.land(_batch(_P0, 0, [message(1), message(1, minutes_ago=9), message(2)]))
    counted = connection.execute("select sum(count)::int from rollup_partials where metric = 'events'").fetchone()
    assert counted == (2,) == connection.execute("select count(*)::int from events").fetchone()


@pytest.mark.parametrize(("later", "outcome"), [(_DAY - timedelta(seconds=1), "dead_lettered"), (_DAY, "stored")])
def test_an_id_is_remembered_for_the_window_and_no_longer(
    later: timedelta, outcome: str, strict: PostgresLanding
) -> None:
    strict.land(_batch(_P0, 0, [message(1)]))
    assert list(strict.land(_batch(_P0, 1, [message(1, minutes_ago=2)], later=later)).outcomes) == [outcome]


def test_what_was_not_committed_is_not_held_against_anybody(strict: PostgresLanding, database: str) -> None:
    with closing(PostgresLanding(database, strict_window=_DAY)) as zombie:
        late = _batch(_P0, 0, [message(1, minutes_ago=2), message(2)])
        strict.land(_batch(_P0, 0, [_BAD]))
        with pytest.raises(Fenced):
            zombie.land(late)
    assert list(strict.land(_batch(_P0, 1, [message(1)])).outcomes) == ["stored"]


def test_an_event_that_the_database_refuses_does_not_claim_its_id(
    strict: PostgresLanding, connection: Connection
) -> None:
    connection.execute("alter table events add check (latency_ms <> 666)")
    refused = message(1, latency_ms=666.0, minutes_ago=2)
    landed = land_or_bisect(strict, _batch(_P0, 0, [message(2), refused, message(3), message(1)]))
    assert list(landed.outcomes)[:3] == ["stored", "dead_lettered", "stored"]
    codes = connection.execute("select code from dead_letters order by record_offset").fetchall()
    assert codes[0] == ("database_rejected",)
    assert list(landed.outcomes)[3] == "stored"


def test_two_landing_processes_at_once_store_one_timestamp_of_each_id(database: str, connection: Connection) -> None:
    stores = [PostgresLanding(database, strict_window=_DAY) for _ in range(2)]
    failures: list[BaseException] = []

    def lands(store: PostgresLanding, partition: Partition) -> None:
        try:
            store.adopt(partition, 0)
            for start in range(0, 200, 20):
                values = [message(start + i, minutes_ago=1 + partition.number) for i in range(20)]
                store.land(_batch(partition, start, values))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=lands, args=each) for each in zip(stores, (_P0, _P1), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert not failures
    assert connection.execute("select count(*), count(distinct event_id) from events").fetchone() == (200, 200)
    assert _ledger(connection) == (400, 200, 0, 200)
    assert _unbalanced(connection) == (0, 0, 0)


def test_in_exact_mode_both_are_stored_and_the_daily_check_finds_counts_and_lists_them(
    database: str, connection: Connection
) -> None:
    with closing(PostgresLanding(database)) as store:
        store.adopt(_P0, 0)
        values = [
            message(1),
            message(1, minutes_ago=2),
            message(2),
            message(2),
            message(3, tenant="globex"),
            message(3),
        ]
        assert list(store.land(_batch(_P0, 0, values)).outcomes) == ["stored"] * 3 + ["duplicate"] + ["stored"] * 2
    remembered = connection.execute("select (select count(*) from identities_0) + (select count(*) from identities_1)")
    assert remembered.fetchone() == (0,)
    midnight = NOW.replace(hour=0, minute=0, second=0)
    (verdict,) = (
        verdict
        for verdict in run_suite(database, "events", midnight, midnight + _DAY)
        if verdict.check_name == "conflicting_timestamps"
    )
    assert (verdict.passed, verdict.failed_rows) == (False, 1)
    (found,) = verdict.observed["examples"]
    assert (found["tenant"], found["timestamps"]) == ("acme", 2)


@hypothesis_settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.tuples(
            st.sampled_from([0, 0, 1, 13, 24]),
            st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 3), st.integers(1, 3))), min_size=1, max_size=8),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_every_record_is_stored_a_repeat_a_conflict_or_unreadable_as_a_naive_reader_would_say(
    batches: list[tuple[int, list[tuple[int, int] | None]]], database: str, connection: Connection
) -> None:
    connection.execute(
        "truncate events, dead_letters, ledger, landing_batches, landing_offsets, rollup_partial_sets, series,"
        " identities_0, identities_1, identity_collisions_0, identity_collisions_1;"
        " update identity_state set current_table = 0, since = 'epoch'"
    )
    stored: set[tuple[int, int]] = set()
    first: dict[int, tuple[int, timedelta]] = {}
    later, offset = timedelta(0), 0
    with closing(PostgresLanding(database, strict_window=_DAY)) as store:
        store.adopt(_P0, 0)
        for hours, records in batches:
            later += timedelta(hours=hours)
            expected = []
            for record in records:
                if record is None:
                    expected.append("dead_lettered")
                    continue
                number, minutes_ago = record
                if number not in first or later - first[number][1] >= _DAY:
                    first[number] = (minutes_ago, later)
                if first[number][0] != minutes_ago:
                    expected.append("dead_lettered")
                else:
                    expected.append("duplicate" if record in stored else "stored")
                    stored.add(record)
            values = [_BAD if record is None else message(record[0], minutes_ago=record[1]) for record in records]
            landed = store.land(_batch(_P0, offset, values, later=later))
            assert list(landed.outcomes) == expected
            offset += len(values)
    assert _unbalanced(connection) == (0, 0, 0)
    assert connection.execute("select count(*)::int from events").fetchone() == (len(stored),)


def test_a_conflict_is_replayed_only_when_the_first_is_no_longer_remembered(
    strict: PostgresLanding, connection: Connection
) -> None:
    strict.land(_batch(_P0, 0, [message(1), message(1, minutes_ago=2)]))
    (letter,) = pending(connection)
    for later, outcome in [(timedelta(hours=1), "dead_lettered"), (_DAY, "stored")]:
        memory, now = ConflictMemory(_DAY), NOW + later
        result = replay(connection, letter, decoder=decode_now, now=now, series=SeriesBook(9), memory=memory)
        assert result.outcome == outcome
    assert _ledger(connection) == (2, 2, 0, 0)


def test_rest_without_a_broker_refuses_a_conflict_too(database: str, connection: Connection) -> None:
    door = DirectDoor(database, decoder=lambda raw, _now: decode_now(raw, NOW), strict_window=_DAY)
    assert door.submit([message(1), message(1), message(1, minutes_ago=2)], b"k") == [
        "stored",
        "duplicate",
        "dead_lettered",
    ]
    door.close()
    assert connection.execute("select code from dead_letters").fetchall() == [("conflicting_timestamp",)]
