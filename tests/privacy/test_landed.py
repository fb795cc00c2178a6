"""What lands keeps its numbers and loses its persons: nothing personal is in any byte that is stored, and all of it can
be read again by those who may."""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from lah_platform.events.decode import decode
from lah_platform.events.examples import EXAMPLE_DATA
from lah_platform.events.payloads import PAYLOAD_TYPE_OF, TAG_FIELD
from lah_platform.landing.batch import Batch, prepare
from lah_platform.landing.fast_lane import FastLane
from lah_platform.landing.records import Partition, Record
from lah_platform.landing.shapes import ShapeBook
from lah_platform.privacy.cipher import new_key
from lah_platform.privacy.master_key import HeldKeys
from lah_platform.privacy.subjects import Person
from lah_platform.stores import subjects
from lah_platform.stores.archive import archive_day
from lah_platform.stores.dead_letters import dead_letter, replay
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.landing import PostgresLanding, SeriesBook
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.reveal import StoredEvent, reveal_event

NOW = datetime(2026, 3, 4, 12, 0, 30, tzinfo=UTC)
_NAMESPACE = UUID(int=7)
_MARK = "Quetzalcoatl"
_MASTER = new_key()
_P0 = Partition("t", "", 0)


def _ring() -> KeyRing:
    return KeyRing(HeldKeys("file", {1: _MASTER}))


@pytest.fixture
def store(database: str) -> Iterator[PostgresLanding]:
    with closing(PostgresLanding(database, keys=_ring(), series_tags=["user_id"])) as opened:
        yield opened


def _message(number: int, payload_type: str, data: dict[str, Any], **tags: str) -> bytes:
    return json.dumps(
        {
            "event_id": str(uuid5(_NAMESPACE, str(number))),
            "timestamp": (NOW - timedelta(minutes=1)).isoformat(),
            "source_module": "llm-sentinel",
            "event_type": "security",
            "severity": "info",
            "environment": "production",
            "tags": {"tenant": "acme", "service": "chat"} | tags,
            "payload": {"payload_type": payload_type, "data": data},
        }
    ).encode()


def _auth(number: int, user: str, **tags: str) -> bytes:
    data = {"security_type": "auth", "user_id": user, "action": "login", "resource": "r", "success": True}
    return _message(number, "security", data, **tags)


def _batch(start: int, values: list[bytes], lane: FastLane | None = None) -> Batch:
    records = [
        Record(_P0, start + i, f"{_MARK}-key".encode(), value, (("h", _MARK.encode()),))
        for i, value in enumerate(values)
    ]
    return prepare(
        records,
        {_P0: start},
        decoder=lambda raw, now: decode(raw, now=now),
        received_at=NOW,
        lane=lane,
        series_tags=["user_id"],
    )


def _marked(tree: Any, path: str = "") -> Any:
    """The example with the mark in every text that is free or names somebody."""
    if isinstance(tree, dict):
        return {name: _marked(each, name) for name, each in tree.items()}
    if isinstance(tree, list):
        return [_marked(each, path) for each in tree]
    personal = {"user_id", "actor", "data_subjects", "source_ip", "ip_address", "user_agent", "description", "evidence",
                "violation_description", "failure_reason", "attack_vector", "indicators_of_compromise"}  # fmt: skip
    return f"{_MARK} {tree}" if path in personal and isinstance(tree, str) else tree


