"""The same things, slowly and obviously."""

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]


def weighted_median(said: Floats, weights: Floats) -> list[float]:
    found = []
    for column in said.T.tolist():
        below = 0.0
        for value, weight in sorted(zip(column, weights.tolist(), strict=True)):
            below += weight
            if below >= 0.5 - 1e-12:
                found.append(value)
                break
    return found


def holt_winters(
    x: list[float], period: int, alpha: float, gamma: float, beta: float, level: float, shape: list[float], ahead: int
) -> tuple[float, list[float]]:
    """Mean absolute error one bucket ahead after the first season (as a sum), and the forecast."""
    trend, season, missed = 0.0, list(shape), 0.0
    for t, value in enumerate(x):
        trend *= 0.9
        error = value - level - trend - season[t % period]
        if t >= period:
            missed += abs(error)
        level += trend + alpha * error
        trend += alpha * beta * error
        season[t % period] += gamma * (1 - alpha) * error
    future, reached = [], 0.0
    for h in range(1, ahead + 1):
        reached += 0.9**h
        future.append(level + reached * trend + season[(len(x) + h - 1) % period])
    return missed, future


def errors(actual: list[float], forecast: list[float]) -> dict[str, float | None]:
    """MAPE, sMAPE and WAPE as their definitions read."""
    percent = [abs(y - f) / abs(y) for y, f in zip(actual, forecast, strict=True) if y != 0]
    symmetric = [
        0.0 if y == f == 0 else 2 * abs(y - f) / (abs(y) + abs(f)) for y, f in zip(actual, forecast, strict=True)
    ]
    whole = sum(abs(y) for y in actual)
    return {
        "mape": sum(percent) / len(percent) if percent else None,
        "smape": sum(symmetric) / len(symmetric),
        "wape": sum(abs(y - f) for y, f in zip(actual, forecast, strict=True)) / whole if whole else None,
    }


def reaches(rows: list[list[float]], judged: list[list[bool]], horizon: int) -> dict[float, list[float]]:
    """How far the 80 and 95 % bounds are from the forecast, by bucket ahead."""
    origins, ahead = len(rows), len(rows[0])
    size = {(o, h): abs(rows[o][h]) for o in range(origins) for h in range(ahead) if judged[o][h]}
    overall = sum(size.values()) / len(size)
    if max(size.values()) <= 1e-12:
        return {level: [0.0] * horizon for level in (0.8, 0.95)}
    pulled = []
    for h in range(ahead):
        known = [size[o, h] for o in range(origins) if (o, h) in size]
        pulled.append((sum(known) + 4 * overall) / (len(known) + 4))
    edges = [pulled[0], *pulled, pulled[-1]]
    local = [sum(edges[h : h + 3]) / 3 for h in range(ahead)]
    found = {}
    for level, scale, free in ((0.8, local, 2 * origins), (0.95, [1.0] * ahead, origins)):
        scaled = [value / scale[h] for (_, h), value in size.items()]
        quantile = float(np.quantile(scaled, min(1.0, level * (1 + 1 / len(scaled)))))
        quantile *= stats.t.ppf(0.5 + level / 2, free) / stats.norm.ppf(0.5 + level / 2)
        found[level] = [
            quantile * (scale[h] if h < ahead else scale[-1] * ((h + 1) / ahead) ** 0.5) for h in range(horizon)
        ]
    found[0.95] = [max(pair) for pair in zip(found[0.8], found[0.95], strict=True)]
    return found
