"""Rollups under every interleaving that Hypothesis thinks of: at rest, every window says what its events say.

Landing, repeats, late events, ticks, recomputations, erasures, retention and workers side by side, each of them cut off
at any statement. More examples than `make test` has time for: LAH_ROLLUP_EXAMPLES (CONTRIBUTING.md).

Rollups outlive their events: what retention drops stays counted as it was, a late event is added to it, and an event
that is dropped and comes again is another one. Days whose events are dropped are not recomputed here, for the doors
refuse to (`check_days`).
"""

import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import psycopg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from psycopg.conninfo import make_conninfo

from lah_platform.errors import StoreUnavailable
from lah_platform.landing.batch import prepare
from lah_platform.landing.records import Partition, Record
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.rollups import pending, recompute_day, recompute_days, tick
from tests.conftest import Server
from tests.landing.messages import api_cost, message
from tests.rollups.recount import EventRow, assert_rollups_equal_recount, event_rows
from tests.rollups.wire import Break, Wire
from tests.stores.archiving import drop_old_events

EXAMPLES = int(os.environ.get("LAH_ROLLUP_EXAMPLES", "15"))
STEPS = 14

NOW = datetime(2028, 3, 5, 12, 0, 30, tzinfo=UTC)
BORDERS = [
    NOW.replace(second=0),
    datetime(2028, 3, 1, tzinfo=UTC),  # a month's, after a leap day
    datetime(2028, 2, 29, tzinfo=UTC),
    datetime(2028, 2, 28, tzinfo=UTC),  # a week's
    datetime(2028, 1, 1, tzinfo=UTC),  # a year's, within a week
    datetime(2027, 12, 27, tzinfo=UTC),  # of the last week of a year
    datetime(2027, 2, 1, tzinfo=UTC),
    datetime(2027, 1, 30, 12, tzinfo=UTC),  # older than events may be
]
DAYS = sorted({(border + timedelta(days=n)).date() for border in BORDERS[:-1] for n in (-1, 0)})
FIRST_NUMBER, LAST_NUMBER = 0, 25
NUMBERS = st.integers(FIRST_NUMBER, LAST_NUMBER)
MOMENTS = st.builds(
    lambda border, distance: border + distance,
    st.sampled_from(BORDERS),
    st.sampled_from(
        [timedelta(0), timedelta(microseconds=-1), timedelta(microseconds=1)]
        + [timedelta(seconds=20), timedelta(minutes=-4), timedelta(minutes=2), timedelta(hours=-7)]
    ),
)
QUANTITIES = st.one_of(
    st.sampled_from([0.0, 0.1, 42.5, 1e9, 1e9 + 1]), st.floats(1e-3, 1e6), st.integers(0, 10**6).map(float)
)
COUNTS = st.one_of(st.integers(0, 10), st.integers(0, 2**62))
AMOUNTS = st.decimals(-(10**6), 10**6, places=12)


def _telemetry(telemetry_type: str, **fields: object) -> dict[str, Any]:
    return {
        "payload": {
            "payload_type": "telemetry",
            "data": {"telemetry_type": telemetry_type, "model_id": "gpt-4", **fields},
        }
    }


def _tokens(prompt: int, completion: int) -> dict[str, Any]:
    return _telemetry(
        "token_usage", request_id="r", prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt
    )


def _requests(total: int, failed: int) -> dict[str, Any]:
    rates = {"error_rate_percent": 1.0, "error_breakdown": {}, "window_duration_seconds": 60}
    return _telemetry("error_rate", total_requests=total, failed_requests=failed, **rates)


KINDS = st.one_of(
    st.builds(
        lambda ms, ttft: _telemetry("latency", request_id="r", total_latency_ms=ms, ttft_ms=ttft),
        QUANTITIES,
        st.none() | QUANTITIES,
    ),
    st.builds(_tokens, COUNTS, COUNTS),
    st.builds(_requests, COUNTS, COUNTS),
    st.builds(
        lambda score: _telemetry("model_performance", quality_score=score, custom_metrics={}),
        st.one_of(QUANTITIES, QUANTITIES.map(lambda value: -value)),
    ),
    AMOUNTS.map(lambda usd: {"event_type": "cost", "payload": {"payload_type": "cost", "data": api_cost(f"{usd:f}")}}),
)
EVENTS = st.builds(
    lambda number, moment, kind, tenant: message(number, timestamp=moment.isoformat(), tenant=tenant, **kind),
    NUMBERS,
    MOMENTS,
    KINDS,
    st.sampled_from(["acme", "globex"]),
)
BREAKS = st.none() | st.tuples(st.sampled_from(["unsent", "unanswered", "conflict"]), st.sampled_from(range(0, 100, 3)))
"""How, and after what percentage of the statements that the same work took at most; a sample, for drawn integers are
mostly the smallest."""

