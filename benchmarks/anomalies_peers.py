"""Packages as references of the anomaly benchmark: each in a process of the peers' environment, on one thread."""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.anomalies_data import Labelled
from benchmarks.anomalies_methods import Scored
from benchmarks.landing_peers import PeerMissing, environment

__all__ = ["PEERS", "run_peer"]

PEERS = ("pyod_iforest", "stumpy", "adtk_iqr")

_SCRIPT = Path(__file__).resolve().parent / "peers" / "anomaly_scores.py"
_ONE_THREAD = dict.fromkeys(["OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1")


def run_peer(
    method: str, series: Sequence[Labelled], *, may_install: bool, seconds: float
) -> tuple[Mapping[str, Scored], float]:
    """Scores of every series and the seconds they took, imports and compiling left out. Raises PeerMissing."""
    python = environment(may_install=may_install, seconds=seconds)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(source, **{str(place): np.nan_to_num(each.values) for place, each in enumerate(series)})  # type: ignore[arg-type]
        command = [str(python), str(_SCRIPT), method, str(source), str(target)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds, env={**os.environ, **_ONE_THREAD}
            )
        except subprocess.TimeoutExpired as error:
            raise PeerMissing(f"{method} did not end within {seconds:.0f} s") from error
        if done.returncode:
            raise PeerMissing(f"{method}: {(done.stderr.strip().splitlines() or ['no output'])[-1]}")
        out = np.load(target)
        scored = {}
        for place, each in enumerate(series):
            score, alarmed = out[f"{place}/score"], out[f"{place}/alarmed"].astype(np.bool_)
            scored[each.series_id] = Scored(score, score, alarmed)
        return scored, float(out["seconds"])
