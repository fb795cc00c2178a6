"""Landing into a real PostgreSQL: once, counted, and all or nothing."""

import random
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lah_platform.errors import Fenced
from lah_platform.events.rejection import Rejection
from lah_platform.landing.batch import Batch, prepare
from lah_platform.landing.loop import land_or_bisect
from lah_platform.landing.records import Landed, Partition, Record
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.dead_letters import pending, replay
from lah_platform.stores.landing import PostgresLanding, SeriesBook
from lah_platform.stores.postgres import Connection
from tests.landing.messages import NOW, api_cost, message

_P0, _P1 = Partition("t", "one", 0), Partition("t", "one", 1)
_BAD = b"{not json"


def _batch(partition: Partition, start: int, values: Sequence[bytes | None], gap: int = 0) -> Batch:
    records = [Record(partition, start + gap + i, b"k", value) for i, value in enumerate(values)]
    return prepare(records, {partition: start}, decoder=decode_now, received_at=NOW)


@pytest.fixture
def store(database: str) -> Iterator[PostgresLanding]:
    store = PostgresLanding(database)
    yield store
    store.close()


def _ledger(connection: Connection) -> tuple[int, int, int, int]:
    row = connection.execute(
        "select sum(received)::int, sum(stored)::int, sum(duplicate)::int, sum(dead_lettered)::int from ledger"
    ).fetchone()
    assert row is not None
    return row  # type: ignore[return-value]


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    numbers=st.lists(st.one_of(st.integers(0, 8), st.just(None)), max_size=30),
    cuts=st.lists(st.integers(1, 6), min_size=1, max_size=10),
)
def test_however_repeats_and_bad_records_are_batched_each_event_is_stored_once_and_all_is_counted(
    numbers: list[int | None], cuts: list[int], database: str, connection: Connection
) -> None:
    connection.execute(
        "truncate events, dead_letters, ledger, landing_batches, landing_offsets, rollup_partial_sets, series"
    )
    values = [_BAD if number is None else message(number) for number in numbers]
    with closing(PostgresLanding(database)) as store:
        offset, outcomes = store.adopt(_P0, 0), Counter[str]()
        for cut in cuts * 30:
            part = values[offset : offset + cut]
            if part:
                outcomes.update(store.land(_batch(_P0, offset, part)).outcomes)
                offset += len(part)
    good = [number for number in numbers if number is not None]
    expected = (len(numbers), len(set(good)), len(good) - len(set(good)), len(numbers) - len(good))
    stored = connection.execute("select count(*) from events").fetchone()
    assert stored == (len(set(good)),)
    assert (outcomes.total(), outcomes["stored"], outcomes["duplicate"], outcomes["dead_lettered"]) == expected
    if numbers:
        assert _ledger(connection) == expected
        partials = connection.execute(
            "select coalesce(sum(count), 0)::int from rollup_partials where metric = 'events'"
        )
        assert partials.fetchone() == (len(set(good)),), "partials must cover exactly the rows that were inserted"


def test_the_same_event_through_another_partition_is_a_counted_duplicate(
    store: PostgresLanding, connection: Connection
) -> None:
    store.adopt(_P0, 0), store.adopt(_P1, 0)
    assert store.land(_batch(_P0, 0, [message(1), message(2)])).outcomes == ["stored", "stored"]
    assert store.land(_batch(_P1, 0, [message(2), message(3)])).outcomes == ["duplicate", "stored"]
    assert _ledger(connection) == (4, 3, 1, 0)


def test_a_consumer_that_lost_its_partition_writes_nothing(store: PostgresLanding, connection: Connection) -> None:
    store.adopt(_P0, 0)
    zombie = _batch(_P0, 0, [message(1), _BAD])
    store.land(_batch(_P0, 0, [message(1)]))
    with pytest.raises(Fenced, match="another landing process"):
        store.land(zombie)
    assert _ledger(connection) == (1, 1, 0, 0)
    assert connection.execute("select count(*) from dead_letters").fetchone() == (0,)


