"""What a landing process does in life: asked to stop, PostgreSQL away, poison, scraped, dead letters after a fix."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lah_platform.landing.batch import prepare
from lah_platform.landing.records import Partition, Record
from lah_platform.replay.plan import ReplayPlan
from lah_platform.settings import PROJECT_ROOT
from lah_platform.stack.landing_process import NOT_LANDED_STATUS, decode_now
from lah_platform.stores.embedded.broker import EmbeddedBroker
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.embedded.process import wait_until
from lah_platform.stores.kafka import ensure_topic, make_producer, produce_all
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.migrations import migrate
from lah_platform.stores.postgres import Connection, connect
from tests.landing.lander import Lander
from tests.landing.messages import message

_MIB = 2**20
_MOST_RESIDENT_MIB = 400
_BACKLOG, _EVENT_BYTES = 400_000, 500
_QUICK_GROUP = {"LAH_KAFKA_SETTINGS": '{"session.timeout.ms": "6000"}'}  # the embedded broker joins after half of it
_Numbers = dict[str, dict[frozenset[tuple[str, str]], float]]


@pytest.fixture
def topic(broker: EmbeddedBroker, request: pytest.FixtureRequest) -> str:
    name = f"life{abs(hash(request.node.nodeid)):x}"
    ensure_topic(broker.bootstrap, name, 3)
    return name


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that may be stopped: no other test is on it."""
    settings = {"fsync": "off", "full_page_writes": "off"}
    server = EmbeddedPostgres(tmp_path / "postgres", port=unused_port(), settings=settings)
    server.start()
    with connect(server.url) as connection:
        migrate(connection)
    yield server
    server.destroy()


def _scrape(port: int) -> _Numbers:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    samples: _Numbers = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return samples


def _by(numbers: _Numbers, name: str, label: str) -> dict[str, float]:
    return {dict(labels)[label]: value for labels, value in numbers.get(name, {}).items()}


def _ledger(connection: Connection) -> dict[str, int]:
    names = ("received", "stored", "duplicate", "dead_lettered")
    sums = ", ".join(f"coalesce(sum({name}), 0)::int" for name in names)
    return dict(zip(names, connection.execute(f"select {sums} from ledger").fetchone() or (), strict=True))


def _codes(connection: Connection) -> dict[str, int]:
    return dict(connection.execute("select code, count(*)::int from dead_letters group by code").fetchall())


def _landed_records(url: str) -> int:
    with connect(url) as connection:
        return _ledger(connection)["received"]


def _assert_nothing_lost_or_doubled(connection: Connection) -> None:
    """Every offset from the first is in exactly one batch, what came is booked, what is booked as stored is there."""
    gaps = connection.execute(
        "select count(*) from (select from_offset, coalesce(lag(to_offset) over w, 0) as before from landing_batches"
        " window w as (partition by topic_id, partition order by from_offset)) b where before <> from_offset"
    )
    assert gaps.fetchone() == (0,)
    ledger = _ledger(connection)
    assert ledger["received"] == ledger["stored"] + ledger["duplicate"] + ledger["dead_lettered"]
    received = connection.execute("select coalesce(sum(received), 0)::int from landing_batches").fetchone()
    assert received == (ledger["received"],)
    assert connection.execute("select count(*) from events").fetchone() == (ledger["stored"],)
    assert connection.execute("select count(*) from dead_letters").fetchone() == (ledger["dead_lettered"],)


def _now_message(number: int, **envelope: object) -> bytes:
    return message(number, timestamp=datetime.now(UTC).isoformat(), **envelope)  # type: ignore[arg-type]


