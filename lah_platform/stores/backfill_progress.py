"""How far a requested backfill is: written by its run, read by whoever waits for it."""

from dataclasses import dataclass
from uuid import UUID

from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["Progress", "note_day_done", "progress_of"]

_Q = queries("stack")


@dataclass(frozen=True)
class Progress:
    """`state` is that of the request; `days_done` of its `days` are computed."""

    state: str
    run_id: str | None
    days_done: int
    days: int

    @property
    def has_ended(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")

    @property
    def description(self) -> str:
        """What happens now, in a few words."""
        if self.state == "requested":
            return "waiting for its run"
        if self.days_done == self.days and not self.has_ended:
            return "being checked"
        return {"started": "computing", "cancelling": "being cancelled"}.get(self.state, self.state)


def note_day_done(connection: Connection, request_id: UUID) -> bool:
    """One more day of the request is computed and committed. Returns whether to go on: not when it is cancelled."""
    row = connection.execute(_Q["backfill_day_done"], {"request_id": request_id}).fetchone()
    return row is None or row[0] not in ("cancelling", "cancelled")


def progress_of(connection: Connection, request_id: UUID) -> Progress:
    """How far the request is. Raises LookupError when it is unknown."""
    row = connection.execute(_Q["backfill_progress"], {"request_id": request_id}).fetchone()
    if row is None:
        raise LookupError(f"there is no backfill request {request_id}")
    return Progress(*row)
