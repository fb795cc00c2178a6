"""The access review says what is really there: it changes with keys, grants and roles, and agrees with the catalog."""

import html
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from api.access import ROLES
from lah_platform.compliance.facts import FactsDocument, facts_content, facts_html
from lah_platform.settings import Settings
from lah_platform.stores.facts_documents import make_access_review
from lah_platform.stores.keys import create_key, note_use, revoke_key, rotate_key
from lah_platform.stores.postgres import Connection
from lah_platform.stores.readers import grant_reader, revoke_reader

_SECRET = b"a secret of the tests, long enough"
_PERMISSIONS = {role: frozenset(permissions) for role, permissions in ROLES.items()}


def _review(
    connection: Connection, *, tenant: str = "*", later: timedelta = timedelta(), **settings: Any
) -> FactsDocument:
    now = datetime.now(UTC) + later
    return make_access_review(connection, Settings(**settings), tenant=tenant, roles=_PERMISSIONS, now=now)


def _rows(document: FactsDocument, table_id: str, key: str) -> dict[Any, dict[str, Any]]:
    table = document.table(table_id)
    found = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return {row[key]: row for row in found}


def _codes(document: FactsDocument, subject: str) -> set[str]:
    return {each.code for each in document.findings if subject in each.subject}


@contextmanager
def _role(connection: Connection, *statements: str) -> Iterator[str]:
    """A login of the server that `statements` ({} is its name) give rights to."""
    name = f"reviewed_{secrets.token_hex(6)}"
    connection.execute(f"create role {name} login".encode())
    try:
        for statement in statements:
            connection.execute(statement.format(name).encode())
        yield name
    finally:
        connection.execute(f"drop owned by {name}".encode())
        connection.execute(f"drop role {name}".encode())


def test_a_key_is_reviewed_from_its_making_to_its_end(connection: Connection) -> None:
    key, _ = create_key(connection, _SECRET, tenant="acme", role="viewer", label="wall", actor="test")
    made = _rows(_review(connection), "keys", "key_id")[key.key_id]
    assert (made["tenant"], made["role"], made["label"], made["state"]) == ("acme", "viewer", "wall", "valid")
    assert (made["created"], made["expires"], made["use"]) == (key.created_at, None, "never used")

    note_use(connection, key.key_id)
    assert _rows(_review(connection), "keys", "key_id")[key.key_id]["use"] == "used"
    unused = _review(connection, later=timedelta(days=91))
    assert _rows(unused, "keys", "key_id")[key.key_id]["use"] == "unused 91 days"
    assert "key_unused" in _codes(unused, key.key_id)

    successor = rotate_key(connection, _SECRET, key.key_id, grace=timedelta(hours=1), actor="test")
    assert successor is not None
    rotated = _review(connection)
    assert _rows(rotated, "keys", "key_id")[key.key_id]["rotation"] == f"rotated, now {successor[0].key_id}"
    assert _rows(rotated, "keys", "key_id")[successor[0].key_id]["rotation"] == f"replaces {key.key_id}"
    assert "rotated_key_still_valid" in _codes(rotated, key.key_id)

    revoke_key(connection, key.key_id, actor="test")
    after = _review(connection, later=timedelta(days=91))
    assert _rows(after, "keys", "key_id")[key.key_id]["state"].startswith("revoked")
    assert not _codes(after, f"key {key.key_id}")


