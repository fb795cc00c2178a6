"""Answers as JSON, NDJSON, CSV, Parquet or Arrow IPC, as `Accept` prefers, streamed; and their tags.

Belongs here: media types, encoding frames, and conditional requests. What the rows are belongs to the routes.
"""

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import Depends, Header, Response
from fastapi.responses import StreamingResponse

from api.problems import Problem

__all__ = [
    "FORMATS",
    "JSON",
    "KEPT",
    "KEPT_S",
    "Known",
    "NDJSON",
    "Accepted",
    "Format",
    "as_headers",
    "documented",
    "headers_of",
    "is_known",
    "json_chunks",
    "json_in",
    "quality",
    "rows_in",
    "tag_of",
]

_ROWS_A_CHUNK: Final = 10_000
_ROWS_A_GROUP: Final = 100_000
_DECIMAL: Final = pl.Decimal(38, 12)


@dataclass(frozen=True)
class Format:
    """One way to write rows; `parameters` stand behind the media type of an answer."""

    media_type: str
    parameters: str = ""

    @property
    def content_type(self) -> str:
        return self.media_type + self.parameters


JSON: Final = Format("application/json")
NDJSON: Final = Format("application/x-ndjson")
CSV: Final = Format("text/csv", "; charset=utf-8; header=present")
PARQUET: Final = Format("application/vnd.apache.parquet")
ARROW: Final = Format("application/vnd.apache.arrow.stream")
FORMATS: Final = (JSON, NDJSON, CSV, PARQUET, ARROW)  # in the order of preference where Accept has none


def quality(accept: str, media_type: str) -> float:
    """How much `Accept` (RFC 9110, 12.5.1) wants the media type, 0 to 1; 0: not at all."""
    kind, _, subtype = media_type.partition("/")
    best = (-1, 0.0)  # the most specific range that matches decides, then its q
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        specificity = {f"{kind}/{subtype}": 2, f"{kind}/*": 1, "*/*": 0}.get(name)
        if specificity is None:
            continue
        found = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        try:
            best = max(best, (specificity, float(found)))
        except ValueError:
            continue
    return best[1]


async def _accepted(
    # OpenAPI ignores a parameter of this name: the media types of the answers say it
    accept: Annotated[str, Header(max_length=1024, include_in_schema=False)] = "*/*",
) -> Format:
    best = max(FORMATS, key=lambda each: quality(accept, each.media_type))
    if quality(accept, best.media_type) <= 0:
        raise Problem("not-acceptable", "None of the media types in `Accept` is written here", field="Accept")
    return best


Accepted = Annotated[Format, Depends(_accepted)]
"""The format that the request's `Accept` prefers; a 406 problem when there is none."""


def documented(*, has_tag: bool = True) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI responses of a route that takes `Accepted`, and `If-None-Match` when its answers have tags."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    text = {"schema": {"type": "string"}}
    content = {each.media_type: text if each in (NDJSON, CSV) else binary for each in FORMATS if each is not JSON}
    responses: dict[int | str, dict[str, Any]] = {200: {"content": content}}
    if has_tag:
        responses[304] = {"description": "What `If-None-Match` names is still the answer."}
    return responses


Known = Annotated[str | None, Header(max_length=4096, description="Tags of answers that are at hand.")]
"""The request's `If-None-Match`."""


def tag_of(kind: Format, *depends_on: object) -> str:
    """A strong entity tag (RFC 9110, 8.8.3) of everything that an answer in this format depends on."""
    text = msgspec.json.encode([kind.media_type, *map(repr, depends_on)])
    return f'"{hashlib.sha256(text).hexdigest()[:32]}"'


def is_known(if_none_match: str | None, tag: str) -> bool:
    """Whether `If-None-Match` names the tag; weak comparison (RFC 9110, 13.1.2)."""
    if if_none_match is None:
        return False
    known = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return tag in known or known == ["*"]


KEPT_S: Final = 2
"""So long an answer about closed windows is believed, and so long that none of them was corrected."""
KEPT: Final = "private, max-age=0, must-revalidate"


def headers_of(tag: str, *, is_closed: bool) -> dict[str, str]:
    """The headers of an answer that its asker, and no one else, may keep and ask about again.

    `is_closed`: it is about closed windows only, and the server may send it again for KEPT_S without asking.
    """
    control = KEPT if is_closed else "private, no-cache"
    return {"ETag": tag, "Cache-Control": control, "Vary": "Accept, Authorization, X-API-Key"}


