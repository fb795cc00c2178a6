"""The generated workload: its figures are the traces' figures, and what it generates has them."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from lah_platform.replay.quantiles import PROBABILITIES, from_quantiles, ranked_like
from lah_platform.replay.traces import TRACES
from lah_platform.replay.workload import generate_traces
from lah_platform.replay.workload_profile import Profile, measure_profile, recorded_profile, to_toml

FIGURES = recorded_profile()


def test_the_recorded_figures_are_those_of_the_traces(traces: Path) -> None:
    recorded, measured = msgspec.to_builtins(FIGURES), msgspec.to_builtins(measure_profile(traces))
    for (path, figure), (same_path, again) in zip(_leaves(recorded), _leaves(measured), strict=True):
        assert path == same_path
        assert figure == (pytest.approx(again, rel=1e-3) if isinstance(again, float) else again), path


def test_the_file_of_figures_reads_back_as_written() -> None:
    assert msgspec.toml.decode(to_toml(FIGURES), type=Profile) == FIGURES


@pytest.mark.parametrize("name", ["azure-code", "mooncake"])
def test_generated_requests_have_the_measured_lengths_burstiness_and_reuse(name: str) -> None:
    frame = generate_traces(FIGURES, (name,), seed=7).requests[name]
    figures = FIGURES.requests[name]
    assert frame.height == figures.requests
    assert frame["offset_us"].max() == pytest.approx(figures.span_s * 1e6)
    gaps_s = np.diff(frame["offset_us"].to_numpy()) / 1e6
    assert gaps_s.min() >= 0
    assert gaps_s.std() / gaps_s.mean() == pytest.approx(figures.interarrival_cv, rel=0.4)
    for column, quantiles in (("input_tokens", figures.input_tokens), ("output_tokens", figures.output_tokens)):
        for probability, expected in zip(PROBABILITIES, quantiles, strict=True):
            if 0.05 <= probability <= 0.95:
                assert frame[column].quantile(probability) == pytest.approx(expected, rel=0.1, abs=2), (
                    column,
                    probability,
                )
    cached = frame["cache_read_tokens"].fill_null(0)
    assert (cached <= frame["input_tokens"]).all()
    assert int(cached.sum()) / int(frame["input_tokens"].sum()) == pytest.approx(figures.cache_reuse_share, abs=0.08)


@pytest.mark.parametrize("model", ["m-small", "m-large"])
def test_generated_rates_follow_the_measured_hours_and_clients(model: str) -> None:
    figures = FIGURES.throughput[model]
    hours = np.zeros(24)
    means = np.zeros(len(figures.client_requests_per_window))
    seeds = 12  # the measured noise is so large that one run's hours are mostly noise
    for seed in range(seeds):
        windows = generate_traces(FIGURES, ("servegen",), seed).windows
        assert windows is not None
        frame = windows.filter(model=model).sort("client", "offset_us")
        counts = frame["requests"].to_numpy().reshape(len(means), figures.days, 24, 6)
        hours += counts.sum(axis=(0, 1, 3)) / counts.mean() / seeds / (figures.days * len(means) * 6)
        means += counts.mean(axis=(1, 2, 3)) / seeds
    assert np.corrcoef(hours, figures.hourly)[0, 1] > 0.6
    assert means == pytest.approx(figures.client_requests_per_window, rel=0.5)


def test_generated_benchmark_has_the_measured_latencies_and_errors() -> None:
    benchmark = generate_traces(FIGURES, ("llmperf",), seed=3).benchmark
    assert benchmark is not None
    for pair, figures in FIGURES.benchmark.items():
        provider, _, size = pair.partition("/")
        group = benchmark.filter(provider=provider, model_size=size)
        assert group.height == figures.requests
        assert group["ttft_s"].median() == pytest.approx(figures.ttft_s[PROBABILITIES.index(0.5)], rel=0.35)
        for error, share in figures.error_shares.items():
            assert (group["error"] == error).sum() / group.height == pytest.approx(share, abs=0.15)


def test_the_same_seed_generates_the_same_and_another_something_else() -> None:
    first, again, other = (generate_traces(FIGURES, TRACES, seed) for seed in (1, 1, 2))
    assert first.windows is not None
    assert again.windows is not None
    assert other.windows is not None
    assert first.windows.equals(again.windows)
    assert first.requests["mooncake"].equals(again.requests["mooncake"])
    assert not first.windows.equals(other.windows)


def test_a_draw_below_a_recorded_probability_is_below_its_quantile() -> None:
    quantiles = [float(number**2) for number in range(len(PROBABILITIES))]
    assert from_quantiles(quantiles, np.array(PROBABILITIES)).tolist() == quantiles


@pytest.mark.parametrize("wanted", [-0.7, 0.0, 0.4, 0.9])
def test_ranks_are_drawn_with_the_wanted_correlation(wanted: float) -> None:
    rng = np.random.default_rng(5)
    ranks = rng.random(20_000)
    drawn = ranked_like(rng, ranks, wanted)
    assert np.corrcoef(np.argsort(np.argsort(ranks)), np.argsort(np.argsort(drawn)))[0, 1] == pytest.approx(
        wanted, abs=0.03
    )


def _leaves(tree: object, path: str = "") -> list[tuple[str, object]]:
    if isinstance(tree, dict):
        return [leaf for key, value in sorted(tree.items()) for leaf in _leaves(value, f"{path}.{key}")]
    if isinstance(tree, list | tuple):
        return [leaf for index, value in enumerate(tree) for leaf in _leaves(value, f"{path}[{index}]")]
    return [(path, tree)]
