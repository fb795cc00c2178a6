"""Any CSV or Parquet of LLM requests as events, by a mapping of event fields to its columns.

Belongs here: the fields, reading and checking the columns, spelling rows. Does not: the project's own traces, whose
columns are known (`requests`, `servegen`, `llmperf`). Nothing is invented: a field that is not mapped is not sent.
"""

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl

from lah_platform.errors import ConfigurationError
from lah_platform.replay.files import read_table, require_columns
from lah_platform.replay.models import price_history, usd
from lah_platform.replay.requests import COST_DELAY_US
from lah_platform.replay.wire import Draft, Identity, Source, draft

__all__ = ["FIELDS", "FileRows", "parse_mapping", "read_file"]

# Event field -> what it is. A time is one of the first three; the other texts default to what is in _DEFAULTS.
FIELDS = {
    "timestamp": "an instant: RFC 3339 text, or a date-time column (without a zone it is UTC)",
    "timestamp_s": "seconds since 1970, or since the file's start",
    "timestamp_ms": "milliseconds since 1970, or since the file's start",
    "model": "model id",
    "input_tokens": "prompt tokens, cache reads and writes included",
    "output_tokens": "completion tokens, reasoning included",
    "cache_read_tokens": "prompt tokens read from a cache",
    "cache_write_tokens": "prompt tokens written to a cache",
    "latency_ms": "total latency in milliseconds",
    "ttft_ms": "time to first token in milliseconds",
    "cost_usd": "what the request cost; unmapped: the price book's price, where it has the model",
    "request_id": "the producer's id of the request",
    "tenant": "tenant",
    "service": "service",
    "region": "region",
    "team": "team",
    "environment": "environment",
}
_TIMES = {"timestamp_s": 1_000_000, "timestamp_ms": 1_000}
_NUMBERS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "latency_ms",
    "ttft_ms",
    "cost_usd",
)
_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
_TAGS = ("tenant", "service", "region", "team")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DEFAULTS = {"model": "unknown", "tenant": "default", "environment": "production"}


class FileRows(NamedTuple):
    """A file's usable rows: `frame` has offset_us (as the file counts time), row, and a column per mapped field."""

    name: str
    frame: pl.DataFrame
    skipped: int

    @property
    def events_per_row(self) -> int:
        """Upper bound of events one row makes."""
        columns = self.frame.columns
        return 2 * ("input_tokens" in columns) + ("latency_ms" in columns)

    def events(self, frame: pl.DataFrame, identity: Identity) -> list[Draft]:
        """token_usage, token_cost and latency of each row of `frame`: rows of `self.frame` with at_us added."""
        return [event for row in frame.iter_rows(named=True) for event in _row_events(self.name, row, identity)]


def parse_mapping(text: str) -> dict[str, str]:
    """A mapping from "field=column,field=column", or from the TOML or JSON file whose path `text` is.

    Raises ConfigurationError for an unknown field or text that is neither.
    """
    path = Path(text)
    if "=" not in text:
        try:
            content = path.read_bytes()
            pairs = tomllib.loads(content.decode()) if path.suffix == ".toml" else msgspec.json.decode(content)
            mapping = msgspec.convert(pairs, dict[str, str])
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.DecodeError) as error:
            raise ConfigurationError(
                f"The mapping '{text}' cannot be read: {error}",
                "Give field=column pairs, or a TOML or JSON file of them",
            ) from error
    else:
        parts = [part.partition("=") for part in text.split(",") if part.strip()]
        mapping = {field.strip(): column.strip() for field, _, column in parts}
    for field in mapping:
        if field not in FIELDS:
            raise ConfigurationError(f"There is no event field '{field}'", f"Map one of {', '.join(FIELDS)}")
    return mapping


def read_file(path: Path, mapping: Mapping[str, str]) -> FileRows:
    """The rows of a .csv, .tsv or .parquet file that can become events.

    A row without a time or without its tokens (without its latency where no tokens are mapped) is skipped and
    counted, and so is one with a negative number, text for a number, or more cached than prompt tokens. Raises
    ConfigurationError for an unreadable file, an unmapped time or measure, and a column that is not there.
    """
    times = [field for field in ("timestamp", *_TIMES) if field in mapping]
    if len(times) != 1:
        raise ConfigurationError(
            f"{path.name} needs exactly one mapped time, not {len(times)}", f"Map one of timestamp, {', '.join(_TIMES)}"
        )
    has_tokens = "input_tokens" in mapping and "output_tokens" in mapping
    if not has_tokens and "latency_ms" not in mapping:
        raise ConfigurationError(
            f"{path.name} has nothing mapped to make events of", "Map input_tokens and output_tokens, or latency_ms"
        )
    table = read_table(path)
    require_columns(table, list(mapping.values()), path)
    dropped = () if has_tokens else (*_TOKENS, "cost_usd")
    fields = [field for field in mapping if field not in times and field not in dropped]
    frame = table.with_row_index("row").select(
        pl.col("row").cast(pl.Int64),
        _offset_us(table[mapping[times[0]]], times[0]).alias("offset_us"),
        *(_field(field, table[mapping[field]]) for field in fields),
    )
    needed = ("input_tokens", "output_tokens") if has_tokens else ("latency_ms",)
    checks = [pl.col("offset_us").is_not_null()]
    for field in (field for field in fields if field in _NUMBERS):
        is_empty = table[mapping[field]].is_null()
        is_number = pl.col(field).is_not_null() & (pl.col(field) >= 0)
        checks.append(is_number if field in needed else is_number | is_empty)
    cached = [pl.col(field).fill_null(0) for field in fields if field.startswith("cache_")]
    if cached:
        checks.append(pl.sum_horizontal(cached) <= pl.col("input_tokens"))
    usable = frame.filter(*checks)
    return FileRows(path.name, usable, frame.height - usable.height)


