"""A replay into the running hub: plan, produce through Kafka with progress, remember that it was done."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lah_platform.errors import ConfigurationError
from lah_platform.replay.plan import ReplayPlan
from lah_platform.replay.traces import TRACES
from lah_platform.replay.wire import ReplayMessage
from lah_platform.settings import Settings
from lah_platform.stores.kafka import make_producer, produce_all
from lah_platform.stores.postgres import connect
from lah_platform.stores.queries import queries

__all__ = ["Replayed", "replay"]

_Q = queries("stack")


@dataclass(frozen=True)
class Replayed:
    """What was sent; `messages` is 0 when the run had been loaded before. `description` is one line for a person.
    `planted` is how many things were planted in it; where it is 0, `why_nothing_planted` says why."""

    messages: int
    description: str
    seconds: float
    planted: int = 0
    why_nothing_planted: str = "the run that was loaded before holds nothing of it"

    @property
    def was_loaded(self) -> bool:
        return self.messages == 0


def replay(
    settings: Settings,
    source: str,
    *,
    database_url: str,
    bootstrap: str,
    run: str,
    events: int | None,
    mapping: Mapping[str, str] | None = None,
    keeps_times: bool = False,
    speed: float | None = None,
    on_total: Callable[[int], None] = lambda total: None,  # noqa: ARG005
    on_produced: Callable[[int], None] = lambda count: None,  # noqa: ARG005
) -> Replayed:
    """Send `source` (a named trace, "all", or a CSV or Parquet file with `mapping`) as run `run`.

    `speed` is a multiple of the trace's own pace; None: as fast as the broker takes it. A run that was finished
    before is not sent again; one that was interrupted is sent with the same times and ids, so that what had landed
    counts as duplicate. Raises ConfigurationError for an unknown source, file or column.
    """
    started = time.monotonic()
    with connect(database_url) as connection:
        with connection.transaction():  # a plan that cannot be made leaves no run behind
            known = connection.execute(
                _Q["begin_replay"], {"run_key": run, "source": source, "events": events, "end_at": datetime.now(UTC)}
            ).fetchone()
            assert known is not None
            first_source, first_events, end, finished_at = known
            if finished_at is not None:
                return Replayed(0, f"Run '{run}' is already loaded (name another with --run)", 0.0)
            if (first_source, first_events) != (source, events):
                raise ConfigurationError(
                    f"Run '{run}' was begun with {first_source}, {first_events or 'all'} events",
                    "Name another with --run",
                )
            plan = _plan(settings, source, end=end, run=run, events=events, mapping=mapping, keeps_times=keeps_times)
        on_total(len(plan.messages))
        produced = produce_all(
            make_producer(bootstrap),
            settings.topic,
            ((message.key, message.value) for message in _paced(plan.messages, speed)),
            on_produced=on_produced,
        )
        connection.execute(_Q["finish_replay"], {"run_key": run})
    planted = len(plan.planted) + (plan.planted_incident is not None)
    return Replayed(produced, plan.describe(), time.monotonic() - started, planted, plan.why_nothing_planted)


def _plan(
    settings: Settings,
    source: str,
    *,
    end: datetime,
    run: str,
    events: int | None,
    mapping: Mapping[str, str] | None,
    keeps_times: bool,
) -> ReplayPlan:
    if source == "all" or source in TRACES:
        return ReplayPlan.of_traces(end=end, run_id=run, traces_dir=settings.traces_dir(), source=source, events=events)
    path = Path(source)
    if not path.exists():
        raise ConfigurationError(
            f"{source} is neither a file nor a trace",
            f"Name a CSV or Parquet file, 'all', or one of {', '.join(TRACES)}",
        )
    return ReplayPlan.of_file(path, mapping or {}, end=end, run_id=run, is_shifted=not keeps_times, events=events)


def _paced(messages: list[ReplayMessage], speed: float | None) -> Iterator[ReplayMessage]:
    if speed is None or not messages:
        yield from messages
        return
    began, first = time.monotonic(), messages[0].timestamp
    for message in messages:
        due = began + (message.timestamp - first).total_seconds() / speed
        if (early := due - time.monotonic()) > 0:
            time.sleep(early)
        yield message
