"""The further figures of our side: repeats, size of the identities, real traces, two processes, ten million rows.

Each function lands from an empty database, by itself; what to run and how large is decided in `landing`.
"""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from psycopg import sql

from benchmarks.landing_process import cpu_seconds_of, landing, measure, wait_landed
from benchmarks.landing_services import Services
from benchmarks.landing_workload import messages
from lah_platform.replay.plan import ReplayPlan
from lah_platform.settings import settings
from lah_platform.stores.postgres import Connection

__all__ = [
    "identity_bytes_per_million",
    "rate_of_real_traces",
    "rate_with_duplicates",
    "rate_with_rows_there",
    "rates_of_processes",
]

_WRITERS = 2
_JOIN_SECONDS = 90.0
_LEAST_SHARE = 0.2


def rate_with_duplicates(services: Services, share: float, *, events: int, start: datetime, seed: int) -> float:
    """Messages per second when this share of them came before. Raises RuntimeError when not each repeat is counted."""
    topic = services.topic(f"duplicates-{share:g}")
    services.fill(topic, messages(events, seed=seed, start=start, duplicate_share=share))
    with services.connect() as connection:
        services.empty(connection)
    landed = measure(services, topic, events)
    if landed.duplicates != round(events * share):
        raise RuntimeError(f"{landed.duplicates} repeats were counted of {round(events * share)} sent")
    return landed.rate


def identity_bytes_per_million(connection: Connection) -> float:
    """Bytes of the unique index that tells repeats, per million events in it; the events are there now."""
    row = connection.execute(
        "select sum(pg_relation_size(i.indexrelid))::float8 / (select count(*) from lah.events) * 1000000"
        " from pg_index i where i.indisunique and i.indrelid in (select relid from pg_partition_tree('lah.events'))"
    ).fetchone()
    assert row is not None
    return float(row[0])


def rate_of_real_traces(services: Services, *, events: int) -> float | None:
    """Messages per second of the replayed real traces: sparse series, both spellings; None when they are not here."""
    folder = settings().traces_dir()
    if folder is None:
        return None
    plan = ReplayPlan.of_traces(end=datetime.now(UTC), run_id="benchmark", traces_dir=folder, events=events)
    topic = services.topic("traces")
    services.fill(topic, [(message.key, message.value) for message in plan.messages])
    with services.connect() as connection:
        services.empty(connection)
    return measure(services, topic, len(plan.messages)).rate


def rates_of_processes(services: Services, batch: Sequence[tuple[bytes, bytes]], processes: int) -> float:
    """Messages per second of so many processes of one consumer group, which share the partitions among them.

    They join on a few messages (the embedded broker takes about 25 s); the clock starts when the first of the rest is
    produced. Raises RuntimeError when one of them got next to nothing to do.
    """
    topic, first = services.topic(f"{processes}-processes"), len(batch) // 1000
    with services.connect() as connection:
        services.empty(connection)
        services.fill(topic, batch[:first])
        with landing(services, topic, processes=processes, settings={"consumer_group": topic}) as children:
            wait_landed(connection, topic, first, children, seconds=_JOIN_SECONDS)
            before = [cpu_seconds_of(child.pid) for child in children]
            started = time.monotonic()
            services.fill(topic, batch[first:])
            ended = wait_landed(connection, topic, len(batch), children)
            spent = [cpu_seconds_of(child.pid) - earlier for child, earlier in zip(children, before, strict=True)]
    if min(spent) < _LEAST_SHARE * sum(spent) / processes:
        raise RuntimeError(f"the group did not share the work: CPU seconds {spent}")
    return (len(batch) - first) / (ended - started)


def rate_with_rows_there(services: Services, topic: str, events: int, *, rows: int, among: bool) -> float:
    """Messages per second into a day's partition that holds `rows` others.

    Those are of the minutes before, as where events come as they happen, or, with `among`, of the same seconds, so that
    each new row finds its place somewhere in an index that does not fit in memory: a replay of a day that is there.
    """
    with services.connect() as connection:
        services.empty(connection)
        measure(services, topic, events)
        connection.execute("drop table if exists public.seeds")
        connection.execute("create unlogged table public.seeds as select * from lah.events order by ts")
        services.empty(connection)
        _multiply(services, connection, -(-rows // events), among=among)
        connection.execute("drop table public.seeds")
        connection.execute("truncate landing_offsets")
        connection.execute("vacuum (analyze) lah.events")
        connection.execute("checkpoint")
    rate = measure(services, topic, events).rate
    with services.connect() as connection:
        services.empty(connection)
    return rate


def _multiply(services: Services, connection: Connection, copies: int, *, among: bool) -> None:
    """Each seed so many times, under new ids, by two writers; unless `among`, each copy earlier by their span."""
    order = (
        # depends on the seed, so that the planner makes all copies of one before the next: in order of time
        sql.SQL("public.seeds s cross join lateral generate_series(1, {} + 0 * s.partition) copy")
        if among
        else sql.SQL("generate_series({}, 1, -1) copy cross join lateral (select * from public.seeds where copy > 0) s")
    ).format(sql.Literal(copies))
    moved = sql.SQL("s.ts") if among else sql.SQL("s.ts - copy * (select max(ts) - min(ts) from public.seeds)")
    names = [
        name
        for (name,) in connection.execute(
            "select attname from pg_attribute where attrelid = 'lah.events'::regclass and attnum > 0"
            " and not attisdropped and attgenerated = '' order by attnum"
        )
    ]
    statement = sql.SQL("insert into lah.events ({}) select {} from {} where s.partition %% {} = %s").format(
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join(
            {"event_id": sql.SQL("gen_random_uuid()"), "ts": moved}.get(name, sql.Identifier("s", name))
            for name in names
        ),
        order,
        sql.Literal(_WRITERS),
    )
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            with services.connect() as own:
                own.execute("set synchronous_commit = off")
                own.execute(statement, [number])
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(_WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    if failures:
        raise failures[0]
