"""Nothing can happen to the audit log unseen: who can reach it, and what verifying finds when the owner tampers."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lah_platform.compliance.audit_chain import AuditRow, content_hash, row_hash
from lah_platform.compliance.audit_heads import SignedHead, sign_head
from lah_platform.compliance.signing import Signer
from lah_platform.errors import AuditError
from lah_platform.stores.audit import record
from lah_platform.stores.audit_chain import chain_head
from lah_platform.stores.audit_heads import audit_rows, last_head, sign_new_head
from lah_platform.stores.audit_verify import Findings, verify_log
from lah_platform.stores.postgres import Connection, connect
from tests.audit_rows import owners_way_in, write_past

_NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
_SIGNER = Signer("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
_OTHERS = Signer("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")
_KEYS = frozenset({_SIGNER.public_key})
_ROWS = 12


def _places(found: Findings) -> list[tuple[str, int, int]]:
    return [(breach.kind, breach.first, breach.last) for breach in found.breaches]


def _rows(connection: Connection) -> list[AuditRow]:
    with connection.transaction():
        return list(audit_rows(connection))


@pytest.fixture
def log(connection: Connection) -> Connection:
    """Twelve rows, signed at the sixth and at the last."""
    hour = datetime(2026, 3, 4, tzinfo=UTC)
    entries = [
        {
            "at": hour.replace(hour=number),
            "actor": f"key:{number}",
            "tenant": "acme",
            "details": '{"n": 1.50, "x": "é☃"}',
        }
        for number in range(6)
    ]
    write_past(connection, entries)
    assert sign_new_head(connection, _SIGNER, _NOW) is not None
    for number in range(6, _ROWS):
        record(connection, f"key:{number}", "create", "api_key", "k", "acme", {"tab": '\t"\\', "number": number / 7})
    assert sign_new_head(connection, _SIGNER, _NOW) is not None
    return connection


def test_a_log_that_nobody_touched_is_whole_and_recomputes_in_python_alone(log: Connection) -> None:
    found = verify_log(log, keys=_KEYS)
    assert (found.breaches, found.rows, found.heads, found.last.position) == ([], _ROWS, 2, _ROWS)
    before = bytes(32)
    for number, row in enumerate(_rows(log), 1):
        assert (row.position, row.previous_hash) == (number, before)
        before = row_hash(before, content_hash(row))
        assert row.row_hash == before
    assert chain_head(log).row_hash == before.hex()


_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(_TEXTS, min_size=5, max_size=5),
    details=st.dictionaries(
        _TEXTS,
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(10**30), 10**30)
            | st.floats(allow_nan=False, allow_infinity=False)
            | _TEXTS,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    ),
)
def test_whatever_is_recorded_python_computes_the_same_hash(
    connection: Connection, texts: list[str], details: dict[str, object]
) -> None:
    actor, action, object_type, object_id, tenant = texts
    position = record(connection, actor, action, object_type, object_id, tenant, details)
    with connection.transaction():
        (row,) = audit_rows(connection, after=position - 1)
    assert row_hash(row.previous_hash, content_hash(row)) == row.row_hash


_COLUMNS = ("at", "actor", "action", "object_type", "object_id", "tenant", "details", "position", "salt",
            "previous_hash", "row_hash")  # fmt: skip
# A bit of each column's value, in the form that PostgreSQL keeps it in
_FLIP = {
    "at": "at + (1::bigint << (%(bit)s %% 50)) * interval '1 microsecond'",
    "position": "position # (1::bigint << (%(bit)s %% 62))",
    "previous_hash": "set_bit(previous_hash, %(bit)s %% 256, 1 - get_bit(previous_hash, %(bit)s %% 256))",
    "row_hash": "set_bit(row_hash, %(bit)s %% 256, 1 - get_bit(row_hash, %(bit)s %% 256))",
    "salt": "encode(set_bit(uuid_send(salt), %(bit)s %% 128,"
    " 1 - get_bit(uuid_send(salt), %(bit)s %% 128)), 'hex')::uuid",
    # its jsonb's text has at these places a key's letter and three digits
    "details": "overlay(details::text placing chr(ascii(substr(details::text, (array[3, 7, 9, 10])[1 + %(bit)s %% 4],"
    " 1)) # 1) from (array[3, 7, 9, 10])[1 + %(bit)s %% 4] for 1)::jsonb",
}
_FLIP_TEXT = "overlay({0} placing chr(ascii(substr({0}, 1 + %(bit)s %% length({0}), 1)) # (1 << %(bit)s %% 5))" \
             " from 1 + %(bit)s %% length({0}) for 1)"  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(column=st.sampled_from(_COLUMNS), position=st.integers(1, 6), bit=st.integers(0, 255))
def test_a_single_changed_bit_in_any_column_of_any_row_is_found_and_located(
    log: Connection, column: str, position: int, bit: int
) -> None:
    changed = _FLIP.get(column, _FLIP_TEXT.format(column))
    taken = psycopg.errors.UniqueViolation  # two rows cannot have one position
    with suppress(taken), log.transaction(force_rollback=True), owners_way_in(log):
        statement = f"update audit_log set {column} = {changed} where position = %(position)s"
        assert log.execute(statement.encode(), {"position": position, "bit": bit}).rowcount == 1
        found = _verify_within(log)
        assert any(kind != "forged_head" and first <= position <= last for kind, first, last in _places(found))
        if column not in ("position", "row_hash"):
            assert ("changed", position, position) in _places(found)
    assert verify_log(log, keys=_KEYS).is_whole


def _verify_within(connection: Connection) -> Findings:
    """What verify_log finds before the tampering is committed."""
    from lah_platform.compliance.audit_chain import Claim
    from lah_platform.stores.audit_heads import signed_heads
    from lah_platform.stores.audit_verify import check_chain, claims_of

    found = Findings()
    claims = claims_of([("the signed head", head) for head in signed_heads(connection)], _KEYS, found)
    head = chain_head(connection)
    claims.append(Claim(head.position, bytes.fromhex(head.row_hash), "audit_chain"))
    check_chain(audit_rows(connection), found.last, claims, found, lambda _: None)
    return found


_REHASH = """
do $$
declare entry record; before bytea := decode(repeat('00', 32), 'hex'); place bigint := 0;
begin
    for entry in select * from audit_log order by position loop
        place := place + 1;
        update audit_log a set position = place, previous_hash = before, row_hash = sha256(before || audit_content_hash(
            place, a.at, a.actor, a.action, a.object_type, a.object_id, a.tenant, a.details, a.salt))
        where a.position = entry.position returning a.row_hash into before;
    end loop;
    update audit_chain set position = place, row_hash = before;
