"""Who reads the audit log over REST, and what of it."""

from datetime import UTC, datetime

import pytest
from api_support import TENANTS, Api

from lah_platform.compliance.audit_heads import head_of, problem_of
from lah_platform.compliance.audit_kinds import KINDS
from lah_platform.compliance.signing import Signer
from lah_platform.stores.audit import record, record_reading
from lah_platform.stores.audit_heads import sign_new_head
from lah_platform.stores.postgres import connect

_AUDIT = "/api/v1/audit"


def test_a_tenant_reads_its_own_entries_and_an_operator_all_newest_first_in_pages(api: Api) -> None:
    with connect(api.url) as connection:
        for tenant in (*TENANTS, "*"):
            record_reading(connection, "key:1", tenant=tenant, what="subject 7", purpose="request 12", rows=2)
    own = api.client(TENANTS[0], "compliance").get(_AUDIT).json()["items"]
    assert {entry["tenant"] for entry in own} == {TENANTS[0]}
    everything = api.client("*", "admin").get(_AUDIT, params={"limit": 1000}).json()["items"]
    assert {entry["tenant"] for entry in everything} == {*TENANTS, "*"}
    positions = [entry["position"] for entry in everything]
    assert positions == list(range(len(positions), 0, -1))
    assert [later["previous_hash"] for later in everything[:-1]] == [entry["row_hash"] for entry in everything[1:]]
    seen, cursor = [], {}
    while len(seen) < len(positions):
        page = api.client("*", "admin").get(_AUDIT, params={"limit": 7, **cursor}).json()
        seen += [entry["position"] for entry in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert (seen, page["next_cursor"]) == (positions, None)
    read = api.client("*", "compliance").get(_AUDIT, params={"kind": "personal_data", "actor": "key:1"}).json()["items"]
    assert [entry["details"] for entry in read] == [{"purpose": "request 12", "rows": 2}] * 3
    text = api.client(TENANTS[0], "admin").get(_AUDIT, headers={"Accept": "text/csv"}).text
    assert len(text.splitlines()) == len(own) + 1


def test_a_period_is_half_open_and_a_turned_one_is_refused(api: Api) -> None:
    client = api.client("*", "compliance")
    entries = client.get(_AUDIT, params={"limit": 1000}).json()["items"]
    at = entries[3]["at"]
    assert client.get(_AUDIT, params={"from": at, "limit": 1000}).json()["items"] == [
        e for e in entries if e["at"] >= at
    ]
    assert client.get(_AUDIT, params={"to": at, "limit": 1000}).json()["items"] == [e for e in entries if e["at"] < at]
    refused = client.get(_AUDIT, params={"from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"})
    assert (refused.status_code, refused.json()["field"]) == (422, "from")


@pytest.mark.parametrize("role", ["viewer", "analyst", "ingest"])
def test_other_roles_read_none_of_it(api: Api, role: str) -> None:
    for path in (_AUDIT, f"{_AUDIT}/heads"):
        assert api.client(TENANTS[0], role).get(path).status_code == 403


def test_every_kind_can_be_asked_for(api: Api) -> None:
    client = api.client("*", "admin")
    found = {kind: client.get(_AUDIT, params={"kind": kind, "limit": 1000}).json()["items"] for kind in KINDS}
    assert sum(map(len, found.values())) == len(client.get(_AUDIT, params={"limit": 1000}).json()["items"])
    assert len(found["key"]) > 0


def test_a_head_is_handed_to_whoever_may_read_the_log_to_keep(api: Api) -> None:
    signer = Signer("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    with connect(api.url) as connection:
        record(connection, "a", "b", "c", "d", TENANTS[1], {})
        signed = sign_new_head(connection, signer, datetime(2026, 3, 4, tzinfo=UTC))
    (told,) = api.client(TENANTS[0], "compliance").get(f"{_AUDIT}/heads").json()["items"]
    assert head_of(told) == signed
    assert problem_of(head_of(told), frozenset({signer.public_key})) is None
