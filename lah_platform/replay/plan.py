"""A replay, planned: which events, when, in which order, and what a ledger must show after it.

Belongs here: choosing traces or workload, laying sources out so that they end together, sharing the budget of
events. Does not: reading (`traces`), inventing (`synthetic`), sending (whoever takes the messages).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from lah_platform.replay.disturbances import with_duplicates, with_malformed
from lah_platform.replay.generic import read_file
from lah_platform.replay.latency_model import LatencyModel
from lah_platform.replay.llmperf import benchmark_units
from lah_platform.replay.planted import (
    LEAST_EVENTS,
    PlantedEpisode,
    PlantedIncident,
    announcements,
    episodes_in,
    incident_in,
)
from lah_platform.replay.planted_episodes import episode_events
from lah_platform.replay.planted_incident import incident_events
from lah_platform.replay.requests import COST_DELAY_US, REQUEST_STREAMS, request_events
from lah_platform.replay.scene import Scene
from lah_platform.replay.servegen import choose_windows, throughput_events
from lah_platform.replay.synthetic import synthetic_units
from lah_platform.replay.thinning import evenly, shares, thin
from lah_platform.replay.traces import chosen_traces, read_traces
from lah_platform.replay.wire import Draft, Identity, ReplayMessage, encode
from lah_platform.replay.workload import generate_traces
from lah_platform.replay.workload_profile import recorded_profile

__all__ = ["DEFAULT_EVENTS", "Expected", "ReplayPlan"]

DEFAULT_EVENTS = 60_000
DEFAULT_SEED = 20231116  # the day the Azure trace was recorded
REAL = "real traces"
GENERATED = "generated workload"

# What each source may keep of a budget; the default budget keeps llmperf and everything synthetic whole.
_WEIGHTS = {"azure-code": 17.0, "mooncake": 17.0, "servegen": 26.0, "llmperf": 4.0, "synthetic": 36.0}
_EVENTS_PER_REQUEST = 3
_TOO_SMALL = f"a replay of fewer than {LEAST_EVENTS:,} events has no room for it"


class Expected(NamedTuple):
    """What a ledger shows after a replay that nothing else shared a topic with: received = the other three."""

    received: int
    stored: int
    duplicate: int
    dead_lettered: int


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """Messages in the order to send them (`timestamp` never falls, none is after `end`), and what they hold.

    `counts` are events by source and `kinds` by "payload_type/subtype", both without duplicates and malformed ones.
    `planted` and `planted_incident` are what is in it on purpose, for whoever wants to know whether it is found; where
    there is nothing, `why_nothing_planted` says why.
    """

    messages: list[ReplayMessage]
    expected: Expected
    origin: str
    counts: dict[str, int]
    kinds: dict[str, int]
    planted: tuple[PlantedEpisode, ...] = ()
    planted_incident: PlantedIncident | None = None
    why_nothing_planted: str = "a file or a single trace is replayed as it is"

    @classmethod
    def of_traces(
        cls,
        *,
        end: datetime,
        run_id: str,
        traces_dir: Path | None = None,
        source: str = "all",
        events: int | None = DEFAULT_EVENTS,
        seed: int = DEFAULT_SEED,
        duplicate_share: float = 0.005,
        malformed_count: int = 12,
        nested_share: float = 0.1,
    ) -> "ReplayPlan":
        """A replay of the named traces of `traces_dir`, or of the generated workload where that is None.

        Every source's newest event is at `end` (tz-aware, newest event to the microsecond); within a source,
        distances in time are the trace's. `source` is one of traces.TRACES or "all", which adds what the traces
        lack and, from LEAST_EVENTS on, planted episodes of each anomaly type and an incident (see `planted`), which
        count as events. About `events` events are kept (None: all). Ids derive from `run_id`: a run that is to be
        repeated repeats its `end`, `events` and `seed` too, or the same id comes under another timestamp.
        `duplicate_share` of the messages are sent twice, `malformed_count` unstorable records are mixed in, and
        `nested_share` of the events that have an older spelling use it.

        Raises ConfigurationError for an unknown source or a missing trace file, ValueError for a naive `end`.
        """
        identity, end_us = Identity(run_id), _microseconds(end)
        names = chosen_traces(source)
        profile = recorded_profile()
        traces = read_traces(traces_dir, names) if traces_dir else generate_traces(profile, names, seed)
        latency = LatencyModel(profile.all_providers.ttft_s, profile.all_providers.inter_token_s)
        benchmark = [] if traces.benchmark is None else benchmark_units(traces.benchmark, identity, end_us)
        scene = Scene(identity, end_us, seed, profile)
        invented = synthetic_units(scene) if source == "all" else []
        plants = source == "all" and (events is None or events >= LEAST_EVENTS)
        planted = [*episode_events(scene), *incident_events(scene), *announcements(scene)] if plants else []

        sizes = {name: frame.height * _EVENTS_PER_REQUEST for name, frame in traces.requests.items()}
        sizes["servegen"] = 0 if traces.windows is None else choose_windows(traces.windows, None).height
        sizes["llmperf"] = sum(len(unit.events) for unit in benchmark)
        sizes["synthetic"] = sum(len(unit.events) for unit in invented)
        budget = shares(sizes, _WEIGHTS, None if events is None else events - len(planted))

        drafts: dict[str, list[Draft]] = {}
        for name, frame in traces.requests.items():
            kept = _with_latency(frame, latency, np.random.default_rng([seed, *name.encode()]))
            kept = kept[evenly(kept.height, max(1, budget[name] // _EVENTS_PER_REQUEST))]
            kept = _ending_at(kept, end_us - COST_DELAY_US)  # a request's cost event is its last
            drafts[name] = request_events(REQUEST_STREAMS[name], kept, identity)
        if traces.windows is not None:
            windows = choose_windows(traces.windows, budget["servegen"])
            by_model = windows.partition_by("model", maintain_order=True)  # each a trace of its own length
            laid_out = pl.concat([_ending_at(part, end_us) for part in by_model])
            drafts["servegen"] = throughput_events(laid_out, identity, latency, seed)
        drafts["llmperf"] = thin(benchmark, budget["llmperf"])
        drafts["synthetic"] = thin(invented, budget["synthetic"])
        origin = REAL if traces_dir else GENERATED
        if not plants:
            plan = _plan(drafts, origin, identity, seed, duplicate_share, malformed_count, nested_share)
            is_small = source == "all"
            return replace(plan, why_nothing_planted=_TOO_SMALL) if is_small else plan
        drafts["planted"] = planted
        plan = _plan(drafts, origin, identity, seed, duplicate_share, malformed_count, nested_share)
        return replace(plan, planted=episodes_in(scene), planted_incident=incident_in(scene), why_nothing_planted="")

    @classmethod
    def of_file(
        cls,
        path: Path,
        mapping: Mapping[str, str],
        *,
        end: datetime,
        run_id: str,
        is_shifted: bool = True,
        events: int | None = None,
        seed: int = DEFAULT_SEED,
        duplicate_share: float = 0.0,
        malformed_count: int = 0,
        nested_share: float = 0.0,
    ) -> "ReplayPlan":
        """A replay of a CSV or Parquet file; `mapping` is event field -> column, see `generic.FIELDS`.

        `is_shifted` moves the newest row to `end`; without it rows keep their own times, and rows after `end` are
        left out. `events` thins evenly. Raises ConfigurationError for a file or column that is not there.
        """
        end_us = _microseconds(end)
        identity = Identity(run_id)
        rows = read_file(path, mapping)
        count = rows.frame.height
        kept = rows.frame
        if events is not None and kept.height:
            kept = kept[evenly(count, max(1, events // max(1, rows.events_per_row)))]
        if is_shifted:
            kept = _ending_at(kept, end_us - COST_DELAY_US)
        else:
            kept = kept.rename({"offset_us": "at_us"}).filter(pl.col("at_us") <= end_us - COST_DELAY_US)
        drafts = {path.name: rows.events(kept, identity)}
        note = f", {rows.skipped} unusable rows left out" if rows.skipped else ""
        origin = f"file {path.name}{note}"
        return _plan(drafts, origin, identity, seed, duplicate_share, malformed_count, nested_share)

    def __iter__(self) -> Iterator[ReplayMessage]:
        return iter(self.messages)

    def describe(self) -> str:
        """One line: what was replayed, how much of it, from when to when."""
        counts = ", ".join(f"{name} {count:,}" for name, count in self.counts.items() if count)
        if not self.messages:
            return f"{self.origin}: no events"
        first, last = self.messages[0].timestamp, self.messages[-1].timestamp
        return (
            f"{self.origin}: {sum(self.counts.values()):,} events ({counts}), "
            f"{self.expected.duplicate:,} sent twice, {self.expected.dead_lettered:,} malformed, "
            f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
            + (f"; nothing is planted: {self.why_nothing_planted}" if self.why_nothing_planted else "")
        )


def _plan(
    drafts: Mapping[str, list[Draft]],
    origin: str,
    identity: Identity,
    seed: int,
    duplicate_share: float,
    malformed_count: int,
    nested_share: float,
) -> ReplayPlan:
    events = sorted((event for part in drafts.values() for event in part), key=lambda event: event.at_us)
    limit = round(nested_share * 0x10000)
    messages = []
    for event in events:
        nested = int(str(event.envelope["event_id"])[:4], 16) < limit
        sent: datetime = event.envelope["timestamp"]  # type: ignore[assignment]  # wire.draft put it there
        messages.append(ReplayMessage(event.key.encode(), encode(event, nested=nested), sent))
    stored = len(messages)
    messages, duplicates = with_duplicates(messages, duplicate_share, seed)
    malformed = malformed_count if messages else 0
    messages = with_malformed(messages, malformed, seed, identity)
    return ReplayPlan(
        messages=messages,
        expected=Expected(len(messages), stored, duplicates, malformed),
        origin=origin,
        counts={name: len(part) for name, part in drafts.items()},
        kinds=dict(sorted(Counter(event.kind for event in events).items())),
    )


def _with_latency(frame: pl.DataFrame, latency: LatencyModel, rng: np.random.Generator) -> pl.DataFrame:
    """`frame` with drawn latencies; drawn before thinning, so that a request keeps its own whatever else is kept."""
    ttft_ms, latency_ms = latency.draw_ms(rng, frame["output_tokens"].to_numpy())
    return frame.with_columns(pl.Series("ttft_ms", ttft_ms), pl.Series("latency_ms", latency_ms))


def _ending_at(frame: pl.DataFrame, end_us: int) -> pl.DataFrame:
    """`frame` with at_us (microseconds since 1970 UTC): its newest offset_us at `end_us`."""
    return frame.with_columns((pl.col("offset_us") - pl.col("offset_us").max() + end_us).alias("at_us"))


def _microseconds(end: datetime) -> int:
    if end.utcoffset() is None:
        raise ValueError("end has no time zone: give an aware datetime")
    # int arithmetic: a float of seconds loses the last microsecond
    since = end.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
