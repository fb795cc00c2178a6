"""Erased is unreadable and unlinkable everywhere, nothing else has changed, and the receipt proves it."""

import json
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lah_platform.privacy.cipher import open_text, place
from lah_platform.privacy.subjects import Person
from lah_platform.stores.erasure import Held, UnknownSubject
from lah_platform.stores.erasure_text import NOT_SEARCHED, SERVED_TEXT
from lah_platform.stores.postgres import Connection
from lah_platform.stores.retention_rules import place_hold, release_hold
from lah_platform.stores.subject_export import export_subject
from lah_platform.stores.subjects import resolve_subjects, subject_of_person
from tests.landing.messages import NOW
from tests.privacy.persons import SIGNER, World, exported
from tests.stores.archiving import DAY, TODAY, Hub, drop_old_events

_NAMES = ["ann@example.org", "ben-4711", "Zoë “Q” O'Hara", "c:\\dora"]
# Tables that an erasure writes to; no other may differ in a single row
_CHANGED = {"subjects", "subject_tombstones", "erasure_receipts", "subject_requests", "privacy_epoch", "audit_log",
            "audit_chain"}  # fmt: skip


@pytest.fixture
def world(database: str, connection: Connection, tmp_path: Path) -> World:
    return World.of(Hub(database, connection, tmp_path / "archive"))


def _export(world: World, identifier: str, folder: Path) -> dict[str, bytes]:
    export_subject(world.connection, world.ring, "acme", identifier, folder, now=NOW, actor="test",
                   archive_dir=world.hub.folder)  # fmt: skip
    return dict(exported(folder))


