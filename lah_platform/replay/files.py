"""Opening trace files with errors that say what is missing."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from lah_platform.errors import ConfigurationError

__all__ = ["read_table", "read_trace", "require_columns"]


def read_trace(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    """The named columns of one Parquet trace. Raises ConfigurationError for a missing file or column."""
    if not path.is_file():
        raise ConfigurationError(
            f"The trace {path.name} is not in {path.parent}",
            "Name the folder that holds llm_traces/ and latency/, or none to replay the generated workload",
        )
    frame = read_table(path)
    require_columns(frame, columns, path)
    return frame.select(columns)


def read_table(path: Path) -> pl.DataFrame:
    """A whole CSV (all columns text) or Parquet file. Raises ConfigurationError when it cannot be read."""
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            return pl.read_parquet(path)
        if path.suffix.lower() in {".csv", ".tsv"}:
            separator = "\t" if path.suffix.lower() == ".tsv" else ","
            # every column as text: an amount of money must not pass through a float before it is a decimal
            return pl.read_csv(path, separator=separator, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error}", "Check that the file is whole and readable"
        ) from error
    raise ConfigurationError(f"{path.name} is neither CSV nor Parquet", "Replay a .csv, .tsv or .parquet file")


def require_columns(frame: pl.DataFrame, columns: Sequence[str], path: Path) -> None:
    """Raise ConfigurationError naming the first of `columns` that `frame` lacks."""
    for column in columns:
        if column not in frame.columns:
            raise ConfigurationError(
                f"{path.name} has no column '{column}'",
                f"It has: {', '.join(frame.columns)}. Map the field to one of these",
            )
