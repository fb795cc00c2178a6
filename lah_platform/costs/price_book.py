"""The price book: what a model's tokens cost, and from when to when.

Belongs here: reading, validating and looking up prices. Applying them to requests is in `daily`.
"""

import csv
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from itertools import pairwise
from typing import TextIO

from lah_platform.errors import LahError

__all__ = ["PRICE_SCALE", "PriceBook", "PriceBookError", "PriceRow"]

# Places of USD per million tokens that table `prices` keeps
PRICE_SCALE = 8
# A dollar a token is a mistake in the book, not a price; it also keeps every sum within a 128-bit integer
_MAX_PRICE = Decimal(10) ** 6
_FOREVER = datetime.max.replace(tzinfo=UTC)


class PriceBookError(LahError):
    """The price book contradicts itself or holds a row that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class PriceRow:
    """The price of one model in [valid_from, valid_to), in USD per million tokens.

    `valid_to` None: until further notice. A cache price of None means the book has none: those tokens cost what fresh
    input costs.
    Raises PriceBookError when a figure or the period cannot be a price.
    """

    model: str
    provider: str
    valid_from: datetime
    valid_to: datetime | None
    input_usd_per_mtok: Decimal
    cache_read_usd_per_mtok: Decimal | None
    cache_write_usd_per_mtok: Decimal | None
    output_usd_per_mtok: Decimal
    source: str

    def __post_init__(self) -> None:
        if not self.model:
            raise PriceBookError("A price has no model", "Give every row the model id that events carry")
        for at in (self.valid_from, self.valid_to):
            if at is not None and at.utcoffset() is None:
                raise PriceBookError(
                    f"{self.model}: {at} has no time zone", "Write it with an offset, as in ...T00:00:00Z"
                )
        if self.valid_to is not None and self.valid_from >= self.valid_to:
            raise PriceBookError(
                f"{self.model}: valid_from {self.valid_from} is not before valid_to {self.valid_to}",
                "Correct the period",
            )
        for figure in (
            self.input_usd_per_mtok,
            self.cache_read_usd_per_mtok,
            self.cache_write_usd_per_mtok,
            self.output_usd_per_mtok,
        ):
            if figure is not None and not _is_price(figure):
                raise PriceBookError(
                    f"{self.model}: {figure} is not a price",
                    f"Use 0 up to below {_MAX_PRICE} USD per million tokens, with at most {PRICE_SCALE} decimals",
                )

    @property
    def cache_read(self) -> Decimal:
        """USD per million input tokens read from a cache."""
        return self.input_usd_per_mtok if self.cache_read_usd_per_mtok is None else self.cache_read_usd_per_mtok

    @property
    def cache_write(self) -> Decimal:
        """USD per million input tokens written to a cache."""
        return self.input_usd_per_mtok if self.cache_write_usd_per_mtok is None else self.cache_write_usd_per_mtok


class PriceBook:
    """Every model's prices in order of time. Raises PriceBookError when two prices of a model overlap."""

    def __init__(self, rows: Iterable[PriceRow]) -> None:
        self.rows: tuple[PriceRow, ...] = tuple(sorted(rows, key=lambda row: (row.model, row.valid_from)))
        for earlier, later in pairwise(self.rows):
            if earlier.model == later.model and later.valid_from < (earlier.valid_to or _FOREVER):
                raise PriceBookError(
                    f"{later.model} has two prices from {later.valid_from.isoformat()}: "
                    f"one is valid from {earlier.valid_from.isoformat()} "
                    f"to {earlier.valid_to.isoformat() if earlier.valid_to else 'further notice'}",
                    "End the earlier one where the later one begins",
                )
        self._of_model: dict[str, list[PriceRow]] = {}
        for row in self.rows:
            self._of_model.setdefault(row.model, []).append(row)

    @classmethod
    def read_csv(cls, lines: TextIO | Iterable[str]) -> "PriceBook":
        """A book from CSV with the columns of price_book.csv; empty valid_to and cache prices mean none."""
        rows = []
        for number, row in enumerate(csv.DictReader(lines), start=2):
            try:
                rows.append(_parse(row))
            except (KeyError, ValueError, InvalidOperation) as error:
                raise PriceBookError(
                    f"Line {number} of the price book cannot be read ({error!r})", "Correct it"
                ) from error
        return cls(rows)

    @classmethod
    def shipped(cls) -> "PriceBook":
        """The book that comes with the hub: list prices, each with its source."""
        with (files("lah_platform") / "costs" / "price_book.csv").open(encoding="utf-8") as lines:
            return cls.read_csv(lines)

    def at(self, model: str, ts: datetime) -> PriceRow | None:
        """The price of `model` in force at `ts` (tz-aware), or None where the book has none."""
        history = self._of_model.get(model, [])
        index = bisect_right(history, ts, key=lambda row: row.valid_from) - 1
        if index < 0 or ts >= (history[index].valid_to or _FOREVER):
            return None
        return history[index]


def _is_price(figure: Decimal) -> bool:
    return (
        figure.is_finite() and 0 <= figure < _MAX_PRICE and figure == figure.quantize(Decimal(1).scaleb(-PRICE_SCALE))
    )


def _parse(row: Mapping[str, str]) -> PriceRow:
    return PriceRow(
        model=row["model"],
        provider=row["provider"],
        valid_from=datetime.fromisoformat(row["valid_from"]),
        valid_to=datetime.fromisoformat(row["valid_to"]) if row["valid_to"] else None,
        input_usd_per_mtok=Decimal(row["input_usd_per_mtok"]),
        cache_read_usd_per_mtok=_optional(row["cache_read_usd_per_mtok"]),
        cache_write_usd_per_mtok=_optional(row["cache_write_usd_per_mtok"]),
        output_usd_per_mtok=Decimal(row["output_usd_per_mtok"]),
        source=row["source"],
    )


def _optional(figure: str) -> Decimal | None:
    return Decimal(figure) if figure else None
