"""Strict deduplication's memory equals a dictionary that remembers for exactly one window, whatever happens to it."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lah_platform.stores.conflicts import ConflictMemory, identity_keys
from lah_platform.stores.embedded.process import wait_until
from lah_platform.stores.postgres import Connection, connect

START = datetime(2026, 3, 4, tzinfo=UTC)
WINDOW = timedelta(hours=24)
TENANTS = ["acme", "globex"]


class Claim(NamedTuple):
    tenant: str
    event_id: int
    timestamp_us: int


class Step(NamedTuple):
    hours: int
    turns: bool
    commits: bool
    connection: int
    claims: list[Claim]


def _colliding_ids() -> list[bytes]:
    """Six ids: two that share their key within a tenant, two that share it across tenants, and two more."""
    chance = np.random.default_rng(5)
    octets = np.frombuffer(chance.bytes(16 * 60_000), np.uint8).reshape(-1, 16).copy()
    octets[:, :5] = 7
    acme, globex = (identity_keys([tenant] * len(octets), octets) for tenant in TENANTS)
    order = np.argsort(acme, kind="stable")
    place = int(np.flatnonzero(acme[order][1:] == acme[order][:-1])[0])
    shared, ours, theirs = np.intersect1d(acme, globex, return_indices=True)
    assert shared.size
    return [octets[i].tobytes() for i in (order[place], order[place + 1], ours[0], theirs[0], 0, 1)]


IDS = _colliding_ids()


def claim(memory: ConflictMemory, connection: Connection, claims: Sequence[Claim], now: datetime) -> dict[int, int]:
    return memory.claim(
        connection,
        tenants=[each.tenant for each in claims],
        event_ids=np.frombuffer(b"".join(IDS[each.event_id] for each in claims), np.uint8).reshape(-1, 16),
        timestamps_us=np.array([each.timestamp_us for each in claims], np.int64),
        now=now,
    )


class Naive:
    """What the memory promises, in a dictionary."""

    def __init__(self) -> None:
        self.remembered: dict[tuple[str, int], tuple[int, datetime]] = {}

    def claim(self, claims: Sequence[Claim], now: datetime) -> dict[int, int]:
        conflicts = {}
        for position, (tenant, event_id, timestamp_us) in enumerate(claims):
            first_us, at = self.remembered.get((tenant, event_id), (0, now - WINDOW))
            if at <= now - WINDOW:
                self.remembered[tenant, event_id] = (timestamp_us, now)
            elif first_us != timestamp_us:
                conflicts[position] = first_us
        return conflicts


CLAIMS = st.builds(
    Claim, st.sampled_from(TENANTS), st.integers(0, len(IDS) - 1), st.sampled_from([0, 1, 1_772_625_600_000_001])
)
STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from([0, 0, 1, 11, 23, 24, 25, 49]),
        st.booleans(),
        st.sampled_from([True, True, False]),
        st.integers(0, 1),
        st.lists(CLAIMS, max_size=12),
    ),
    max_size=12,
)


def _forget_everything(connection: Connection) -> None:
    connection.execute(
        "truncate identities_0, identities_1, identity_collisions_0, identity_collisions_1;"
        " update identity_state set current_table = 0, since = 'epoch'"
    )


class _RolledBack(Exception):
    pass


@pytest.fixture
def two(database: str) -> Iterator[list[Connection]]:
    with connect(database) as one, connect(database) as other:
        yield [one, other]


@hypothesis_settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
@example(  # the second of two identities with one key, after the first one's table was forgotten
    steps=[
        Step(0, True, True, 0, [Claim("acme", 0, 1)]),
        Step(23, True, True, 0, [Claim("acme", 1, 1)]),
        Step(1, True, True, 0, []),
        Step(0, True, True, 1, [Claim("acme", 1, 0), Claim("acme", 0, 0)]),
        Step(23, True, True, 1, [Claim("acme", 1, 0), Claim("acme", 0, 1)]),
    ]
)
def test_whatever_passes_between_batches_the_conflicts_are_those_of_one_window(
    steps: list[Step], two: list[Connection]
) -> None:
    _forget_everything(two[0])
    naive, now = Naive(), START
    memories = [ConflictMemory(WINDOW), ConflictMemory(WINDOW)]
    for step in steps:
        now += timedelta(hours=step.hours)
        connection, memory = two[step.connection], memories[step.connection]
        if step.turns:
            memory.turn_if_due(connection, now)
        before = dict(naive.remembered)
        try:
            with connection.transaction():
                assert claim(memory, connection, step.claims, now) == naive.claim(step.claims, now)
                if not step.commits:
                    raise _RolledBack
        except _RolledBack:
            naive.remembered = before


def test_the_ids_of_these_tests_do_share_keys() -> None:
    octets = np.frombuffer(b"".join(IDS), np.uint8).reshape(-1, 16)
    acme, globex = (identity_keys([tenant] * len(IDS), octets) for tenant in TENANTS)
    assert acme[0] == acme[1]
    assert acme[2] == globex[3]


def _waits(connection: Connection, other: Connection) -> bool:
    pid = other.info.backend_pid
    found = connection.execute("select wait_event_type from pg_stat_activity where pid = %s", (pid,)).fetchone()
    return found == ("Lock",)


@pytest.mark.parametrize("first_commits", [True, False])
def test_of_two_processes_that_claim_one_identity_at_once_exactly_one_wins(
    first_commits: bool, two: list[Connection]
) -> None:
    one, other = two
    found: list[dict[int, int]] = []

    def claims_another_timestamp() -> None:
        with other.transaction():
            found.append(claim(ConflictMemory(WINDOW), other, [Claim("acme", 0, 2)], START))

    second = threading.Thread(target=claims_another_timestamp)
    try:
        with one.transaction():
            assert claim(ConflictMemory(WINDOW), one, [Claim("acme", 0, 1)], START) == {}
            second.start()
            assert wait_until(lambda: _waits(one, other), seconds=10)
            if not first_commits:
                raise _RolledBack
    except _RolledBack:
        pass
    second.join()
    assert found == [{0: 1} if first_commits else {}]


def test_processes_that_claim_the_same_identities_beside_each_others_turns_agree_on_one_timestamp_each(
    database: str,
) -> None:
    window = timedelta(hours=2)
    accepted: list[tuple[datetime, Claim]] = []
    failures: list[BaseException] = []

    def lands(seed: int) -> None:
        chance = np.random.default_rng(seed)
        memory = ConflictMemory(window)
        try:
            with connect(database) as own:
                for minute in range(60):
                    now = START + timedelta(minutes=minute)
                    memory.turn_if_due(own, now)
                    claims = [
                        Claim(TENANTS[int(chance.integers(2))], int(chance.integers(len(IDS))), seed) for _ in range(4)
                    ]
                    claims.sort(key=lambda each: identity_keys([each.tenant], _octets(each))[0])
                    with own.transaction():
                        conflicts = claim(memory, own, claims, now)
                    accepted.extend((now, each) for at, each in enumerate(claims) if at not in conflicts)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=lands, args=(seed,)) for seed in range(1, 4)]
    with ExitStack() as running:
        for thread in threads:
            thread.start()
            running.callback(thread.join)
    assert not failures
    winners: dict[tuple[str, int], set[int]] = {}
    for _, (tenant, event_id, timestamp_us) in accepted:
        winners.setdefault((tenant, event_id), set()).add(timestamp_us)
    assert len(winners) == len(TENANTS) * len(IDS)
    assert all(len(timestamps) == 1 for timestamps in winners.values())


def _octets(each: Claim) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    return np.frombuffer(IDS[each.event_id], np.uint8).reshape(1, 16)


def test_a_turn_never_waits_long_for_a_process_that_hangs_in_its_transaction_and_is_made_later(
    two: list[Connection],
) -> None:
    one, other = two
    memory, stuck = ConflictMemory(WINDOW), ConflictMemory(WINDOW)
    memory.turn_if_due(one, START)
    later = START + WINDOW
    with other.transaction():
        claim(stuck, other, [Claim("acme", 4, 1)], START)
        memory.turn_if_due(one, later)
        assert _since(one) == START
        with one.transaction():
            assert claim(memory, one, [Claim("acme", 5, 1)], later) == {}
    memory.turn_if_due(one, later + timedelta(seconds=59))
    assert _since(one) == START, "it is tried again after a minute, not at every batch"
    memory.turn_if_due(one, later + timedelta(seconds=60))
    assert _since(one) == later + timedelta(seconds=60)


def _since(connection: Connection) -> datetime:
    ((since,),) = connection.execute("select since from identity_state").fetchall()
    return since  # type: ignore[no-any-return]


def test_a_claim_beside_a_turn_waits_for_it_and_goes_where_the_next_ones_go(two: list[Connection]) -> None:
    one, other = two

    def claims() -> None:
        with other.transaction():
            claim(ConflictMemory(WINDOW), other, [Claim("acme", 0, 1)], START)

    beside = threading.Thread(target=claims)
    with one.transaction():
        one.execute("select pg_advisory_xact_lock(hashtextextended('lah.identities', 0))")
        beside.start()
        assert wait_until(lambda: _waits(one, other), seconds=10)
        one.execute("update identity_state set current_table = 1, since = %s", (START,))
    beside.join()
    assert one.execute("select count(*) from identities_1").fetchone() == (1,)


def test_what_is_older_than_two_windows_takes_no_space(connection: Connection) -> None:
    memory = ConflictMemory(WINDOW)
    for day in range(5):
        now = START + day * WINDOW
        memory.turn_if_due(connection, now)
        with connection.transaction():
            claim(memory, connection, [Claim("acme", number, day) for number in range(len(IDS))], now)
    rows = connection.execute(
        "select (select count(*) from identities_0) + (select count(*) from identities_1)"
        " + (select count(*) from identity_collisions_0) + (select count(*) from identity_collisions_1)"
    ).fetchone()
    assert rows == (2 * len(IDS),)


def test_a_window_must_last() -> None:
    with pytest.raises(ValueError, match="remembers nothing"):
        ConflictMemory(timedelta(0))
