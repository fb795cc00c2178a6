"""The models of the replay and the price book that comes with the hub."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lah_platform.costs.price_book import PriceBook, PriceRow
from lah_platform.replay.models import MODELS, price_history, usd

BOOK = PriceBook.shipped()
# hypothesis takes naive bounds and adds the zone
ANY_INSTANT = st.datetimes(datetime(2019, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
CHANGES = sorted({at for row in BOOK.rows for at in (row.valid_from, row.valid_to) if at is not None})
INSTANTS = ANY_INSTANT | st.builds(
    lambda at, s: at + timedelta(seconds=s), st.sampled_from(CHANGES), st.integers(-1, 1)
)
UNPRICED = {"m-small", "m-large"}  # anonymous in ServeGen: nobody publishes their price


def test_every_named_model_has_a_price_now_and_before_any_trace() -> None:
    for model in set(MODELS.values()) - UNPRICED:
        for year in (2023, 2026):
            assert BOOK.at(model, datetime(year, 1, 1, tzinfo=UTC)) is not None, model


def test_some_model_changed_its_price_and_both_are_in_the_book() -> None:
    before, after = (BOOK.at("claude-sonnet-5", datetime(2026, month, 1, tzinfo=UTC)) for month in (8, 9))
    assert before is not None
    assert after is not None
    assert before.input_usd_per_mtok < after.input_usd_per_mtok


@given(
    row=st.sampled_from(BOOK.rows),
    at=INSTANTS,
    tokens=st.tuples(*[st.integers(0, 200_000)] * 3),
    output=st.integers(0, 10_000),
)
def test_the_replay_charges_the_books_price_of_the_instant_exactly(
    row: PriceRow, at: datetime, tokens: tuple[int, int, int], output: int
) -> None:
    at = at.replace(microsecond=0)
    expected = BOOK.at(row.model, at)
    price = price_history(row.model).at(int(at.timestamp()) * 1_000_000)
    if expected is None:
        assert price is None
        return
    assert price is not None
    fresh, read, write = tokens
    cost = (
        fresh * expected.input_usd_per_mtok
        + read * expected.cache_read
        + write * expected.cache_write
        + output * expected.output_usd_per_mtok
    ) / 10**6
    assert usd(price.cost(fresh + read + write, output, read, write)) == cost


def test_the_books_figures_are_the_published_list_prices(traces: Path) -> None:
    genai = {
        (provider["id"], model["id"]): model["prices"]
        for provider in _read(traces / "prices/genai_prices_v2.json.gz")
        for model in provider["models"]
    }
    litellm = _read(traces / "prices/litellm_model_prices.json.gz")
    names = {"deepseek-r1": "deepseek/deepseek-r1"} | {
        f"llama-2-{size}-chat": f"anyscale/meta-llama/Llama-2-{size}-chat-hf" for size in ("7b", "13b", "70b")
    }
    for row in BOOK.rows:
        published = genai.get((row.provider, row.model))
        if published is not None:
            figures = _figures_at(published, row.valid_from)
            keys = ("input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok")
            expected = [figures.get(key) for key in keys]
        else:
            per_token = litellm[names[row.model]]
            keys = (
                "input_cost_per_token",
                "cache_read_input_token_cost",
                "cache_creation_input_token_cost",
                "output_cost_per_token",
            )
            expected = [None if per_token.get(key) is None else Decimal(str(per_token[key])) * 10**6 for key in keys]
        stated = [
            row.input_usd_per_mtok,
            row.cache_read_usd_per_mtok,
            row.cache_write_usd_per_mtok,
            row.output_usd_per_mtok,
        ]
        assert stated == [None if figure is None else Decimal(str(figure)) for figure in expected], row.model


def _figures_at(published: Any, at: datetime) -> Any:
    """genai-prices lists prices in order; the last whose start has passed holds."""
    if isinstance(published, dict):
        return published
    day = at.date().isoformat()
    return [entry["prices"] for entry in published if entry.get("constraint", {}).get("start_date", "") <= day][-1]


def _read(path: Path) -> Any:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return json.load(lines)