def _all_kinds() -> list[bytes]:
    made = [
        _message(number, kind, {TAG_FIELD[kind]: subtype} | _marked(data), user_id=f"{_MARK}-{number % 3}")
        for number, (subtype, data) in enumerate(EXAMPLE_DATA.items())
        if (kind := PAYLOAD_TYPE_OF.get(subtype)) is not None
    ]
    prompt = {
        "custom_type": "chat",
        "data": {
            "gen_ai.prompt.0.content": f"I am {_MARK}",
            "gen_ai.input.messages": [{"role": "user", "content": f"call {_MARK}"}],
            "gen_ai.usage.input_tokens": 88,
            "gen_ai.operation.name": "chat",
            "user": {"id": _MARK, "email": f"{_MARK}@example.org"},
            "by_user": {f"{_MARK}@example.org": 3},
            "remark": f"{_MARK} was here",
            "price": 0.1234567890123456789,
        },
    }
    changes = {"before": _MARK, "after": {"name": _MARK}}
    trail = {"governance_type": "audit_trail", "action": "update", "actor": _MARK, "resource_type": "r",
             "resource_id": "1", "changes": changes, "note_of_ours": f"{_MARK} asked"}  # fmt: skip
    usage = {
        "telemetry_type": "latency",
        "model_id": "m",
        "request_id": "r",
        "total_latency_ms": 5,
        "user.email": f"{_MARK}@x.org",
    }
    made += [
        _message(100, "custom", prompt, session_id=f"{_MARK}-session", note=f"{_MARK} wrote"),
        _message(101, "governance", trail),
        _message(102, "telemetry", usage),
        _message(103, "telemetry", usage | {"user.email": None}, comment=_MARK),
    ]
    return made


def _bytes_of_tables(connection: Connection) -> Iterator[tuple[str, str]]:
    names = connection.execute(
        "select relname from pg_class where relnamespace = 'lah'::regnamespace and relkind in ('r', 'p')"
        " and not relispartition"
    ).fetchall()
    for (name,) in names:
        for (row,) in connection.execute(f"select t::text from lah.{name} t".encode()):
            yield name, row


