"""Run in the peers' environment: statsforecast's and Prophet's forecasts of tasks, as their READMEs show.

PEER has the job as JSON. Reads a pickle of [(series_id, past, horizon), ...]; writes one of
{method: [(value, {level: (lower, upper)}, seconds) or None]}.
Methods take turns, task by task, until the time is over; what was not reached is None.
"""

import json
import logging
import os
import pickle
import sys
import time
import warnings
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
LEVELS = (80, 95)


def statsforecast_model(name, seasons):
    from statsforecast.models import MSTL, AutoARIMA, AutoETS, AutoTheta

    first = seasons[0]
    return {
        "auto_ets": lambda: AutoETS(season_length=first),
        "auto_theta": lambda: AutoTheta(season_length=first),
        "mstl": lambda: MSTL(season_length=list(seasons)),
        "auto_arima": lambda: AutoARIMA(season_length=first),
    }[name]()


def by_statsforecast(name, past, horizon, seasons):
    fitting = tuple(m for m in seasons if 2 * m < len(past)) or (seasons[0],)
    model = statsforecast_model(name, fitting)
    found = model.forecast(y=past.astype(np.float64), h=horizon, level=list(LEVELS))
    return found["mean"], {level: (found[f"lo-{level}"], found[f"hi-{level}"]) for level in LEVELS}


def by_prophet(past, horizon):
    import pandas as pd
    from prophet import Prophet

    times = pd.date_range("2026-01-05", periods=len(past) + horizon, freq="h")
    model = Prophet()
    model.fit(pd.DataFrame({"ds": times[: len(past)], "y": past}))
    future = pd.DataFrame({"ds": times[len(past) :]})
    value = model.predict(future)["yhat"].to_numpy()
    drawn = model.predictive_samples(future)["yhat"]
    bounds = {level: tuple(np.percentile(drawn, [50 - level / 2, 50 + level / 2], axis=1)) for level in LEVELS}
    return value, bounds


def forecast(method, past, horizon, seasons):
    if method == "prophet":
        return by_prophet(past, horizon)
    return by_statsforecast(method, past, horizon, seasons)


def main():
    job = json.loads(os.environ["PEER"])
    tasks = pickle.loads(Path(job["tasks"]).read_bytes())
    made = {method: [] for method in job["methods"]}
    for method in job["methods"]:  # imports, compilation and the first model are not a forecast's seconds
        try:
            forecast(method, np.arange(200.0) % 24 + np.random.default_rng(1).random(200), 3, job["seasons"])
        except Exception as error:
            print(f"{method}: {error}", file=sys.stderr)
            del made[method]
    end = time.monotonic() + job["seconds"]
    for _, past, horizon in tasks:
        for method, done in made.items():
            if time.monotonic() > end:
                done.append(None)
                continue
            started = time.perf_counter()
            try:
                value, bounds = forecast(method, past, horizon, job["seasons"])
            except Exception:  # a series a peer refuses is its last value, as it would be for a user
                value, bounds = np.full(horizon, past[-1] if len(past) else 0.0), {}
            done.append((np.asarray(value, dtype=float), bounds, time.perf_counter() - started))
    Path(job["made"]).write_bytes(pickle.dumps(made))


if __name__ == "__main__":
    main()
