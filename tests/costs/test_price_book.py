"""The price book: dated, exact, and never two prices for one moment."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings

from lah_platform.costs.price_book import PriceBook, PriceBookError, PriceRow
from tests.costs.strategies import FIRST_DAY, MODELS, instants, price_row, price_rows

HEADER = (
    "model,provider,valid_from,valid_to,input_usd_per_mtok,cache_read_usd_per_mtok,"
    "cache_write_usd_per_mtok,output_usd_per_mtok,source\n"
)


@settings(deadline=None)
@given(price_rows(), instants)
def test_a_lookup_finds_the_one_price_in_force(rows: list[PriceRow], ts: datetime) -> None:
    book = PriceBook(reversed(rows))
    for model in MODELS:
        in_force = [
            r for r in rows if r.model == model and r.valid_from <= ts and (r.valid_to is None or ts < r.valid_to)
        ]
        assert book.at(model, ts) == (in_force[0] if in_force else None)


def test_a_price_starts_at_its_first_microsecond_and_ends_before_its_last_instant() -> None:
    change = datetime(2026, 9, 1, tzinfo=UTC)
    old = price_row("m", FIRST_DAY, change, Decimal(2), Decimal(10))
    new = price_row("m", change, None, Decimal(3), Decimal(15))
    book = PriceBook([new, old])
    assert book.at("m", change - timedelta(microseconds=1)) == old
    assert book.at("m", change) == new
    assert book.at("m", FIRST_DAY - timedelta(microseconds=1)) is None


@pytest.mark.parametrize("valid_to", [None, FIRST_DAY + timedelta(days=2)])
def test_overlapping_prices_of_a_model_are_refused_and_named(valid_to: datetime | None) -> None:
    rows = [
        price_row("gpt-a", FIRST_DAY, valid_to, Decimal(1), Decimal(1)),
        price_row("gpt-a", FIRST_DAY + timedelta(days=1), None, Decimal(2), Decimal(2)),
    ]
    with pytest.raises(PriceBookError, match=r"gpt-a has two prices from 2026-03-02T00:00:00\+00:00"):
        PriceBook(rows)


def test_two_prices_from_the_same_instant_are_refused() -> None:
    end = FIRST_DAY + timedelta(days=1)
    with pytest.raises(PriceBookError, match="two prices"):
        PriceBook([price_row("m", FIRST_DAY, end, Decimal(1), Decimal(1)) for _ in range(2)])


def test_a_cache_price_the_book_does_not_have_is_the_input_price() -> None:
    row = price_row("m", FIRST_DAY, None, Decimal("0.15"), Decimal("0.6"))
    assert (row.cache_read, row.cache_write) == (Decimal("0.15"), Decimal("0.15"))
    free = price_row("m", FIRST_DAY, None, Decimal("0.15"), Decimal("0.6"), Decimal(0), Decimal(0))
    assert (free.cache_read, free.cache_write) == (0, 0)


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "-1", "0.000000001", "1000000", "1e30"])
def test_figures_that_cannot_be_prices_are_refused(figure: str) -> None:
    with pytest.raises(PriceBookError, match="is not a price"):
        price_row("m", FIRST_DAY, None, Decimal(figure), Decimal(1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"valid_from": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001 - that is the point
        ({"valid_to": FIRST_DAY}, "is not before"),
        ({"model": ""}, "has no model"),
    ],
)
def test_rows_that_make_no_sense_are_refused(change: dict[str, Any], reason: str) -> None:
    good = {
        "model": "m",
        "provider": "p",
        "valid_from": FIRST_DAY,
        "valid_to": None,
        "input_usd_per_mtok": Decimal(1),
        "cache_read_usd_per_mtok": None,
        "cache_write_usd_per_mtok": None,
        "output_usd_per_mtok": Decimal(1),
        "source": "s",
    }
    PriceRow(**good)
    with pytest.raises(PriceBookError, match=reason):
        PriceRow(**(good | change))


def test_figures_of_a_csv_are_read_to_the_last_digit() -> None:
    line = "m,p,2026-01-01T00:00:00Z,,0.15,,0.1875,0.60000001,list price\n"
    book = PriceBook.read_csv([HEADER, line])
    assert book.rows == (
        PriceRow(
            model="m",
            provider="p",
            valid_from=datetime(2026, 1, 1, tzinfo=UTC),
            valid_to=None,
            input_usd_per_mtok=Decimal("0.15"),
            cache_read_usd_per_mtok=None,
            cache_write_usd_per_mtok=Decimal("0.1875"),
            output_usd_per_mtok=Decimal("0.60000001"),
            source="list price",
        ),
    )


@pytest.mark.parametrize(
    "line", ["m,p,yesterday,,1,,,1,s\n", "m,p,2026-01-01T00:00:00Z,,one,,,1,s\n", "m,p,2026-01-01T00:00:00Z,,,,,1,s\n"]
)
def test_a_csv_line_that_cannot_be_read_is_named(line: str) -> None:
    with pytest.raises(PriceBookError, match="Line 2"):
        PriceBook.read_csv([HEADER, line])


def test_the_shipped_book_is_consistent_and_says_where_its_figures_come_from() -> None:
    book = PriceBook.shipped()
    assert book.rows
    assert all(row.source and row.provider for row in book.rows)
