"""How parts of groups become one aggregate per group; a single value is the smallest part.

Belongs here: the arithmetic of merging whole frames, and its rounding. Which rows make a group is in `aggregate`.
"""

import polars as pl

from lah_platform.rollups.histogram import KEY_SPAN

__all__ = ["combine"]


def combine(parts: pl.DataFrame, buckets: pl.DataFrame) -> pl.DataFrame:
    """One row per group, sorted by group.

    `parts`: group, count, sum (null for exact metrics), sum_exact (null for float metrics), min, max, mean, m2.
    `buckets`: group, key, count of the parts' histograms. Result: the columns of `parts`, hist_keys, hist_counts.
    ValueError when a group has parts with and without an exact sum.
    """
    moments = _moments(parts).sort("group")
    lists = _histograms(buckets)
    return moments.join(lists, on="group", how="left", maintain_order="left")


def _moments(parts: pl.DataFrame) -> pl.DataFrame:
    """Counts, sums, extremes, means and squared deviations.

    The pairwise update of Chan, Golub and LeVeque (1979, STAN-CS-79-773), for all parts of a group at once: squared
    deviations are taken about the group's own mean in a second pass, so 1e9 + noise keeps its noise.
    """
    count, mean, is_float = pl.col("count"), pl.col("mean"), pl.col("float_parts") > 0
    totals = parts.group_by("group").agg(
        count.sum(),
        pl.col("sum").sum(),
        pl.col("sum_exact").sum(),
        pl.col("min").min(),
        pl.col("max").max(),
        parts=pl.len(),
        float_parts=pl.col("sum").count(),
        centre=(mean * count).sum() / count.sum(),
    )
    if totals.filter(is_float & (pl.col("float_parts") < pl.col("parts"))).height:
        raise ValueError("a metric has exact and rounded sums in one bucket: recompute the bucket from its events")
    # a mean rounded past the extremes would give constants a deviation
    totals = totals.with_columns(pl.col("centre").clip(pl.col("min"), pl.col("max")))
    deviation = mean - pl.col("centre")
    squares = (
        parts.join(totals.select("group", "centre"), on="group", how="left")
        .group_by("group")
        .agg(m2=(deviation * deviation * count + pl.col("m2")).sum())
    )
    return totals.join(squares, on="group").select(
        "group",
        "count",
        pl.when(is_float).then("sum").alias("sum"),
        pl.when(~is_float).then("sum_exact").alias("sum_exact"),
        "min",
        "max",
        mean="centre",
        m2="m2",
    )


def _histograms(buckets: pl.DataFrame) -> pl.DataFrame:
    # group and key share one integer, which hashes twice as fast as two columns
    packed = (pl.col("group") * KEY_SPAN + pl.col("key") + KEY_SPAN // 2).alias("packed")
    merged = buckets.select(packed, "count").group_by("packed").agg(pl.col("count").sum()).sort("packed")
    return (
        merged.select(
            group=pl.col("packed") // KEY_SPAN,
            key=(pl.col("packed") % KEY_SPAN - KEY_SPAN // 2).cast(pl.Int32),
            count="count",
        )
        .group_by("group", maintain_order=True)
        .agg(hist_keys="key", hist_counts="count")
    )
