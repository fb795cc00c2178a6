"""The landing process itself, against a real broker and a real PostgreSQL, killed and started again."""

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lah_platform.replay.plan import ReplayPlan
from lah_platform.stores.embedded.broker import EmbeddedBroker
from lah_platform.stores.embedded.postgres import EmbeddedPostgres, binaries
from lah_platform.stores.embedded.process import wait_until
from lah_platform.stores.kafka import ensure_topic, make_producer, produce_all
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.rollups import tick
from tests.landing.lander import Lander
from tests.rollups.recount import assert_rollups_equal_recount

_SEED = 20260304


@pytest.fixture
def topic(broker: EmbeddedBroker, request: pytest.FixtureRequest) -> str:
    name = f"t{abs(hash(request.node.nodeid)):x}"
    ensure_topic(broker.bootstrap, name, 3)
    return name


@pytest.fixture
def lander(database: str, broker: EmbeddedBroker, topic: str, tmp_path: Path) -> Iterator[Lander]:
    lander = Lander(database, broker, topic, tmp_path)
    yield lander
    lander.child.kill()


def _landed(connection: Connection, topic: str) -> int:
    (count,) = connection.execute(
        "select coalesce(sum(received), 0)::int from ledger where topic = %s", (topic,)
    ).fetchone() or (0,)
    return int(count)


def _totals(connection: Connection) -> tuple[int, ...]:
    row = connection.execute(
        "select sum(received)::int, sum(stored)::int, sum(duplicate)::int, sum(dead_lettered)::int from ledger"
    ).fetchone()
    return tuple(row or ())


def test_killed_again_and_again_in_the_middle_of_a_replay_it_ends_with_the_same_tables(
    lander: Lander, broker: EmbeddedBroker, topic: str, connection: Connection
) -> None:
    chance = random.Random(_SEED)
    now = datetime.now(UTC)
    plan = ReplayPlan.of_traces(end=now - timedelta(seconds=5), run_id="kill", traces_dir=None, events=6000)
    messages = [(message.key, message.value) for message in plan.messages]
    producer = make_producer(broker.bootstrap)
    parts = [messages[start : start + 1500] for start in range(0, len(messages), 1500)]
    sent = 0
    for part in parts:
        sent += produce_all(producer, topic, part)
        target = sent - chance.randrange(len(part))  # somewhere inside what was just produced
        assert wait_until(lambda target=target: _landed(connection, topic) >= target, seconds=60)  # type: ignore[misc]
        os.kill(lander.child.pid, signal.SIGKILL)
        lander.child.stop()
        lander.restart()
    assert wait_until(lambda: _landed(connection, topic) >= sent, seconds=60), lander.child.log_tail()
    assert _totals(connection) == tuple(plan.expected)
    gaps = connection.execute(
        "select count(*) from (select from_offset, lag(to_offset) over w as before from landing_batches"
        " window w as (partition by partition order by from_offset)) b where before <> from_offset"
    ).fetchone()
    assert gaps == (0,)
    while tick(connection, now=datetime.now(UTC)).partials:
        pass
    assert_rollups_equal_recount(connection)


def test_asked_to_stop_it_commits_what_it_read_and_ends_with_success(
    lander: Lander, broker: EmbeddedBroker, topic: str, connection: Connection
) -> None:
    plan = ReplayPlan.of_traces(end=datetime.now(UTC), run_id="stop", traces_dir=None, events=2000, malformed_count=0)
    produce_all(make_producer(broker.bootstrap), topic, [(m.key, m.value) for m in plan.messages])
    assert wait_until(lambda: _landed(connection, topic) > 0, seconds=60), lander.child.log_tail()
    assert lander.child.stop(seconds=15) == 0
    committed = _landed(connection, topic)
    assert connection.execute("select count(*) from events").fetchone() == (_totals(connection)[1],)
    lander.restart()
    assert wait_until(lambda: _landed(connection, topic) == len(plan.messages), seconds=60)
    assert committed <= len(plan.messages)


def test_a_restored_backup_reads_the_broker_again_from_its_own_offsets_exactly_once(
    lander: Lander,
    server: EmbeddedPostgres,
    broker: EmbeddedBroker,
    topic: str,
    database: str,
    connection: Connection,
    tmp_path: Path,
) -> None:
    if connection.info.server_version < 170000:
        pytest.skip("the embedded pg_restore speaks to servers from 17 on")
    plan = ReplayPlan.of_traces(end=datetime.now(UTC), run_id="backup", traces_dir=None, events=3000)
    messages = [(message.key, message.value) for message in plan.messages]
    producer = make_producer(broker.bootstrap)
    produce_all(producer, topic, messages[:1000])
    assert wait_until(lambda: _landed(connection, topic) >= 500, seconds=60), lander.child.log_tail()
    backup = tmp_path / "backup.dump"
    subprocess.run([binaries() / "pg_dump", "-Fc", "-f", backup, database], check=True)
    produce_all(producer, topic, messages[1000:])
    assert wait_until(lambda: _landed(connection, topic) == len(messages), seconds=60)
    lander.child.stop()

    restored = f"restored_{os.getpid()}"
    with connect(server.url) as admin:
        admin.execute(f"create database {restored}".encode())
    url = server.url.rsplit("/", 1)[0] + "/" + restored
    subprocess.run([binaries() / "pg_restore", "-d", url, backup], check=True)
    second = Lander(url, broker, topic, tmp_path / "restored", LAH_HOME=str(tmp_path))  # with its master key
    try:
        with connect(url) as own:
            assert wait_until(lambda: _landed(own, topic) == len(messages), seconds=60), second.child.log_tail()
            assert _totals(own) == tuple(plan.expected)
            while tick(own, now=datetime.now(UTC)).partials:
                pass
            assert_rollups_equal_recount(own)
    finally:
        second.child.kill()
