"""Figures of real LLM traffic: recorded in workload_profile.toml, and how they were measured.

Belongs here: the figures' shape, reading the recorded ones, measuring them again on the traces. Does not:
drawing anything from them (`workload`, `latency_model`). `measure_profile` is what a test holds the recorded
figures to; they are statistics of public traces, never their rows.
"""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from lah_platform.replay.llmperf import read_llmperf
from lah_platform.replay.quantiles import PROBABILITIES
from lah_platform.replay.requests import read_azure, read_mooncake
from lah_platform.replay.servegen import MODEL_FILES, WINDOW_S, read_servegen

__all__ = [
    "BenchmarkFigures",
    "Profile",
    "RequestFigures",
    "ThroughputFigures",
    "measure_profile",
    "recorded_profile",
    "to_toml",
]

Floats = npt.NDArray[np.float64]

_SIGNIFICANT_DIGITS = 5
_CLIENTS_RECORDED = 12  # those carry 95, 70 and 72 % of the three models' requests
_WINDOWS_PER_DAY = 86_400 // WINDOW_S


class RequestFigures(msgspec.Struct, frozen=True):
    """A request trace: quantile lists are at PROBABILITIES; correlations are Spearman's."""

    source: str
    requests: int
    span_s: float
    interarrival_cv: float
    interarrival_s: tuple[float, ...]
    input_tokens: tuple[float, ...]
    output_tokens: tuple[float, ...]
    input_output_correlation: float
    cache_reuse_share: float  # cached prompt tokens over all prompt tokens
    cached_fraction: tuple[float, ...]  # per request
    input_cached_correlation: float


class ThroughputFigures(msgspec.Struct, frozen=True):
    """A model's request rate over days: multipliers have mean 1 and count from the trace's local midnight."""

    source: str
    days: int
    client_requests_per_window: tuple[float, ...]  # mean per 10 minutes of the largest clients
    hourly: tuple[float, ...]
    daily: tuple[float, ...]  # by day number modulo 7: the trace does not say which weekday it starts on
    window_noise_cv: float  # of a client's window over mean * hourly * daily; median of the clients
    window_noise_autocorrelation: float  # lag 1, median of the clients
    interarrival_cv: float  # within windows, weighted by requests
    output_tokens_mean: float | None = None  # where token statistics were published


class BenchmarkFigures(msgspec.Struct, frozen=True):
    """A provider's measured latency for one model size; quantiles in seconds, of requests that did not fail."""

    source: str
    requests: int
    ttft_s: tuple[float, ...]
    inter_token_s: tuple[float, ...]
    output_tokens: tuple[float, ...]
    error_shares: dict[str, float]


class Profile(msgspec.Struct, frozen=True):
    """Everything the workload generator and the latency model draw from."""

    requests: dict[str, RequestFigures]
    throughput: dict[str, ThroughputFigures]
    benchmark: dict[str, BenchmarkFigures]
    all_providers: BenchmarkFigures


@cache
def recorded_profile() -> Profile:
    """The figures recorded in the package. Read once per process."""
    text = (files("lah_platform.replay") / "workload_profile.toml").read_text(encoding="utf-8")
    return msgspec.toml.decode(text, type=Profile)


def measure_profile(traces_dir: Path) -> Profile:
    """Measure every figure on the traces in `traces_dir` (takes about a second).

    Raises ConfigurationError when a trace is missing.
    """
    benchmark = read_llmperf(traces_dir)
    groups = benchmark.partition_by("provider", "model_size", as_dict=True)
    return Profile(
        requests={
            "azure-code": _requests(
                read_azure(traces_dir), "Azure LLM inference trace 2023, code (Patel et al., 2024)"
            ),
            "mooncake": _requests(read_mooncake(traces_dir), "Mooncake conversation trace (FAST 2025)"),
        },
        throughput={model: _throughput(read_servegen(traces_dir, model), model) for model in MODEL_FILES},
        benchmark={
            f"{key[0]}/{key[1]}": _benchmark(group, f"{key[0]}, {key[1]}") for key, group in sorted(groups.items())
        },
        all_providers=_benchmark(benchmark, "all providers"),
    )


def _requests(frame: pl.DataFrame, source: str) -> RequestFigures:
    gaps_s = np.diff(frame["offset_us"].to_numpy()) / 1e6
    inputs, outputs = frame["input_tokens"].to_numpy(), frame["output_tokens"].to_numpy()
    cached = frame["cache_read_tokens"].fill_null(0).to_numpy()
    return RequestFigures(
        source=source,
        requests=frame.height,
        span_s=_round(float(gaps_s.sum())),
        interarrival_cv=_round(_cv(gaps_s)),
        interarrival_s=_quantiles(gaps_s),
        input_tokens=_quantiles(inputs),
        output_tokens=_quantiles(outputs),
        input_output_correlation=_round(_spearman(inputs, outputs)),
        cache_reuse_share=_round(float(cached.sum() / inputs.sum())),
        cached_fraction=_quantiles(cached / inputs),
        input_cached_correlation=_round(_spearman(inputs, cached / inputs)),
    )