def test_holes_in_the_log_are_counted_and_ranges_leave_no_gap(store: PostgresLanding, connection: Connection) -> None:
    assert store.adopt(_P0, 7) == 7
    store.land(_batch(_P0, 7, [message(1)], gap=3))
    store.land(_batch(_P0, 11, [message(2)]))
    ranges = connection.execute("select from_offset, to_offset, received, no_record from landing_batches order by 1")
    assert ranges.fetchall() == [(7, 11, 1, 3), (11, 12, 1, 0)]
    assert store.adopt(_P0, 0) == 12, "a known partition goes on from the database's offset"


def test_a_record_the_database_refuses_becomes_a_dead_letter_and_the_rest_lands(
    store: PostgresLanding, connection: Connection
) -> None:
    connection.execute("alter table events add check (latency_ms <> 666)")
    store.adopt(_P0, 0)
    values = [message(i, latency_ms=666.0 if i == 5 else 1.0) for i in range(8)]
    landed: Landed = land_or_bisect(store, _batch(_P0, 0, values))
    assert landed.outcomes == ["stored"] * 5 + ["dead_lettered"] + ["stored"] * 2
    letter = connection.execute("select code, record_offset, raw from dead_letters").fetchone()
    assert letter is not None
    assert (letter[0], letter[1], bytes(letter[2])) == ("database_rejected", 5, values[5])
    ranges = connection.execute("select from_offset, to_offset from landing_batches order by 1").fetchall()
    assert ranges[0][0] == 0
    assert ranges[-1][1] == 8
    assert all(a[1] == b[0] for a, b in pairwise(ranges))
    counted = connection.execute("select sum(received)::int, sum(no_record)::int from landing_batches").fetchone()
    assert counted == (8, 0)


def test_a_dead_letter_names_field_and_reason_and_keeps_its_bytes(
    store: PostgresLanding, connection: Connection
) -> None:
    store.adopt(_P0, 0)
    bad = message(1).replace(b'"info"', b'"loud"')
    store.land(_batch(_P0, 0, [bad, None]))
    rows = connection.execute(
        "select field, reason, raw, topic, partition, record_offset from dead_letters order by 6"
    ).fetchall()
    assert rows[0][0] == "severity"
    assert "loud" in rows[0][1]
    assert (bytes(rows[0][2]), *rows[0][3:]) == (bad, "t", 0, 0)
    assert rows[1][2] is None, "a tombstone has no bytes"


def test_a_replayed_dead_letter_is_counted_once_however_often_it_is_replayed(
    store: PostgresLanding, connection: Connection
) -> None:
    store.adopt(_P0, 0)
    store.land(_batch(_P0, 0, [message(1), message(2, schema_version="2.0.0"), message(1, schema_version="2.0.0")]))
    assert _ledger(connection) == (3, 1, 0, 2)

    def fixed(raw: bytes | None, _now: object) -> object:
        return decode_now((raw or b"").replace(b"2.0.0", b"1.9.0"), NOW)

    series = SeriesBook(100)
    letters = pending(connection)
    for _ in range(2):
        results = [replay(connection, each, decoder=fixed, now=NOW, series=series) for each in letters]  # type: ignore[arg-type]
        assert [result.outcome for result in results] == ["stored", "duplicate"]
    assert _ledger(connection) == (3, 2, 1, 0)
    assert pending(connection) == []
    balance = connection.execute(
        "select tenant, received, stored, duplicate, dead_lettered from ledger where received <> 0"
    )
    assert balance.fetchall() == [("acme", 3, 2, 1, 0)]


def test_a_dead_letter_that_is_still_refused_stays_one(store: PostgresLanding, connection: Connection) -> None:
    store.adopt(_P0, 0)
    store.land(_batch(_P0, 0, [_BAD]))
    (letter,) = pending(connection)
    assert isinstance(decode_now(_BAD, NOW), Rejection)
    assert replay(connection, letter, decoder=decode_now, now=NOW, series=SeriesBook(9)).outcome == "dead_lettered"
    assert pending(connection) == [letter]
    assert _ledger(connection) == (1, 0, 0, 1)


