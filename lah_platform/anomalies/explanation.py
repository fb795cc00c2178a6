"""The one sentence a person reads about an episode. Numbers carry no unit: the metric's name does."""

from __future__ import annotations

from math import floor, isfinite, log10


def number(value: float) -> str:
    """A number to four significant digits, thousands separated: 1,235,000, 812.4, 0.0004."""
    if not isfinite(value) or value == 0.0:
        return f"{value:g}"
    decimals = 3 - floor(log10(abs(value)))
    rounded = round(value, decimals)
    if abs(rounded) < 1e-4:
        return f"{rounded:.4g}"
    text = f"{rounded:,.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def explain(
    anomaly_type: str, metric: str, method: str, observed: float, baseline: float, deviation: float, buckets: int
) -> str:
    """One sentence for an episode of one of the five types, `observed` and the rest taken at its peak."""
    seen, usual, size = number(observed), number(baseline), number(abs(deviation))
    lasting = "in one bucket" if buckets == 1 else f"in the worst of {buckets} buckets"
    match anomaly_type:
        case "spike" | "drop":
            verb = "rose" if deviation > 0 else "fell"
            said = f"{metric} {verb} to {seen} {lasting}, against a recent level of {usual}"
            return f"{said}: {size} robust deviations by {method}."
        case "pattern_deviation":
            phase = "hour of the week" if "week" in method else "hour of the day"
            side = "above" if deviation > 0 else "below"
            return (
                f"{metric} was at {seen} {lasting}, {size} robust deviations {side} the {usual} usual at that {phase}."
            )
        case "frequency_anomaly":
            what = "no events came" if observed == 0 else f"{seen} events came"
            return f"{what} {lasting} where {usual} were expected: as unlikely as {size} standard deviations."
        case "distribution_shift":
            side = "up" if deviation > 0 else "down"
            said = f"the distribution of {metric} moved {side} by {seen} octaves {lasting}, where {usual} is usual"
            return f"{said}: {size} robust deviations of its own history."
    raise ValueError(f"unknown anomaly type {anomaly_type!r}")
