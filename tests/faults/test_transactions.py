"""Producers with transactions leave markers and aborted records in the log: holes that are no records."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from lah_platform.stores.embedded.process import wait_until
from lah_platform.stores.kafka import ensure_topic
from lah_platform.stores.postgres import Connection
from tests.faults.brokers import Broker, kafka_missing, start_broker
from tests.landing.lander import Lander
from tests.landing.messages import message

_TOPIC = "transactions"
_TRANSACTIONS, _RECORDS = 30, 7


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[Broker]:
    if missing := kafka_missing():
        pytest.skip(f"no Apache Kafka: {missing}; the embedded broker has no transactions worth the name")
    broker = start_broker("kafka", tmp_path / "kafka")
    yield broker
    broker.destroy()


def test_what_a_transaction_aborted_is_not_landed_and_its_markers_are_holes_up_to_the_logs_end(
    kafka: Broker, database: str, connection: Connection, tmp_path: Path
) -> None:
    ensure_topic(kafka.bootstrap, _TOPIC, 1)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": "t"})
    producer.init_transactions(30)
    committed = 0
    lander = Lander(database, kafka, _TOPIC, tmp_path)
    try:
        for transaction in range(_TRANSACTIONS):
            producer.begin_transaction()
            for record in range(_RECORDS):
                producer.produce(_TOPIC, message(transaction * _RECORDS + record))
            producer.flush(30)
            if transaction % 3 == 1:
                producer.abort_transaction(30)
            else:
                producer.commit_transaction(30)
                committed += _RECORDS
        received = "select coalesce(sum(received), 0)::int from ledger"
        assert wait_until(lambda: connection.execute(received).fetchone() == (committed,), seconds=60), (
            lander.child.log_tail()
        )
        caught_up = "select count(*)::int from landing_offsets where caught_up_at is not null"
        assert wait_until(lambda: connection.execute(caught_up).fetchone() == (1,), seconds=30)
    finally:
        lander.child.kill()
    last = _TRANSACTIONS * (_RECORDS + 1) - 2  # the last record; a marker follows it
    row = connection.execute(
        "select sum(received)::int, sum(no_record)::int, max(to_offset)::int from landing_batches"
    ).fetchone()
    assert row == (committed, last + 1 - committed, last + 1)
    aborted = json.loads(message(_RECORDS))["event_id"]
    assert connection.execute("select from events where event_id = %s", [aborted]).fetchone() is None
