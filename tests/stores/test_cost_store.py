"""cost_daily on the real database: equal to the naive oracle, replaced whole days at a time, never counted twice."""

import random
import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from lah_platform.costs.price_book import PriceBook, PriceBookError
from lah_platform.stores.costs import compute_cost_daily, load_price_book, read_price_book
from lah_platform.stores.postgres import Connection, connect
from tests.costs.naive import naive_daily
from tests.costs.strategies import price_row
from tests.stores.event_rows import add_event, add_series

KEY = ("day", "tenant", "model", "environment", "service", "team")
FIRST = date(2026, 8, 30)
START = datetime(2026, 8, 30, tzinfo=UTC)
CHANGE = datetime(2026, 9, 1, tzinfo=UTC)
DAYS = 4
MIDNIGHT = timedelta(days=1)
BOOK = [
    price_row("sonnet", START - timedelta(days=900), CHANGE, Decimal(2), Decimal(10), Decimal("0.2"), Decimal("2.5")),
    price_row("sonnet", CHANGE, None, Decimal(3), Decimal(15), Decimal("0.3"), Decimal("3.75")),
    price_row("mini", START, None, Decimal("0.15000001"), Decimal("0.6"), Decimal("0.075")),
]


def fill(connection: Connection, events: int, seed: int = 7) -> list[dict[str, Any]]:
    """Insert random events of DAYS days and one day on either side; returns those of the DAYS for the oracle."""
    rng = random.Random(seed)
    inside = []
    for number in range(events):
        ts = START + timedelta(microseconds=rng.randrange(-86_400_000_000, (DAYS + 1) * 86_400_000_000))
        if number < DAYS:
            ts = START + timedelta(days=number)  # the first microsecond of a day is that day's
        payload_type, subtype = rng.choice(
            [("cost", "token_cost")] * 4
            + [("telemetry", "token_usage")] * 4
            + [
                ("cost", "api_cost"),
                ("cost", "resource_consumption"),
                ("cost", "budget_alert"),
                ("custom", "token_cost"),
            ]
        )
        model = rng.choice(["sonnet", "mini", "unlisted", None])
        dimensions = {
            "tenant": rng.choice(["acme", "globex"]),
            "environment": rng.choice(["production", "staging"]),
            "service": rng.choice(["", "chat"]),
            "team": rng.choice(["", "search"]),
            "model": "__other__" if rng.random() < 0.1 else model or "",
        }
        read, write, fresh, visible, reasoning = (rng.choice([0, rng.randrange(5000)]) for _ in range(5))
        derivation = rng.choice(["inclusive", "exclusive", "unknown", None])
        is_split = derivation in ("inclusive", "exclusive")
        is_money = payload_type == "cost"
        columns: dict[str, Any] = {
            "subtype": subtype,
            "request_id": rng.choice(["", None, *(f"r{n}" for n in range(40))]),
            "input_tokens": fresh if derivation == "exclusive" else fresh + read + write,
            "output_tokens": visible if derivation == "exclusive" else visible + reasoning,
            "input_fresh_tokens": fresh if is_split else None,
            "input_cache_read_tokens": read or None,
            "input_cache_write_tokens": write or None,
            "output_visible_tokens": visible if is_split else None,
            "output_reasoning_tokens": reasoning or None,
            "token_derivation": derivation,
            "cost_usd": Decimal(rng.randrange(10**13)).scaleb(-12) if is_money else None,
        }
        series_id = add_series(connection, event_type=payload_type, subtype=subtype, **dimensions)
        add_event(
            connection,
            number,
            ts,
            series_id=series_id,
            payload_type=payload_type,
            event_type=payload_type if payload_type != "custom" else "audit",
            tenant=dimensions["tenant"],
            model=model,
            **columns,
        )
        if payload_type != "custom" and subtype != "budget_alert" and START <= ts < START + timedelta(days=DAYS):
            inside.append({"ts": ts, "priced_model": model, **dimensions, **columns})
    return inside


def stored(connection: Connection) -> dict[tuple[Any, ...], dict[str, Any]]:
    cursor = connection.execute("select * from cost_daily")
    names = [column.name for column in cursor.description or ()]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    return {
        tuple(row[name] for name in KEY): {k: v for k, v in row.items() if k not in (*KEY, "computed_at")}
        for row in rows
    }


