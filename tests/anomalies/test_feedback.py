"""What people said changes what is told next, and no more than that."""

from datetime import timedelta

import polars as pl
import pytest

from lah_platform.anomalies import ANOMALY_SCHEMA
from lah_platform.anomalies.feedback import lowered, outside_maintenance, told_once

from .points import HOUR, MONDAY

MINUTE = timedelta(minutes=1)


def episode(
    hour: float = 0.0,
    *,
    series: int = 1,
    metric: str = "latency_ms",
    kind: str = "spike",
    deviation: float = 9.0,
    lasting: timedelta = HOUR,
    window: str = "1h",
) -> tuple[object, ...]:
    at = MONDAY + hour * HOUR
    return (series, metric, window, kind, "mad", at, at, at + lasting, 0.8, 5.0, 9.0, deviation, "critical", "It rose.")


def frame(*rows: tuple[object, ...]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=ANOMALY_SCHEMA, orient="row")


def dismissed(*rows: tuple[object, ...]) -> pl.DataFrame:
    return frame(*rows).select("series_id", "metric", "anomaly_type", "started_at", "deviation")


def test_each_dismissal_halves_the_next_of_its_kind_and_says_so() -> None:
    (row,) = lowered(frame(episode(9)), dismissed(episode(1), episode(2))).rows(named=True)
    assert row["score"] == pytest.approx(0.2)
    assert row["impact"] == "low"
    assert row["explanation"] == "It rose. Dismissed before: 2."


@pytest.mark.parametrize(
    "other",
    [
        episode(9, series=2),
        episode(9, metric="ttft_ms"),
        episode(9, kind="drop", deviation=-9.0),
        episode(9, deviation=20.0),
        episode(9, deviation=-9.0),
        episode(1),
    ],
    ids=["series", "metric", "type", "far greater", "other side", "before it"],
)
def test_what_is_something_else_keeps_its_score(other: tuple[object, ...]) -> None:
    told = lowered(frame(other), dismissed(episode(1)))
    assert told.rows() == frame(other).rows()


def test_without_feedback_nothing_changes() -> None:
    some = frame(episode(1), episode(2))
    assert lowered(some, dismissed()).rows() == some.rows()
    assert lowered(frame(), dismissed(episode(1))).is_empty()
    assert lowered(some, dismissed(episode(9))).schema == pl.Schema(ANOMALY_SCHEMA)


OWNERS = pl.DataFrame({"series_id": [1, 2], "tenant": ["acme", "other"], "model": ["gpt-4", None]})


def maintenance(tenant: str, model: str | None, first: int, last: int) -> pl.DataFrame:
    times = {"starts_at": [MONDAY + first * HOUR], "ends_at": [MONDAY + last * HOUR]}
    named = pl.DataFrame({"tenant": [tenant], "model": [model], **times}, schema_overrides={"model": pl.String})
    return named.cast({"starts_at": pl.Datetime("us", "UTC"), "ends_at": pl.Datetime("us", "UTC")})


@pytest.mark.parametrize(
    ("tenant", "model", "silenced"),
    [("*", None, {1, 2}), ("acme", None, {1}), ("*", "gpt-4", {1}), ("other", "gpt-4", set()), ("third", None, set())],
)
def test_maintenance_silences_what_begins_in_it(tenant: str, model: str | None, silenced: set[int]) -> None:
    told = frame(*[episode(h, series=s) for s in (1, 2) for h in (1, 2, 3, 4)])
    kept = outside_maintenance(told, OWNERS, maintenance(tenant, model, 2, 4)).select("series_id", "started_at").rows()
    gone = {(s, MONDAY + h * HOUR) for s in silenced for h in (2, 3)}
    assert set(kept) == set(told.select("series_id", "started_at").rows()) - gone


def test_a_minute_within_an_hour_that_is_told_is_not_told_again_and_what_hours_hide_is() -> None:
    hours = frame(episode(2))
    within, before = episode(2.5, lasting=MINUTE, window="1m"), episode(1.9, lasting=MINUTE, window="1m")
    fell = episode(2.5, lasting=MINUTE, window="1m", kind="drop", deviation=-9.0)
    other = episode(2.5, lasting=MINUTE, window="1m", metric="ttft_ms")
    told = told_once(hours, frame(within, before, fell, other))
    assert set(told.rows()) == {episode(2), before, fell, other}
    assert told_once(frame(), frame(within)).rows() == [within]
    assert told_once(hours, frame()).rows() == hours.rows()
