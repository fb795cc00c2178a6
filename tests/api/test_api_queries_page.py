"""docs/queries.md: its questions are asked as they stand, and answered as a recount by hand says."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from api_support import NOW, Api

from api.formats import FORMATS
from lah_platform.events.examples import flat_example
from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.postgres import connect
from lah_platform.stores.rollups import tick
from lah_platform.timeseries.fields import FUNCTIONS
from lah_platform.timeseries.filters import DIMENSIONS
from lah_platform.timeseries.query import FILLS

_PAGE = (PROJECT_ROOT / "docs" / "queries.md").read_text(encoding="utf-8")
_QUESTIONS = {
    question: json.loads(body) for question, body in re.findall(r"^- (.+\?) `(\{.+\})`$", _PAGE, re.MULTILINE)
}
_FIRST = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)


def _events() -> Iterator[dict[str, Any]]:
    """Forty requests, six minutes apart but for a gap of an hour, each with its latency, tokens and cost."""
    for number in range(40):
        if 10 <= number < 20:
            continue
        for subtype in ("latency", "token_usage", "token_cost"):
            event = flat_example(subtype, (_FIRST + timedelta(minutes=6 * number)).isoformat())
            event["event_id"] = f"00000000-0000-4000-8000-{number:06d}{len(subtype):06d}"
            event["tags"]["team"] = "ops" if number % 3 else "search"
            event["source_module"] = "llm-costops" if subtype == "token_cost" else "llm-observatory"
            data = event["payload"]["data"]
            data["model_id"] = "gpt-4o" if number % 2 else "claude-4"
            if subtype == "latency":
                data["total_latency_ms"] = 100.0 + number
            yield event


@pytest.fixture
def answers(api: Api) -> dict[str, Any]:
    """The answer of each question of the page."""
    sent = api.client("acme", "ingest").post("/api/v1/events/batch", json=list(_events()))
    assert sent.json()["rejected"] == 0
    with connect(api.url) as connection:
        tick(connection, now=NOW)
    client = api.client("acme", "viewer")
    found = {}
    for question, body in _QUESTIONS.items():
        answer = client.post("/api/v1/timeseries/query", json=body)
        assert answer.status_code == 200, (question, answer.text)
        assert answer.json()["items"], question
        found[question] = answer.json()
    return found


def test_the_questions_of_the_page_are_asked_as_they_stand_and_answered_right(answers: dict[str, Any]) -> None:
    assert len(answers) == 10
    spend, by_week, slowest, ten_minutes, rate, tokens, producers, spread, line, busiest = answers.values()
    each_cost = Decimal(str(flat_example("token_cost")["payload"]["data"]["total_cost_usd"]))
    numbers = [number for number in range(40) if not 10 <= number < 20]
    ops = sum(1 for number in numbers if number % 3)
    assert [(row["team"], Decimal(row["sum"])) for row in spend["items"]] == [
        ("ops", ops * each_cost),
        ("search", (30 - ops) * each_cost),
    ]
    assert [each["window"] for each in spend["read"]] == ["1M"]
    assert (len(by_week["items"]), [each["window"] for each in by_week["read"]]) == (8, ["1w"])
    assert sum(row["count"] for row in by_week["items"]) == 30
    assert [row["model"] for row in slowest["items"]] == ["gpt-4o", "claude-4"]
    assert sum(row["count"] for row in slowest["items"]) == 30
    assert [each["window"] for each in ten_minutes["read"]] == ["5m"]
    assert (len(rate["items"]), sum(row["rate"] for row in rate["items"])) == (16, pytest.approx(30 / 900))
    assert {row["model"] for row in tokens["items"]} == {"gpt-4o", "claude-4"}
    assert [(row["source_module"], row["sum"]) for row in producers["items"]] == [
        ("llm-costops", "30"),
        ("llm-observatory", "60"),
    ]
    (all_of_them,) = spread["items"]
    assert all_of_them["mean"] == pytest.approx(sum(100 + number for number in numbers) / 30)
    assert (all_of_them["min"], all_of_them["max"]) == (100.0, 139.0)
    assert [row["is_filled"] for row in line["items"]] == [False, False, True, True, False, False, False, False]
    assert [row["count"] for row in busiest["items"]] == [3] * 5
    assert {each["window"] for each in busiest["read"]} == {"1m"}


def test_the_page_names_every_format_field_dimension_and_fill() -> None:
    for name in (*(each.media_type for each in FORMATS), *FUNCTIONS[:-1], *DIMENSIONS, *FILLS):
        assert f"`{name}`" in _PAGE, name