@given(data=st.data())
@settings(max_examples=3, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # shrinking: minutes
def test_one_of_several_is_erased_everywhere_and_the_others_stay_to_the_byte(
    server: object, template: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    from lah_platform.stores.postgres import connect

    folder = tmp_path_factory.mktemp("erasure")
    url = server.url.rsplit("/", 1)[0]  # type: ignore[attr-defined]
    name = f"test_erasure_{folder.name.replace('-', '_')}"
    with connect(server.url) as admin:  # type: ignore[attr-defined]
        admin.execute(f"create database {name} template {template}".encode())
        try:
            with connect(f"{url}/{name}") as connection:
                _one_of_several(World.of(Hub(f"{url}/{name}", connection, folder / "archive")), folder, data)
        finally:
            admin.execute(f"drop database {name} with (force)".encode())


def _one_of_several(world: World, folder: Path, data: st.DataObject) -> None:
    said = {}
    for name in _NAMES:
        for n in range(data.draw(st.integers(1, 4), label=f"events of {name}")):
            others = tuple(data.draw(st.sets(st.sampled_from([each for each in _NAMES if each != name]), max_size=2)))
            text = f"secret {len(said)} of {name}"
            said[world.event(name, text, days_ago=1 + n % 3, others=others)] = (name, text)
    world.tenants_text("nobody's")
    world.event(_NAMES[0], "the same name of another tenant", tenant="globex")
    world.archive(2, drop=data.draw(st.booleans()))
    world.archive(3, drop=data.draw(st.booleans()))
    gone, *others = data.draw(st.permutations(_NAMES))
    key = world.subject(gone).key
    subject_id = world.subject(gone).subject_id
    exports = {name: _export(world, name, folder / f"before {n}") for n, name in enumerate(others)}
    own = json.loads(_export(world, gone, folder / "own")["events.json"])
    assert {each["payload"]["failure_reason"] for each in own} >= {text for who, text in said.values() if who == gone}

    before, files = world.tables(), world.files()

    document = world.erase(gone if data.draw(st.booleans()) else f"{subject_id}")

    after = world.tables()
    changed = {table for table in after if after[table] != before[table]}
    assert changed <= _CHANGED, changed
    assert world.files() == files
    assert [row for row in before["subjects"] if f"{subject_id}" not in row] == after["subjects"]
    everything = world.everything()
    assert gone not in everything
    assert json.dumps(gone)[1:-1] not in everything
    assert key.hex() not in everything
    with world.connection.transaction():
        assert resolve_subjects(world.connection, world.ring, {Person("acme", gone)}) == {Person("acme", gone): None}
    for n, name in enumerate(others):
        again = _export(world, name, folder / f"after {n}")
        assert {k: v for k, v in again.items() if k != "manifest.json"} == {
            k: v for k, v in exports[name].items() if k != "manifest.json"
        }
        assert json.loads(again["manifest.json"]) == json.loads(exports[name]["manifest.json"])
    nothing = _export(world, gone, folder / "erased")
    assert json.loads(nothing["events.json"]) == []
    assert not any(text in part.decode() for part in nothing.values() for who, text in said.values() if who == gone)
    assert len(json.loads(nothing["erasures.json"])) == 1
    hot = world.hub.rows(f"select count(*)::int from events where subject_id = '{subject_id}'")[0][0]
    told = document["receipt"]
    assert told["unreadable_rows"].get("events", 0) == hot
    cold = sum(each["rows"] for each in told["unreadable_rows_in_files"])
    own = {event_id for event_id, (name, _) in said.items() if name == gone}
    assert hot + cold >= len(own)
    assert all(finding.passed for finding in world.verify(document, gone)), world.verify(document, gone)
    assert world.erase(gone) == document
    assert world.erase(f"{subject_id}") == document


def test_a_receipt_is_refused_with_any_bit_changed_and_for_anybody_else(world: World) -> None:
    world.event("ann@example.org", "secret")
    document = world.erase("ann@example.org")
    text = json.dumps(document)
    assert all(finding.passed for finding in world.verify(json.loads(text)))
    for place_ in range(0, len(text), 11):
        try:
            other = json.loads(text[:place_] + chr(ord(text[place_]) ^ 1) + text[place_ + 1 :])
        except ValueError:
            continue
        if other != document:
            assert not all(finding.passed for finding in world.verify(other)), place_
    assert [f.check for f in world.verify(document, "somebody@example.org") if not f.passed] == ["identifier"]


def test_verification_notices_when_the_person_is_back(world: World) -> None:
    event_id = world.event("ann@example.org", "secret")
    subject = world.subject("ann@example.org")
    kept = world.hub.rows("select * from subjects")
    document = world.erase("ann@example.org")
    world.connection.execute(
        "insert into subjects values (%s, %s, %s, %s, %s, %s, %s)",
        [*kept[0][:1], bytes(kept[0][1]), kept[0][2], bytes(kept[0][3]), kept[0][4], bytes(kept[0][5]), kept[0][6]],
    )
    assert [f.check for f in world.verify(document) if not f.passed] == ["no key", "no link", "ciphertexts"]
    world.connection.execute("delete from subject_tombstones")
    assert [f.check for f in world.verify(document) if not f.passed][2] == "tombstone"
    ((text,),) = world.hub.rows("select payload ->> 'failure_reason' from events")
    assert open_text(subject.key, text, place("acme", event_id.bytes, "failure_reason")) == b'"secret"'


@pytest.mark.parametrize(
    "hold",
    [
        {},
        {"class_": "personal"},
        {"event_type": "security"},
        {"from_at": NOW - 2 * DAY, "to_at": NOW},
        {"subject_id": "own"},
    ],
)
@pytest.mark.parametrize("where", ["hot", "cold"])
def test_a_legal_hold_blocks_and_says_why_and_nothing_has_changed(
    world: World, hold: dict[str, object], where: str
) -> None:
    world.event("ann@example.org", "secret", days_ago=1)
    if where == "cold":
        world.archive(1, drop=True)
    if "subject_id" in hold:
        hold = {"subject_id": world.subject("ann@example.org").subject_id}
    made = place_hold(world.connection, "acme", "case 7", actor="test", **hold)  # type: ignore[arg-type]
    before = world.tables()
    with pytest.raises(Held, match="case 7"):
        world.erase("ann@example.org")
    after = world.tables()
    assert {table for table in after if after[table] != before[table]} == {"subject_requests"}
    assert world.hub.rows("select kind, outcome from subject_requests") == [("erase", "refused")]
    release_hold(world.connection, made["hold_id"], actor="test")
    world.erase("ann@example.org")


@pytest.mark.parametrize(
    "hold",
    [
        {"class_": "costs"},
        {"event_type": "telemetry"},
        {"from_at": NOW - 9 * DAY, "to_at": NOW - 5 * DAY},
        {"subject_id": UUID(int=9)},
    ],
)
def test_a_hold_on_something_else_does_not_block(world: World, hold: dict[str, object]) -> None:
    world.event("ann@example.org", "secret", days_ago=1)
    place_hold(world.connection, "acme", "case 7", actor="test", **hold)  # type: ignore[arg-type]
    place_hold(world.connection, "globex", "case 8", actor="test")
    world.erase("ann@example.org")


def test_personal_text_in_served_tables_goes_and_every_figure_beside_it_stays(world: World) -> None:
    world.event("ann@example.org", "secret")
    story = {"what": ["ann@example.org failed 7 times", "joann@example.org.uk is another"], "cost": 1.5}
    world.connection.execute(
        "insert into incidents (incident_id, tenant, title, severity, is_open, started_at, ended_at, story,"
        " detected_at) select gen_random_uuid(), tenant, 'ann@example.org: 7 failures', 'low', false, %s, %s, %s, %s"
        " from unnest(array['acme', 'globex']) tenant",
        [NOW, NOW, json.dumps(story), NOW],
    )
    document = world.erase("ann@example.org")
    told = dict(world.hub.rows("select tenant, title || story::text from incidents"))
    assert "ann@example.org" in told["globex"]
    assert told["acme"].startswith("[erased]: 7 failures")
    assert json.loads(told["acme"][len("[erased]: 7 failures") :]) == {
        "what": ["[erased] failed 7 times", "joann@example.org.uk is another"],
        "cost": 1.5,
    }
    assert document["receipt"]["rows_with_text_removed"] == {"incidents": 1}


def test_every_free_text_of_a_served_table_is_searched_or_has_a_reason_not_to_be(connection: Connection) -> None:
    free = "advice body changes content description detail details difference evidence explanation html message note"
    rows = connection.execute(
        "select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0"
        " where c.relnamespace = 'lah'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition"
        " and not a.attisdropped and format_type(a.atttypid, null) in ('text', 'jsonb')"
    ).fetchall()
    named = [*free.split(), "notes", "observed", "reason", "root_cause", "story", "summary", "text", "title"]
    found = {(table, column) for table, column in rows if column in named and table not in NOT_SEARCHED}
    assert found == {(table, column) for table, columns in SERVED_TEXT.items() for column in columns}


def test_who_was_never_stored_is_unknown_and_short_identifiers_are_not_looked_for_in_words(world: World) -> None:
    with pytest.raises(UnknownSubject):
        world.erase("nobody@example.org")
    assert world.hub.rows("select outcome from subject_requests") == [("unknown subject",)]
    world.event("a", "secret")
    receipt = world.erase("a")["receipt"]
    assert "too short" in receipt["notes"][0]
    assert subject_of_person(world.connection, world.ring, Person("acme", "a")) is None


def test_a_receipt_that_a_crash_kept_from_being_made_is_made_when_asked_again(world: World) -> None:
    world.event("ann@example.org", "secret")
    document = world.erase("ann@example.org")
    world.connection.execute("update erasure_receipts set receipt = null, signature = null, public_key = null")
    assert world.erase("ann@example.org") == document
    assert document["public_key"] == SIGNER.public_key


@pytest.mark.parametrize("where", ["hot", "cold"])
def test_retention_forgets_whom_the_rows_that_go_name(world: World, where: str) -> None:
    world.event("ann@example.org", "old", days_ago=3, others=("ben-4711",))
    world.event("ann@example.org", "new", days_ago=1, others=("ben-4711",))
    if where == "cold":
        world.archive(3, drop=True)
    assert drop_old_events(world.connection, TODAY - 2 * DAY, world.hub.folder)
    assert world.hub.rows("select count(*)::int from event_subjects") == [(1,)]
    assert world.erase("ben-4711")["receipt"]["unreadable_rows"]["event_subjects"] == 1