_YEARS = timedelta(days=999)
_KEYS: list[tuple[dict[str, Any], timedelta, set[str]]] = [
    ({"role": "admin", "tenant": "*"}, timedelta(), {"admin_key_without_expiry"}),
    ({"role": "admin", "tenant": "acme"}, timedelta(), {"admin_key_without_expiry"}),
    ({"role": "admin", "tenant": "*", "life": timedelta(days=1)}, timedelta(), set()),
    ({"role": "admin", "tenant": "*", "life": timedelta(days=1)}, timedelta(days=2), set()),
    ({"role": "viewer", "tenant": "acme", "is_demo": True}, timedelta(), {"demo_key", "key_without_expiry"}),
    ({"role": "viewer", "tenant": "acme", "life": _YEARS}, timedelta(days=89), set()),
    ({"role": "viewer", "tenant": "acme", "life": _YEARS}, timedelta(days=90), {"key_never_used"}),
    ({"role": "viewer", "tenant": "a", "life": _YEARS}, timedelta(days=366), {"key_never_used", "key_not_rotated"}),
]


def test_a_key_that_somebody_should_look_at_is_a_finding(connection: Connection) -> None:
    for made, later, codes in _KEYS:
        key, _ = create_key(connection, _SECRET, label="x", actor="test", **made)
        assert _codes(_review(connection, later=later), key.key_id) == codes, made


def test_a_granted_and_a_revoked_reader_are_seen_and_a_grant_to_nobody_is_a_finding(connection: Connection) -> None:
    with _role(connection) as name:
        assert name not in _rows(_review(connection), "sql_readers", "login")
        grant_reader(connection, name, "acme", actor="test")
        granted = _review(connection)
        reader = _rows(granted, "sql_readers", "login")[name]
        assert (reader["tenant"], reader["login_exists"], reader["may_read_views"]) == ("acme", True, True)
        login = _rows(granted, "logins", "role")[name]
        assert (login["relations_read"], login["relations_written"]) == (0, 0)
        assert login["tenant_views_read"] > 20
        assert not _codes(granted, name)
        revoke_reader(connection, name, actor="test")
        assert _codes(_review(connection), name) == {"reader_of_nobody"}
        grant_reader(connection, name, "acme", actor="test")
    gone = _review(connection)
    assert not _rows(gone, "sql_readers", "login")[name]["login_exists"]
    assert _codes(gone, name) == {"reader_without_login"}


_USAGE = "grant usage on schema lah to {}"
_LOGINS: list[tuple[list[str], set[str]]] = [
    ([_USAGE, "grant select (tenant) on lah.events to {}"], {"login_reads_tables"}),
    (["grant select on lah.events to {}"], set()),  # no usage of the schema: it reads nothing
    ([_USAGE, "grant update (label) on lah.api_keys to {}"], {"login_writes"}),
    (["grant lah_reader to {}"], {"login_reads_every_tenant"}),
    (["grant lah_reader to {}", "grant select on lah.api_keys to {}"], {"login_reads_tables"}),
    (["grant pg_read_all_data to {}"], {"login_reads_tables"}),
    (["grant pg_write_all_data to {}"], {"login_writes"}),
    (["alter role {} superuser"], {"login_without_limits"}),
    (["alter role {} bypassrls"], {"login_bypasses"}),
]


def test_what_a_login_may_do_is_what_it_can_do_when_it_tries(connection: Connection) -> None:
    for statements, codes in _LOGINS:
        with _role(connection, *statements) as name:
            found = _review(connection)
            login = _rows(found, "logins", "role")[name]
            assert (login["relations_read"], login["relations_written"]) == _tried(connection, name), statements
            assert _codes(found, name) == codes, statements


def test_what_everybody_may_read_is_a_finding(connection: Connection) -> None:
    assert not _codes(_review(connection), "PUBLIC")
    connection.execute("grant select on lah.prices to public")
    assert _codes(_review(connection), "PUBLIC") == {"public_reads"}


def test_every_login_of_the_catalog_is_reviewed_and_no_other(connection: Connection) -> None:
    with _role(connection):
        expected = {
            name: (can_login, is_superuser)
            for name, can_login, is_superuser in connection.execute(
                "select rolname::text, rolcanlogin, rolsuper from pg_roles where left(rolname, 3) <> 'pg_'"
            )
        }
        found = _rows(_review(connection), "logins", "role")
        assert {name: (row["can_log_in"], row["superuser"]) for name, row in found.items()} == expected


