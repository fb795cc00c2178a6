"""From drafted events to what the hub tells of them, without a database: contract, rollups, detectors."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl

from assets.signals import MEASURES
from lah_platform.anomalies.detect import detect
from lah_platform.events.decode import decode
from lah_platform.landing.batch import prepare
from lah_platform.landing.kinds import kinds, partials
from lah_platform.landing.records import Partition, Record
from lah_platform.landing.shapes import Shape
from lah_platform.replay.wire import Draft, encode
from lah_platform.rollups.aggregate import with_measures
from lah_platform.rollups.combine import roll_up

_PARTITION = Partition("t", "one", 0)
_HOUR = timedelta(hours=1)


def told_of(drafts: Sequence[Draft], now: datetime) -> pl.DataFrame:
    """Episodes by the hour as `anomalies.detect` tells them, with tenant and service of their series."""
    points, owners = _points(drafts, now)
    until = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return detect(points, window="1h", step=_HOUR, until=until).join(owners, on="series_id", maintain_order="left")


def _points(drafts: Sequence[Draft], now: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    records = [Record(_PARTITION, place, None, encode(each)) for place, each in enumerate(drafts)]
    batch = prepare(records, {_PARTITION: 0}, decoder=lambda value, at: decode(value or b"", now=at), received_at=now)
    assert not batch.rejections
    # several shapes (severities) may be one series
    shapes: list[Shape] = [shape for kind in kinds(batch.events) for shape in kind.events.shapes]
    names = sorted({shape.series for shape in shapes})
    ids = {key: number for number, key in enumerate(names, 1)}
    minutes = partials(kinds(batch.events), {shape: ids[shape.series] for shape in shapes})
    hours = with_measures(roll_up(minutes)["1h"].frame())
    exact = pl.coalesce(pl.col("sum_exact").cast(pl.Float64), pl.col("sum"))
    value = pl.coalesce(
        pl.when(pl.col("metric") == metric).then(exact if measure == "sum" else pl.col(measure).cast(pl.Float64))
        for metric, measure in MEASURES.items()
    )
    points = hours.filter(pl.col("metric").is_in(list(MEASURES))).with_columns(value=value)
    owners = pl.DataFrame(
        [(number, key.tenant, key.service) for key, number in ids.items()],
        schema={"series_id": pl.Int64, "tenant": pl.String, "service": pl.String},
        orient="row",
    )
    return points, owners
