"""A person is one subject of a tenant, whoever asks and how often; erased ones do not come back."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lah_platform.errors import Unreadable
from lah_platform.privacy.cipher import new_key
from lah_platform.privacy.master_key import HeldKeys
from lah_platform.privacy.subjects import Person
from lah_platform.stores import subjects
from lah_platform.stores.keyring import KeyRing, rewrap
from lah_platform.stores.postgres import Connection, connect

_ANN, _BEN, _OTHER_S_ANN = Person("acme", "ann"), Person("acme", "ben"), Person("globex", "ann")
_MASTER = {1: new_key(), 2: new_key()}


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(HeldKeys("file", {1: _MASTER[1]}))


def test_the_same_person_is_the_same_subject_in_every_process_and_another_tenant_s_is_another(
    connection: Connection, ring: KeyRing
) -> None:
    first = subjects.resolve_subjects(connection, ring, {_ANN, _BEN, _OTHER_S_ANN})
    again = subjects.resolve_subjects(connection, KeyRing(ring.master), {_ANN, _BEN})
    assert again == {person: first[person] for person in (_ANN, _BEN)}
    assert len({subject.subject_id for subject in first.values() if subject}) == 3
    assert len({subject.key for subject in first.values() if subject}) == 3


def test_two_spellings_of_one_identifier_are_one_subject(connection: Connection, ring: KeyRing) -> None:
    composed, decomposed = Person("acme", "Zo\u00eb"), Person("acme", "Zoe\u0308")
    found = subjects.resolve_subjects(connection, ring, {composed, decomposed})
    assert found[composed] == found[decomposed]


def test_an_erased_person_does_not_come_back_and_nobody_else_goes(connection: Connection, ring: KeyRing) -> None:
    before = subjects.resolve_subjects(connection, ring, {_ANN, _BEN})
    connection.execute(
        "insert into subject_tombstones values ('acme', %s, now())", [subjects.hmac_of(connection, ring, _ANN)]
    )
    connection.execute(
        "delete from subjects where subject_id = %s", [before[_ANN].subject_id if before[_ANN] else None]
    )
    assert subjects.resolve_subjects(connection, ring, {_ANN, _BEN}) == {_ANN: None, _BEN: before[_BEN]}
    assert subjects.subject_of_person(connection, ring, _ANN) is None


def test_who_a_subject_is_opens_for_its_own_tenant_only(connection: Connection, ring: KeyRing) -> None:
    ann = subjects.resolve_subjects(connection, ring, {_ANN})[_ANN]
    assert ann is not None
    known = subjects.subjects_by_id(connection, ring, "acme", [ann.subject_id])[ann.subject_id]
    assert (known.identifier, known.key) == ("ann", ann.key)
    assert subjects.subjects_by_id(connection, ring, "globex", [ann.subject_id]) == {}


def test_a_wrapped_key_moved_to_another_subject_does_not_open(connection: Connection, ring: KeyRing) -> None:
    subjects.resolve_subjects(connection, ring, {_ANN, _BEN})
    connection.execute("update subjects set wrapped_key = (select wrapped_key from subjects limit 1)")
    with pytest.raises(Unreadable):
        subjects.resolve_subjects(connection, ring, {_ANN, _BEN})


def test_a_rotated_master_key_changes_no_subject_and_no_hmac_and_the_old_one_is_not_needed_any_more(
    connection: Connection, ring: KeyRing
) -> None:
    before = subjects.resolve_subjects(connection, ring, {_ANN, _OTHER_S_ANN})
    rows = connection.execute("select * from subjects order by subject_id").fetchall()
    told: list[tuple[int, int]] = []
    assert rewrap(connection, HeldKeys("file", _MASTER), lambda done, of: told.append((done, of))) == 4
    assert told == [(4, 4)]
    assert rewrap(connection, HeldKeys("file", _MASTER), lambda *_: None) == 0
    turned = KeyRing(HeldKeys("file", {2: _MASTER[2]}))
    assert subjects.resolve_subjects(connection, turned, {_ANN, _OTHER_S_ANN}) == before
    assert connection.execute("select * from subjects order by subject_id").fetchall() == rows


def test_a_key_that_was_rolled_back_encrypts_nothing(database: str, ring: KeyRing) -> None:
    with connect(database) as connection:
        with connection.transaction(force_rollback=True):
            made = ring.current(connection, "acme", "content")
        kept = ring.current(connection, "acme", "content")
        assert kept.key != made.key
        assert ring.by_id(connection, kept.key_id) == kept.key


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["ann", "ben", "cy"]), min_size=1))
def test_no_identifier_is_in_any_byte_of_the_tables(connection: Connection, ring: KeyRing, names: list[str]) -> None:
    marked = {Person("acme", f"marked-{name}") for name in names}
    subjects.resolve_subjects(connection, ring, marked)
    for table in ("subjects", "encryption_keys"):
        for (row,) in connection.execute(f"select t::text from {table} t".encode()):
            assert "marked" not in row
            assert b"marked".hex() not in row
