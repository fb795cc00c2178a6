"""statsforecast's and Prophet's forecasts of the same tasks, made in the peers' environment."""

import json
import os
import pickle
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.forecasts_data import Task
from benchmarks.forecasts_scores import Made
from benchmarks.landing_peers import PeerMissing, environment

__all__ = ["PEERS", "PeerMissing", "by_peers"]

PEERS = ("auto_theta", "mstl", "auto_ets", "prophet")
_SCRIPT = Path(__file__).parent / "peers" / "forecast_series.py"


def by_peers(
    tasks: Sequence[Task],
    methods: Sequence[str],
    seasons: Sequence[int],
    *,
    seconds: float,
    may_install: bool,
    seed: int,
) -> dict[str, list[Made | None]]:
    """What each peer made of each task, None for what it did not reach in `seconds`. Raises PeerMissing.

    Tasks are taken in random order, all peers in turn at each, so that what is reached is a fair sample.
    """
    python = environment(may_install=may_install, seconds=300)
    order = np.random.default_rng(seed).permutation(len(tasks))
    with tempfile.TemporaryDirectory() as folder:
        asked, answer = Path(folder) / "tasks", Path(folder) / "made"
        asked.write_bytes(
            pickle.dumps([(tasks[i].series_id, tasks[i].past, len(tasks[i].actual)) for i in order.tolist()])
        )
        job = {
            "tasks": str(asked),
            "made": str(answer),
            "methods": list(methods),
            "seasons": list(seasons),
            "seconds": seconds,
        }
        threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "STAN_NUM_THREADS"), "1")
        done = subprocess.run(
            [str(python), str(_SCRIPT)],
            env=os.environ | threads | {"PEER": json.dumps(job)},
            capture_output=True,
            text=True,
        )
        if done.returncode or not answer.exists():
            lines = done.stderr.strip().splitlines() or ["it ended without a word"]
            raise PeerMissing(f"the peers failed: {lines[-1]}")
        found = pickle.loads(answer.read_bytes())
    made: dict[str, list[Made | None]] = {}
    for method, answers in found.items():
        placed: list[Made | None] = [None] * len(tasks)
        for i, one in zip(order.tolist(), answers, strict=True):
            placed[i] = None if one is None else Made(*one)
        made[method] = placed
    return made
