"""Which rows of a frame of events are due and which are held; the same rules as SQL's `lah_is_held`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import polars as pl

from lah_platform.privacy.retention import EVERYONE, Due

__all__ = ["Hold", "due_rows", "held_rows"]


@dataclass(frozen=True)
class Hold:
    """A hold on the events of a tenant ('*': everyone's); what is empty or None does not narrow it. Times in UTC."""

    tenant: str
    class_: str = ""
    event_type: str = ""
    subject_id: UUID | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


def due_rows(dues: Sequence[Due]) -> pl.Expr:
    """Whether a row (ts, tenant, event_type) is past what its rule keeps."""
    return _any(
        (pl.col("tenant") == each.tenant) & (pl.col("event_type") == each.event_type) & (pl.col("ts") < each.before)
        for each in dues
    )


def held_rows(holds: Sequence[Hold], class_: str) -> pl.Expr:
    """Whether a hold covers a row (ts, tenant, event_type; subject_id, payload, tags as text) of that class."""
    return _any(_covers(hold) for hold in holds if hold.class_ in ("", class_))


def _covers(hold: Hold) -> pl.Expr:
    covered = pl.lit(True)
    if hold.tenant != EVERYONE:
        covered &= pl.col("tenant") == hold.tenant
    if hold.event_type:
        covered &= pl.col("event_type") == hold.event_type
    if hold.from_at is not None:
        covered &= pl.col("ts") >= hold.from_at
    if hold.to_at is not None:
        covered &= pl.col("ts") < hold.to_at
    if hold.subject_id is not None:
        said = pl.concat_str("subject_id", "payload", "tags", ignore_nulls=True).str.replace_all("-", "", literal=True)
        covered &= said.str.contains(hold.subject_id.hex, literal=True)
    return covered


def _any(conditions: Iterable[pl.Expr]) -> pl.Expr:
    found = pl.lit(False)
    for condition in conditions:
        found |= condition
    return found
