"""Personal data of a batch, by column: most events have none, and what a fleet repeats is worked out once.

Belongs here: which events are touched at all. What becomes of one is `privacy/seal.py`; who the persons are is asked of
a Lookup.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol
from uuid import UUID

import msgspec
import numpy as np

from lah_platform.events.payloads.custom import Custom
from lah_platform.landing.columns import EventColumns, UuidColumn
from lah_platform.landing.plain_payloads import WITHOUT_UNKNOWN_FIELDS
from lah_platform.privacy.fields import PERSONAL_FIELDS, Sort
from lah_platform.privacy.plans import PLANS
from lah_platform.privacy.seal import is_same_for_all, members_of, personal_tags, seal_object, seal_tags
from lah_platform.privacy.subjects import Person, Subject
from lah_platform.privacy.writers import EventWriter, Looking, Redact, TenantSeal
from lah_platform.rollups.series import NO_TAGS, OTHER, SeriesKey

__all__ = ["ColumnSealing", "Lookup"]

_MOST_TAGS = 100_000
_NO_EVENT = bytes(16)
_TAGS = msgspec.json.Decoder(dict[str, str])
_PERSONAL = frozenset(struct for struct, fields in PERSONAL_FIELDS.items() if fields or struct is Custom)
_Touched = tuple[Looking, Mapping[str, msgspec.Raw] | None]
_NOTHING_FOUND: _Touched = (Looking(), None)


class Lookup(Protocol):
    """Whom and with which keys."""

    def tenant(self, tenant: str) -> TenantSeal:
        """The tenant's keys and policy."""

    def subjects(self, persons: set[Person]) -> Mapping[Person, Subject | None]:
        """At least the subjects of these persons, who are added when new; None: was erased."""


class _Tags:
    """One combination of a tenant's tags: whom it names, and what is stored for it when that is the same for all."""

    __slots__ = ("is_erased", "is_fixed", "octets", "personal", "sealed", "single", "tags")

    def __init__(self, raw: bytes, kept: frozenset[str]) -> None:
        self.tags = _TAGS.decode(raw)
        self.personal = personal_tags(self.tags, kept)
        self.single = [text for _, text, sort in self.personal if sort is Sort.IDENTIFIER]
        self.is_fixed = is_same_for_all(self.personal)
        self.is_erased = False
        self.octets: bytes | None = None  # of the subject
        self.sealed = raw


