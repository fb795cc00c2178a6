"""A time-series query and its answer on the wire. What may be asked is checked by `lah_platform/timeseries/query.py`.

The conventions are those of `api/models.py`.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from api.parameters import Instant
from lah_platform.rollups.metrics import METRICS
from lah_platform.timeseries.fields import FUNCTIONS
from lah_platform.timeseries.filters import DIMENSIONS
from lah_platform.timeseries.query import FILLS, MOST_ROWS

__all__ = ["TimeseriesAnswer", "TimeseriesQuery"]

_DIMENSIONS = f"{', '.join(DIMENSIONS)}, or tags.<name>"


class TimeseriesFilter(BaseModel):
    """Which series: `dimension` is `operator` of `value`."""

    model_config = ConfigDict(extra="forbid")

    dimension: StrictStr = Field(description=f"{_DIMENSIONS}.")
    operator: Literal["equals", "in", "not", "regex"] = Field(
        "equals",
        description="`in` and `not` also take lists. `regex` finds anywhere in the text: anchor it with ^ and $.",
    )
    value: StrictStr | list[StrictStr] = Field(description="Empty: series without that dimension.")


class TimeseriesQuery(BaseModel):
    """What is asked of one metric."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    metric: StrictStr = Field(description="What is measured.", json_schema_extra={"enum": [m.name for m in METRICS]})
    from_: Instant = Field(alias="from", description="Start, included: RFC 3339, a whole minute.")
    to: Instant = Field(description="End, excluded: RFC 3339, a whole minute.")
    fields: list[StrictStr] = Field(
        description=f"Aggregations of all values of a bucket and group: {', '.join(FUNCTIONS)}, any p0 to p100. `rate`"
        " is per second: of a counter its sum, of other kinds the number of values.",
        min_length=1,
    )
    window: StrictStr | None = Field(
        None, description="Size of bucket, such as 5m, 90m, 6h, 1d, 2w, 1M. Left out: the range is one bucket."
    )
    filters: list[TimeseriesFilter] = Field([], description="All must hold.")
    group_by: list[StrictStr] = Field([], description=f"Dimensions: {_DIMENSIONS}.")
    fill: StrictStr | StrictInt | StrictFloat | None = Field(
        "none", description=f"What stands in buckets without values: {', '.join(FILLS)}, or a number."
    )
    order: list[StrictStr] = Field(
        ["time"], description="`time`, fields or dimensions, each descending with `-` in front."
    )
    limit: StrictInt = Field(
        1000, description="Rows in the answer.", json_schema_extra={"minimum": 1, "maximum": MOST_ROWS}
    )
    offset: StrictInt = Field(0, description="Rows to leave out first.", json_schema_extra={"minimum": 0})
    cursor: StrictStr | None = Field(None, max_length=8192, description="`next_cursor` of the answer before.")


class TimeseriesRow(BaseModel):
    """One bucket of one group, with its dimensions and fields beside these."""

    model_config = ConfigDict(extra="allow")

    bucket_start: datetime
    bucket_end: datetime
    is_final: StrictBool = Field(description="Whether the watermark has passed what the bucket holds.")
    is_filled: StrictBool = Field(description="Whether it has no values, and `fill` made the row.")
    revision: int | None = Field(description="The newest revision among the rows it was made of.")
    computed_at: datetime | None = Field(description="The newest of theirs.")


class FieldUnit(BaseModel):
    """A field, and what it is measured in."""

    name: str
    unit: str


class ReadSegment(BaseModel):
    """A part of the range, and the stored window whose rows answered it."""

    model_config = ConfigDict(populate_by_name=True)

    window: str
    from_: datetime = Field(alias="from")
    to: datetime


class TimeseriesAnswer(BaseModel):
    """Rows, and what they were made from."""

    model_config = ConfigDict(populate_by_name=True)

    items: list[TimeseriesRow]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null: this was the last.")
    metric: str
    kind: str = Field(description="counter, gauge, histogram or summary.")
    fields: list[FieldUnit]
    window: str | None
    from_: datetime = Field(alias="from")
    to: datetime
    read: list[ReadSegment] = Field(description="The stored windows that were read, the coarsest that are exact.")
    stored_rows: int = Field(description="How many rollup rows the whole answer was made from.")
    revision: int | None = Field(description="The newest revision among those rows.")
    computed_at: datetime | None = Field(description="When the newest of those rows was computed.")
    is_final: bool = Field(description="Whether the watermark has passed the end of the range.")
    is_suspect: bool = Field(description="Whether windows it was made of failed a check: see `/api/v1/suspects`.")
