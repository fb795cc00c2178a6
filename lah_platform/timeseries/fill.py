"""What stands in buckets without values: a row for each group and bucket of the range, and how its fields are made.

Linear is by time between the values beside a gap, and like previous says nothing where there is no value to go by. What
is made for a count is rounded to a whole number, for an exact sum to its twelfth place.
"""

from decimal import Decimal

import numpy as np
import polars as pl

from lah_platform.timeseries.query import MOST_CELLS, Query
from lah_platform.timeseries.refusal import QueryError

__all__ = ["filled"]


def filled(frame: pl.DataFrame, query: Query) -> pl.DataFrame:
    """`frame` (group, bucket_start in µs, the fields, is_filled and more) with a row for every bucket of its groups.

    Without `group_by` there is one group even when there are no values. QueryError past MOST_CELLS rows.
    """
    if query.fill.name == "none":
        return frame
    groups = frame.select("group").unique() if query.group_by else pl.DataFrame({"group": [0]})
    buckets = query.bucket.count(query.from_us, query.to_us)
    if buckets * groups.height > MOST_CELLS:
        raise QueryError(
            "fill",
            f"{groups.height} groups of {buckets} buckets are more than {MOST_CELLS} rows",
            "Ask for a longer window, a shorter range or fewer groups, or leave `fill` out",
        )
    starts = pl.DataFrame({"bucket_start": query.bucket.starts_us(query.from_us, query.to_us).astype(np.int64)})
    grid = groups.join(starts, how="cross").join(frame, on=["group", "bucket_start"], how="left")
    return (
        grid.sort("group", "bucket_start")
        .with_columns(pl.col("is_filled").fill_null(value=True))
        .with_columns(
            pl.when("is_filled")
            .then(_made(field.name, frame.schema[field.name], query))
            .otherwise(field.name)
            .alias(field.name)
            for field in query.fields
        )
    )


def _made(name: str, dtype: pl.DataType, query: Query) -> pl.Expr:
    column = pl.col(name)
    match query.fill.name:
        case "zero":
            return pl.lit(0).cast(dtype)
        case "constant":
            constant = query.fill.constant
            return pl.lit(Decimal(repr(constant)) if isinstance(dtype, pl.Decimal) else constant, dtype)
        case "previous":
            return column.forward_fill().over("group")
        case "linear":
            line = column.cast(pl.Float64).interpolate_by("bucket_start").over("group")
            return (line.round(mode="half_to_even") if dtype == pl.Int64 else line).cast(dtype)
        case _:
            return pl.lit(None, dtype)
