"""An optional member: one global LSTM over all series, on the CPU, by jax (`pip install llm-analytics-hub[lstm]`).

Global models learn from all series what one is too short for (Montero-Manso & Hyndman, IJF 37(4), 2021); as in Smyl
(IJF 36(1), 2020) the network sees values relative to the series' own level and says by how much the seasonal naive
method will be off. A step of the LSTM (Hochreiter & Schmidhuber 1997) is a whole shortest season, so two weeks of hours
are fourteen steps. Trained by Adam (Kingma & Ba 2015) on mean absolute errors, from a fixed seed.

The network is trained on what lies before every backtest origin, and judged on what comes after: it takes part in a
series' forecast only where it beats the combination of the others there (`one_series`).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from lah_platform.forecasts.backtest import MOST_ORIGINS
from lah_platform.forecasts.members import Member, NotFitted, Seasons
from lah_platform.forecasts.scales import scale_of
from lah_platform.forecasts.series import Floats, Gap, regular_series, seasons_of

__all__ = ["ExtraMissing", "lstm", "network_of"]

_SEASONS_SEEN = 14
_LEAST_SEASONS = 3
_CELLS = 64
_BATCH = 256
_ROUNDS = 2000
_RATE = 3e-3
_CLIPPED = 20.0  # scaled inputs beyond it say "far off" and no more
_SEED = 1


class ExtraMissing(RuntimeError):
    """The optional extra is not installed; the message says how to install it."""


def network_of(points: pl.DataFrame, *, step: timedelta, horizon: int, gap: Gap) -> Mapping[str, Member]:
    """The contenders of `forecast_with_reasons` for the same frame: an LSTM, or nothing where none can be trained.

    Raises ExtraMissing without jax.
    """
    _jax()
    histories = [each.values for each in regular_series(points, step=step, gap=gap)]
    try:
        return {"lstm": lstm(histories, horizon, seasons_of(step))}
    except NotFitted:
        return {}


def lstm(histories: Sequence[Floats], horizon: int, seasons: Seasons, *, rounds: int = _ROUNDS) -> Member:
    """A member trained on all `histories` (regular, without gaps, of one length of bucket) but for their last days.

    What is left out of each is what a backtest with this horizon judges. The member raises NotFitted for a longer
    horizon, other seasons, or fewer than three of the shortest season. Raises ExtraMissing without jax, NotFitted
    where no season is asked for or no history is long enough.
    """
    if not seasons:
        raise NotFitted("an LSTM needs a season")
    period = seasons[0]
    steps = -(-horizon // period)
    judged = horizon + (MOST_ORIGINS - 1) * period
    windows = [_windows(values[: max(len(values) - judged, 0)], period, steps) for values in histories]
    train = [each for each in windows if each is not None]
    if not train:
        raise NotFitted("no series is long enough to train on")
    apply = _trained(train, period, steps, rounds)

    def member(values: Floats, ahead: int, of: Seasons) -> Floats:
        if ahead > steps * period or not of or of[0] != period or len(values) < _LEAST_SEASONS * period:
            raise NotFitted("the network was trained for another season, horizon or length")
        forward, back = scale_of(values, "root")
        seen, is_seen, level, spread = _seen(forward(values)[None, -_SEASONS_SEEN * period :], period)
        return back(apply(seen, is_seen)[0, :ahead] * spread[0] + level[0])

    return member


def _seen(x: Floats, period: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Histories (n, buckets) as scaled seasons (n, 14, period), which are known (n, 14), and their level and spread.

    The level is the median, the spread the mean distance from it (1 where there is none).
    """
    count = x.shape[1] // period
    x = x[:, x.shape[1] - count * period :]
    level = np.median(x, axis=1)
    spread = np.abs(x - level[:, None]).mean(axis=1)
    spread = np.where(spread > 1e-9 * np.maximum(np.abs(level), 1e-9), spread, 1.0)
    scaled = np.clip((x - level[:, None]) / spread[:, None], -_CLIPPED, _CLIPPED).reshape(len(x), count, period)
    missing = _SEASONS_SEEN - count
    seen = np.concatenate([np.zeros((len(x), missing, period)), scaled], axis=1)
    is_seen = np.concatenate([np.zeros((len(x), missing)), np.ones((len(x), count))], axis=1)
    return seen, is_seen, level, spread


