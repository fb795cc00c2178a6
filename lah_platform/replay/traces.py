"""The traces of a replay, each as a frame: read from the folder of real ones. `workload` makes the same frames.

Belongs here: the names of traces and which files they are. Does not: reading a file (one module per source).
"""

from pathlib import Path
from typing import NamedTuple

import polars as pl

from lah_platform.errors import ConfigurationError
from lah_platform.replay.llmperf import read_llmperf
from lah_platform.replay.requests import read_azure, read_mooncake
from lah_platform.replay.servegen import MODEL_FILES, read_servegen

__all__ = ["TRACES", "TraceSet", "chosen_traces", "read_traces"]

TRACES = ("azure-code", "mooncake", "servegen", "llmperf")


class TraceSet(NamedTuple):
    """Frames of the chosen traces: `requests` by trace (REQUESTS), `windows` (WINDOWS), `benchmark` (BENCHMARK)."""

    requests: dict[str, pl.DataFrame]
    windows: pl.DataFrame | None
    benchmark: pl.DataFrame | None


def chosen_traces(name: str) -> tuple[str, ...]:
    """The traces that `name` means: one of TRACES, or "all". Raises ConfigurationError for another name."""
    if name == "all":
        return TRACES
    if name not in TRACES:
        raise ConfigurationError(
            f"There is no trace '{name}'", f"Choose one of {', '.join(TRACES)} or all, or name a file"
        )
    return (name,)


def read_traces(traces_dir: Path, names: tuple[str, ...]) -> TraceSet:
    """The named traces from the folder that holds llm_traces/ and latency/.

    Raises ConfigurationError naming the file that is missing.
    """
    readers = {"azure-code": read_azure, "mooncake": read_mooncake}
    requests = {name: read(traces_dir) for name, read in readers.items() if name in names}
    windows = pl.concat([read_servegen(traces_dir, model) for model in MODEL_FILES]) if "servegen" in names else None
    return TraceSet(requests, windows, read_llmperf(traces_dir) if "llmperf" in names else None)
