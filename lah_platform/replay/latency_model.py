"""Latencies for requests whose trace has none: drawn from quantiles that llmperf measured.

A request takes its time to first token plus its further tokens times an inter-token latency, both drawn
independently by inverting the recorded quantiles with linear interpolation.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lah_platform.replay.quantiles import from_quantiles

__all__ = ["LatencyModel"]

Floats = npt.NDArray[np.float64]

_TIMEOUT_S = 300.0  # no client waits longer; the product of two upper tails would
_TYPICAL_OUTPUT_TOKENS = 150  # what llmperf asked for


class LatencyModel:
    """Draws latencies; `ttft_s` and `inter_token_s` are quantiles in seconds at quantiles.PROBABILITIES."""

    def __init__(self, ttft_s: Sequence[float], inter_token_s: Sequence[float]) -> None:
        self._ttft_s = ttft_s
        self._inter_token_s = inter_token_s

    def draw_ms(self, rng: np.random.Generator, output_tokens: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        """(time to first token, total latency) in milliseconds to a microsecond, one of each per request."""
        ttft_s = from_quantiles(self._ttft_s, rng.random(len(output_tokens)))
        per_token_s = from_quantiles(self._inter_token_s, rng.random(len(output_tokens)))
        total_s = np.minimum(ttft_s + np.maximum(output_tokens - 1, 0) * per_token_s, _TIMEOUT_S)
        return np.round(np.minimum(ttft_s, total_s) * 1_000, 3), np.round(total_s * 1_000, 3)

    def typical_latency_s(self, rng: np.random.Generator, size: int) -> Floats:
        """`size` latencies in seconds of requests of a typical length."""
        return self.draw_ms(rng, np.full(size, _TYPICAL_OUTPUT_TOKENS))[1] / 1_000
