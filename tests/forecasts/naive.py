"""The same things, slowly and obviously."""

import numpy as np
import numpy.typing as npt

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
