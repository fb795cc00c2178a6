"""What must be true once everything produced is landed: slow and obvious, from the broker's log and the labels.

Belongs here: reading the log back, and every promise with the words in which it is broken. Rollups are recounted by
`tests.rollups.recount`. Nothing of `lah_platform.landing` or `lah_platform.events` is used.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from confluent_kafka import Consumer, KafkaError, TopicPartition

from lah_platform.stores.dead_letters import opened
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.postgres import Connection
from tests.faults.workload import Identity, Label, Workload

__all__ = ["BrokenPromise", "Logged", "Place", "Tally", "judge", "read_log"]

_SHOWN = 5
_READ_SECONDS = 60.0

Place = tuple[int, int]  # partition, offset


class BrokenPromise(AssertionError):
    """The tables are not what was produced."""


class Logged(NamedTuple):
    """One record as the broker holds it."""

    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass
class Tally:
    """What a judged round held, and every promise that it broke."""

    records: int = 0
    stored: int = 0
    duplicate: int = 0
    dead_lettered: int = 0
    conflicts: int = 0
    batches: int = 0
    broken: list[str] = field(default_factory=list)

    def check(self, holds: bool, promise: str) -> None:
        if not holds:
            self.broken.append(promise)

    def same(self, found: Mapping[Any, Any], expected: Mapping[Any, Any], what: str) -> None:
        """Both mappings are equal; otherwise say where they differ."""
        if found == expected:
            return
        keys = [key for key in {**found, **expected} if found.get(key) != expected.get(key)]
        shown = "; ".join(
            f"{key}: found {found.get(key)!r:.200}, expected {expected.get(key)!r:.200}" for key in keys[:_SHOWN]
        )
        self.broken.append(f"{what}: {len(keys)} differ: {shown}")


def read_log(bootstrap: str, topic: str, partitions: int) -> dict[Place, Logged]:
    """The whole topic by a plain consumer."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "oracle", "enable.auto.commit": False, "log_level": 0}
        | {"enable.partition.eof": True, "auto.offset.reset": "earliest"}
    )
    log: dict[Place, Logged] = {}
    open_partitions = set(range(partitions))
    try:
        consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
        deadline = time.monotonic() + _READ_SECONDS
        while open_partitions:
            if time.monotonic() > deadline:
                raise BrokenPromise(f"the broker did not give back its log of {topic} within {_READ_SECONDS:g} s")
            for message in consumer.consume(1000, 0.2):  # waits as long for a thousand, end of partition or not
                error = message.error()
                if error is None:
                    headers = tuple(cast("list[tuple[str, bytes]]", message.headers() or []))
                    log[message.partition() or 0, message.offset() or 0] = Logged(message.value(), headers)
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition() or 0)
    finally:
        consumer.close()
    return log


def judge(
    connection: Connection,
    topic: str,
    log: Mapping[Place, Logged],
    workload: Workload,
    keys: KeyRing,
    *,
    strict: bool,
) -> Tally:
    """Compare the tables with the log, record by record; `keys` open the dead letters' bytes."""
    tally = Tally(records=len(log))
    _judge_log(tally, log, workload)
    labels = {place: workload.labels[logged.value] for place, logged in log.items() if logged.value in workload.labels}
    events = {
        Identity(tenant, event_id, ts): (partition, offset)
        for tenant, event_id, ts, partition, offset in connection.execute(
            "select tenant, event_id, ts, partition, record_offset from events where topic = %s", (topic,)
        )
    }
    expected_dead, stored = _expected(tally, labels, events, strict=strict)
    _judge_dead_letters(tally, connection, topic, log, expected_dead, keys)
    _judge_counts(tally, connection, topic, log, labels, expected_dead, stored)
    _judge_offsets(tally, connection, topic, log)
    return tally


def _judge_log(tally: Tally, log: Mapping[Place, Logged], workload: Workload) -> None:
    tally.check(not workload.failed, f"the broker refused records: {workload.failed[:_SHOWN]}")
    kept = {place: log[place].value for place in workload.acknowledged if place in log}
    tally.same(kept, workload.acknowledged, "BROKER: acknowledged records are not in its log")
    strange = [place for place, logged in log.items() if logged.value not in workload.labels]
    tally.check(not strange, f"BROKER: its log holds records nobody produced, at {strange[:_SHOWN]}")


def _expected(
    tally: Tally, labels: Mapping[Place, Label], events: Mapping[Identity, Place], *, strict: bool
) -> tuple[dict[Place, str], dict[Place, Identity]]:
    """The dead letters there must be (place to code), and the events there are by place."""
    dead = {place: label.code for place, label in labels.items() if label.identity is None}
    identities = {place: label.identity for place, label in labels.items() if label.identity is not None}
    chosen: dict[tuple[str, object], Identity] = {}
    for identity in sorted(events, key=str):
        if strict and identity[:2] in chosen:
            tally.broken.append(f"an event_id is stored under two timestamps in strict mode: {identity}")
        chosen[identity[:2]] = identity
    if strict:
        conflicts = {place for place, identity in identities.items() if chosen.get(identity[:2]) != identity}
        dead |= dict.fromkeys(conflicts, "conflicting_timestamp")
        tally.conflicts = len(conflicts)
        ids = {identity[:2]: True for identity in identities.values()}
        tally.same(dict.fromkeys(chosen, True), ids, "event_ids stored once under one timestamp")
    else:
        distinct = set(identities.values())
        tally.conflicts = len(distinct) - len({identity[:2] for identity in distinct})
        tally.same(dict.fromkeys(events, True), dict.fromkeys(distinct, True), "events stored against those produced")
    stored = {place: identity for identity, place in events.items()}
    said = {place: identities.get(place) for place in stored}
    tally.same(said, stored, "the record each event says it came from")
    tally.check(not stored.keys() & dead.keys(), "a record is both stored and dead-lettered")
    return dead, stored


