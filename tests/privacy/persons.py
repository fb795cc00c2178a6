"""A small world of persons: events as landing stores them, the archive, and everything there is as text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
from psycopg import sql

from lah_platform.compliance.signing import Signer
from lah_platform.privacy.cipher import new_key, place, seal_text, subject_ref, tenant_ref
from lah_platform.privacy.erasure import Expiry
from lah_platform.privacy.master_key import HeldKeys
from lah_platform.privacy.subjects import Person, Subject
from lah_platform.stores.erasure import erase
from lah_platform.stores.erasure_verify import Finding, verify
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.postgres import Connection
from lah_platform.stores.subjects import resolve_subjects
from tests.landing.messages import NOW
from tests.stores.archiving import DAY, TODAY, Hub
from tests.stores.event_rows import add_event

SIGNER = Signer("bWFrZSBhIHNpZ25pbmcga2V5IG9mIDMyIGJ5dGVzISE=")
BROKER = Expiry(NOW + 7 * DAY, "the topic keeps records for 7 days")
_MASTER = new_key()


@dataclass
class World:
    """A hub with persons in it."""

    hub: Hub
    ring: KeyRing
    number: int = 0

    @classmethod
    def of(cls, hub: Hub) -> "World":
        return cls(hub, KeyRing(HeldKeys("file", {1: _MASTER})))

    @property
    def connection(self) -> Connection:
        return self.hub.connection

    def subject(self, identifier: str, tenant: str = "acme") -> Subject:
        person = Person(tenant, identifier)
        with self.connection.transaction():
            found = resolve_subjects(self.connection, self.ring, {person})[person]
        assert found is not None
        return found

    def event(self, identifier: str, said: str, *, days_ago: int = 1, others: tuple[str, ...] = (),
              tenant: str = "acme", **columns: Any) -> UUID:  # fmt: skip
        """An event of a person, its text encrypted as landing does; `others` are named in data_subjects."""
        self.number += 1
        subject = self.subject(identifier, tenant)
        event_id = UUID(int=self.number)
        text = seal_text(subject.key, subject_ref(subject.subject_id), json.dumps(said).encode(),
                         place(tenant, event_id.bytes, "failure_reason"))  # fmt: skip
        named = [self.subject(each, tenant) for each in others]
        payload = {"user_id": f"{subject.subject_id}", "failure_reason": text, "success": False,
                   "data_subjects": [f"{each.subject_id}" for each in named]}  # fmt: skip
        ts = NOW - days_ago * DAY + timedelta(seconds=self.number)
        columns |= {"subject_id": subject.subject_id, "payload": json.dumps(payload), "score": self.number / 7}
        add_event(self.connection, self.number, ts, tenant=tenant, event_type="security", subtype="auth", **columns)
        for each in named:
            self.connection.execute(
                "insert into event_subjects values (%s, %s, %s, %s)", [each.subject_id, ts, tenant, event_id]
            )
        return event_id

    def tenants_text(self, said: str, *, tenant: str = "acme") -> None:
        """An event of nobody's, its text under the tenant's key."""
        self.number += 1
        event_id = UUID(int=self.number)
        key = self.ring.current(self.connection, tenant, "content")
        bound_to = place(tenant, event_id.bytes, "attack_vector")
        text = seal_text(key.key, tenant_ref(key.key_id), json.dumps(said).encode(), bound_to)
        add_event(self.connection, self.number, NOW - DAY, tenant=tenant, payload=json.dumps({"attack_vector": text}))

    def archive(self, days_ago: int, *, drop: bool) -> None:
        day = TODAY - days_ago * DAY
        self.hub.archive(day)
        if drop:
            assert self.hub.drop(day) is None

    def erase(self, asked: str, tenant: str = "acme") -> dict[str, Any]:
        return erase(self.connection, self.ring, tenant, asked, now=NOW, actor="test", signer=SIGNER,
                     archive_dir=self.hub.folder, broker=BROKER)  # fmt: skip

    def verify(self, document: Any, identifier: str | None = None) -> list[Finding]:
        return verify(self.connection, self.ring, document, signer=SIGNER, archive_dir=self.hub.folder,
                      identifier=identifier)  # fmt: skip

    def tables(self) -> dict[str, list[str]]:
        """Every row of every table as text, sorted."""
        names = self.connection.execute(
            "select c.relname from pg_class c where c.relnamespace = 'lah'::regnamespace and c.relkind in ('r', 'p')"
            " and not c.relispartition order by 1"
        ).fetchall()
        return {
            name: sorted(text for (text,) in self.connection.execute(
                sql.SQL("select t::text from {} t").format(sql.Identifier("lah", name))))
            for (name,) in names
        }  # fmt: skip

    def files(self) -> dict[str, str]:
        """Every file of the archive: all of its cells as text."""
        return {
            f"{path.relative_to(self.hub.folder)}": pl.read_parquet(path, hive_partitioning=False).write_csv()
            for path in self.hub.files()
        }

    def everything(self) -> str:
        return json.dumps(self.tables()) + json.dumps(self.files())


def exported(folder: Path) -> Mapping[str, bytes]:
    """Every file of an export."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
