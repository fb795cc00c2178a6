"""Where data flows to, as lineage events say: from each asset of a path to the next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

from lah_platform.correlations.evidence import EventRow


class Lineage:
    """Assets and the latest event that carried data from one to the next. `rows` in order of time."""

    def __init__(self, rows: Iterable[EventRow]) -> None:
        self._next: dict[str, dict[str, EventRow]] = defaultdict(dict)
        self._downstream: dict[str | None, list[str]] = {None: []}
        for row in rows:
            for one, other in pairwise(row.lineage):
                if one != other:
                    self._next[one][other] = row

    def downstream(self, asset: str | None) -> list[str]:
        """What data of `asset` reaches, the nearest first, without itself; each once, cycles or not."""
        if asset is not None and asset not in self._downstream:
            reached = [asset]
            for each in reached:  # grows while it is walked
                reached += sorted(other for other in self._next.get(each, ()) if other not in reached)
            self._downstream[asset] = reached[1:]
        return self._downstream[asset]

    def carriers(self, asset: str | None) -> list[EventRow]:
        """The events that say so, by time."""
        assets = [asset, *self.downstream(asset)] if asset else []
        rows = {row.event_id: row for each in assets for row in self._next.get(each, {}).values()}
        return sorted(rows.values(), key=lambda row: (row.ts, row.event_id))

    def touched(self, row: EventRow, keys: set[object]) -> tuple[set[object], bool]:
        """The assets that data of the event's resource reaches; and whether it carries data on from one of `keys`."""
        return set(self.downstream(row.resource)), any(asset in keys for asset in row.lineage[:-1])