def _judge_dead_letters(
    tally: Tally,
    connection: Connection,
    topic: str,
    log: Mapping[Place, Logged],
    expected: Mapping[Place, str],
    keys: KeyRing,
) -> None:
    rows = connection.execute(
        "select tenant, topic, topic_id, partition, record_offset, code, raw, headers from dead_letters"
        " where topic = %s",
        (topic,),
    ).fetchall()
    names = ("tenant", "topic", "topic_id", "partition", "record_offset", "code", "raw", "headers")
    letters = {(row[3], row[4]): dict(zip(names, row, strict=True)) for row in rows}
    tally.same({place: letter["code"] for place, letter in letters.items()}, expected, "dead letters")
    plain = {place: letter | opened(connection, letter, keys) for place, letter in letters.items()}
    kept = {place: (each["raw"], [tuple(header) for header in each["headers"]]) for place, each in plain.items()}
    sent = {
        place: (log[place].value, [(name, value.decode()) for name, value in log[place].headers])
        for place in kept
        if place in log
    }
    tally.same(kept, sent, "bytes and headers of dead letters")


def _judge_counts(
    tally: Tally,
    connection: Connection,
    topic: str,
    log: Mapping[Place, Logged],
    labels: Mapping[Place, Label],
    dead: Mapping[Place, str],
    stored: Mapping[Place, Identity],
) -> None:
    """The ledger: per partition in all, and per partition and tenant for what names a tenant."""
    tally.stored, tally.dead_lettered = len(stored), len(dead)
    tally.duplicate = len(log) - len(stored) - len(dead)
    (unbalanced,) = connection.execute(
        "select count(*) from ledger where received <> stored + duplicate + dead_lettered"
    ).fetchone() or (None,)
    tally.check(unbalanced == 0, f"{unbalanced} ledger rows do not balance")
    rows = connection.execute(
        "select partition, sum(received)::int, sum(stored)::int, sum(duplicate)::int, sum(dead_lettered)::int"
        " from ledger where topic = %s group by partition",
        (topic,),
    ).fetchall()
    outcomes = {
        place: "stored" if place in stored else "dead_lettered" if place in dead else "duplicate" for place in log
    }
    counts = Counter((partition, outcome) for (partition, _), outcome in outcomes.items())
    per_partition = {
        partition: (
            sum(counts[partition, outcome] for outcome in ("stored", "duplicate", "dead_lettered")),
            *(counts[partition, outcome] for outcome in ("stored", "duplicate", "dead_lettered")),
        )
        for partition in {place[0] for place in log}
    }
    tally.same(
        {row[0]: tuple(row[1:]) for row in rows}, per_partition, "the ledger (received, stored, duplicate, dead)"
    )
    of_tenants: Counter[tuple[int, str, str]] = Counter()
    for place, label in labels.items():
        if label.identity is not None and outcomes[place] != "dead_lettered":
            of_tenants[place[0], label.identity.tenant, outcomes[place]] += 1
    found: dict[tuple[int, str, str], int] = {}
    for partition, tenant, stored_count, duplicates in connection.execute(
        "select partition, tenant, sum(stored)::int, sum(duplicate)::int from ledger where topic = %s group by 1, 2",
        (topic,),
    ):
        found |= {(partition, tenant, "stored"): stored_count, (partition, tenant, "duplicate"): duplicates}
    tally.same({key: count for key, count in found.items() if count}, of_tenants, "the ledger by tenant")


def _judge_offsets(tally: Tally, connection: Connection, topic: str, log: Mapping[Place, Logged]) -> None:
    """Ranges [from, to) of each partition touch each other, begin at 0, end where the log ends, and hold no hole."""
    ranges: dict[int, list[tuple[int, int, int, int]]] = {}
    for partition, *covered in connection.execute(
        "select partition, from_offset, to_offset, received, no_record from landing_batches where topic = %s"
        " order by partition, from_offset, to_offset",
        (topic,),
    ):
        ranges.setdefault(partition, []).append((covered[0], covered[1], covered[2], covered[3]))
        tally.batches += 1
    for partition, end in Counter(partition for partition, _ in log).items():
        at = 0
        for start, stop, received, holes in ranges.get(partition, []):
            if start != at or stop <= start or holes or received != stop - start:
                tally.broken.append(
                    f"partition {partition}: after offset {at} comes the range [{start}, {stop})"
                    f" with {received} records and {holes} holes"
                )
            at = stop
        tally.check(at == end, f"partition {partition}: landed up to {at}, the log ends at {end}")
    (incarnations,) = connection.execute("select count(distinct topic_id) from landing_offsets").fetchone() or (0,)
    tally.check(incarnations == 1, f"the topic has {incarnations} ids")
