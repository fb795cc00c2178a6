"""Submitting events: every item is answered, what is accepted is safe, what is refused is kept."""

import json
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from api_support import NOW, Api, decode_at_now
from confluent_kafka import Consumer, TopicPartition

from lah_platform.errors import StoreUnavailable
from lah_platform.events.examples import flat_example, nested_example
from lah_platform.ingress.door import EventDoor
from lah_platform.stores.doors import DirectDoor, KafkaDoor
from lah_platform.stores.embedded.broker import EmbeddedBroker
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.kafka import ensure_topic
from lah_platform.stores.postgres import connect

BATCH = "/api/v1/events/batch"


def _rows(api: Api, query: str) -> list[tuple[Any, ...]]:
    with connect(api.url) as connection:
        return connection.execute(query.encode()).fetchall()


def _event(number: int, **changes: Any) -> dict[str, Any]:
    return {**flat_example("latency"), "event_id": f"00000000-0000-4000-8000-{number:012d}", **changes}


def _without(event: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != name}


class _BlockedDoor:
    """Lets nobody through until told to."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def submit(self, records: Sequence[bytes], key: bytes) -> list[str]:  # noqa: ARG002
        self.entered.set()
        assert self.opened.wait(20)
        return ["stored"] * len(records)

    def close(self) -> None: ...


def test_an_event_is_committed_when_the_answer_is_200(api: Api) -> None:
    answer = api.client("acme", "ingest").post("/api/v1/events", json=_event(1))
    assert answer.status_code == 200
    assert answer.json() == {"status": "stored", "event_id": _event(1)["event_id"], "retry_safe": True}
    assert _rows(api, "select tenant, event_id::text, latency_ms from events") == [
        ("acme", _event(1)["event_id"], 234.5)
    ]
    assert _rows(api, "select topic, tenant, received, stored from ledger") == [("rest", "acme", 1, 1)]


def test_both_spellings_store_the_same_event(api: Api) -> None:
    client = api.client("acme", "ingest")
    assert client.post("/api/v1/events", json=flat_example("latency")).json()["status"] == "stored"
    assert client.post("/api/v1/events", json=nested_example("latency")).json()["status"] == "duplicate"


def test_a_batch_is_answered_item_by_item_and_everything_is_accounted_for(api: Api) -> None:
    items: list[Any] = [_event(1), _event(2), _event(1), _event(3, severity="loud"), 5, nested_example("token_cost")]
    answer = api.client("acme", "ingest").post(BATCH, json=items)
    assert answer.status_code == 200
    content = answer.json()
    assert [item["status"] for item in content["items"]] == [
        "stored", "stored", "duplicate", "rejected", "rejected", "stored",
    ]  # fmt: skip
    assert (content["accepted"], content["rejected"]) == (4, 2)
    bad = content["items"][3]
    assert (bad["event_id"], bad["field"], bad["code"]) == (_event(3)["event_id"], "severity", "invalid_field")
    assert bad["reason"]
    assert _rows(api, "select sum(received), sum(stored), sum(duplicate), sum(dead_lettered) from ledger") == [
        (6, 3, 1, 2)
    ]
    letters = _rows(api, "select tenant, code, field from dead_letters order by dead_letter_id")
    assert letters[0] == ("acme", "invalid_field", "severity")
    assert letters[1][0] in ("acme", "unknown")


def test_an_event_that_cannot_be_stored_is_a_problem_that_names_field_and_reason(api: Api) -> None:
    answer = api.client("acme", "ingest").post("/api/v1/events", json=_event(1, severity="loud"))
    assert answer.status_code == 422
    problem = answer.json()
    assert (problem["type"], problem["field"]) == ("/docs#invalid-event", "severity")
    assert problem["errors"][0]["event_id"] == _event(1)["event_id"]
    assert _rows(api, "select count(*) from dead_letters where tenant = 'acme'") == [(1,)]


def test_an_event_that_names_another_tenant_is_refused_and_kept_where_only_the_sender_sees_it(api: Api) -> None:
    answer = api.client("acme", "ingest").post("/api/v1/events", json=_event(1, tags={"tenant": "globex"}))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "wrong_tenant"
    assert _rows(api, "select count(*) from events") == [(0,)]
    assert _rows(api, "select distinct tenant from dead_letters") == [("acme",)]


def test_an_operators_event_belongs_to_the_tenant_it_names(api: Api) -> None:
    client = api.client("*", "admin")
    assert client.post(BATCH, json=[_event(1, tags={"tenant": "globex"}), _event(2, tags={})]).json()["accepted"] == 2
    assert _rows(api, "select tenant from events order by event_id") == [("globex",), ("default",)]


def test_with_an_idempotency_key_a_retry_without_ids_stores_nothing_twice(api: Api) -> None:
    client = api.client("acme", "ingest")
    items = [_without(_event(number), "event_id") for number in range(3)]
    first = client.post(BATCH, json=items, headers={"Idempotency-Key": "upload-7"}).json()
    again = client.post(BATCH, json=items, headers={"Idempotency-Key": "upload-7"}).json()
    assert Counter(item["status"] for item in first["items"] + again["items"]) == {"stored": 3, "duplicate": 3}
    assert [item["event_id"] for item in first["items"]] == [item["event_id"] for item in again["items"]]
    assert all(item["retry_safe"] for item in first["items"])
    other = client.post(BATCH, json=items, headers={"Idempotency-Key": "upload-8"}).json()
    assert [item["status"] for item in other["items"]] == ["stored"] * 3


def test_without_an_idempotency_key_an_assigned_id_is_returned_and_said_not_to_be_retry_safe(api: Api) -> None:
    client = api.client("acme", "ingest")
    answer = client.post("/api/v1/events", json=_without(_event(1), "event_id")).json()
    assert answer["retry_safe"] is False
    # an assigned id carries the event's time, so it is found without saying when
    assert client_get(api, f"/api/v1/events/{answer['event_id']}")["event_id"] == answer["event_id"]


def client_get(api: Api, path: str) -> Any:
    answer = api.client("acme", "analyst").get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_money_keeps_every_digit_on_its_way_in_and_out(api: Api) -> None:
    digits = "0.1234567890123456789"
    event = flat_example("token_cost")
    text = json.dumps(event).replace(str(event["payload"]["data"]["total_cost_usd"]), digits)
    assert digits in text
    stored = api.client("acme", "ingest").post("/api/v1/events", content=text)
    assert stored.status_code == 200, stored.text
    answer = api.client("acme", "analyst").get(f"/api/v1/events/{event['event_id']}")
    assert f'"total_cost_usd":{digits}' in answer.text.replace('": ', '":')


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"[", 400, "malformed-body"),
        (b"", 400, "malformed-body"),
        (b"{}", 400, "malformed-body"),
        (b"\xff\xfe", 400, "malformed-body"),
        (b"[" * 100_000, 400, "malformed-body"),
        (b"[]", 422, "invalid-parameter"),
    ],
    ids=["broken", "empty", "object", "not utf-8", "deep", "no items"],
)
def test_a_body_that_is_no_batch_is_a_problem(api: Api, body: bytes, status: int, kind: str) -> None:
    answer = api.client("acme", "ingest").post(BATCH, content=body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/docs#{kind}")


@pytest.mark.parametrize("body", [b"", b"5", b"\xff", b"{" * 5000, b'{"a": "\\u0000"}', b"null"], ids=range(6))
def test_whatever_is_sent_as_an_event_is_answered_and_kept(api: Api, body: bytes) -> None:
    answer = api.client("acme", "ingest").post("/api/v1/events", content=body)
    assert (answer.status_code, answer.json()["type"]) == (422, "/docs#invalid-event")
    assert _rows(api, "select count(*) from dead_letters") == [(1,)]


def test_a_body_that_is_too_large_is_refused_whether_or_not_it_says_so(api: Api) -> None:
    small = api.changed(max_body_bytes=1000)

    def chunks() -> Any:
        for _ in range(1000):
            yield b" " * 1000

    for path in (BATCH, "/api/v1/events"):
        client = small.client("acme", "ingest")
        for content in (b" " * 1001, chunks()):
            answer = client.post(path, content=content)
            assert (answer.status_code, answer.json()["type"]) == (413, "/docs#too-large")
    answer = small.client("*", "admin").post("/api/v1/backfills", content=b" " * 1001)
    assert answer.status_code == 413


def test_a_batch_of_too_many_items_is_refused_whole(api: Api) -> None:
    answer = api.changed(max_batch_items=2).client("acme", "ingest").post(BATCH, json=[_event(n) for n in range(3)])
    assert (answer.status_code, answer.json()["type"]) == (413, "/docs#too-large")
    assert _rows(api, "select count(*) from events") == [(0,)]


def test_one_submission_too_many_is_told_to_come_back_and_later_gets_in(api: Api) -> None:
    door = _BlockedDoor()
    busy = api.changed(door=door, max_submissions=1)
    client = busy.client("acme", "ingest")
    first: list[int] = []
    thread = threading.Thread(target=lambda: first.append(client.post("/api/v1/events", json=_event(1)).status_code))
    thread.start()
    assert door.entered.wait(20)
    answer = busy.client("acme", "ingest").post("/api/v1/events", json=_event(2))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert busy.client("acme", "viewer").get("/api/v1/costs").status_code == 200  # reading is not held up
    door.opened.set()
    thread.join()
    assert first == [200]
    assert client.post("/api/v1/events", json=_event(2)).status_code == 200


def test_when_the_database_is_away_the_caller_is_told_to_come_back(api: Api) -> None:
    nowhere = DirectDoor(f"postgresql://nobody@127.0.0.1:{unused_port()}/none", decoder=decode_at_now)
    answer = api.changed(door=nowhere).client("acme", "ingest").post("/api/v1/events", json=_event(1))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["advice"]


def test_a_door_that_refuses_is_a_503_that_says_when_to_come_back(api: Api) -> None:
    class Full(_BlockedDoor):
        def submit(self, records: Sequence[bytes], key: bytes) -> list[str]:  # noqa: ARG002
            raise StoreUnavailable("The producer's buffer is full", "Send less, or again in a moment")

    door: EventDoor = Full()
    answer = api.changed(door=door).client("acme", "ingest").post("/api/v1/events", json=_event(1))
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert answer.json()["detail"] == "The producer's buffer is full"


def test_with_a_broker_the_answer_is_202_once_the_broker_has_every_record(api: Api, broker: EmbeddedBroker) -> None:
    topic = "test.api.submit"
    partitions = ensure_topic(broker.bootstrap, topic, 2)
    door = KafkaDoor(broker.bootstrap, topic)
    client = api.changed(door=door).client("acme", "ingest")
    answer = client.post(BATCH, json=[_event(1), _event(2, severity="loud"), _event(3, tags={"tenant": "globex"})])
    door.close()
    assert answer.status_code == 202
    assert [item["status"] for item in answer.json()["items"]] == ["queued", "rejected", "rejected"]
    landed = [decode_at_now(value, NOW) for value in _everything(broker.bootstrap, topic, partitions)]
    assert [type(each).__name__ for each in landed] == ["Event", "Rejection", "Rejection"]
    assert {each.tenant for each in landed} == {"acme"}


def _everything(bootstrap: str, topic: str, partitions: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    values, ended = [], 0
    started = datetime.now(UTC)
    while ended < partitions:
        assert (datetime.now(UTC) - started).total_seconds() < 30
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            ended += 1
        else:
            values.append(message.value() or b"")
    consumer.close()
    return values