class ColumnSealing:
    """Remembers combinations of tags; `forget` when persons may have been erased. `series_tags` stay readable."""

    def __init__(self, series_tags: Sequence[str] = (), redact: Redact | None = None) -> None:
        self._kept = frozenset(series_tags)
        self._redact = redact
        self._known: dict[str, dict[bytes, _Tags]] = {}
        self._count = 0

    def forget(self) -> None:
        """What was remembered may not be so any more."""
        self._known, self._count = {}, 0

    def seal(self, events: EventColumns, lookup: Lookup) -> EventColumns:
        """The same events without personal data in the clear, with the subjects they tell of."""
        tenants = events.tenants()
        tags, new = self._tags_of(tenants, events.tags_json)
        touched = _looked_at(events)
        for row, each in enumerate(tags):
            if not each.is_fixed:
                touched.setdefault(row, _NOTHING_FOUND)
        persons = {Person(tenant, each.single[0]) for tenant, each in new if each.is_fixed and each.single}
        persons.update(Person(tenant, name) for tenant, each in new for name in each.single[1:])
        for row, (found, _) in touched.items():
            persons.update(Person(tenants[row], name) for name in _named(found, tags[row]))
        writer = EventWriter(lookup.subjects(persons), self._redact)
        for tenant, each in new:
            if each.is_fixed and each.personal:
                own = each.single[0] if each.single else None
                subject = writer.begin(tenant, lookup.tenant(tenant), _NO_EVENT, own)
                each.is_erased = own is not None and subject is None
                each.octets = None if subject is None else subject.subject_id.bytes
                each.sealed = seal_tags(each.tags, each.personal, writer)
        if not touched and not any(each.personal for each in tags):
            return events
        return self._written(events, tenants, tags, touched, writer, lookup)

    def series_key(self, key: SeriesKey, lookup: Lookup) -> SeriesKey:
        """The series' dimensions without persons; its tags are some of those of events that were sealed."""
        if key.tags == NO_TAGS:
            return key
        tags = _TAGS.decode(key.tags)
        named = {name: text for name, text in tags.items() if text != OTHER}
        personal = personal_tags(named, self._kept)
        if not personal:
            return key
        persons = [text for _, text, sort in personal if sort is Sort.IDENTIFIER]
        writer = EventWriter(lookup.subjects({Person(key.tenant, each) for each in persons}), self._redact)
        writer.begin(key.tenant, lookup.tenant(key.tenant), _NO_EVENT, persons[0] if persons else None)
        sealed = _TAGS.decode(seal_tags(named, personal, writer))
        return key._replace(tags=json.dumps(tags | sealed, ensure_ascii=False))

    def _tags_of(self, tenants: Sequence[str], raw: Sequence[bytes]) -> tuple[list[_Tags], list[tuple[str, _Tags]]]:
        """The entry of every event's tags, and the new ones among them with their tenants."""
        if self._count >= _MOST_TAGS:
            self.forget()
        known, tags, new = self._known, [], []
        for tenant, each in zip(tenants, raw, strict=True):
            mine = known.get(tenant)
            if mine is None:
                mine = known[tenant] = {}
            entry = mine.get(each)
            if entry is None:
                entry = mine[each] = _Tags(each, self._kept)
                new.append((tenant, entry))
            tags.append(entry)
        self._count += len(new)
        return tags, new

    def _written(
        self,
        events: EventColumns,
        tenants: Sequence[str],
        tags: Sequence[_Tags],
        touched: Mapping[int, _Touched],
        writer: EventWriter,
        lookup: Lookup,
    ) -> EventColumns:
        tags_json = [each.sealed for each in tags]
        octets = [each.octets for each in tags]
        payload_json = list(events.payload_json)
        more: dict[int, tuple[UUID, ...]] = {}
        event_ids = events.event_ids.octets
        for row, (found, members) in touched.items():
            own = _own(found, tags[row])
            tenant, event_id = tenants[row], event_ids[row].tobytes()
            subject = writer.begin(tenant, lookup.tenant(tenant), event_id, own)
            octets[row] = None if subject is None else subject.subject_id.bytes
            if members is not None:
                sealed = seal_object(members, PLANS[events.shape(row).payload_class], writer)
                payload_json[row] = payload_json[row] if sealed is None else sealed
            is_erased = own is not None and subject is None
            if tags[row].personal and (not tags[row].is_fixed or tags[row].is_erased != is_erased):
                tags_json[row] = seal_tags(tags[row].tags, tags[row].personal, writer)
            if others := writer.subject_ids(_named(found, tags[row])) - {subject and subject.subject_id}:
                more[int(events.positions[row])] = tuple(sorted(others))
        is_null = np.array([each is None for each in octets], np.bool_)
        together = b"".join([_NO_EVENT if each is None else each for each in octets])
        subject_ids = UuidColumn(np.frombuffer(together, np.uint8).reshape(-1, 16), is_null)
        return replace(
            events, tags_json=tags_json, payload_json=payload_json, subject_ids=subject_ids, more_subjects=more
        )


def _looked_at(events: EventColumns) -> dict[int, _Touched]:
    """What was found in the payloads that hold anything personal, by row, with their members."""
    may_hold = events.by_shape(lambda shape: shape.payload_class in _PERSONAL, np.bool_)
    classes = list(map(type, events.payloads))
    if not set(classes) <= WITHOUT_UNKNOWN_FIELDS:
        may_hold |= np.array([each not in WITHOUT_UNKNOWN_FIELDS for each in classes], np.bool_)
    touched: dict[int, _Touched] = {}
    for row in np.flatnonzero(may_hold).tolist():
        members = members_of(events.payload_json[row])
        looking = Looking()
        if seal_object(members, PLANS[events.shape(row).payload_class], looking) is not None:
            touched[row] = looking, members
    return touched


def _named(found: Looking, tags: _Tags) -> list[str]:
    return [*found.single, *found.many, *tags.single]


def _own(found: Looking, tags: _Tags) -> str | None:
    """Whose key the event takes: the person that the payload names, else its tags', else its only data subject."""
    for each in (found.single, tags.single):
        if each:
            return each[0]
    many = set(found.many)
    return many.pop() if len(many) == 1 else None