def as_headers(around: Mapping[str, Any]) -> dict[str, str]:
    """What stands around the rows, as headers: texts as they are, the rest as JSON; what is null is left out."""
    return {
        f"Lah-{name.replace('_', '-').title()}": value
        if isinstance(value, str)
        else msgspec.json.encode(value).decode()
        for name, value in around.items()
        if value is not None
    }


def rows_in(
    kind: Format, frame: pl.DataFrame, headers: Mapping[str, str], *, metadata: Mapping[str, str] | None = None
) -> Response:
    """The rows in a format other than JSON, chunk by chunk; `metadata` goes into the schema of Parquet and Arrow."""
    write: dict[Format, Callable[[], Iterator[bytes]]] = {
        NDJSON: lambda: _ndjson(frame),
        CSV: lambda: _csv(frame),
        PARQUET: lambda: _parquet(frame, metadata or {}),
        ARROW: lambda: _arrow(frame, metadata or {}),
    }
    return _written(write[kind](), frame, headers, kind)


def json_in(frame: pl.DataFrame, around: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """One JSON object: the rows as `items`, then what is `around` them."""
    return _written(json_chunks(frame, around), frame, headers, JSON)


def _written(chunks: Iterator[bytes], frame: pl.DataFrame, headers: Mapping[str, str], kind: Format) -> Response:
    """Few rows at once, for each chunk that is streamed takes a turn of a thread; many as they are written."""
    if frame.height <= _ROWS_A_CHUNK:
        return Response(b"".join(chunks), headers=dict(headers), media_type=kind.content_type)
    return StreamingResponse(chunks, headers=dict(headers), media_type=kind.content_type)


def json_chunks(frame: pl.DataFrame, around: Mapping[str, Any]) -> Iterator[bytes]:
    """The same chunk by chunk."""
    yield b'{"items":['
    for number, chunk in enumerate(_chunks(frame)):
        yield (b"," if number else b"") + msgspec.json.encode(_items(chunk))[1:-1]
    yield b"]," + msgspec.json.encode(around)[1:]


def _chunks(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    yield from frame.iter_slices(_ROWS_A_CHUNK) if frame.height else ()


def _items(chunk: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON takes them: decimals are texts without an exponent, and times have Z."""
    digits = pl.selectors.decimal().cast(_DECIMAL).cast(pl.String)
    return chunk.with_columns(digits.str.strip_chars_end("0").str.strip_chars_end(".")).to_dicts()


def _ndjson(frame: pl.DataFrame) -> Iterator[bytes]:
    for chunk in _chunks(frame):
        yield msgspec.json.Encoder().encode_lines(_items(chunk))


def _csv(frame: pl.DataFrame) -> Iterator[bytes]:
    """RFC 4180; a null is nothing, an empty text `""`. Cells stand as they are, also those that begin with `=`."""
    yield frame.clear().write_csv(line_terminator="\r\n").encode()
    for chunk in _chunks(frame):
        text = chunk.write_csv(include_header=False, line_terminator="\r\n", datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
        yield text.encode()


class _Sink(io.RawIOBase):
    """Takes what a writer writes, until it is taken away."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def taken(self) -> bytes:
        found = bytes(self._written)
        self._written.clear()
        return found


def _table(frame: pl.DataFrame, metadata: Mapping[str, str]) -> pa.Table:
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    types = [pa.string() if field.type == pa.large_string() else field.type for field in table.schema]
    fields = [pa.field(field.name, kind) for field, kind in zip(table.schema, types, strict=True)]
    return table.cast(pa.schema(fields, dict(metadata)))


def _parquet(frame: pl.DataFrame, metadata: Mapping[str, str]) -> Iterator[bytes]:
    sink = _Sink()
    with pq.ParquetWriter(sink, _table(frame.clear(), metadata).schema, compression="zstd") as writer:
        for rows in frame.iter_slices(_ROWS_A_GROUP) if frame.height else ():
            writer.write_table(_table(rows, metadata))
            yield sink.taken()
    yield sink.taken()


def _arrow(frame: pl.DataFrame, metadata: Mapping[str, str]) -> Iterator[bytes]:
    sink = _Sink()
    with pa.ipc.new_stream(sink, _table(frame.clear(), metadata).schema) as writer:
        for chunk in _chunks(frame):
            writer.write_table(_table(chunk, metadata))
            yield sink.taken()
    yield sink.taken()
