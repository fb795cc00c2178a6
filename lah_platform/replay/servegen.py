"""ServeGen: real request counts per client and 10-minute window, and their throughput events.

Belongs here: reading the counts, choosing whole clients, spelling windows. A client's series is thinned by leaving
other clients out, not by leaving windows out: a rate with holes is no longer the rate that was measured.

A frame of windows, here called WINDOWS: model Utf8, client Int64, offset_us Int64 (end of the window since the
trace's start), requests Int64, cv_iat Float64 (of inter-arrival times), output_tokens_mean Float64 (null where no
token statistics were published).
"""

from pathlib import Path

import numpy as np
import polars as pl

from lah_platform.replay.files import read_trace
from lah_platform.replay.latency_model import LatencyModel
from lah_platform.replay.models import MODELS
from lah_platform.replay.thinning import evenly
from lah_platform.replay.wire import Draft, Identity, Source, draft

__all__ = ["MODEL_FILES", "WINDOW_S", "choose_windows", "read_servegen", "throughput_events"]

WINDOW_S = 600
MODEL_FILES = {
    "m-small": "servegen_m-small_days0-9.parquet",
    "m-large": "servegen_m-large_days0-9.parquet",
    "deepseek-r1": "servegen_deepseek-r1_1day.parquet",
}
_STATISTICS_S = 6 * 3600
_TEAMS = ("search", "consumer", "partners")
_REGIONS = ("us-east", "eu-west", "ap-south")


def read_servegen(traces_dir: Path, model: str) -> pl.DataFrame:
    """One model's trace as WINDOWS, ordered by client and time. Raises ConfigurationError for a missing file."""
    folder = traces_dir / "llm_traces"
    counts = read_trace(folder / MODEL_FILES[model], ("client", "t_s", "requests", "cv_iat"))
    frame = counts.with_columns(
        pl.col("client").cast(pl.Int64), (pl.col("t_s") // _STATISTICS_S).cast(pl.Int64).alias("slot")
    )
    statistics = pl.DataFrame(schema={"client": pl.Int64, "slot": pl.Int64, "output_tokens_mean": pl.Float64})
    if model == "m-small":  # the only model whose token statistics were published with the counts
        published = read_trace(folder / "servegen_m-small_token_stats_6h.parquet", ("client", "t_s", "out_mean"))
        slot = (pl.col("t_s") // _STATISTICS_S).alias("slot")
        statistics = published.select("client", slot, pl.col("out_mean").alias("output_tokens_mean"))
    return (
        frame.join(statistics, on=["client", "slot"], how="left")
        .select(
            pl.lit(model).alias("model"),
            "client",
            ((pl.col("t_s").cast(pl.Int64) + WINDOW_S) * 1_000_000).alias("offset_us"),
            pl.col("requests").cast(pl.Int64),
            pl.col("cv_iat").cast(pl.Float64),
            "output_tokens_mean",
        )
        .sort("client", "offset_us")
    )


def choose_windows(windows: pl.DataFrame, budget: int | None) -> pl.DataFrame:
    """At most about `budget` windows: the largest clients of every model whole, in turn between the models.

    Where not even one client of each fits, the windows of those are thinned evenly. Clients without a request have
    no series and are left out. None keeps everything.
    """
    sizes = (
        windows.group_by("model", "client")
        .agg(pl.col("requests").sum(), pl.len().alias("windows"))
        .filter(pl.col("requests") > 0)
        .with_columns(pl.col("requests").rank("ordinal", descending=True).over("model").alias("turn"))
        .sort("turn", "model")
    )
    models = sizes["model"].n_unique()
    is_chosen = (
        (pl.col("windows").cum_sum() <= budget) | (pl.int_range(pl.len()) < models)
        if budget is not None
        else pl.lit(True)
    )
    chosen = windows.join(sizes.filter(is_chosen).select("model", "client"), on=["model", "client"], how="semi")
    chosen = chosen.sort("offset_us", "model", "client")
    if budget is not None and chosen.height > budget:
        chosen = chosen.sort("model", "client", "offset_us")[evenly(chosen.height, budget)]
    return chosen


def throughput_events(windows: pl.DataFrame, identity: Identity, latency: LatencyModel, seed: int) -> list[Draft]:
    """A throughput event at the end of each window; `windows` is WINDOWS with at_us (microseconds, UTC) added.

    requests_per_second is the trace's. concurrent_requests (by Little's law from a drawn latency) and, where the
    trace has no token statistics, tokens_per_second (output tokens) are drawn; tag synthetic_fields names them.
    """
    events: list[Draft] = []
    for (model, client), series in windows.partition_by("model", "client", as_dict=True, maintain_order=True).items():
        events += _client_events(str(model), int(client), series, identity, latency, seed)
    return events


def _client_events(
    model: str, client: int, series: pl.DataFrame, identity: Identity, latency: LatencyModel, seed: int
) -> list[Draft]:
    rng = np.random.default_rng([seed, client, *model.encode()])
    typical_output_tokens = float(rng.lognormal(np.log(80.0), 0.8))
    per_request = (typical_output_tokens * rng.lognormal(0.0, 0.15, series.height)).tolist()
    tenant = ("acme", "globex")[client % 2]
    service = f"{model}-client-{client:03d}"
    tags = {
        "tenant": tenant,
        "region": _REGIONS[client % len(_REGIONS)],
        "service": service,
        "team": _TEAMS[client // 2 % len(_TEAMS)],
        "version": "1.0.0",
        "trace": f"servegen-{model}",
    }
    measured = Source("llm-observatory", tags | {"synthetic_fields": "concurrent_requests,tags"})
    drawn = Source("llm-observatory", tags | {"synthetic_fields": "tokens_per_second,concurrent_requests,tags"})
    seconds = latency.typical_latency_s(rng, series.height).tolist()
    columns = ("offset_us", "at_us", "requests", "output_tokens_mean")
    events: list[Draft] = []
    for index, (offset_us, at_us, requests, output_tokens) in enumerate(series.select(columns).iter_rows()):
        rate = requests / WINDOW_S
        output_mean = per_request[index] if output_tokens is None else output_tokens
        data: dict[str, object] = {
            "model_id": MODELS[model],
            "requests_per_second": rate,
            "tokens_per_second": round(rate * output_mean, 3),
            "concurrent_requests": round(rate * seconds[index]),
            "window_duration_seconds": WINDOW_S,
        }
        event_id = identity.uuid(f"servegen-{model}", f"{client}@{offset_us}", "throughput")
        source = drawn if output_tokens is None else measured
        events.append(draft(source, at_us, event_id, "telemetry/throughput", data))
    return events
