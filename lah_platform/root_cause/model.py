"""What a ranking of root causes is made from and of. No method lives here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Symptom = Literal["latency", "failures"]

_COLUMNS = ("at", "node", "requests", "latency", "failed_share")


@dataclass(frozen=True, slots=True)
class Target:
    """What hurts. `profile` is its course over the window's times where another statistic than the mean raised the
    alarm (a p95, say); by default the mean latency or failed share of the node itself."""

    node: str
    symptom: Symptom
    profile: Sequence[float] | Floats | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One component that may be where it started.

    confidence: posterior probability among all components seen, 0..1.
    path: from the target down to the node; the two alone when no call graph was given, the node alone when the
        target does not depend on it.
    excess_per_step: seconds of latency, or failed requests, beyond the usual per time step.
    explained_share: that excess over the target's, at most 1.
    deviations: robust standard deviations of that excess.
    onset_step: index of the first step of the window past half of the way up.
    """

    node: str
    confidence: float
    path: tuple[str, ...]
    excess_per_step: float
    explained_share: float
    deviations: float
    onset_step: int | None


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates, most likely first. `is_significant` says that the target itself left its usual range; where it did
    not, the ranking is only an order of suspicion."""

    candidates: tuple[Candidate, ...]
    is_significant: bool


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Rows are nodes, columns consecutive time steps; NaN where nothing was seen."""

    nodes: tuple[str, ...]
    requests: Floats
    latency: Floats
    failed_share: Floats

    def of(self, symptom: Symptom) -> Floats:
        return self.latency if symptom == "latency" else self.failed_share


def telemetry(frame: pl.DataFrame, nodes: Sequence[str] | None = None) -> Telemetry:
    """`frame` has at (any order), node, requests (count per step), latency (seconds, the mean of the requests) and
    failed_share (0..1) as one row per node and step; null or NaN where not seen.

    With `nodes` the rows are those, in that order. Raises ValueError for a missing column or two rows for one step.
    """
    missing = [column for column in _COLUMNS if column not in frame.columns]
    if missing:
        raise ValueError(f"the frame lacks the columns {', '.join(missing)}")
    if frame.select("at", "node").is_duplicated().any():
        raise ValueError("the frame holds two rows for one node and time")
    names = tuple(nodes) if nodes is not None else tuple(sorted(frame["node"].unique()))
    row: Mapping[str, int] = {name: i for i, name in enumerate(names)}
    known = frame.filter(pl.col("node").is_in(names))
    steps = frame["at"].unique().sort()
    column = known["at"].rank("dense").to_numpy() if known.height else np.zeros(0)
    if known["at"].n_unique() != len(steps):
        column = known.join(steps.to_frame("at").with_row_index("step"), on="at", how="left")["step"].to_numpy() + 1
    places = (np.array([row[name] for name in known["node"]], dtype=np.int64), column.astype(np.int64) - 1)
    matrices = []
    for name in ("requests", "latency", "failed_share"):
        matrix = np.full((len(names), len(steps)), np.nan)
        matrix[places] = known[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        matrices.append(matrix)
    return Telemetry(names, *matrices)