def _offset_us(values: pl.Series, field: str) -> pl.Series:
    """Microseconds, null where the value is no time."""
    if field in _TIMES:
        scaled = (values.cast(pl.Float64, strict=False) * _TIMES[field]).fill_nan(None)
        return scaled.round().cast(pl.Int64, strict=False)
    if values.dtype == pl.String:
        return pl.Series([_instant_us(text) for text in values.to_list()], dtype=pl.Int64)
    if isinstance(values.dtype, pl.Datetime | pl.Date):
        return values.cast(pl.Datetime("us", getattr(values.dtype, "time_zone", None))).dt.timestamp("us")
    raise ConfigurationError(
        f"Column '{values.name}' is {values.dtype}, not an instant",
        "Map it as timestamp_s or timestamp_ms when it counts time",
    )


def _instant_us(text: str | None) -> int | None:
    try:
        instant = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    since = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _field(field: str, values: pl.Series) -> pl.Series:
    """The column as the field's type; null where it is not one."""
    if field in _TOKENS:
        if values.dtype.is_float():  # a cast would cut 1.5 tokens to 1
            values = values.set(values != values.round(), None)
        return values.cast(pl.Int64, strict=False).alias(field)
    if field == "cost_usd":
        return values.cast(pl.Decimal(38, 12), strict=False).alias(field)
    if field in _NUMBERS:
        numbers = values.cast(pl.Float64, strict=False)
        return numbers.set(~numbers.is_finite(), None).alias(field)
    return values.cast(pl.String).alias(field)


def _row_events(name: str, row: dict[str, Any], identity: Identity) -> list[Draft]:
    at_us, number = row["at_us"], row["row"]
    model = row.get("model") or _DEFAULTS["model"]
    tags = {tag: row[tag] for tag in _TAGS if row.get(tag)} | {"trace": name}
    tags.setdefault("tenant", _DEFAULTS["tenant"])
    environment = row.get("environment") or _DEFAULTS["environment"]
    observatory = Source("llm-observatory", tags, environment)
    correlation_id = identity.uuid(name, number, "request")
    request: dict[str, object] = {
        "model_id": model,
        "request_id": row.get("request_id") or f"{name}-{number}-{correlation_id[:8]}",
    }
    events = []
    usage_id = identity.uuid(name, number, "token_usage")
    if "input_tokens" in row:
        tokens = request | _tokens(row)
        kind = "telemetry/token_usage"
        events.append(draft(observatory, at_us, usage_id, kind, tokens, correlation_id=correlation_id))
        money = _money(row, model, at_us + COST_DELAY_US)
        if money is not None:
            events.append(
                draft(
                    observatory._replace(module="llm-costops"),
                    at_us + COST_DELAY_US,
                    identity.uuid(name, number, "token_cost"),
                    "cost/token_cost",
                    tokens | money,
                    correlation_id=correlation_id,
                    parent_event_id=usage_id,
                )
            )
    if row.get("latency_ms") is not None:
        timing = request | {"total_latency_ms": row["latency_ms"]}
        if row.get("ttft_ms") is not None:
            timing["ttft_ms"] = row["ttft_ms"]
        event_id = identity.uuid(name, number, "latency")
        kind = "telemetry/latency"
        events.append(draft(observatory, at_us, event_id, kind, timing, correlation_id=correlation_id))
    return events


def _tokens(row: dict[str, Any]) -> dict[str, object]:
    tokens: dict[str, object] = {
        "prompt_tokens": row["input_tokens"],
        "completion_tokens": row["output_tokens"],
        "total_tokens": row["input_tokens"] + row["output_tokens"],
        "token_derivation": "inclusive",
    }
    for bucket in ("cache_read_tokens", "cache_write_tokens"):
        if row.get(bucket) is not None:
            tokens[f"input_{bucket}"] = row[bucket]
    return tokens


def _money(row: dict[str, Any], model: str, at_us: int) -> dict[str, object] | None:
    """What the file says the request cost, else the book's price; None where neither is known."""
    price = price_history(model).at(at_us)
    total = row.get("cost_usd")
    if total is None:
        if price is None:
            return None
        cached = row.get("cache_read_tokens") or 0, row.get("cache_write_tokens") or 0
        total = usd(price.cost(row["input_tokens"], row["output_tokens"], *cached))
    return {
        "cost_per_prompt_token": usd(price.input) if price else Decimal(0),
        "cost_per_completion_token": usd(price.output) if price else Decimal(0),
        "total_cost_usd": total,
        "currency": "USD",
    }