def test_what_is_scraped_and_what_is_logged_agree_with_the_ledger_and_the_dead_letters(
    database: str, connection: Connection, broker: EmbeddedBroker, topic: str, tmp_path: Path
) -> None:
    connection.execute("alter table events add check (latency_ms <> 666)")  # poison that decodes well
    poison = [(b"k", _now_message(number, latency_ms=666.0)) for number in (1, 2)]
    plan = ReplayPlan.of_traces(end=datetime.now(UTC), run_id="scraped", events=3000)
    messages = [(each.key, each.value) for each in plan.messages]
    produce_all(make_producer(broker.bootstrap), topic, [*messages[:1500], *poison, *messages[1500:]])
    port = unused_port()
    lander = Lander(database, broker, topic, tmp_path, LAH_METRICS_PORT=str(port))
    try:
        everything = len(messages) + len(poison)
        assert wait_until(lambda: _ledger(connection)["received"] >= everything, seconds=60), lander.child.log_tail()
        at_end = "select count(caught_up_at) from landing_offsets"
        assert wait_until(lambda: connection.execute(at_end).fetchone() == (3,), seconds=10)
        numbers = _scrape(port)
        ledger, codes = _ledger(connection), _codes(connection)
        newest = connection.execute("select extract(epoch from now() - max(ts))::float8 from events").fetchone()
        assert lander.child.stop(seconds=30) == 0, lander.child.log_tail()
    finally:
        lander.child.kill()
    assert ledger["dead_lettered"] == plan.expected.dead_lettered + len(poison)
    assert codes["database_rejected"] == len(poison), "a poison batch is halved down to its poison records"
    assert _by(numbers, "lah_landing_records_total", "outcome") == ledger
    assert _by(numbers, "lah_landing_rejected_records_total", "code") == codes
    assert sum(numbers["lah_landing_batch_records_sum"].values()) == ledger["received"]
    batches = connection.execute("select count(distinct landed_at) from landing_batches").fetchone() or (0,)
    assert sum(numbers["lah_landing_batch_records_count"].values()) >= batches[0]
    assert numbers["lah_landing_batch_seconds_count"] == numbers["lah_landing_batch_records_count"]
    assert 0 < sum(numbers["lah_landing_batch_seconds_sum"].values()) < 60
    assert _by(numbers, "lah_landing_lag_records", "partition") == {"0": 0.0, "1": 0.0, "2": 0.0}
    assert all(0 <= age < 10 for age in _by(numbers, "lah_landing_lag_seconds", "partition").values())
    assert newest is not None
    assert abs(_by(numbers, "lah_landing_newest_event_age_seconds", "topic")[topic] - newest[0]) < 5
    assert numbers["lah_landing_database_up"] == {frozenset(): 1.0}
    assert numbers["process_resident_memory_bytes"][frozenset()] < _MOST_RESIDENT_MIB * _MIB

    lines = lander.lines("landed")
    assert lines, "a process writes its figures at the end, however short it ran"
    assert {name: sum(line[name] for line in lines) for name in ledger} == ledger
    rejects: Counter[str] = Counter()
    for line in lines:
        rejects.update(line["rejects"])
    assert rejects == codes
    assert lines[-1]["lag_records"] == {"0": 0, "1": 0, "2": 0}
    assert 0 < lines[-1]["rss_mb"] < _MOST_RESIDENT_MIB
    assert lander.lines("landing stopped, everything read is committed")


def test_while_postgresql_is_away_it_backs_off_in_bounded_memory_and_goes_on_without_loss(
    own_server: EmbeddedPostgres, broker: EmbeddedBroker, topic: str, tmp_path: Path
) -> None:
    producer = make_producer(broker.bootstrap)
    produce_all(producer, topic, [(f"{n}".encode(), _now_message(n)) for n in range(30)])
    port = unused_port()
    more = _QUICK_GROUP | {"LAH_METRICS_PORT": str(port), "LAH_CONSUMER_GROUP": topic, "LAH_BATCH_ROWS": "20000"}
    lander = Lander(own_server.url, broker, topic, tmp_path, **more)
    try:
        assert wait_until(lambda: _landed_records(own_server.url) == 30, seconds=60), lander.child.log_tail()
        own_server.stop()
        produce_all(producer, topic, _backlog(), timeout_seconds=120)
        assert wait_until(lambda: len(lander.lines("landing waits")) >= 4, seconds=60), lander.child.log_tail()
        assert lander.child.return_code is None
        away = _scrape(port)
        own_server.start()
        everything = 30 + _BACKLOG
        assert wait_until(lambda: _landed_records(own_server.url) == everything, seconds=200), lander.child.log_tail()
        peak = _peak_resident_mib(lander.child.pid)
        back = _scrape(port)
        assert lander.child.stop(seconds=30) == 0, lander.child.log_tail()
    finally:
        lander.child.kill()
    assert away["lah_landing_database_up"] == {frozenset(): 0.0}
    assert away["lah_landing_backoffs_total"][frozenset()] >= 4
    assert sum(away["lah_landing_lag_records"].values()) > 10_000
    assert back["lah_landing_database_up"] == {frozenset(): 1.0}
    waits = [line["wait_s"] for line in lander.lines("landing waits")]
    assert all(wait <= 0.2 * 2**attempt for attempt, wait in enumerate(waits[:4])), waits
    assert all(wait >= 0.1 * 2**attempt for attempt, wait in enumerate(waits[:4])), waits
    assert all("PostgreSQL is away" in line["reason"] for line in lander.lines("landing waits"))
    assert peak < _MOST_RESIDENT_MIB, (
        f"{peak:.0f} MiB resident with a backlog of {_BACKLOG * _EVENT_BYTES / 1e6:.0f} MB"
    )
    with connect(own_server.url) as connection:
        _assert_nothing_lost_or_doubled(connection)
        assert _ledger(connection) == {
            "received": everything,
            "stored": everything,
            "duplicate": 0,
            "dead_lettered": 0,
        }