def test_past_a_tenants_limit_new_series_share_one_and_nothing_is_lost(database: str, connection: Connection) -> None:
    store = PostgresLanding(database, series_limit=2)
    store.adopt(_P0, 0)
    store.land(_batch(_P0, 0, [message(i, environment=f"env{i}") for i in range(5)]))
    store.land(_batch(_P0, 5, [message(9, tenant="globex")]))
    store.close()
    rows = connection.execute(
        "select s.tenant, s.environment, count(*) from events join series s using (series_id)"
        " group by 1, 2 order by 1, 2"
    ).fetchall()
    assert rows == [("acme", "__other__", 3), ("acme", "env0", 1), ("acme", "env1", 1), ("globex", "production", 1)]


def test_producer_provider_and_the_tags_a_deployment_chose_tell_series_apart(
    database: str, connection: Connection
) -> None:
    cost = {"payload_type": "cost", "data": api_cost("1.5")}
    tags = {"tenant": "acme", "provider": "openai", "feature": "search", "user": "u1"}
    records = [
        message(1, tags=tags),
        message(2, tags=tags | {"user": "u2"}),
        message(3, tags=tags | {"feature": "f" * 300}),
        message(4, tags=tags, source_module="llm-registry"),
        message(5, tags=tags, event_type="cost", payload=cost),  # its payload knows better who the provider is
    ]
    with closing(PostgresLanding(database)) as store:
        at = [Record(_P0, store.adopt(_P0, 0) + i, None, record) for i, record in enumerate(records)]
        chosen = ["feature", "missing"]
        store.land(prepare(at, {_P0: 0}, decoder=decode_now, received_at=NOW, series_tags=chosen))
    rows = connection.execute(
        "select s.source_module, s.provider, s.tags, count(*) from events join series s using (series_id)"
        " group by s.series_id order by min(record_offset)"
    ).fetchall()
    assert rows == [
        ("llm-observatory", "openai", {"feature": "search"}, 2),
        ("llm-observatory", "openai", {"feature": "__other__"}, 1),
        ("llm-registry", "openai", {"feature": "search"}, 1),
        ("llm-observatory", "p", {"feature": "search"}, 1),
    ]


def test_a_series_may_have_names_of_any_allowed_length(store: PostgresLanding, connection: Connection) -> None:
    names = iter(random.Random(7).choices(string.ascii_letters, k=256) for _ in range(6))  # no page compresses them
    tags = {tag: "".join(next(names)) for tag in ("tenant", "service", "region", "team", "provider")}
    store.adopt(_P0, 0)
    store.land(_batch(_P0, 0, [message(1, tags=tags), message(2, tags=tags, environment="".join(next(names)))]))
    assert connection.execute("select count(distinct series_id) from events").fetchone() == (2,)


def test_a_batch_with_a_repeat_and_an_event_of_a_day_that_retention_dropped_lands_whole(
    store: PostgresLanding, database: str, connection: Connection
) -> None:
    cost = message(1, event_type="cost", payload={"payload_type": "cost", "data": api_cost("1.5")})
    store.land(_batch(_P0, store.adopt(_P0, 0), [message(2, minutes_ago=60 * 24 * 9)]))
    with closing(PostgresLanding(database)) as other:  # so that the first does not remember the repeat
        other.land(_batch(_P1, other.adopt(_P1, 0), [cost]))
    connection.execute("select drop_event_partitions('2026-03-01')")
    landed = store.land(_batch(_P0, 1, [cost, message(3, minutes_ago=60 * 24 * 9)]))
    assert landed.outcomes == ["duplicate", "stored"]


def test_events_of_any_allowed_day_find_their_partition_even_after_retention_dropped_it(
    store: PostgresLanding, connection: Connection
) -> None:
    store.adopt(_P0, 0)
    old = message(1, minutes_ago=60 * 24 * 30)
    store.land(_batch(_P0, 0, [old]))
    connection.execute("select drop_event_partitions('2026-03-01')")
    store.land(_batch(_P0, 1, [message(2, minutes_ago=60 * 24 * 30), message(3)]))
    assert connection.execute("select count(*) from events").fetchone() == (2,)
