"""What a run over many days says meanwhile: lines in its log, and days done in the request it was started for."""

from collections.abc import Callable
from datetime import date
from uuid import UUID

import dagster as dg

from assets.partitions import days_of
from lah_platform.stores.backfill_progress import note_day_done
from lah_platform.stores.postgres import Connection

__all__ = ["REQUEST_TAG", "day_reporter"]

REQUEST_TAG = "lah/backfill_request"
_MOST_LINES = 20  # each line is a row of Dagster's event log


def day_reporter(context: dg.AssetExecutionContext, connection: Connection) -> Callable[[date], None]:
    """To be called after each day of the run's range, in order, outside of any transaction of `connection`.

    Where nobody may terminate the run's process (in Kubernetes a code location may not), a cancelled one ends here.
    """
    first, last = days_of(context)
    days = (last - first).days + 1
    every = -(-days // _MOST_LINES)
    request = context.run.tags.get(REQUEST_TAG)

    def done(day: date) -> None:
        if request is not None and not note_day_done(connection, UUID(request)):
            raise dg.Failure(f"Cancelled on request; {day} is computed", allow_retries=False)
        number = (day - first).days + 1
        if number % every == 0 or day == last:
            context.log.info("%s is computed: %s of %s days", day, number, days)

    return done
