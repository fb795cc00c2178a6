"""Recorded quantiles as distributions: where they are recorded and how a uniform draw is turned into a value."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["PROBABILITIES", "from_quantiles", "ranked_like"]

Floats = npt.NDArray[np.float64]

# Dense at the top because inter-arrival gaps and long prompts live there.
PROBABILITIES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 1.0)


def from_quantiles(quantiles: Sequence[float], uniform: Floats) -> Floats:
    """Inverse of the recorded distribution at `uniform` in [0, 1], linear between recorded quantiles."""
    return np.interp(uniform, PROBABILITIES, quantiles)


def ranked_like(rng: np.random.Generator, ranks: Floats, spearman: float) -> Floats:
    """Uniform draws whose rank correlation with `ranks` (uniform in [0, 1]) is about `spearman`.

    A Gaussian copula; Pearson's coefficient for a wanted Spearman's is 2 sin(pi rho / 6) (Pearson, 1907).
    """
    size = len(ranks)
    pearson = 2.0 * np.sin(np.pi * spearman / 6.0)
    normal_of_rank = np.sort(rng.standard_normal(size))[np.argsort(np.argsort(ranks))]
    mixed = pearson * normal_of_rank + np.sqrt(1.0 - pearson**2) * rng.standard_normal(size)
    return (np.argsort(np.argsort(mixed)) + 0.5) / max(size, 1)