def test_a_tenants_review_has_that_tenants_accesses_and_nothing_of_the_server(connection: Connection) -> None:
    for tenant in ("acme", "globex"):
        create_key(connection, _SECRET, tenant=tenant, role="admin", label=f"{tenant}'s", actor="test")
        connection.execute("insert into sql_readers values (%s, %s)", [f"of_{tenant}", tenant])
    theirs = facts_content(_review(connection, tenant="acme"))
    assert "globex" not in str(theirs)
    assert {table["id"] for table in theirs["tables"]} == {"keys", "sql_readers", "roles", "issuer"}
    assert {each["code"] for each in theirs["findings"]} == {"admin_key_without_expiry", "reader_without_login"}


def test_the_issuer_and_the_permissions_are_those_in_force(connection: Connection) -> None:
    without = _review(connection)
    assert "No issuer" in without.table("issuer").note
    found = _review(connection, oidc_issuer="https://issuer.example", oidc_audience="lah")
    assert _rows(found, "issuer", "setting")["LAH_OIDC_ISSUER"]["value"] == "https://issuer.example"
    assert found.table("issuer").note == ""
    said = _rows(found, "roles", "role")
    assert {role: set(row["permissions"].split(", ")) for role, row in said.items()} == {
        role: set(permissions) for role, permissions in ROLES.items()
    }


def test_the_page_shows_every_fact_escaped_and_no_hmac(connection: Connection) -> None:
    label = "<script>alert(1)</script>"
    key, text = create_key(connection, _SECRET, tenant="acme", role="admin", label=label, actor="test")
    content = facts_content(_review(connection))
    page = facts_html(content)
    assert label not in page
    assert "&lt;script&gt;" in page
    for table in content["tables"]:
        assert table["source"], table["id"]
        assert html.escape(table["title"]) in page.replace("&#39;", "&#x27;")
    ((hmac,),) = connection.execute("select encode(key_hmac, 'hex') from api_keys where key_id = %s", [key.key_id])
    assert hmac not in page + str(content)
    assert text not in page + str(content)


_CANNOT = (
    psycopg.errors.ObjectNotInPrerequisiteState,  # a view that nobody writes through
    psycopg.errors.WrongObjectType,
)


def _tried(connection: Connection, name: str) -> tuple[int, int]:
    """How many relations of schema lah the role reads and changes, by trying each: the slow and obvious way."""
    relations = connection.execute(
        "select relname::text, array(select attname::text from pg_attribute where attrelid = c.oid and attnum > 0)"
        " from pg_class c where relnamespace = 'lah'::regnamespace and relkind in ('r', 'p', 'v', 'm')"
    ).fetchall()
    read = written = 0
    for relation, columns in relations:
        at = sql.Identifier("lah", relation)
        reads = [sql.SQL("select 1 from {} limit 0").format(at)]
        writes = [sql.SQL("delete from {} where false").format(at), sql.SQL("insert into {} default values").format(at)]
        if relation in ("events", "api_keys"):  # where the cases grant single columns
            names = list(map(sql.Identifier, columns))
            reads += [sql.SQL("select {} from {} limit 0").format(column, at) for column in names]
            writes += [sql.SQL("update {} set {} = null where false").format(at, column) for column in names]
            writes += [sql.SQL("insert into {} ({}) select null where false").format(at, column) for column in names]
        read += any(_may(connection, name, statement) for statement in reads)
        written += any(_may(connection, name, statement) for statement in writes)
    return read, written


def _may(connection: Connection, name: str, statement: sql.Composed) -> bool:
    """Whether the role is not told that it lacks the right to the relation; whatever else is wrong."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(sql.SQL("set local role {}").format(sql.Identifier(name)))
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        return "permission denied for function" in str(error)  # which a view calls
    except _CANNOT:
        return False
    except psycopg.Error:
        return True
    return True
