"""cost_impact with what requests used: a lost cache, a model change and more traffic are told apart, and cost is shared
out to the last micro-USD."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from lah_platform.correlations import Correlation, CorrelationConfig, CorrelationInputs, correlate
from lah_platform.correlations.cost_parts import PARTS

from .inputs import ANOMALIES, HOUR, MONDAY, anomaly, inputs, series

DAY = timedelta(days=1)
BEGIN = MONDAY + 9 * DAY + 10 * HOUR  # the second Wednesday, ten o'clock
ODD = (BEGIN, BEGIN + 3 * HOUR)
HOUR_OF_ODD = 9 * 24 + 10
PRICES = {"fresh_price": "0.000003", "cache_read_price": "0.0000003", "cache_write_price": "0.000003"}
Change = Callable[[dict[str, object]], dict[str, object]]


def same(row: dict[str, object]) -> dict[str, object]:
    return row


def usage(change: Change = same, *, has_prices: bool = True, first: datetime = MONDAY) -> pl.DataFrame:
    """Fifteen days of two models of one service by the hour, busier on working days; `change` is what is odd."""
    rows = []
    for hour in range(15 * 24):
        at = first + hour * HOUR
        for model, unit in (("gpt-4", 1), ("haiku", 10)):
            requests = 1000 if at.weekday() < 5 else 100
            row = {"requests": requests, "fresh": 500, "read": 1500, "output": 300, "rate": Decimal(1) / unit}
            row |= {"at": at, "service": "chat", "model": model, "failed_requests": 0}
            rows.append(charged(change(row) if ODD[0] <= at < ODD[1] else row, has_prices=has_prices))
    return pl.DataFrame(rows).with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")))


def charged(row: dict[str, object], *, has_prices: bool) -> dict[str, object]:
    requests, fresh, read, output = (int(str(row[name])) for name in ("requests", "fresh", "read", "output"))
    usd = requests * (fresh * Decimal(30) + read * Decimal(3) + output * Decimal(150)) * Decimal(str(row["rate"]))
    prices = {**PRICES, "output_price": "0.000015"} if has_prices else dict.fromkeys([*PRICES, "output_price"])
    return {
        **{name: row[name] for name in ("at", "service", "model", "requests", "failed_requests")},
        "fresh_tokens": requests * fresh,
        "cache_read_tokens": requests * read,
        "cache_write_tokens": 0,
        "output_tokens": requests * output,
        "usd": str(usd / 10_000_000),
        **prices,
    }


def told(
    frame: pl.DataFrame, *others: tuple[object, ...], config: CorrelationConfig | None = None, deviation: float = 8.0
) -> tuple[list[Correlation], list[tuple[datetime, datetime]]]:
    asked: list[tuple[datetime, datetime]] = []

    def read(tenant: str, spans: Sequence[tuple[datetime, datetime]]) -> pl.DataFrame:
        assert tenant == "acme"
        asked.extend(spans)
        return frame.filter(pl.any_horizontal(pl.col("at").is_between(a, b, "left") for a, b in spans))

    given = inputs(anomalies=[anomaly("cost_usd", HOUR_OF_ODD, 3, deviation=deviation), *others])
    frames = (given.events, given.anomalies, given.points, given.covered_from, given.covered_to)
    report = correlate(CorrelationInputs(*frames, usage=read), config or CorrelationConfig())
    return [c for c in report if c.correlation_type == "cost_impact"], asked


def lost_cache(row: dict[str, object]) -> dict[str, object]:
    return row | ({"fresh": 2000, "read": 0} if row["model"] == "gpt-4" else {})


def moved(row: dict[str, object]) -> dict[str, object]:
    return row | {"requests": 1800 if row["model"] == "gpt-4" else 200}


def doubled_price(row: dict[str, object]) -> dict[str, object]:
    return row | ({"rate": Decimal(2)} if row["model"] == "gpt-4" else {})


def more_requests(row: dict[str, object]) -> dict[str, object]:
    return row | {"requests": 1800}


def retried(row: dict[str, object]) -> dict[str, object]:
    return row | {"requests": 1800, "failed_requests": 900}


@pytest.mark.parametrize(
    ("cause", "change"),
    [
        ("cache", lost_cache),
        ("model", moved),
        ("price", doubled_price),
        ("volume", more_requests),
        ("retry", retried),
        ("answer", lambda row: row | {"output": 900}),
        ("prompt", lambda row: row | {"fresh": 1000, "read": 3000}),
    ],
)
def test_what_a_cost_is_for_is_named_and_the_parts_are_all_of_it(cause: str, change: Change) -> None:
    ((impact,), _) = told(usage(change), anomaly("input_tokens", HOUR_OF_ODD, 3, series_id=2))
    evidence = impact.evidence
    assert evidence["main_cause"] == cause
    parts = sum((Decimal(str(evidence[name])) for name in PARTS), Decimal(0))
    assert parts == Decimal(str(evidence["cost_usd"])) > 0
    assert evidence[f"{cause}_usd"] == pytest.approx(float(evidence["cost_usd"] or 0), rel=1e-5)
    assert f"{evidence[f'{cause}_usd']:.2f} USD of it for" in impact.explanation
    assert evidence["drivers"] == "input_tokens"


def test_a_lost_cache_alone_is_told_with_the_shares_it_fell_between() -> None:
    ((impact,), _) = told(usage(lost_cache))
    assert (impact.evidence["cache_read_share"], impact.evidence["usual_cache_read_share"]) == (0.0, 0.75)
    assert [(m.role, m.member_type) for m in impact.members] == [("effect", "anomaly"), ("related", "series")]
    assert "cost_usd of gpt-4 rose, 12.15 USD over the usual, 12.15 USD of it for another share" in impact.explanation
    assert impact.confidence == pytest.approx(1.0)


def test_what_moved_away_is_what_it_had_cost_there() -> None:
    ((impact,), _) = told(usage(moved))
    one_request = Decimal("0.0064500")  # of gpt-4; a tenth of that of haiku
    assert impact.evidence["model_usd"] == float(3 * 800 * one_request)
    assert impact.evidence["elsewhere_usd"] == float(-3 * 80 * one_request)


def test_slow_answers_before_more_requests_are_what_the_requests_are_for() -> None:
    slow, busy = (
        anomaly("latency_ms", HOUR_OF_ODD - 0.1, 3, series_id=2),
        anomaly("events", HOUR_OF_ODD, 3, series_id=3),
    )
    ((impact,), _) = told(usage(more_requests), slow, busy)
    assert impact.evidence["main_cause"] == "latency"
    late = anomaly("latency_ms", HOUR_OF_ODD + 0.1, 2, series_id=2)
    ((impact,), _) = told(usage(more_requests), late, busy)
    assert impact.evidence["main_cause"] == "volume"


def test_working_days_are_set_against_working_days_of_two_weeks_and_odd_ones_are_left_out() -> None:
    earlier = anomaly("cost_usd", HOUR_OF_ODD - 24 - 3, 8)
    _, asked = told(usage(lost_cache), earlier)
    of_episode = [span for span in asked if span[1] - span[0] == 3 * HOUR]
    assert of_episode[0] == ODD
    assert {start.weekday() for start, _ in of_episode[1:]} <= set(range(5))
    assert {start.hour for start, _ in of_episode[1:]} == {10}
    assert BEGIN - DAY not in {start for start, _ in of_episode}
    assert len(of_episode) == 1 + 9


def test_without_prices_the_cache_is_not_told_from_the_price_and_that_is_said() -> None:
    ((impact,), _) = told(usage(lost_cache, has_prices=False))
    assert (impact.evidence["main_cause"], impact.evidence["cache_usd"]) == ("price", 0.0)
    assert "price_usd" in str(impact.evidence["prices"])


def test_a_cost_that_the_requests_do_not_show_is_told_by_its_company_only() -> None:
    assert told(usage()) == ([], told(usage())[1])
    assert told(usage(lost_cache), deviation=-8.0)[0] == []
    nothing = usage().clear()
    assert told(nothing)[0] == []
    ((impact,), _) = told(nothing, anomaly("input_tokens", HOUR_OF_ODD, 3, series_id=2))
    assert "cost_usd" not in impact.evidence


def test_no_more_episodes_are_read_than_stated_and_none_that_lasts_longer_than_a_day() -> None:
    many = [anomaly("cost_usd", hour, 1) for hour in range(0, 300, 10)]
    _, asked = told(usage(lost_cache), *many, config=CorrelationConfig(max_parted_costs=2))
    assert len({a for a, b in asked if b - a == HOUR}) <= 2 * 11
    _, asked = told(usage(), anomaly("cost_usd", HOUR_OF_ODD, 30), config=CorrelationConfig(max_parted_costs=9))
    assert all(b - a <= DAY for a, b in asked)


def test_the_rollups_part_a_cost_that_requests_cannot_into_what_adds_up() -> None:
    tokens = [1000.0 + hour % 7 for hour in range(24 * 14)]
    cost = [0.001 * each for each in tokens]
    tokens[230], cost[230] = 1500.0 / 7, 1.0 / 3
    points = series(cost, 1, "cost_usd", model="gpt-4") + series(tokens, 2, "total_tokens", model="gpt-4")
    rows = [anomaly("cost_usd", 230, 1), anomaly("failed_requests", 230, 1, series_id=3)]
    (impact,) = (c for c in correlate(inputs(anomalies=rows, points=points)) if c.correlation_type == "cost_impact")
    usd, volume, rate = (Decimal(str(impact.evidence[name])) for name in ("cost_usd", "volume_usd", "rate_usd"))
    assert usd == volume + rate


def test_episodes_of_no_model_or_none_at_all_cost_nothing() -> None:
    frame = pl.DataFrame([anomaly("cost_usd", HOUR_OF_ODD, 3, model="")], schema=ANOMALIES, orient="row")
    given = inputs()
    report = correlate(CorrelationInputs(given.events, frame, given.points, usage=lambda *_: usage()))
    assert len(report) == 0