def _throughput(frame: pl.DataFrame, model: str) -> ThroughputFigures:
    largest = (
        frame.group_by("client")
        .agg(pl.col("requests").sum())
        .sort("requests", "client", descending=[True, False])
        .head(_CLIENTS_RECORDED)["client"]
        .to_list()
    )
    by_client = [
        frame.filter(pl.col("client") == client).sort("offset_us")["requests"].to_numpy().astype(np.float64)
        for client in largest
    ]
    total = frame.group_by("offset_us").agg(pl.col("requests").sum()).sort("offset_us")["requests"].to_numpy()
    days = len(total) // _WINDOWS_PER_DAY
    hourly = total.reshape(days, 24, -1).mean(axis=(0, 2)) / total.mean()
    day_means = total.reshape(days, -1).mean(axis=1) / total.mean()
    daily = np.array([day_means[weekday::7].mean() if weekday < days else 1.0 for weekday in range(7)])
    profile = np.repeat(np.tile(hourly, days), 6) * np.repeat(daily[np.arange(days) % 7], _WINDOWS_PER_DAY)
    noise = [windows / (windows.mean() * profile) for windows in by_client]
    means = frame["output_tokens_mean"].drop_nulls()
    return ThroughputFigures(
        source=f"ServeGen {model} (Alibaba Cloud, 2025)",
        days=days,
        client_requests_per_window=_rounded([float(windows.mean()) for windows in by_client]),
        hourly=_rounded(hourly),
        daily=_rounded(daily),
        window_noise_cv=_round(float(np.median([_cv(ratio) for ratio in noise]))),
        window_noise_autocorrelation=_round(
            float(np.median([np.corrcoef(ratio[:-1], ratio[1:])[0, 1] for ratio in noise]))
        ),
        interarrival_cv=_round(float(np.average(frame["cv_iat"].to_numpy(), weights=frame["requests"].to_numpy()))),
        output_tokens_mean=_round(float(means.median())) if len(means) else None,  # type: ignore[arg-type]
    )


def _benchmark(frame: pl.DataFrame, which: str) -> BenchmarkFigures:
    good = frame.filter(pl.col("error").is_null())
    errors = frame["error"].drop_nulls().value_counts().sort("error")
    return BenchmarkFigures(
        source=f"llmperf-leaderboard (Anyscale, 2024), {which}",
        requests=frame.height,
        ttft_s=_quantiles(good["ttft_s"].to_numpy()),
        inter_token_s=_quantiles(good["inter_token_s"].to_numpy()),
        output_tokens=_quantiles(good["output_tokens"].to_numpy()),
        error_shares={name: _round(count / frame.height) for name, count in errors.iter_rows()},
    )


def _cv(values: Floats) -> float:
    return float(values.std() / values.mean())


def _spearman(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> float:
    ranks = pl.DataFrame({"left": left, "right": right}).select(pl.all().rank()).to_numpy()
    if ranks[:, 1].std() == 0:
        return 0.0
    return float(np.corrcoef(ranks[:, 0], ranks[:, 1])[0, 1])


def _quantiles(values: npt.NDArray[Any]) -> tuple[float, ...]:
    return _rounded(np.quantile(values, PROBABILITIES))


def _rounded(values: Floats | list[float]) -> tuple[float, ...]:
    return tuple(_round(float(value)) for value in values)


def _round(value: float) -> float:
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}")


def to_toml(profile: Profile) -> str:
    """The profile as the text of workload_profile.toml."""
    lines = [
        "# Measured by lah_platform.replay.workload_profile.measure_profile on public traces; a test recomputes it.",
        f"# Quantile lists are at the probabilities {', '.join(f'{p:g}' for p in PROBABILITIES)}.",
    ]
    _table(lines, "", msgspec.to_builtins(profile))
    return "\n".join(lines) + "\n"


def _table(lines: list[str], name: str, values: dict[str, Any]) -> None:
    if name:
        lines += ["", f"[{name}]"]
    lines += [f"{_key(key)} = {_scalar(value)}" for key, value in values.items() if not _is_skipped(value)]
    for key, value in values.items():
        if isinstance(value, dict):
            _table(lines, f"{name}.{_key(key)}" if name else _key(key), value)


def _is_skipped(value: object) -> bool:
    return value is None or isinstance(value, dict)  # TOML has no null; tables come after their parent's scalars


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() else f'"{key}"'


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(_scalar(item) for item in value)}]"
    return repr(value)
