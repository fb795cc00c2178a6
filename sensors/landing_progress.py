"""The sensor that merges: pending partials into all eight windows, and the lineage view kept up to date.

A minute is never a run of its own: the tick does the work and returns materializations (3.5 s from new data to a
lineage view that shows it; a run would take 5.5 s and leave 14 rows in the event log each time). A tick stays while
events keep landing, for Dagster begins one every five seconds at most, and each costs it 0.1 s of CPU besides.
"""

import json
import os
import time
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from assets.resources import Hub
from lah_platform.rollups.windows import WINDOWS
from lah_platform.settings import settings
from lah_platform.stores.live_changes import settle
from lah_platform.stores.micro_batch import Merged, Pace, merge_within
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.rollups import pending
from lah_platform.stores.watermark import advance_watermark
from sensors.lineage_allowance import Allowance

__all__ = ["landing_progress", "landing_progress_sensor"]

_MOST_DAYS = 31  # reported per refresh; a wider replay reports its newest days
_LANDING_TABLES = ("events", "dead_letters", "ledger", "rollup_partials")


@dataclass
class _Unreported:
    """What was merged since the lineage was refreshed: the sensor's cursor, bounded by _MOST_DAYS."""

    allowance: Allowance
    days: set[date] = field(default_factory=set)
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys((each.name for each in WINDOWS), 0))
    windows: dict[str, int] = field(default_factory=lambda: dict.fromkeys((each.name for each in WINDOWS), 0))
    merges: int = 0
    seconds: float = 0.0

    @classmethod
    def read(cls, cursor: str | None) -> "_Unreported":
        stored: Mapping[str, Any] = json.loads(cursor or "{}")
        found = cls(Allowance.read(stored.get("allowance", {})))
        found.days.update(map(date.fromisoformat, stored.get("days", [])))
        found.rows.update(stored.get("rows", {}))
        found.windows.update(stored.get("windows", {}))
        found.merges, found.seconds = stored.get("merges", 0), stored.get("seconds", 0.0)
        return found

    def cursor(self) -> str:
        stored = {"allowance": self.allowance.stored(), "days": [f"{day}" for day in self.newest_days()]}
        counted = {"rows": self.rows, "windows": self.windows, "merges": self.merges}
        return json.dumps(stored | counted | {"seconds": round(self.seconds, 3)})

    def add(self, merged: Merged) -> None:
        self.days |= merged.days
        self.merges += merged.merges
        self.seconds += merged.seconds
        for name, count in merged.rows.items():
            self.rows[name] += count
            self.windows[name] += merged.windows[name]

    def newest_days(self, also: Set[date] = frozenset()) -> list[date]:
        return sorted(self.days | also)[-_MOST_DAYS:]

    def is_due(self, also: Set[date] = frozenset()) -> bool:
        """Whether these days and `also` are to be reported now."""
        days = self.newest_days(also)
        now = datetime.now(UTC).timestamp()
        return bool(days) and self.allowance.permits(len(_LANDING_TABLES) + len(WINDOWS) * len(days), now)


def landing_progress_sensor(pace: Pace) -> dg.SensorDefinition:
    """The sensor, whose tick takes as long as `pace` says at most."""

    @dg.sensor(
        name="landing_progress",
        minimum_interval_seconds=1,  # one of five is missed every other time by the daemon's loop, which takes five too
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Merges landed partials into all eight windows and reports rows and watermark.",
    )
    def landing_progress(context: dg.SensorEvaluationContext, hub: Hub) -> dg.SensorResult | dg.SkipReason:
        unreported = _Unreported.read(context.cursor)
        began = time.monotonic()
        lateness = timedelta(seconds=settings().allowed_lateness_seconds)
        with hub.connection() as connection:

            def finish() -> datetime | None:
                final_before = advance_watermark(
                    connection, now=datetime.now(UTC), allowed_lateness=lateness, topic=hub.topic
                )
                settle(connection)
                return final_before

            def is_due(days: Set[date]) -> bool:
                finish()
                return unreported.is_due(days)

            merged = merge_within(connection, pace, after_all=is_due)
            final_before = finish()
            unreported.add(merged)
            if not unreported.is_due():
                context.update_cursor(unreported.cursor())
                return dg.SkipReason(_said(merged, pending(connection), time.monotonic() - began))
            landing = _landing_events(connection, final_before)
        reported = _rollup_events(unreported, f"{final_before}")
        written = len(landing) + len(reported)
        now = datetime.now(UTC).timestamp()
        return dg.SensorResult(
            asset_events=[*landing, *reported], cursor=_Unreported(unreported.allowance.after(written, now)).cursor()
        )

    return landing_progress


def _said(merged: Merged, waiting: int, seconds: float) -> str:
    if merged.ended == "held up by a recomputation":
        return f"{waiting} partials wait: a recomputation held the rollups for {seconds:.1f} s; the next tick goes on"
    if not merged.merges:
        return "nothing landed since the last tick"
    left = "" if merged.ended == "all is merged" else f"; {waiting} wait for the next tick"
    return (
        f"{merged.partials} partials in {merged.merges} merges, {merged.seconds:.2f} s of {seconds:.1f}: {merged.ended}"
        f"{left}; the lineage view is refreshed when Dagster's event log may grow again"
    )


def _landing_events(connection: Connection, final_before: datetime | None) -> list[dg.AssetMaterialization]:
    with connection.cursor() as cursor:
        cursor.execute(queries("stack")["landing_figures"])
        names = [column.name for column in cursor.description or ()]
        figures = dict(zip(names, cursor.fetchone() or (), strict=True))
    shared = {"landed_at": f"{figures['landed_at']}", "final_before": f"{final_before or figures['final_before']}"}
    return [
        dg.AssetMaterialization(table, metadata={"dagster/row_count": figures[f"{table}_rows"]} | shared)
        for table in _LANDING_TABLES
    ]


def _rollup_events(unreported: _Unreported, watermark: str) -> list[dg.AssetMaterialization]:
    shared: dict[str, Any] = {
        "merges": unreported.merges,
        "seconds": round(unreported.seconds, 3),
        "watermark": watermark,
    }
    return [
        dg.AssetMaterialization(
            window.table,
            partition=f"{day}",
            metadata={
                "rows_written": unreported.rows[window.name],
                "windows_touched": unreported.windows[window.name],
                **shared,
            },
        )
        for window in WINDOWS
        for day in unreported.newest_days()
    ]


# Two thirds of what the daemon waits for a tick: nothing is merged in the up to five seconds that it takes between two
_TICK_SECONDS = float(os.environ.get("DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS", "60")) / 1.5
landing_progress = landing_progress_sensor(Pace(budget_seconds=_TICK_SECONDS))