def _windows(values: Floats, period: int, steps: int) -> tuple[Floats, int] | None:
    """A history on its scale and how many places a window of it may begin at; None: too short, or constant."""
    places = len(values) - (_LEAST_SEASONS + steps) * period + 1
    if places < 1 or values.min() == values.max():
        return None
    return scale_of(values, "root")[0](values), places


def _batch(train: Sequence[tuple[Floats, int]], period: int, steps: int, random: np.random.Generator) -> Any:
    """Random windows of random series: scaled seasons, which are known, and what came (n, steps * period)."""
    seen, known, came = [], [], []
    for at in random.integers(len(train), size=_BATCH).tolist():
        x, places = train[at]
        end = len(x) - steps * period - int(random.integers(places))
        one, is_seen, level, spread = _seen(x[None, max(0, end - _SEASONS_SEEN * period) : end], period)
        seen.append(one[0])
        known.append(is_seen[0])
        came.append(np.clip((x[end : end + steps * period] - level) / spread, -2 * _CLIPPED, 2 * _CLIPPED))
    return np.array(seen), np.array(known), np.array(came)


def _trained(
    train: Sequence[tuple[Floats, int]], period: int, steps: int, rounds: int
) -> Callable[[Floats, Floats], Floats]:
    jax, jnp = _jax()
    random = np.random.default_rng(_SEED)
    inputs, head = period + 1, _CELLS + 2 * period

    def start(rows: int, columns: int) -> Any:
        return jnp.asarray(random.normal(0, rows**-0.5, (rows, columns)), dtype=jnp.float32)

    weights = {
        "cell": start(inputs + _CELLS, 4 * _CELLS),
        "cell_bias": jnp.zeros(4 * _CELLS).at[_CELLS : 2 * _CELLS].set(1.0),  # remember at first
        "head": start(head, _CELLS),
        "head_bias": jnp.zeros(_CELLS),
        "out": start(_CELLS, steps * period) * 0.1,
    }

    def said(w: Any, seen: Any, is_seen: Any) -> Any:
        def step(state: Any, x: Any) -> Any:
            hidden, memory = state
            season, known = x
            gates = jnp.concatenate([season, known[:, None], hidden], axis=1) @ w["cell"] + w["cell_bias"]
            take, keep, new, show = jnp.split(gates, 4, axis=1)
            memory = jax.nn.sigmoid(keep) * memory + jax.nn.sigmoid(take) * jnp.tanh(new)
            return (jax.nn.sigmoid(show) * jnp.tanh(memory), memory), None

        nothing = jnp.zeros((seen.shape[0], _CELLS))
        (hidden, _), _ = jax.lax.scan(step, (nothing, nothing), (jnp.swapaxes(seen, 0, 1), is_seen.T))
        last = seen[:, -1]
        features = jnp.concatenate([hidden, last, seen[:, -7] * is_seen[:, -7:-6]], axis=1)
        off = jnp.tanh(features @ w["head"] + w["head_bias"]) @ w["out"]
        return jnp.tile(last, (1, steps)) + off

    def loss(w: Any, seen: Any, is_seen: Any, came: Any) -> Any:
        return jnp.abs(said(w, seen, is_seen) - came).mean()

    def improve(state: Any, batch: Any, rate: Any, count: Any) -> Any:
        w, mean, square = state
        slope = jax.grad(loss)(w, *batch)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, slope)
        square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, square, slope)
        w = jax.tree.map(
            lambda p, m, v: p - rate * (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8),
            w,
            mean,
            square,
        )
        return w, mean, square

    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = (weights, zeros, zeros)
    once = jax.jit(improve)
    for count in range(1, rounds + 1):
        rate = _RATE * 0.5 * (1 + np.cos(np.pi * count / rounds))
        batch = [jnp.asarray(each, dtype=jnp.float32) for each in _batch(train, period, steps, random)]
        state = once(state, batch, jnp.float32(rate), jnp.float32(count))
    fitted = {name: np.asarray(each) for name, each in state[0].items()}
    run = jax.jit(said)
    return lambda seen, is_seen: np.asarray(
        run(fitted, jnp.asarray(seen, dtype=jnp.float32), jnp.asarray(is_seen, dtype=jnp.float32)), dtype=np.float64
    )


def _jax() -> tuple[Any, Any]:
    try:
        import jax
        import jax.numpy as jnp
    except ImportError as error:
        raise ExtraMissing(
            "the LSTM needs jax, which is not installed: pip install 'llm-analytics-hub[lstm]'"
        ) from error
    return jax, jnp