end $$
"""


@pytest.mark.parametrize(
    ("tampering", "expected"),
    [
        ("delete from audit_log where position = 4", [("removed", 4, 4)]),
        ("delete from audit_log where position in (7, 8, 9)", [("removed", 7, 9)]),
        ("delete from audit_log where position = 12", [("removed", 12, 12)]),
        ("truncate audit_log", [("removed", 1, 12)]),
        # what reads as if nothing had ever been: the heads tell
        ("delete from audit_log where position > 10;"
         " update audit_chain set (position, row_hash) ="
         " (select position, row_hash from audit_log where position = 10)",
         [("removed", 11, 12)]),
        ("delete from audit_log where position = 9;" + _REHASH, [("removed", 12, 12)]),
        ("update audit_log set actor = 'nobody' where position = 8;" + _REHASH, [("changed", 7, 12)]),
        ("update audit_log set actor = 'nobody' where position = 2;" + _REHASH, [("changed", 1, 6)]),
        # swapped: the columns, the positions, the positions with their hashes
        ("update audit_log a set actor = b.actor from audit_log b where (a.position, b.position) in ((3, 4), (4, 3))",
         [("changed", 3, 3), ("changed", 4, 4)]),
        ("update audit_log set position = 99 where position = 3; update audit_log set position = 3 where position = 4;"
         " update audit_log set position = 4 where position = 99", [("changed", 3, 3), ("changed", 4, 4)]),
        # one row with the right hash of its own, and none behind it that knows it
        ("update audit_log set actor = 'x', row_hash = sha256(previous_hash || audit_content_hash(position, at, 'x',"
         " action, object_type, object_id, tenant, details, salt)) where position = 3", [("changed", 3, 4)]),
        # put in between: everything behind it moves, and says so
        ("update audit_log set position = position + 100 where position >= 5;"
         " update audit_log set position = position - 99 where position > 100;"
         " insert into audit_log select at, actor, action, object_type, object_id, tenant, details, 5, salt,"
         " previous_hash, row_hash from audit_log where position = 4", [("changed", 5, 5), ("changed", 6, 6)]),
        ("alter table audit_log drop constraint audit_log_pkey; insert into audit_log select * from audit_log"
         " where position = 4", [("inserted", 4, 4)]),
        ("alter table audit_log drop constraint audit_log_pkey; alter table audit_log alter position drop not null;"
         " update audit_log set position = null where position = 4", [("removed", 4, 4), ("inserted", 12, 12)]),
        ("update audit_heads set signed_at = signed_at + interval '1 microsecond' where position = 6",
         [("forged_head", 6, 6)]),
        ("update audit_heads set row_hash = sha256('x') where position = 6", [("forged_head", 6, 6)]),
    ],
)  # fmt: skip
def test_what_the_owner_does_to_the_log_is_found_and_located(
    log: Connection, tampering: str, expected: list[tuple[str, int, int]]
) -> None:
    with owners_way_in(log):
        for statement in tampering.split(";") if "do $$" not in tampering else [tampering]:
            log.execute(statement.encode())
    found = _places(verify_log(log, keys=_KEYS))
    assert found[: len(expected)] == expected
    assert len(found) == len(expected) or expected[0][0] == "changed"


def test_a_log_written_anew_with_its_heads_is_found_by_a_copy_of_a_head_from_outside(log: Connection) -> None:
    kept = last_head(log)
    assert kept is not None
    with owners_way_in(log):
        log.execute(b"delete from audit_heads")
        log.execute(("update audit_log set actor = 'nobody' where position = 8;" + _REHASH).encode())
    assert sign_new_head(log, _OTHERS, _NOW) is not None
    assert verify_log(log).is_whole  # by itself it is
    assert _places(verify_log(log, keys=_KEYS)) == [("forged_head", 12, 12)]
    assert _places(verify_log(log, anchors=[("the file", kept)])) == [("changed", 1, 12)]
    forged = SignedHead(kept.position, "00" * 32, kept.signed_at, kept.signature)
    assert ("forged_head", 12, 12) in _places(verify_log(log, anchors=[("the file", forged)]))
    beyond = sign_head(_SIGNER, 40, "00" * 32, _NOW)
    assert ("removed", 13, 40) in _places(verify_log(log, anchors=[("the file", beyond)]))


def test_a_period_is_verified_by_itself_and_from_the_row_before_it(log: Connection) -> None:
    start, end = datetime(2026, 3, 4, 2, tzinfo=UTC), datetime(2026, 3, 4, 5, tzinfo=UTC)
    found = verify_log(log, start=start, end=end, keys=_KEYS)
    assert (found.breaches, found.rows, found.last.position) == ([], 3, 5)
    with owners_way_in(log):
        log.execute("update audit_log set actor = 'nobody' where position = 7")
    assert verify_log(log, start=start, end=end).is_whole
    assert _places(verify_log(log, start=start)) == [("changed", 7, 7)]
    assert verify_log(log, end=datetime(2020, 1, 1, tzinfo=UTC)).rows == 0


def test_a_guard_that_is_taken_away_is_told_even_when_no_row_was_touched(log: Connection) -> None:
    log.execute("alter table audit_log disable trigger audit_log_append_only")
    assert [str(breach) for breach in verify_log(log).breaches] == [
        "unguarded: the trigger of audit_log: audit_log_append_only is not in force"
    ]


def test_a_head_is_signed_when_the_log_has_moved_and_never_on_a_broken_one(log: Connection) -> None:
    assert sign_new_head(log, _SIGNER, _NOW) is None
    record(log, "a", "b", "c", "d", "acme", {})
    signed = sign_new_head(log, _SIGNER, _NOW)
    assert signed is not None
    assert signed == last_head(log)
    record(log, "a", "b", "c", "d", "acme", {})
    with owners_way_in(log):
        log.execute("update audit_log set actor = 'nobody' where position = 14")
    with pytest.raises(AuditError, match="position 14: changed"):
        sign_new_head(log, _SIGNER, _NOW)
    with owners_way_in(log):
        log.execute("delete from audit_log where position = 14")
    with pytest.raises(AuditError, match="ends at 13, and its head is at 14"):
        sign_new_head(log, _SIGNER, _NOW)
    assert last_head(log) == signed


def test_writers_at_once_make_one_chain_without_a_gap_and_what_is_rolled_back_leaves_none(
    connection: Connection, database: str
) -> None:
    before = chain_head(connection).position

    def write(number: int) -> None:
        with connect(database) as own:
            for each in range(25):
                with own.transaction(force_rollback=each % 5 == 0):
                    record(own, f"writer:{number}", "write", "thing", f"{each}", "acme", {})

    threads = [threading.Thread(target=write, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = verify_log(connection)
    assert (found.breaches, found.last.position) == ([], before + 4 * 20)
    times = [row.at_us for row in _rows(connection)]
    assert times == sorted(times)


def test_place_time_and_hashes_are_the_databases_own_whatever_is_given(connection: Connection) -> None:
    before = chain_head(connection)
    connection.execute(
        "insert into audit_log (at, actor, action, object_type, object_id, tenant, position, salt, previous_hash,"
        " row_hash) values ('2020-01-01', 'a', 'b', 'c', 'd', 'acme', 77, gen_random_uuid(), sha256('x'), sha256('y'))"
    )
    connection.execute(
        "insert into audit_log (actor, action, object_type, object_id, tenant) values ('a', 'b', 'c', 'd', 'e')"
        " on conflict do nothing"
    )
    after = chain_head(connection)
    assert after.position == before.position + 2
    assert after.at is not None
    assert after.at >= (before.at or after.at)
    assert verify_log(connection).is_whole


def test_a_snapshot_that_cannot_see_the_newest_row_may_not_record(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("set transaction isolation level repeatable read")
        with pytest.raises(psycopg.errors.RaiseException, match="read committed"):
            record(connection, "a", "b", "c", "d", "acme", {})


_TAMPERING = (
    "update lah.audit_log set actor = 'x'", "delete from lah.audit_log", "truncate lah.audit_log",
    "insert into lah.audit_log (actor, action, object_type, object_id, tenant) values ('a', 'b', 'c', 'd', 'e')"
    " on conflict (position) do update set actor = 'x'",
    "merge into lah.audit_log l using (select 1 as n) s on l.position = s.n when matched then delete",
    "with gone as (delete from lah.audit_log returning *) select count(*) from gone",
    "update lah.audit_heads set signature = 'x'", "delete from lah.audit_heads", "truncate lah.audit_heads",
    "update lah.audit_chain set position = 0", "delete from lah.audit_chain", "truncate lah.audit_chain",
    "insert into lah.audit_chain values (false, 0, sha256('x'), now())",
)  # fmt: skip
_OWNERS = (
    "alter table lah.audit_log disable trigger user", "alter table lah.audit_log disable trigger audit_log_append_only",
    "drop trigger audit_log_append_only on lah.audit_log", "alter table lah.audit_log add column x integer",
    "create rule r as on insert to lah.audit_log do instead nothing", "drop table lah.audit_log cascade",
    "create or replace function lah.audit_log_is_append_only() returns trigger language sql as 'select 1'",
    "create trigger t before insert on lah.audit_log for each row execute function lah.audit_log_is_chained()",
    "alter table lah.audit_log owner to current_user", "set session_replication_role = replica",
    "create temp table t (n integer); create trigger t before insert on t for each row"
    " execute function lah.audit_log_is_chained()",
)  # fmt: skip


def _roles(connection: Connection) -> Iterator[str]:
    for (name,) in connection.execute("select rolname from pg_roles where not rolsuper order by rolname").fetchall():
        yield name


def test_no_role_that_exists_can_change_the_log_its_heads_or_what_guards_them(log: Connection) -> None:
    """Also those PostgreSQL brings, such as pg_write_all_data, which may write to every table."""
    before = _rows(log)
    names = list(_roles(log))
    assert {"lah_reader", "lah_tenant_reader", "lah_auditor", "pg_write_all_data", "pg_database_owner"} <= set(names)
    log.execute("create role lah_test_application nologin")
    try:
        # what a hub is given whose login does not own the schema
        log.execute("grant usage on schema lah to lah_test_application")
        log.execute("grant select, insert on audit_log to lah_test_application")
        for name in [*names, "lah_test_application"]:
            for statement in (*_TAMPERING, *_OWNERS):
                with log.transaction(force_rollback=True):
                    log.execute(f'set local role "{name}"'.encode())
                    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.RaiseException)):
                        log.execute(statement.encode())
        with log.transaction():
            log.execute("set local role lah_test_application")
            record(log, "a", "b", "c", "d", "acme", {})
        with log.transaction():
            log.execute("set local role lah_auditor")
            assert len(list(audit_rows(log))) == _ROWS + 1
    finally:
        log.execute("drop owned by lah_test_application")
        log.execute("drop role lah_test_application")
    assert _rows(log)[:-1] == before
    assert verify_log(log, keys=_KEYS).is_whole


@pytest.mark.parametrize("replication", ["origin", "replica"])
def test_the_owner_cannot_either_without_taking_the_guards_away(log: Connection, replication: str) -> None:
    log.execute(f"set session_replication_role = {replication}".encode())
    for statement in _TAMPERING:
        with pytest.raises(psycopg.errors.RaiseException):
            log.execute(statement.encode())
    record(log, "a", "b", "c", "d", "acme", {})  # chained all the same
    assert verify_log(log, keys=_KEYS).is_whole
