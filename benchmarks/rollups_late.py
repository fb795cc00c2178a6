"""What late events cost the tick that merges them."""

import statistics
import time
from contextlib import closing
from datetime import UTC, datetime

from benchmarks.landing_prepared import PARTITION, records_of
from lah_platform.landing.batch import prepare
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.postgres import connect
from lah_platform.stores.rollups import tick
from tests.landing.messages import message

__all__ = ["by_touched_windows", "late_event_ms"]

_DAYS = (0, 1, 3, 10, 40, 100, 200, 300)
_HOURS = (30, 300, 3000)


def late_event_ms(url: str) -> tuple[float, float]:
    """Milliseconds of a tick after one late event, median and most over several ages; RuntimeError when it wrote more
    than its own windows."""
    taken = []
    with closing(PostgresLanding(url, series_limit=10**6)) as store, connect(url) as connection:
        for number, days in enumerate(_DAYS * 3):
            at = store.adopt(PARTITION, 0)
            late = message(number, minutes_ago=60 * 24 * days + 5)
            received_at = datetime.now(UTC)
            store.land(prepare(records_of([late], at), {PARTITION: at}, decoder=decode_now, received_at=received_at))
            started = time.perf_counter()
            done = tick(connection, now=received_at)
            taken.append((time.perf_counter() - started) * 1000)
            if set(done.rows.values()) != {done.partials}:
                raise RuntimeError(f"one late event of {done.partials} metrics wrote {done.rows}")
    return statistics.median(taken), max(taken)


def by_touched_windows(url: str) -> dict[str, float]:
    """Rows that a tick over late events of so many different hours wrote, and its milliseconds."""
    scores: dict[str, float] = {}
    with closing(PostgresLanding(url, series_limit=10**6)) as store, connect(url) as connection:
        for number, size in enumerate(_HOURS):
            at = store.adopt(PARTITION, 0)
            late = [message(1_000_000 * (number + 1) + i, minutes_ago=60 * (24 + i) + number) for i in range(size)]
            received_at = datetime.now(UTC)
            records = records_of(late, at)
            store.land(prepare(records, {PARTITION: at}, decoder=decode_now, received_at=received_at))
            done = tick(connection, now=received_at)
            scores[f"late_{size}_hours_rows"] = float(sum(done.rows.values()))
            scores[f"late_{size}_hours_tick_ms"] = done.seconds * 1000
    return scores
