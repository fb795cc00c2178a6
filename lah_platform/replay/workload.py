"""A generated workload for machines without the traces: the same frames, drawn from figures measured on them.

Belongs here: drawing request, window and benchmark frames from a `Profile`. Does not: the figures
(`workload_profile`), or anything the traces do not hold (`synthetic`).
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from lah_platform.replay.quantiles import from_quantiles, ranked_like
from lah_platform.replay.requests import PREFIX_BLOCK_TOKENS
from lah_platform.replay.servegen import WINDOW_S
from lah_platform.replay.traces import TraceSet
from lah_platform.replay.workload_profile import BenchmarkFigures, Profile, RequestFigures, ThroughputFigures

__all__ = ["generate_traces"]

Floats = npt.NDArray[np.float64]

_WINDOWS_PER_HOUR = 3600 // WINDOW_S
_WINDOWS_PER_DAY = 24 * _WINDOWS_PER_HOUR


def generate_traces(profile: Profile, names: tuple[str, ...], seed: int) -> TraceSet:
    """Frames for the named traces; the same seed gives the same frames, whichever others are asked for."""
    requests = {
        name: _requests(figures, np.random.default_rng([seed, *name.encode()]))
        for name, figures in profile.requests.items()
        if name in names
    }
    windows = benchmark = None
    if "servegen" in names:
        windows = pl.concat(
            _windows(model, figures, np.random.default_rng([seed, *model.encode()]))
            for model, figures in profile.throughput.items()
        )
    if "llmperf" in names:
        benchmark = pl.concat(
            _benchmark(pair, figures, np.random.default_rng([seed, *pair.encode()]))
            for pair, figures in profile.benchmark.items()
        )
    return TraceSet(requests, windows, benchmark)


def _requests(figures: RequestFigures, rng: np.random.Generator) -> pl.DataFrame:
    """As many requests in as long a span as the trace: gaps, lengths and reuse from their quantiles."""
    size = figures.requests
    gaps_s = from_quantiles(figures.interarrival_s, rng.random(size - 1))
    offsets_s = np.concatenate([[0.0], np.cumsum(gaps_s)])
    offsets_s *= figures.span_s / offsets_s[-1]  # interpolation in the tail misses the mean by some percent
    ranks = rng.random(size)
    inputs = np.maximum(np.round(from_quantiles(figures.input_tokens, ranks)), 1).astype(np.int64)
    output_ranks = ranked_like(rng, ranks, figures.input_output_correlation)
    outputs = np.maximum(np.round(from_quantiles(figures.output_tokens, output_ranks)), 1).astype(np.int64)
    cached: list[int] | pl.Series = pl.Series([None] * size, dtype=pl.Int64)
    if figures.cache_reuse_share > 0:
        fraction = from_quantiles(figures.cached_fraction, ranked_like(rng, ranks, figures.input_cached_correlation))
        blocks = np.round(fraction * inputs / PREFIX_BLOCK_TOKENS).astype(np.int64)
        cached = np.minimum(blocks * PREFIX_BLOCK_TOKENS, inputs).tolist()
    return pl.DataFrame(
        {
            "row": np.arange(size),
            "offset_us": np.round(offsets_s * 1e6).astype(np.int64),
            "input_tokens": inputs,
            "output_tokens": outputs,
            "cache_read_tokens": cached,
        },
        schema_overrides={"cache_read_tokens": pl.Int64},
    )


def _windows(model: str, figures: ThroughputFigures, rng: np.random.Generator) -> pl.DataFrame:
    """Ten-minute counts of the recorded clients: mean * hour of day * day * autocorrelated noise, and arrivals'
    burstiness as the variance a renewal process has over a window (cv squared times the mean)."""
    size = figures.days * _WINDOWS_PER_DAY
    day = np.arange(size) // _WINDOWS_PER_DAY
    hour = np.arange(size) // _WINDOWS_PER_HOUR % 24
    shape = np.array(figures.hourly)[hour] * np.array(figures.daily)[day % 7]
    clients = []
    for client, mean in enumerate(figures.client_requests_per_window):
        expected = mean * shape * _noise(figures, rng, size)
        burstiness = figures.interarrival_cv * np.sqrt(expected) * rng.standard_normal(size)
        clients.append(
            pl.DataFrame(
                {
                    "model": [model] * size,
                    "client": np.full(size, client),
                    "offset_us": (np.arange(size) + 1) * WINDOW_S * 1_000_000,
                    "requests": np.maximum(np.round(expected + burstiness), 0).astype(np.int64),
                    "cv_iat": np.full(size, figures.interarrival_cv),
                    "output_tokens_mean": pl.Series([figures.output_tokens_mean] * size, dtype=pl.Float64),
                }
            )
        )
    return pl.concat(clients)


def _noise(figures: ThroughputFigures, rng: np.random.Generator, size: int) -> Floats:
    """Log-normal noise with mean 1, the recorded coefficient of variation and lag-1 autocorrelation."""
    sigma = float(np.sqrt(np.log1p(figures.window_noise_cv**2)))
    carry = figures.window_noise_autocorrelation
    steps = rng.standard_normal(size) * np.sqrt(1.0 - carry**2)
    level = float(rng.standard_normal())
    levels = np.empty(size)
    for index, step in enumerate(steps.tolist()):
        level = carry * level + step
        levels[index] = level
    return np.exp(sigma * levels - sigma**2 / 2.0)


def _benchmark(pair: str, figures: BenchmarkFigures, rng: np.random.Generator) -> pl.DataFrame:
    provider, _, size = pair.partition("/")
    count = figures.requests
    ttft_s = from_quantiles(figures.ttft_s, rng.random(count))
    inter_token_s = from_quantiles(figures.inter_token_s, rng.random(count))
    tokens = np.round(from_quantiles(figures.output_tokens, rng.random(count))).astype(np.int64)
    end_to_end_s = ttft_s + np.maximum(tokens - 1, 0) * inter_token_s
    names = [*figures.error_shares, None]
    probabilities = [*figures.error_shares.values(), 1.0 - sum(figures.error_shares.values())]
    errors = [names[index] for index in rng.choice(len(names), count, p=probabilities).tolist()]
    is_refused = np.array([error == "http_429" for error in errors])
    end_to_end_s[is_refused] = 0.0  # as the benchmark records a refused request
    return pl.DataFrame(
        {
            "provider": [provider] * count,
            "model_size": [size] * count,
            "seq": np.arange(count),
            "ttft_s": ttft_s,
            "inter_token_s": inter_token_s,
            "end_to_end_s": end_to_end_s,
            "output_tokens_per_s": tokens / (ttft_s + np.maximum(tokens - 1, 0) * inter_token_s),
            "output_tokens": tokens,
            "error": pl.Series(errors, dtype=pl.Utf8),
        }
    )
