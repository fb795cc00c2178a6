"""Rows of a listing as a frame, with the columns and types that their answer's model declares.

Belongs here: from models to columns. Which rows, and in which format, is the routes' and `api/formats.py`'s.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from types import NoneType
from typing import Annotated, Any, Final, get_args, get_origin
from uuid import UUID

import msgspec
import polars as pl
from pydantic import BaseModel, TypeAdapter

__all__ = ["frame_of"]

_TYPES: Final[Mapping[Any, pl.DataType]] = {
    bool: pl.Boolean(),
    int: pl.Int64(),
    float: pl.Float64(),
    str: pl.String(),
    UUID: pl.String(),
    date: pl.Date(),
    datetime: pl.Datetime("us", "UTC"),
    Decimal: pl.Decimal(38, 12),
}


def frame_of(
    rows: Sequence[Mapping[str, Any]], model: type[BaseModel], *, unpacked: Sequence[str] = ()
) -> pl.DataFrame:
    """One column for each field of `model`; lists and objects are JSON texts.

    `unpacked` are fields that hold an object of a model of its own, whose fields become columns where rows have them.
    """
    columns = {}
    for name, field in model.model_fields.items():
        values = [row.get(name) for row in rows]
        if name in unpacked:
            inner: type[BaseModel] = field.annotation  # type: ignore[assignment]
            held = set().union(*(value or () for value in values)) if rows else set(inner.model_fields)
            for each, inner_field in inner.model_fields.items():
                if each in held:
                    columns[each] = _column([(value or {}).get(each) for value in values], inner_field.annotation)
        else:
            columns[name] = _column(values, field.annotation)
    return pl.DataFrame(columns)


def _column(values: Sequence[Any], annotation: Any) -> pl.Series:
    dtype = _TYPES.get(_required(annotation))
    if dtype is not None and dtype != pl.String:
        return pl.Series(values, dtype=dtype)
    as_text = _as_json(annotation) if dtype is None else str
    return pl.Series([None if each is None else as_text(each) for each in values], dtype=pl.String)


def _as_json(annotation: Any) -> Callable[[Any], str]:
    """Lists as the JSON answer writes them, times in them with Z; objects as they are, or as they were sent."""
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)

    def text(value: Any) -> str:
        if not isinstance(value, list):
            return msgspec.json.encode(value).decode()
        return adapter.dump_json(adapter.validate_python(value), by_alias=True).decode()

    return text


def _required(annotation: Any) -> Any:
    """The type that a field has when it is not null."""
    choices = [each for each in get_args(annotation) if each is not NoneType]
    found = choices[0] if len(choices) == 1 and NoneType in get_args(annotation) else annotation
    return get_args(found)[0] if get_origin(found) is Annotated else found
