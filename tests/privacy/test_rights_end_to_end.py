"""From the wire to the erasure: real landing, late events, a landing that runs meanwhile, consent, dead letters."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from lah_platform.landing.batch import prepare
from lah_platform.landing.records import Outcome, Partition, Record
from lah_platform.privacy.subjects import Person
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.consents import consented, consents_of, record_consent, withdraw
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.postgres import Connection
from lah_platform.stores.reveal import reveal_event
from lah_platform.stores.rollups import tick
from lah_platform.stores.subject_backup import backup_subjects, restore_subjects
from lah_platform.stores.subject_export import export_subject
from lah_platform.stores.subjects import subject_of_person
from tests.landing.messages import NOW, message
from tests.privacy.persons import World
from tests.stores.archiving import DAY, Hub

_PARTITION = Partition("t", "one", 0)
_ANN, _BEN = "ann@example.org", "ben@example.org"


@pytest.fixture
def world(database: str, connection: Connection, tmp_path: Path) -> World:
    return World.of(Hub(database, connection, tmp_path / "archive"))


@pytest.fixture
def landing(world: World) -> Iterator[PostgresLanding]:
    with closing(PostgresLanding(world.hub.url, keys=world.ring)) as store:
        yield store


def _auth(number: int, person: str, *, said: str = "", **envelope: Any) -> bytes:
    data = {"security_type": "auth", "user_id": person, "action": "login", "resource": "r", "success": True,
            "failure_reason": said or f"secret {number} of {person}"}  # fmt: skip
    payload = {"payload_type": "security", "data": data}
    return message(number, event_type="security", payload=payload, **envelope)


def _consent(number: int, person: str, *, agreed: bool, minutes_ago: float) -> bytes:
    data = {"security_type": "privacy", "data_type": "email", "operation": "consent_update", "user_consent": agreed,
            "data_subjects": [person], "purpose": "support"}  # fmt: skip
    payload = {"payload_type": "security", "data": data}
    return message(number, minutes_ago=minutes_ago, event_type="security", payload=payload)


def _land(store: PostgresLanding, values: list[bytes]) -> list[Outcome]:
    start = store.adopt(_PARTITION, 0)
    records = [Record(_PARTITION, start + i, None, value) for i, value in enumerate(values)]
    return list(store.land(prepare(records, {_PARTITION: start}, decoder=decode_now, received_at=NOW)).outcomes)


def _figures(world: World) -> list[list[tuple[Any, ...]]]:
    return [
        world.hub.rows("select ts, event_id, series_id, latency_ms, cost_usd, score from events order by 1, 2"),
        world.hub.rows("select * from rollup_1m order by 1, 2, 3"),
        world.hub.rows("select * from rollup_1d order by 1, 2, 3"),
        world.hub.rows("select * from cost_daily order by 1, 2"),
        world.hub.rows("select * from ledger order by 1, 2, 3, 4"),
    ]


def test_what_landed_is_erased_and_late_events_do_not_bring_the_person_back(
    world: World, landing: PostgresLanding
) -> None:
    broken = _auth(9, _ANN, severity="loud")
    assert _land(landing, [_auth(1, _ANN), _auth(2, _BEN), message(3), broken, _auth(4, _ANN, minutes_ago=1500)])[
        3
    ] == ("dead_lettered")
    while tick(world.connection, now=NOW).partials:
        pass
    world.archive(1, drop=True)
    assert _ANN not in world.everything()
    person = Person("acme", _ANN)
    subject = subject_of_person(world.connection, world.ring, person)
    assert subject is not None
    figures = _figures(world)
    document = world.erase(_ANN)
    assert _figures(world) == figures
    receipt = document["receipt"]
    assert receipt["unreadable_rows"]["events"] == 1
    assert [each["rows"] for each in receipt["unreadable_rows_in_files"]] == [1]
    assert receipt["rows_with_text_removed"] == {"dead_letters": 1}
    assert receipt["expires"]["broker_topic"]["until"] is not None
    # the same landing, whose memory holds her key, and another one
    assert _land(landing, [_auth(5, _ANN), _auth(6, _BEN)]) == ["stored", "stored"]
    with closing(PostgresLanding(world.hub.url, keys=world.ring)) as other:
        assert _land(other, [_auth(7, _ANN), _auth(1, _ANN)]) == ["stored", "duplicate"]
    assert subject_of_person(world.connection, world.ring, person) is None
    late = world.hub.rows("select subject_id, payload::text from events where record_offset in (5, 7) order by 1")
    assert [row[0] for row in late] == [None, None]
    assert all("enc:v1:" not in row[1] and f"{subject.subject_id}" not in row[1] for row in late)
    assert _ANN not in world.everything()
    assert subject.key.hex() not in world.everything()
    assert all(finding.passed for finding in world.verify(document, _ANN))
    assert world.hub.rows(f"select count(*)::int from events where subject_id = '{subject.subject_id}'") == [(1,)]


def test_an_export_has_what_was_sent_word_for_word_and_nobody_elses(
    world: World, landing: PostgresLanding, tmp_path: Path
) -> None:
    _land(landing, [_auth(1, _ANN, said="Zoë said “no”"), _auth(2, _BEN), _auth(3, _ANN, minutes_ago=1500),
                    _auth(4, _ANN, severity="loud")])  # fmt: skip
    world.archive(1, drop=True)
    _land(landing, [_consent(5, _ANN, agreed=True, minutes_ago=0.5)])
    done = export_subject(world.connection, world.ring, "acme", _ANN, tmp_path / "ann", now=NOW + DAY, actor="test",
                          archive_dir=world.hub.folder)  # fmt: skip
    events = json.loads((done.folder / "events.json").read_bytes())
    said = {each["payload"].get("data", each["payload"]).get("failure_reason") for each in events}
    assert said == {"Zoë said “no”", f"secret 3 of {_ANN}", None}
    assert {each["payload"].get("data", each["payload"]).get("user_id") for each in events} == {_ANN, None}
    assert b"ben@" not in b"".join(path.read_bytes() for path in done.folder.iterdir())
    assert [each["purpose"] for each in json.loads((done.folder / "consents.json").read_bytes())] == ["support"]
    (letter,) = json.loads((done.folder / "dead_letters.json").read_bytes())
    assert json.loads(letter["bytes"])["payload"]["data"]["user_id"] == _ANN
    assert {each["name"]: each["rows"] for each in done.manifest["files"]}["events.csv"] == 3
    ((details,),) = world.hub.rows("select details::text from audit_log where action = 'export'")
    assert _ANN not in details


def test_consent_by_event_and_by_entry_the_latest_word_counts_and_a_withdrawal_is_one_call(
    world: World, landing: PostgresLanding
) -> None:
    _land(landing, [_consent(1, _ANN, agreed=False, minutes_ago=3), _consent(2, _ANN, agreed=True, minutes_ago=2),
                    _consent(3, _BEN, agreed=False, minutes_ago=1)])  # fmt: skip
    now = NOW + timedelta(seconds=1)
    ann, ben = (world.subject(name).subject_id for name in (_ANN, _BEN))
    assert consented(world.connection, "acme", [ann, ben, UUID(int=1)], "support", now=now) == {ann}
    assert consented(world.connection, "acme", [ann], "training", now=now) == set()
    record_consent(world.connection, "acme", ann, "training", is_granted=True, given_at=now, source="form", actor="t")
    assert {each["purpose"] for each in withdraw(world.connection, "acme", ann, None, now=now, source="rest",
                                                 actor="test")} == {"support", "training"}  # fmt: skip
    for purpose in ("support", "training"):
        assert consented(world.connection, "acme", [ann], purpose, now=now) == set()
    assert consented(world.connection, "globex", [ann], "support", now=now) == set()
    history = consents_of(world.connection, "acme", ann)
    assert [(each["is_granted"], each["source"]) for each in history[:2]] == [(False, "event"), (True, "event")]
    assert len(history) == 5


def test_for_a_purpose_only_who_agreed_is_readable_and_the_purpose_is_audited(
    world: World, landing: PostgresLanding
) -> None:
    _land(landing, [_auth(1, _ANN), _auth(2, _BEN), _consent(3, _ANN, agreed=True, minutes_ago=1)])
    now = NOW + timedelta(seconds=1)

    def read(name: str, purpose: str | None) -> tuple[str, str]:
        subject_id = world.subject(name).subject_id
        asked = f"select event_id from events where subject_id = '{subject_id}' and subtype = 'auth'"
        ((event_id,),) = world.hub.rows(asked)
        (event,) = reveal_event(world.connection, world.ring, "acme", event_id, actor="test", purpose=purpose, now=now)
        data = event.payload.get("data", event.payload)
        return data["user_id"], data["failure_reason"]

    assert read(_ANN, "support") == (_ANN, f"secret 1 of {_ANN}")
    assert read(_BEN, "support") == (f"{world.subject(_BEN).subject_id}", "(no consent)")
    assert read(_BEN, None) == (_BEN, f"secret 2 of {_BEN}")
    withdraw(world.connection, "acme", world.subject(_ANN).subject_id, None, now=now, source="rest", actor="test")
    assert read(_ANN, "support")[1] == "(no consent)"
    told = world.hub.rows("select details ->> 'purpose' from audit_log where action = 'reveal' order by position")
    assert told == [("support",), ("support",), (None,), ("support",)]


def test_a_backup_expires_honours_later_erasures_and_is_named_by_their_receipts(
    world: World, landing: PostgresLanding, tmp_path: Path
) -> None:
    _land(landing, [_auth(1, _ANN), _auth(2, _BEN)])
    file = tmp_path / "subjects.bin"
    life = 14 * DAY
    assert backup_subjects(world.connection, world.ring, file, life=life, now=NOW - DAY, actor="test").subjects == 2
    assert _ANN.encode() not in file.read_bytes()
    document = world.erase(_ANN)
    assert document["receipt"]["expires"]["backup_of_subjects"]["until"] == (NOW - DAY + life).isoformat()
    ben = world.subject(_BEN)
    world.connection.execute("delete from subjects")
    assert restore_subjects(world.connection, world.ring, file, now=NOW, actor="test") == 1
    assert world.subject(_BEN) == ben
    assert subject_of_person(world.connection, world.ring, Person("acme", _ANN)) is None
    assert all(finding.passed for finding in world.verify(document, _ANN))
    from lah_platform.errors import LahError

    with pytest.raises(LahError, match="expired"):
        restore_subjects(world.connection, world.ring, file, now=NOW + life, actor="test")
    whole = file.read_bytes()
    for at in range(0, len(whole), 97):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises((LahError, ValueError, KeyError)):
            restore_subjects(world.connection, world.ring, file, now=NOW, actor="test")
    file.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(LahError):
        restore_subjects(world.connection, world.ring, file, now=NOW, actor="test")
