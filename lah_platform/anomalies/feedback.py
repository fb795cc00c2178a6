"""What people said about earlier anomalies, applied to the next: dismissals lower, maintenance silences.

Frames in, frames out; where dismissals and maintenance are kept is the stores' affair.
"""

from __future__ import annotations

import polars as pl

from lah_platform.anomalies.impact import impact_level

_MUCH_GREATER = 1.5
_HALF = 0.5


def lowered(found: pl.DataFrame, dismissals: pl.DataFrame) -> pl.DataFrame:
    """Episodes with their score halved for each earlier dismissed one of the same series, metric, type and side.

    dismissals: series_id, metric, anomaly_type, started_at, deviation. One that deviates more than 1.5 times as much as
    what was dismissed is something else, and keeps its score. Impact follows the score, and the explanation says so.
    """
    if found.is_empty() or dismissals.is_empty():
        return found
    key = ["series_id", "metric", "anomaly_type"]
    theirs = dismissals.select(*key, pl.col("started_at").alias("was_at"), pl.col("deviation").alias("was"))
    numbered = found.with_row_index("row")
    same = numbered.join(theirs, on=key, how="inner").filter(
        (pl.col("was_at") < pl.col("started_at"))
        & (pl.col("was") * pl.col("deviation") >= 0)
        & (pl.col("deviation").abs() <= _MUCH_GREATER * pl.col("was").abs())
    )
    times = same.group_by("row").agg(pl.len().alias("times"))
    told = numbered.join(times, on="row", how="left", maintain_order="left").with_columns(pl.col("times").fill_null(0))
    score = pl.col("score") * pl.lit(_HALF).pow(pl.col("times"))
    said = pl.format("{} Dismissed before: {}.", pl.col("explanation"), pl.col("times"))
    told = told.with_columns(
        score=score, explanation=pl.when(pl.col("times") > 0).then(said).otherwise(pl.col("explanation"))
    )
    levels = pl.Series("impact", [impact_level(each) for each in told["score"]], dtype=pl.String)
    return told.with_columns(levels).select(found.columns)


def outside_maintenance(found: pl.DataFrame, series: pl.DataFrame, maintenance: pl.DataFrame) -> pl.DataFrame:
    """Episodes that did not begin in maintenance of their series.

    series: series_id, tenant, model; maintenance: tenant ("*": every), model (null: every), starts_at, ends_at, the end
    not included (UTC).
    """
    if found.is_empty() or maintenance.is_empty():
        return found
    numbered = found.with_row_index("row")
    owner = series.select("series_id", "tenant", "model").unique("series_id")
    covered = (
        numbered.select("row", "series_id", "started_at")
        .join(owner, on="series_id", how="left")
        .join(maintenance, how="cross", suffix="_of")
        .filter(
            ((pl.col("tenant_of") == "*") | (pl.col("tenant_of") == pl.col("tenant")))
            & (pl.col("model_of").is_null() | (pl.col("model_of") == pl.col("model")))
            & (pl.col("started_at") >= pl.col("starts_at"))
            & (pl.col("started_at") < pl.col("ends_at"))
        )
        .select("row")
        .unique()
    )
    return numbered.join(covered, on="row", how="anti", maintain_order="left").drop("row")


def told_once(wide: pl.DataFrame, narrow: pl.DataFrame) -> pl.DataFrame:
    """Episodes of two windows of the same series, those of the narrow one that overlap one of the wide left out.

    What an hour shows and a minute too is told by the hour; what only the minutes show stays. A spike within an hour's
    drop is a thing of its own, so only the same metric and side count.
    """
    if wide.is_empty() or narrow.is_empty():
        return pl.concat([wide, narrow]).sort("started_at", "series_id", "metric", "anomaly_type")
    side = pl.col("deviation").sign().alias("side")
    broad = wide.select("series_id", "metric", side, pl.col("started_at").alias("from"), pl.col("ended_at").alias("to"))
    numbered = narrow.with_columns(side).with_row_index("row")
    seen = (
        numbered.join(broad, on=["series_id", "metric", "side"], how="inner")
        .filter((pl.col("started_at") < pl.col("to")) & (pl.col("ended_at") > pl.col("from")))
        .select("row")
        .unique()
    )
    kept = numbered.join(seen, on="row", how="anti", maintain_order="left").drop("row", "side")
    return pl.concat([wide, kept]).sort("started_at", "series_id", "metric", "anomaly_type")