def test_the_stored_days_equal_a_naive_recomputation_from_the_events(connection: Connection) -> None:
    events = fill(connection, 600)
    load_price_book(connection, BOOK)
    rows = compute_cost_daily(connection, FIRST, FIRST + timedelta(days=DAYS - 1))
    expected = naive_daily(events, BOOK)
    assert stored(connection) == expected
    assert rows == len(expected)


def test_days_computed_one_by_one_in_any_order_or_again_are_the_same_table(connection: Connection) -> None:
    fill(connection, 200)
    load_price_book(connection, BOOK)
    compute_cost_daily(connection, FIRST, FIRST + timedelta(days=DAYS - 1))
    whole = stored(connection)
    connection.execute("delete from cost_daily")
    for number in (2, 0, 3, 1, 1):
        compute_cost_daily(connection, FIRST + timedelta(days=number), FIRST + timedelta(days=number))
    assert stored(connection) == whole


def test_recomputing_a_day_replaces_it_and_leaves_the_others_alone(connection: Connection) -> None:
    load_price_book(connection, BOOK)
    for day in range(2):
        add_event(
            connection, day, START + timedelta(days=day), model="mini", input_tokens=1, output_tokens=0, cost_usd=1
        )
    compute_cost_daily(connection, FIRST, FIRST + MIDNIGHT, computed_at=START)
    connection.execute("delete from events")
    assert compute_cost_daily(connection, FIRST, FIRST, computed_at=CHANGE) == 0
    assert connection.execute("select day, computed_at from cost_daily").fetchall() == [(FIRST + MIDNIGHT, START)]


def test_a_dated_price_change_applies_to_the_days_from_it_on(connection: Connection) -> None:
    load_price_book(connection, BOOK)
    for number in range(DAYS):
        add_event(
            connection, number, START + timedelta(days=number), model="sonnet", input_tokens=10**6, output_tokens=0
        )
    compute_cost_daily(connection, FIRST, FIRST + timedelta(days=DAYS - 1))
    assert connection.execute("select priced_usd from cost_daily order by day").fetchall() == [(2,), (2,), (3,), (3,)]


def test_two_computations_of_the_same_day_at_once_both_succeed(connection: Connection, database: str) -> None:
    events = fill(connection, 100)
    load_price_book(connection, BOOK)
    failures: list[BaseException] = []

    def compute() -> None:
        try:
            with connect(database) as other:
                compute_cost_daily(other, FIRST, FIRST + timedelta(days=DAYS - 1))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=compute) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert stored(connection) == naive_daily(events, BOOK)


def test_the_price_book_is_read_back_to_the_last_digit(connection: Connection) -> None:
    load_price_book(connection, BOOK)
    assert read_price_book(connection).rows == PriceBook(BOOK).rows
    load_price_book(connection, PriceBook.shipped().rows)
    assert read_price_book(connection).rows == PriceBook([*BOOK, *PriceBook.shipped().rows]).rows


def test_loading_a_price_again_corrects_it(connection: Connection) -> None:
    load_price_book(connection, BOOK)
    corrected = price_row("mini", START, None, Decimal("0.15"), Decimal("0.61"))
    load_price_book(connection, [corrected])
    assert read_price_book(connection).at("mini", START) == corrected
    assert len(read_price_book(connection).rows) == len(BOOK)


def test_a_price_that_overlaps_a_stored_one_is_refused_and_changes_nothing(connection: Connection) -> None:
    load_price_book(connection, BOOK)
    later = START + timedelta(days=30)
    with pytest.raises(PriceBookError, match="mini has two prices"):
        load_price_book(connection, [price_row("mini", later, None, Decimal(1), Decimal(1))])
    assert read_price_book(connection).rows == PriceBook(BOOK).rows


def test_days_in_the_wrong_order_are_refused(connection: Connection) -> None:
    with pytest.raises(ValueError, match="after the last day"):
        compute_cost_daily(connection, FIRST + MIDNIGHT, FIRST)
