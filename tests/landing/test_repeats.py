"""What memory says of repeats: never "new" of what is remembered, and hardly ever "seen" of what is new."""

import numpy as np

from lah_platform.landing.columns import EventColumns, UuidColumn
from lah_platform.landing.repeats import RecentEvents

_BATCH = 20_000


def _events(ids: np.ndarray, times_us: np.ndarray) -> EventColumns:  # type: ignore[type-arg]
    nothing = np.zeros(len(ids), np.bool_)
    column = UuidColumn(ids, nothing)
    rows = np.arange(len(ids))
    return EventColumns(rows, [], np.zeros(len(ids), np.int64), times_us, column, column, column, [], [], [])


def _batches(count: int, *, are_sequential: bool) -> list[EventColumns]:
    chance = np.random.default_rng(20261125)
    made = []
    for number in range(count):
        ids = chance.integers(0, 256, (_BATCH, 16), dtype=np.uint8)
        times_us = np.arange(_BATCH) + number * _BATCH + 10**15
        if are_sequential:  # ids that count up, all at one moment
            ids[:, :8] = 0
            ids[:, 8:] = np.arange(number * _BATCH, (number + 1) * _BATCH).astype(">u8").view(np.uint8).reshape(-1, 8)
            times_us = np.full(_BATCH, 10**15)
        made.append(_events(ids, times_us))
    return made


def test_the_newest_events_are_always_known_again() -> None:
    recent = RecentEvents(capacity=5 * _BATCH)
    batches = _batches(20, are_sequential=False)
    for number, batch in enumerate(batches):
        recent.seen(batch)
        for before in batches[max(0, number - 3) : number + 1]:
            assert recent.seen(before).all()


def test_new_events_are_hardly_ever_taken_for_repeats() -> None:
    for are_sequential in (False, True):
        recent = RecentEvents()
        taken = sum(int(recent.seen(batch).sum()) for batch in _batches(40, are_sequential=are_sequential))
        assert taken <= 20, "more than one in 40,000: a batch with such an event is looked up, which costs milliseconds"