_Breaking = tuple[str, int] | None
_PARTITION = Partition("t", "one", 0)
_BROKEN = (psycopg.OperationalError, StoreUnavailable)


class _Client:
    """A process that uses the database, over a wire of its own."""

    def __init__(self, database: str) -> None:
        self.wire = Wire(database)
        self._statements: dict[str, int] = {}
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.wire.url)
        return self._connection

    @contextmanager
    def breaking(self, work: str, breaking: _Breaking) -> Iterator[list[BaseException]]:
        """Break in the middle of `work`; what is yielded holds the error then."""
        errors: list[BaseException] = []
        if breaking is not None:
            how, percentage = breaking
            self.wire.expect(Break(1 + percentage * self._statements.get(work, 40) // 100, how))  # type: ignore[arg-type]
        else:
            self.wire.expect(None)
        try:
            yield errors
        except _BROKEN as error:
            if breaking is None:
                raise
            errors.append(error)
        else:
            self._statements[work] = max(self.wire.statements, self._statements.get(work, 0))  # little when idle
        self.wire.expect(None)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self.wire.close()


class RollupMachine(RuleBasedStateMachine):
    """What may happen to a hub, in any order. The log is the broker's: landing goes on where the database says."""

    def __init__(self, database: str) -> None:
        super().__init__()
        self.database = database
        self.observer = connect(database)
        self.worker, self.other, self.lander = _Client(database), _Client(database), _Client(database)
        self.store = PostgresLanding(self.lander.wire.url)
        self.log: list[bytes] = []
        self.first_kept = DAYS[0]
        self.dropped: list[EventRow] = []
        self.kept: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self.unfinished_erasures: set[date] = set()
        self.seconds = count()

    def now(self) -> datetime:
        """Later at each call, so that computed_at tells which work wrote a row."""
        return NOW + timedelta(seconds=next(self.seconds))

    @rule(events=st.lists(EVENTS, min_size=1, max_size=8), restarts=st.booleans(), breaking=BREAKS)
    def land(self, events: list[bytes], restarts: bool, breaking: _Breaking) -> None:
        self.log += events
        with self.lander.breaking("landing", breaking) as errors:
            self._land_waiting(attempts=1 if breaking else 3)
        if errors and restarts:
            self.store.close()
            self.store = PostgresLanding(self.lander.wire.url)

    @precondition(lambda self: self.log)
    @rule(places=st.lists(st.integers(0, 200), min_size=1, max_size=6), breaking=BREAKS)
    def land_repeats(self, places: list[int], breaking: _Breaking) -> None:
        self.log += [self.log[place % len(self.log)] for place in places]
        with self.lander.breaking("landing", breaking):
            self._land_waiting(attempts=1 if breaking else 3)

    @rule(max_partials=st.sampled_from([1, 3, 50_000]), minutes_only=st.booleans(), breaking=BREAKS)
    def tick(self, max_partials: int, minutes_only: bool, breaking: _Breaking) -> None:
        with self.worker.breaking("tick", breaking):
            tick(self.worker.connection, now=self.now(), max_partials=max_partials, minutes_only=minutes_only)

    @rule(first=st.sampled_from(DAYS), length=st.integers(1, 3), breaking=BREAKS)
    def recompute(self, first: date, length: int, breaking: _Breaking) -> None:
        with self.worker.breaking(f"recompute {length}", breaking):
            self._recompute(self.worker.connection, first, length)

    @rule(numbers=st.sets(NUMBERS, min_size=1, max_size=10), breaking=BREAKS)
    def erase(self, numbers: set[int], breaking: _Breaking) -> None:
        ids = [_event_id(number) for number in numbers]
        erased = self.observer.execute(
            "delete from events where event_id = any(%s::uuid[]) and ts >= %s returning (ts at time zone 'UTC')::date",
            (ids, _midnight(self.first_kept)),
        )
        self.unfinished_erasures |= {day for (day,) in erased}
        with self.worker.breaking("recompute 1", breaking):
            self._finish_erasures()

    @rule(before=st.sampled_from(DAYS), settled=st.booleans())
    def drop_old_events(self, before: date, settled: bool) -> None:
        self._finish_erasures()  # an erased event that is dropped before its day is recomputed stays in the rollups
        if settled:
            self._settle()
        old = [row for row in event_rows(self.observer) if row["ts"] < _midnight(before)]
        drop_old_events(self.observer, before)
        self.dropped += old
        self.first_kept = max(self.first_kept, before)
        assert not [row for row in event_rows(self.observer) if row["ts"] < _midnight(before)]
        if settled:
            self.kept = self._rows_before(self.first_kept)

    @rule(
        first=st.sampled_from(DAYS),
        length=st.integers(1, 2),
        max_partials=st.sampled_from([1, 3]),
        events=st.lists(EVENTS, min_size=2, max_size=8),
        breaking=BREAKS,
        other_breaking=BREAKS,
    )
    def work_side_by_side(
        self,
        first: date,
        length: int,
        max_partials: int,
        events: list[bytes],
        breaking: _Breaking,
        other_breaking: _Breaking,
    ) -> None:
        for event in events[1:]:  # a batch each, so that both workers find something to merge
            self.log.append(event)
            self._land_waiting(attempts=3)
        self.log.append(events[0])

        def ticks() -> None:
            for turn in range(3):
                with self.worker.breaking("tick", breaking):
                    tick(self.worker.connection, now=NOW, max_partials=max_partials, minutes_only=turn < 2)

        def recomputation() -> None:
            for _ in range(2):
                tick(self.other.connection, now=NOW, max_partials=max_partials)
            with self.other.breaking(f"recompute {length}", other_breaking):
                self._recompute(self.other.connection, first, length)
            tick(self.other.connection, now=NOW, max_partials=max_partials)

        _all_at_once([ticks, recomputation, lambda: self._land_waiting(attempts=3)])

    @rule()
    def compare(self) -> None:
        self._settle()
        assert_rollups_equal_recount(self.observer, self.dropped)
        for key, row in self._rows_before(self.first_kept).items():
            if key in self.kept and row[0] == self.kept[key][0]:  # a late event would have raised the count
                assert row == self.kept[key], f"{key}: changed after its events were dropped"
        assert self.kept.keys() <= self._rows_before(self.first_kept).keys()

    def teardown(self) -> None:
        try:
            self.compare()
        finally:
            self.store.close()
            self.observer.close()
            for client in (self.worker, self.other, self.lander):
                client.close()

    def _land_waiting(self, attempts: int = 1) -> None:
        """Land what the database has not; a store with two connections may find them gone one after the other."""
        for left in range(attempts - 1, -1, -1):
            try:
                self._land_batch()
                return
            except StoreUnavailable:
                if not left:
                    raise

    def _land_batch(self) -> None:
        start = self.store.adopt(_PARTITION, 0)
        records = [Record(_PARTITION, start + n, None, value) for n, value in enumerate(self.log[start:])]
        if records:
            self.store.land(prepare(records, {_PARTITION: start}, decoder=decode_now, received_at=NOW))

    def _recompute(self, connection: Connection, first: date, length: int) -> None:
        first, end = max(first, self.first_kept), first + timedelta(days=length)
        if first < end:
            recompute_days(connection, first, end, now=self.now())
            self.unfinished_erasures -= {first + timedelta(days=n) for n in range((end - first).days)}

    def _finish_erasures(self) -> None:
        for day in sorted(self.unfinished_erasures):
            recompute_day(self.worker.connection, day, now=self.now())
            self.unfinished_erasures.discard(day)

    def _settle(self) -> None:
        """Everything that waits is done, and nothing breaks."""
        self._land_waiting(attempts=3)
        self._finish_erasures()
        while tick(self.worker.connection, now=self.now()).partials:
            pass
        assert pending(self.observer) == 0

    def _rows_before(self, day: date) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """count, measures, revision and computed_at of each row of a day or less that is older."""
        found = {}
        for window in WINDOWS[:-2]:
            rows = self.observer.execute(
                "select bucket_start, series_id, metric, count, sum, min, max, avg, stddev, p50, p95, p99, revision,"
                f" computed_at from {window.view} where bucket_start < %s".encode(),
                [_midnight(day)],
            )
            found |= {(window.name, *row[:3]): row[3:] for row in rows}
        return found


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _event_id(number: int) -> str:
    return str(json.loads(message(number))["event_id"])


def _all_at_once(works: Sequence[Callable[[], None]]) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        try:
            start.wait(60)
            work()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if failures:
        raise failures[0]


def test_whatever_happens_in_whatever_order_and_wherever_it_breaks_rollups_say_what_the_events_say(
    server: Server, template: str
) -> None:
    numbers = count()
    admin = connect(server.url)
    made: list[str] = []

    def fresh_database() -> str:
        while made:
            admin.execute(f"drop database {made.pop()} with (force)".encode())
        made.append(f"rollup_machine_{next(numbers)}")
        admin.execute(f"create database {made[-1]} template {template}".encode())
        return make_conninfo(server.url, dbname=made[-1])

    with admin:
        run_state_machine_as_test(
            lambda: RollupMachine(fresh_database()),
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        admin.execute(f"drop database if exists {made[-1]} with (force)".encode())
