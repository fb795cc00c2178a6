"""Who an event tells of: a person by what producers call them, and what stands for that person in storage."""

from typing import NamedTuple
from uuid import UUID

__all__ = ["ERASED", "Person", "Subject"]

ERASED = "erased"
"""What stands where an erased person's identifier or personal field stood."""


class Person(NamedTuple):
    """A person as a tenant's producers name them. In memory only: never stored, never logged."""

    tenant: str
    identifier: str


class Subject(NamedTuple):
    """A person as storage knows them: a random id, and the AES-256 key of their fields."""

    subject_id: UUID
    key: bytes
