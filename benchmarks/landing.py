"""How near the landing transaction comes to the database's own limit, on one connection.

ours: bytes of messages to committed rows, dead letters, ledger, partials and offsets (with decoding, no broker).
copy_ceiling: binary COPY of the same rows, encoded beforehand, into the same table and index, and nothing else.
"""

import argparse
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from benchmarks.report import report
from lah_platform.landing.batch import prepare
from lah_platform.landing.records import Partition, Record
from lah_platform.replay.plan import ReplayPlan
from lah_platform.settings import settings
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.migrations import migrate
from lah_platform.stores.postgres import connect

_BATCH_ROWS = 5000


def _ours(url: str, messages: list[bytes], turn: int) -> float:
    store = PostgresLanding(url)
    partition = Partition("bench", f"{turn}", 0)
    offset = store.adopt(partition, 0)
    started = time.perf_counter()
    for first in range(0, len(messages), _BATCH_ROWS):
        values = messages[first : first + _BATCH_ROWS]
        records = [Record(partition, offset + i, None, value) for i, value in enumerate(values)]
        store.land(prepare(records, {partition: offset}, decoder=decode_now, received_at=datetime.now(UTC)))
        offset += len(values)
    seconds = time.perf_counter() - started
    store.close()
    return len(messages) / seconds


def _ceiling(connection: psycopg.Connection, encoded: list[bytes], rows: int) -> float:
    started = time.perf_counter()
    for batch in encoded:
        with (
            connection.transaction(),
            connection.cursor() as cursor,
            cursor.copy("copy events from stdin (format binary)") as copy,
        ):
            copy.write(batch)
    return rows / (time.perf_counter() - started)


def _encode(connection: psycopg.Connection, rows: int) -> list[bytes]:
    """The table's rows as the server itself encodes them, in batches of the landing's size."""
    encoded = []
    for first in range(0, rows, _BATCH_ROWS):
        query = f"copy (select * from events order by ts, tenant, event_id offset {first} limit {_BATCH_ROWS}) to stdout (format binary)"  # noqa: S608, E501
        with connection.cursor() as cursor, cursor.copy(query.encode()) as copy:
            encoded.append(b"".join(copy))
    return encoded


def main() -> None:
    """Run in turn and print rates in events a second."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="Example: python -m benchmarks.landing --quick --json")
    parser.add_argument("--quick", action="store_true", help="20,000 events and 3 runs instead of 100,000 and 5")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    chosen = parser.parse_args()
    count, runs = (20_000, 3) if chosen.quick else (100_000, 5)
    plan = ReplayPlan.of_traces(
        end=datetime.now(UTC),
        run_id="benchmark",
        traces_dir=settings().traces_dir(),
        events=count,
        duplicate_share=0.0,
        malformed_count=0,
    )
    messages = [message.value for message in plan.messages]
    print(plan.describe())
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder), port=unused_port())
        server.start()
        try:
            with connect(server.url) as connection:
                migrate(connection)
                ours, ceiling, encoded = [], [], []
                for turn in range(runs):
                    connection.execute("truncate events, rollup_partials")
                    ours.append(_ours(server.url, messages, turn))
                    encoded = encoded or _encode(connection, len(messages))
                    connection.execute("truncate events")
                    connection.execute("checkpoint")
                    ceiling.append(_ceiling(connection, encoded, len(messages)))
        finally:
            server.destroy()
    report("landing", ours, {"copy_ceiling": ceiling}, unit="events/s", as_json=chosen.json)


if __name__ == "__main__":
    main()
