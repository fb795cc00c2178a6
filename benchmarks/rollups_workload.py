"""The events of the rollup benchmark: the requests of real services at their own rates, three events each.

Belongs here: how many requests each client of the traces makes in which minute. What a request's events hold is in
`landing_workload`.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.landing_workload import EVENTS_PER_REQUEST, Series, requests

__all__ = ["REQUESTS_A_SECOND", "TRACES", "generate"]

TRACES = ("servegen_m-small_days0-9", "servegen_m-large_days0-9", "servegen_deepseek-r1_1day")
REQUESTS_A_SECOND = 1_350
"""About what the three services get together at noon."""
_NOON_S = 43_200
_WINDOW_S = 600
_MINUTE_US = 60_000_000
_PRICES = {"m-small": (1.5e-07, 6e-07), "m-large": (2.5e-06, 1e-05), "deepseek-r1": (5.5e-07, 2.19e-06)}


def generate(
    minutes: int, *, start: datetime, folder: Path, seed: int, split: int = 1
) -> Iterator[list[tuple[bytes, bytes]]]:
    """One list of (key, value) pairs a minute, in order of time, beginning at `start` (UTC).

    Clients and their rates are those of the traces from noon of their first day on; each minute's requests are drawn
    with a client's rate (Poisson), so that clients that are quiet then have no series. `split`: each client's requests
    are spread evenly over so many clients.
    """
    rng = np.random.default_rng(seed)
    rates = pl.concat([pl.read_parquet(folder / "llm_traces" / f"{name}.parquet") for name in TRACES])
    clients = rates.select("model", "client").unique().sort("model", "client")
    series = [
        Series(b"tenant-%d" % (client % 7), b"%d-%d" % (client, part), b"eu", b"ops", model.encode(), *_PRICES[model])
        for model, client in clients.rows()
        for part in range(split)
    ]
    for minute in range(minutes):
        window = _NOON_S + minute * 60 // _WINDOW_S * _WINDOW_S
        now = rates.filter(pl.col("t_s") == window).select("model", "client", "requests")
        mean = clients.join(now, on=["model", "client"], how="left").get_column("requests").fill_null(0).to_numpy() / 10
        counts = rng.poisson(np.repeat(mean / split, split))
        series_of = rng.permutation(np.repeat(np.arange(len(series)), counts))
        at_us = np.sort(rng.integers(0, _MINUTE_US, EVENTS_PER_REQUEST * len(series_of))) + minute * _MINUTE_US
        yield requests(rng, start, at_us, series, series_of)
