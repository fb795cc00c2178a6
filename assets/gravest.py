"""The gravest episodes of a run as a table, for who looks at it in the Dagster UI."""

import dagster as dg
import polars as pl

__all__ = ["gravest"]

_MOST = 10
_COLUMNS = ("started_at", "ended_at", "anomaly_type", "impact", "explanation")


def gravest(told: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """The ten episodes of highest score, highest first; `told` has the columns of ANOMALY_SCHEMA."""
    ranked = told.sort("score", "started_at", "series_id", "metric", descending=[True, False, False, False]).head(_MOST)
    cells = [[str(row[name]).replace("|", "\\|") for name in _COLUMNS] for row in ranked.to_dicts()]
    lines = [f"| {' | '.join(row)} |" for row in (_COLUMNS, ["---"] * len(_COLUMNS), *cells)]
    return dg.MetadataValue.md("\n".join(lines))