def _backlog() -> Iterator[tuple[bytes, bytes]]:
    """Distinct events of 500 bytes, quickly."""
    one = _now_message(0)
    event_id = str(uuid.UUID(int=0)).encode()
    head, tail = one.replace(one[one.index(b'"event_id"') + 13 :][:36], event_id).split(event_id)
    tail = tail.replace(
        b'"request_id": "r0"', b'"request_id": "r0", "note": "%s"' % (b"x" * (_EVENT_BYTES - len(one) - 12))
    )
    assert len(head + event_id + tail) == _EVENT_BYTES
    return ((b"%d" % n, head + str(uuid.UUID(int=n + 1)).encode() + tail) for n in range(_BACKLOG))


def _peak_resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("the peak of a process's memory is read from /proc, which this system has not")
    (line,) = [each for each in status.read_text().splitlines() if each.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def test_asked_to_stop_while_postgresql_is_away_it_ends_soon_says_what_is_not_landed_and_loses_nothing(
    own_server: EmbeddedPostgres, broker: EmbeddedBroker, topic: str, tmp_path: Path
) -> None:
    producer = make_producer(broker.bootstrap)
    produce_all(producer, topic, [(b"k", _now_message(n)) for n in range(30)])
    lander = Lander(own_server.url, broker, topic, tmp_path)
    try:
        assert wait_until(lambda: _landed_records(own_server.url) == 30, seconds=60), lander.child.log_tail()
        own_server.stop()
        produce_all(producer, topic, [(b"k", _now_message(n)) for n in range(30, 50)])
        assert wait_until(lambda: len(lander.lines("landing waits")) >= 2, seconds=60), lander.child.log_tail()
        asked = time.monotonic()
        assert lander.child.stop(seconds=30) == NOT_LANDED_STATUS, lander.child.log_tail()
        assert time.monotonic() - asked < 15
        last = lander.lines("landing stopped")[-1]
        assert sum(last["not_landed"].values()) == 20
        own_server.start()
        lander.restart()
        assert wait_until(lambda: _landed_records(own_server.url) == 50, seconds=60), lander.child.log_tail()
        assert lander.child.stop(seconds=30) == 0
    finally:
        lander.child.kill()
    with connect(own_server.url) as connection:
        _assert_nothing_lost_or_doubled(connection)
        assert _ledger(connection) == {"received": 50, "stored": 50, "duplicate": 0, "dead_lettered": 0}


def test_asked_to_stop_while_the_database_holds_its_statement_it_ends_at_its_deadline_and_loses_nothing(
    database: str, connection: Connection, broker: EmbeddedBroker, topic: str, tmp_path: Path
) -> None:
    lander = Lander(database, broker, topic, tmp_path, LAH_STOP_SECONDS="2")
    waiting = "select count(*) from pg_locks where not granted"
    try:
        assert wait_until(lambda: bool(lander.lines("landing topic")), seconds=60), lander.child.log_tail()
        with connection.transaction():
            connection.execute("lock table events in access exclusive mode")
            produce_all(make_producer(broker.bootstrap), topic, [(b"k", _now_message(n)) for n in range(20)])
            with connect(database) as other:
                assert wait_until(lambda: other.execute(waiting).fetchone() == (1,), seconds=60)
            asked = time.monotonic()
            assert lander.child.stop(seconds=30) == NOT_LANDED_STATUS, lander.child.log_tail()
            assert 2 <= time.monotonic() - asked < 12
        assert lander.lines("landing did not end in 2 s")
        lander.restart()
        assert wait_until(lambda: _ledger(connection)["received"] == 20, seconds=60), lander.child.log_tail()
    finally:
        lander.child.kill()
    _assert_nothing_lost_or_doubled(connection)
    assert _ledger(connection)["stored"] == 20


def test_a_process_that_starts_while_postgresql_is_away_waits_for_it(
    own_server: EmbeddedPostgres, broker: EmbeddedBroker, topic: str, tmp_path: Path
) -> None:
    produce_all(make_producer(broker.bootstrap), topic, [(b"k", _now_message(n)) for n in range(10)])
    url = own_server.url
    own_server.stop()
    lander = Lander(url, broker, topic, tmp_path, LAH_CONSUMER_GROUP=topic, **_QUICK_GROUP)
    try:
        assert wait_until(lambda: len(lander.lines("adopting a partition waits")) >= 2, seconds=60)
        own_server.start()
        assert wait_until(lambda: _landed_records(url) == 10, seconds=60), lander.child.log_tail()
        own_server.stop()
        lander.child.kill()
        lander.restart()  # and asked to stop before it could adopt anything
        before = len(lander.lines("adopting a partition waits"))
        assert wait_until(lambda: len(lander.lines("adopting a partition waits")) > before, seconds=60)
        assert lander.child.stop(seconds=30) == 0, lander.child.log_tail()
    finally:
        lander.child.kill()


def _lah(database: str, *arguments: str) -> str:
    environment = os.environ | {"LAH_DATABASE_URL": database}
    command = [sys.executable, "-m", "lah_platform.cli", *arguments]
    done = subprocess.run(command, env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_dead_letters_are_listed_shown_and_after_a_fix_replayed_and_counted_once(
    database: str, connection: Connection
) -> None:
    """The fix is time: an event that was ahead of the hub's clock then is behind it now."""
    then = datetime.now(UTC) - timedelta(hours=2)
    early = message(1, timestamp=(then + timedelta(hours=1)).isoformat())
    broken = b"{not json \xc3\xa9"
    partition = Partition("letters", "one", 3)
    records = [Record(partition, 7, b"key", early, (("source", b"edge-4"),)), Record(partition, 8, None, broken)]
    store = PostgresLanding(database)
    store.adopt(partition, 7)
    store.land(prepare(records, {partition: 7}, decoder=decode_now, received_at=then))
    store.close()
    assert _ledger(connection) == {"received": 2, "stored": 0, "duplicate": 0, "dead_lettered": 2}

    listed = [json.loads(line) for line in _lah(database, "dead-letters", "list", "--json").splitlines()]
    assert {each["code"] for each in listed} == {"future_timestamp", "malformed_json"}
    assert "letters[3]@7" in _lah(database, "dead-letters", "list", "--code", "future_timestamp")
    number = next(f"{each['dead_letter_id']}" for each in listed if each["code"] == "future_timestamp")
    shown = json.loads(_lah(database, "dead-letters", "show", number))
    assert (shown["topic"], shown["partition"], shown["record_offset"]) == ("letters", 3, 7)
    assert (shown["raw"], shown["record_key"], shown["headers"]) == (early.decode(), "key", [["source", "edge-4"]])
    assert "ahead of the hub's clock" in shown["reason"]

    assert "stored 1, duplicate 0, still refused 1" in _lah(database, "dead-letters", "replay")
    after = {"received": 2, "stored": 1, "duplicate": 0, "dead_lettered": 1}
    assert _ledger(connection) == after
    assert "stored 0, duplicate 0, still refused 1" in _lah(database, "dead-letters", "replay")
    assert "it was replayed before" in _lah(database, "dead-letters", "replay", number)
    assert _ledger(connection) == after
    assert connection.execute("select count(*) from events").fetchone() == (1,)
    counted = connection.execute("select sum(count)::int from rollup_partials where metric = 'events'").fetchone()
    assert counted == (1,)
    assert "(replayed: stored)" in _lah(database, "dead-letters", "list", "--all")
    assert number not in [line.split()[0] for line in _lah(database, "dead-letters", "list").splitlines()]
