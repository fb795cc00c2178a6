"""What the privacy benchmark erases from: events of many persons, as landing stores them, and two persons with more.

Belongs here: making the rows. What is done with them is in `privacy`.
"""

import base64
import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from lah_platform.privacy.cipher import nonces, place, seal_text, subject_ref
from lah_platform.privacy.subjects import Person, Subject
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.postgres import Connection
from lah_platform.stores.subjects import resolve_subjects

__all__ = ["TENANT", "fill", "fill_person"]

TENANT = "acme"
_DAYS = 5
_NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
_FIRST = _NOON - timedelta(days=_DAYS)
_OTHERS = 5_000
_CONTENT = "My neighbour asked what the clinic on the corner charges for a first visit, and whether they speak Dutch."
_COLUMNS = (
    "ts, tenant, event_id, series_id, received_at, source_module, event_type, payload_type, subtype, severity,"
    " environment, schema_version, latency_ms, input_tokens, output_tokens, total_tokens, tags, payload, topic,"
    " partition, record_offset, subject_id"
)
_FILL = f"""
insert into events ({_COLUMNS})
select %(first)s::timestamptz + n * (%(days)s::int * interval '1 day' / %(events)s::bigint), %(tenant)s::text,
       gen_random_uuid(),
       n %% 200, now(), 'llm-observatory', 'telemetry', 'custom', 'chat', 'info', 'production', '1.0.0',
       100 + n %% 400, n %% 2000, n %% 500, n %% 2500,
       p.tags, p.payload,
       'lah.events', 0, %(offset)s::bigint + n, p.id
from generate_series(0, %(events)s::bigint - 1) n
join benchmark_persons p on p.number = (n * 7919) %% %(persons)s::bigint
"""


def fill(connection: Connection, ring: KeyRing, events: int, *, offset: int) -> None:
    """`events` further events of 5,000 persons on five days; their encrypted texts are random bytes of usual length."""
    persons = {Person(TENANT, f"person-{number:05d}@example.org") for number in range(_OTHERS)}
    with connection.transaction():
        found = resolve_subjects(connection, ring, persons)
    ids = [f"{subject.subject_id}" for subject in found.values() if subject]
    for day in range(_DAYS + 1):
        connection.execute("select ensure_event_partition(%s)", [(_FIRST + timedelta(days=day)).date()])
    connection.execute(
        "create temporary table if not exists benchmark_persons (number bigint, id uuid, tags jsonb, payload jsonb)"
    )
    connection.execute("truncate benchmark_persons")
    with connection.cursor() as cursor, cursor.copy("copy benchmark_persons from stdin") as lines:
        for number, name in enumerate(ids):
            text = f"enc:v1:s{name.replace('-', '')}:{base64.b64encode(secrets.token_bytes(133)).decode()}"
            tags = json.dumps({"tenant": TENANT, "service": "chat", "user_id": name})
            lines.write_row((number, name, tags, json.dumps({"prompt": text})))
    connection.execute("analyze benchmark_persons")
    asked = {"first": _FIRST, "days": _DAYS, "events": events, "tenant": TENANT, "persons": len(ids)}
    connection.execute(_FILL, {**asked, "offset": offset})


def fill_person(connection: Connection, ring: KeyRing, identifier: str, events: int) -> None:
    """One person's events, spread over the same days, with texts that really are encrypted under the person's key."""
    person = Person(TENANT, identifier)
    with connection.transaction():
        subject = resolve_subjects(connection, ring, {person})[person]
    assert subject is not None
    statement = f"copy events ({_COLUMNS}) from stdin"
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as lines:
        for row in _rows(subject, events):
            lines.write_row(row)


def _rows(subject: Subject, events: int) -> Iterator[tuple[object, ...]]:
    name, step = f"{subject.subject_id}", timedelta(days=_DAYS) / events
    tags = json.dumps({"tenant": TENANT, "service": "chat", "user_id": name})
    drawn, content = nonces(events), json.dumps(_CONTENT).encode()
    for number in range(events):
        event_id: UUID = uuid4()
        bound_to = place(TENANT, event_id.bytes, "prompt")
        text = seal_text(subject.key, subject_ref(subject.subject_id), content, bound_to, next(drawn))
        yield (_FIRST + number * step, TENANT, event_id, 1, _NOON, "llm-observatory", "telemetry", "custom", "chat",
               "info", "production", "1.0.0", 120.0, 88, 40, 128, tags, json.dumps({"prompt": text}), "lah.events", 1,
               number, subject.subject_id)  # fmt: skip
