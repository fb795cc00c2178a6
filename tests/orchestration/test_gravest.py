"""Whoever opens a run of the anomalies sees its gravest episodes, the gravest first."""

from datetime import UTC, datetime

import polars as pl

from assets.gravest import gravest
from lah_platform.anomalies import ANOMALY_SCHEMA

AT = datetime(2026, 3, 2, tzinfo=UTC)


def told(*scores: int) -> pl.DataFrame:
    columns = {name: kind for name, kind in ANOMALY_SCHEMA.items()}
    rows = [
        dict.fromkeys(columns)
        | {"series_id": place, "metric": "latency_ms", "started_at": AT, "ended_at": AT, "anomaly_type": "spike"}
        | {"impact": "high", "score": score / 100, "explanation": f"a|b {score}"}
        for place, score in enumerate(scores)
    ]
    return pl.DataFrame(rows, schema=columns)


def test_the_ten_of_highest_score_are_shown_in_order_and_no_text_breaks_the_table() -> None:
    shown = str(gravest(told(50, 99, 70, 10, 20, 30, 40, 60, 80, 90, 95, 5)).value)
    head, rule, *lines = shown.splitlines()
    assert [line.split()[-2] for line in lines] == ["99", "95", "90", "80", "70", "60", "50", "40", "30", "20"]
    assert {line.replace("\\|", "").count("|") for line in (head, rule, *lines)} == {6}


def test_where_nothing_was_told_the_table_is_empty() -> None:
    assert len(str(gravest(told()).value).splitlines()) == 2