@pytest.mark.parametrize("by_column", [False, True])
def test_nothing_personal_is_in_any_byte_of_any_table_file_or_log_line(
    store: PostgresLanding, connection: Connection, tmp_path: Path, caplog: pytest.LogCaptureFixture, by_column: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    values = _all_kinds()
    refused = _auth(200, _MARK).replace(b'"info"', b'"loud"')
    lane = FastLane(ShapeBook(["user_id"])) if by_column else None
    store.adopt(_P0, 0)
    landed = store.land(_batch(0, [*values, refused, *values], lane))
    assert (landed.count("stored"), landed.count("duplicate"), landed.count("dead_lettered")) == (
        len(values),
        len(values),
        1,
    )
    archive_day(connection, tmp_path, date(2026, 3, 4), now=NOW + timedelta(days=2), recompute=lambda _: None)
    hidden = (_MARK, _MARK.encode().hex())
    for name, row in _bytes_of_tables(connection):
        assert not any(each in row for each in hidden), f"{name}: {row[:300]}"
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(_MARK.encode() in path.read_bytes() for path in files)
    assert _MARK not in caplog.text


def test_those_who_may_read_it_get_exactly_what_was_sent_and_the_reading_is_in_the_audit_log(
    store: PostgresLanding, connection: Connection
) -> None:
    values = _all_kinds()
    store.adopt(_P0, 0)
    store.land(_batch(0, values))
    for value in values:
        sent = json.loads(value)
        (event,) = reveal_event(connection, _ring(), "acme", UUID(sent["event_id"]), actor="officer")
        stored = {"tags": event.tags, "payload": event.payload}
        expected = {"tags": sent["tags"], "payload": sent["payload"]["data"]}
        if "session_id" in sent["tags"]:
            assert stored["tags"]["session_id"].startswith("hmac:v1:")
            stored["tags"] = {**stored["tags"], "session_id": sent["tags"]["session_id"]}
        assert stored == expected
    audited = connection.execute("select distinct actor, action, object_type, tenant from audit_log").fetchall()
    assert ("officer", "read", "personal_data", "acme") in audited
    assert reveal_event(connection, _ring(), "globex", UUID(json.loads(values[0])["event_id"]), actor="officer") == []


def test_numbers_and_identities_are_those_of_landing_without_encryption(
    store: PostgresLanding, connection: Connection, database: str
) -> None:
    measures = (
        "select event_id, ts, tenant, subtype, request_id, latency_ms, input_tokens, cost_usd, score from events"
        " order by 1"
    )
    partials = "select count(*), sum(count), sum(sum) from rollup_partials"
    store.adopt(_P0, 0)
    store.land(_batch(0, _all_kinds()))
    encrypted = [connection.execute(query.encode()).fetchall() for query in (measures, partials)]
    connection.execute("truncate events, rollup_partial_sets, landing_offsets, landing_batches, ledger, dead_letters")
    with closing(PostgresLanding(database)) as plain:
        plain.adopt(_P0, 0)
        plain.land(_batch(0, _all_kinds()))
    assert [connection.execute(query.encode()).fetchall() for query in (measures, partials)] == encrypted


def test_a_person_is_the_same_subject_wherever_named_and_every_data_subject_is_one(
    store: PostgresLanding, connection: Connection
) -> None:
    privacy = {"security_type": "privacy", "data_type": "email", "operation": "data_access", "user_consent": True,
               "data_subjects": ["ann", "ben", "cy"], "purpose": "support"}  # fmt: skip
    store.adopt(_P0, 0)
    store.land(_batch(0, [_auth(1, "ann"), _auth(2, "ben", user_id="ann"), _message(3, "security", privacy)]))
    ann, ben, cy = (
        subjects.subject_of_person(connection, _ring(), Person("acme", name)) for name in ("ann", "ben", "cy")
    )
    assert ann is not None
    assert ben is not None
    assert cy is not None
    rows = connection.execute(
        "select subject_id, tags ->> 'user_id', payload from events order by record_offset"
    ).fetchall()
    assert [row[0] for row in rows] == [ann.subject_id, ben.subject_id, None]
    assert [row[1] for row in rows] == [None, str(ann.subject_id), None]
    assert rows[2][2]["data_subjects"] == [str(each.subject_id) for each in (ann, ben, cy)]
    also = connection.execute("select event_id, subject_id from event_subjects").fetchall()
    second, third = uuid5(_NAMESPACE, "2"), uuid5(_NAMESPACE, "3")
    assert set(also) == {(second, ann.subject_id)} | {(third, each.subject_id) for each in (ann, ben, cy)}
    series = {row[0].get("user_id") for row in connection.execute("select tags from series")}
    assert series == {None, str(ann.subject_id)}


def _erase(connection: Connection, name: str) -> datetime:
    """What an erasure does to the tables of this room, in its order."""
    with connection.transaction():
        subjects.next_epoch(connection)
        hmac = subjects.hmac_of(connection, _ring(), Person("acme", name))
        connection.execute("insert into subject_tombstones values ('acme', %s, clock_timestamp())", [hmac])
        connection.execute("delete from subjects where tenant = 'acme' and identifier_hmac = %s", [hmac])
    return datetime.now(UTC)


def test_after_an_erasure_nothing_of_the_person_opens_and_late_events_land_without_a_link(
    store: PostgresLanding, connection: Connection
) -> None:
    trail = {"governance_type": "audit_trail", "action": "update", "actor": "ann", "resource_type": "r",
             "resource_id": "1", "changes": {"a": 1}, "ip_address": "192.0.2.7"}  # fmt: skip
    store.adopt(_P0, 0)
    store.land(_batch(0, [_message(1, "governance", trail, session="s"), _auth(2, "ben")]))
    _erase(connection, "ann")
    store.land(
        _batch(2, [_message(3, "governance", trail, session="s"), _auth(4, "ben"), _auth(5, "cy", user_id="ann")])
    )
    (early,) = reveal_event(connection, _ring(), "acme", uuid5(_NAMESPACE, "1"), actor="officer")
    assert early.payload["changes"] == early.payload["ip_address"] == "(erased)"
    assert early.payload["action"] == "update"
    (late,) = reveal_event(connection, _ring(), "acme", uuid5(_NAMESPACE, "3"), actor="officer")
    assert late.subject_id is None
    assert {late.payload[name] for name in ("actor", "changes", "ip_address")} == {late.tags["session"]} == {"erased"}
    assert late.payload["resource_type"] == "r"
    for number, name in ((2, "ben"), (4, "ben"), (5, "cy")):
        (other,) = reveal_event(connection, _ring(), "acme", uuid5(_NAMESPACE, str(number)), actor="officer")
        assert other.payload["user_id"] == name
    assert other.tags["user_id"] == "erased"


def test_no_event_lands_under_a_subject_after_the_erasure_of_that_subject(
    database: str, connection: Connection
) -> None:
    """Landing of one person's events in one thread, erasures of that person in another, in whatever order they come."""
    names = [f"person-{number}" for number in range(12)]
    stop, failures = threading.Event(), []

    def land() -> None:
        try:
            with closing(PostgresLanding(database, keys=_ring())) as landing:
                start = landing.adopt(_P0, 0)
                while not stop.is_set():
                    batch = _batch(start, [_auth(start + i, name, user_id=name) for i, name in enumerate(names)])
                    landing.land(batch)
                    start += len(names)
        except Exception as error:  # told in the test's own thread
            failures.append(error)

    thread = threading.Thread(target=land)
    thread.start()
    committed = {}
    with connect(database) as eraser:
        for name in names:
            before = eraser.execute("select count(*) from landing_batches").fetchone()
            while thread.is_alive() and eraser.execute("select count(*) from landing_batches").fetchone() == before:
                pass  # so that erasures and batches interleave
            subject = subjects.subject_of_person(eraser, _ring(), Person("acme", name))
            assert subject is not None
            _erase(eraser, name)
            linked = "select count(*) from events where subject_id = %s"
            committed[subject.subject_id] = eraser.execute(linked, [subject.subject_id]).fetchone()
    stop.set()
    thread.join()
    assert not failures
    for subject_id, count in committed.items():
        assert connection.execute("select count(*) from events where subject_id = %s", [subject_id]).fetchone() == count
    assert connection.execute("select count(*) from subjects").fetchone() == (0,)


def test_a_dead_letter_is_readable_with_the_keys_and_is_encrypted_when_a_replay_stores_it(
    store: PostgresLanding, connection: Connection
) -> None:
    bad = _auth(1, _MARK).replace(b'"info"', b'"loud"')
    store.adopt(_P0, 0)
    store.land(_batch(0, [bad, b"\xff not json"]))
    letters = connection.execute("select dead_letter_id, tenant from dead_letters order by record_offset").fetchall()
    shown = [dead_letter(connection, each, _ring()) for each, _ in letters]
    assert [(each["raw"], each["record_key"], each["headers"]) for each in shown] == [
        (value, f"{_MARK}-key".encode(), [["h", _MARK]]) for value in (bad, b"\xff not json")
    ]
    assert [tenant for _, tenant in letters] == ["acme", "unknown"]

    def fixed(raw: bytes | None, now: datetime) -> Any:
        return decode(raw and raw.replace(b'"loud"', b'"info"'), now=now)

    result = replay(connection, letters[0][0], decoder=fixed, now=NOW, series=SeriesBook(9), keys=_ring())
    assert result.outcome == "stored"
    assert not any(_MARK in row for _, row in _bytes_of_tables(connection))
    (event,) = reveal_event(connection, _ring(), "acme", uuid5(_NAMESPACE, "1"), actor="officer")
    assert event.payload["user_id"] == _MARK


@pytest.mark.parametrize(
    ("policy", "kept"), [("hash", "hmac:v1:"), ("drop", "dropped"), ("redact", "dropped"), ("keep", "enc:v1:s")]
)
def test_prompts_go_by_the_tenant_s_policy_and_other_texts_stay_encrypted(
    store: PostgresLanding, connection: Connection, policy: str, kept: str
) -> None:
    """`redact` drops where the extra that redacts is not installed: nothing is stored as if it had been redacted."""
    connection.execute("insert into content_policies (tenant, policy, set_by) values ('acme', %s, 'x')", [policy])
    chat = {"custom_type": "chat", "data": {"prompt": "my name is Ann", "remark": "a free text"}}
    store.adopt(_P0, 0)
    store.land(_batch(0, [_message(1, "custom", chat, user_id="ann")]))
    ((payload,),) = connection.execute("select payload -> 'data' from events").fetchall()
    assert payload["prompt"].startswith(kept)
    assert payload["remark"].startswith("enc:v1:s")


def test_events_of_before_encryption_are_read_as_they_are(connection: Connection, database: str) -> None:
    with closing(PostgresLanding(database)) as plain:
        plain.adopt(_P0, 0)
        plain.land(_batch(0, [_auth(1, "ann")]))
    (event,) = reveal_event(connection, _ring(), "acme", uuid5(_NAMESPACE, "1"), actor="officer")
    assert isinstance(event, StoredEvent)
    assert event.payload["user_id"] == "ann"
