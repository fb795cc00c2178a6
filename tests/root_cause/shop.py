"""A small shop with a known call graph, and faults in it whose course through the callers is known, too."""

import numpy as np
import polars as pl

CALLS = [("web", "search"), ("web", "pay"), ("search", "db"), ("pay", "bank"), ("pay", "db"), ("batch", "db")]
PARENTS = {"search": ["web"], "pay": ["web"], "db": ["search"], "bank": ["pay"], "web": [], "batch": []}
REQUESTS = {"web": 1000, "search": 2000, "pay": 150, "db": 2500, "bank": 150, "batch": 12}
LATENCY = {"web": 0.1, "search": 0.02, "pay": 0.2, "db": 0.005, "bank": 0.15, "batch": 3.0}
NOISE = {"web": 0.04, "search": 0.03, "pay": 0.05, "db": 0.04, "bank": 0.05, "batch": 0.4}


def quiet(steps: int, seed: int = 1) -> dict[str, dict[str, np.ndarray]]:
    """Per node requests, latency in seconds and failed share of normal operation."""
    rng = np.random.default_rng(seed)
    return {
        node: {
            "requests": rng.poisson(mean, steps).astype(float),
            "latency": LATENCY[node] * np.exp(NOISE[node] * rng.normal(size=steps)),
            "failed_share": np.zeros(steps),
        }
        for node, mean in REQUESTS.items()
    }


def fault(shop: dict[str, dict[str, np.ndarray]], node: str, column: str, amount: float, steps: list[int]) -> None:
    """`amount` seconds, or failures, per step more at `node` and at all that wait for it."""
    for each in {node, *PARENTS[node], *(g for p in PARENTS[node] for g in PARENTS[p])}:
        shop[each][column][steps] += amount / shop[each]["requests"][steps]


def frame(shop: dict[str, dict[str, np.ndarray]]) -> pl.DataFrame:
    return pl.concat(
        [
            pl.DataFrame({"at": np.arange(len(v["requests"])), "node": [node] * len(v["requests"]), **v})
            for node, v in shop.items()
        ]
    )
