"""What every benchmark prints: the machine, each side's runs with their spread, the ratio, and one JSON line."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence

__all__ = ["machine", "progress", "report", "seconds_of"]


def machine() -> str:
    """One line: what ran it."""
    system = f"{platform.machine()}, {platform.system()} {platform.release()}"
    return f"{os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def progress(text: str) -> None:
    """One line on standard error, for whoever waits."""
    print(f"  {text}", file=sys.stderr, flush=True)


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes, by the wall."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def report(
    name: str,
    ours: Sequence[float],
    references: Mapping[str, Sequence[float]],
    *,
    unit: str,
    as_json: bool,
    scores: Mapping[str, float] | None = None,
) -> None:
    """Print rates (higher is better): median and spread (min to max) of each side, and our ratio to each reference.

    `scores` are further figures of our side, by a name that ends in its unit.
    """
    print(f"{name} on {machine()}; {unit}, median (min to max) of the runs in turn")
    for side, rates in {"ours": ours, **references}.items():
        spread = f"({min(rates):,.0f} to {max(rates):,.0f}; {len(rates)})"
        print(f"  {side:<14} {statistics.median(rates):>12,.0f}  {spread}")
    ratios = {side: statistics.median(ours) / statistics.median(rates) for side, rates in references.items()}
    for side, ratio in ratios.items():
        print(f"  ours / {side}: {ratio:.2f}")
    for score, value in (scores or {}).items():
        print(f"  {score:<40} {value:>16,.2f}")
    if as_json:
        medians = {side: statistics.median(rates) for side, rates in references.items()}
        figures = {"ours": statistics.median(ours), "references": medians, "ratios": ratios}
        print(json.dumps({"name": name, **figures, "scores": dict(scores or {})}))
