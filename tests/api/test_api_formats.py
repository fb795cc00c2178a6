"""The same rows in every format, none of them rounded, none lost."""

import asyncio
import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from api_support import Api
from fastapi.responses import StreamingResponse
from hypothesis import given, settings
from hypothesis import strategies as st

from api.formats import ARROW, CSV, FORMATS, NDJSON, PARQUET, json_chunks, quality, rows_in

PATH = "/api/v1/timeseries/query"
ASKED = {
    "metric": "cost_usd",
    "from": "2026-01-31T07:00:00Z",
    "to": "2026-01-31T09:30:00Z",
    "fields": ["count", "sum", "p95", "stddev"],
    "window": "15m",
    "group_by": ["service", "region"],
    "fill": "null",
    "limit": 7,
}
LISTS: dict[str, dict[str, str]] = {
    "/api/v1/metrics": {"window": "1h", "metric": "cost_usd"},
    "/api/v1/costs": {},
    "/api/v1/prices": {},
    "/api/v1/events": {},
    "/api/v1/anomalies": {},
    "/api/v1/correlations": {},
    "/api/v1/incidents": {},
    "/api/v1/forecasts": {},
    "/api/v1/forecasts/models": {},
}
_LONG_AGO = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}
_NOTHING = {"/api/v1/correlations": _LONG_AGO, "/api/v1/incidents": _LONG_AGO}  # which are of no single model
_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8) | st.sampled_from(
    ["", "=1+1", 'a,"b"', "@x", "a\nb", "ü"]
)


def _as_text(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case _:
            return "" if value is None else str(value)


def _same(text: str, value: Any) -> bool:
    return type(value)(text) == value if isinstance(value, (float, Decimal)) else text == _as_text(value)


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    rows = draw(
        st.lists(
            st.tuples(
                st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
                _texts,
                st.none() | st.integers(-(2**63), 2**63 - 1),
                st.none() | st.decimals(Decimal(-(10**25)), Decimal(10**25), places=12),
                st.none() | st.floats(allow_nan=False, allow_infinity=False),
                st.booleans(),
            ),
            max_size=12,
        )
    )
    schema = {
        "at": pl.Datetime("us", "UTC"),
        "text": pl.String,
        "whole": pl.Int64,
        "exact": pl.Decimal(38, 12),
        "rounded": pl.Float64,
        "is_true": pl.Boolean,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


async def _content(answer: Any) -> bytes:
    if isinstance(answer, StreamingResponse):
        return b"".join([bytes(part) async for part in answer.body_iterator])
    return bytes(answer.body)


def _written(kind: Any, frame: pl.DataFrame) -> bytes:
    return asyncio.run(_content(rows_in(kind, frame, {})))


def _rounded_once(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


@given(frame=frames())
@settings(max_examples=60, deadline=None)
def test_any_rows_read_back_from_any_format_are_the_same(frame: pl.DataFrame) -> None:
    table = pq.read_table(io.BytesIO(_written(PARQUET, frame)))
    assert pl.from_arrow(table).equals(frame)  # type: ignore[union-attr]
    with pa.ipc.open_stream(_written(ARROW, frame)) as stream:
        assert pl.from_arrow(stream.read_all()).equals(frame)  # type: ignore[union-attr]
    names, *cells = csv.reader(io.StringIO(_written(CSV, frame).decode(), newline=""))
    assert names == frame.columns
    for found, row in zip(cells, frame.rows(), strict=True):
        assert all(_same(*pair) for pair in zip(found, row, strict=True)), (found, row)
    lines = [json.loads(line) for line in _written(NDJSON, frame).splitlines()]
    whole = json.loads(b"".join(json_chunks(frame, {"next_cursor": None})))
    assert whole == {"items": lines, "next_cursor": None}
    for line, row in zip(lines, frame.to_dicts(), strict=True):
        assert line | {"at": datetime.fromisoformat(line["at"]), "exact": _rounded_once(line["exact"])} == row
        assert line["exact"] is None or "E" not in line["exact"]


def _parsed(kind: str, content: bytes) -> list[dict[str, Any]]:
    match kind:
        case "application/x-ndjson":
            return [json.loads(line) for line in content.splitlines()]
        case "text/csv":
            return list(csv.DictReader(io.StringIO(content.decode(), newline="")))
        case "application/vnd.apache.parquet":
            return pq.read_table(io.BytesIO(content)).to_pylist()  # type: ignore[no-any-return]
        case _:
            return pa.ipc.open_stream(content).read_all().to_pylist()  # type: ignore[no-any-return]


def test_a_query_answers_with_the_same_rows_in_every_format(served: Api) -> None:
    client = served.client("acme", "viewer")
    answer = client.post(PATH, json=ASKED).json()
    assert len(answer["items"]) == ASKED["limit"]
    for kind in FORMATS[1:]:
        found = client.post(PATH, json=ASKED, headers={"Accept": kind.media_type})
        assert found.headers["content-type"].split(";")[0] == kind.media_type
        assert found.headers["lah-next-cursor"] == answer["next_cursor"]
        assert json.loads(found.headers["lah-read"]) == answer["read"]
        rows = _parsed(kind.media_type, found.content)
        assert [list(row) for row in rows] == [list(row) for row in answer["items"]]
        assert [_plain(row) for row in rows] == [_plain(row) for row in answer["items"]]
    table = pq.read_table(io.BytesIO(client.post(PATH, json=ASKED, headers={"Accept": PARQUET.media_type}).content))
    assert table.schema.field("sum").type == pa.decimal128(38, 12)
    assert json.loads(table.schema.metadata[b"Lah-Read"]) == answer["read"]


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of any format, in one spelling."""
    return {name: _one_spelling(value) for name, value in row.items()}


def _one_spelling(value: Any) -> Any:
    match value:
        case None | "":
            return None
        case bool() | "true" | "false":
            return str(value).lower() == "true"
        case datetime():
            return value
        case date():
            return value.isoformat()
        case dict() | list():
            return value
        case str() if value[:1] in ("{", "["):
            return json.loads(value)
    try:
        return Decimal(str(value)).normalize()
    except ArithmeticError:
        try:
            return datetime.fromisoformat(value) if "T" in value else value
        except ValueError:
            return value


@pytest.mark.parametrize("path", LISTS)
def test_a_list_answers_with_the_same_rows_in_every_format(served: Api, path: str) -> None:
    client = served.client("acme", "admin")
    asked = LISTS[path] | {"limit": "3"}
    answer = client.get(path, params=asked).json()
    assert answer["items"]
    wanted = [_plain({**row, **row.get("measures", {})}) for row in answer["items"]]
    for kind in FORMATS[1:]:
        found = client.get(path, params=asked, headers={"Accept": kind.media_type})
        assert found.status_code == 200, found.text
        assert found.headers["content-type"].split(";")[0] == kind.media_type
        assert found.headers.get("lah-next-cursor") == answer["next_cursor"]
        rows = _parsed(kind.media_type, found.content)
        if kind is NDJSON:
            assert rows == answer["items"]
        else:
            for row in wanted:
                row.pop("measures", None)
            assert [_plain(row) for row in rows] == wanted
        empty = client.get(
            path,
            params=LISTS[path] | _NOTHING.get(path, {"model": "nobody's"}),
            headers={"Accept": kind.media_type},
        )
        assert _parsed(kind.media_type, empty.content) == []


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/*", "text/csv"),
        ("text/html, */*;q=0.1", "application/json"),
        ("application/json;q=0.5, application/x-ndjson", "application/x-ndjson"),
        ("TEXT/CSV", "text/csv"),
        ("text/html", None),
        ("application/json;q=0", None),
        ("image/png, application/xml;q=0.9", None),
        ("", None),
    ],
)
def test_accept_chooses_and_what_is_not_written_here_is_a_406_that_says_so(
    served: Api, accept: str | None, kind: str | None
) -> None:
    client = served.client("acme", "admin")
    client.headers.pop("accept", None)
    headers = {} if accept is None else {"Accept": accept}
    for answer in (
        client.post(PATH, json=ASKED, headers=headers),
        *(client.get(path, params=asked, headers=headers) for path, asked in LISTS.items()),
    ):
        if kind is None:
            assert (answer.status_code, answer.headers["content-type"]) == (406, "application/problem+json")
            assert answer.json()["field"] == "Accept"
        else:
            assert answer.headers["content-type"].split(";")[0] == kind
            assert "Accept" in answer.headers["vary"]


def test_a_more_specific_range_decides() -> None:
    assert quality("text/*;q=0.9, text/csv;q=0.1", "text/csv") == 0.1
    assert quality("text/csv;q=2x", "text/csv") == 0


def test_a_large_answer_comes_in_pieces() -> None:
    rows = 100_001
    start = datetime(2026, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame({"at": pl.datetime_range(start, start + timedelta(minutes=rows - 1), "1m", eager=True)})
    for kind in FORMATS[1:]:
        pieces = _pieces(kind, frame)
        assert len(pieces) > 2, kind
        assert len(_parsed(kind.media_type, b"".join(pieces))) == rows
    assert len(list(json_chunks(frame, {}))) > 10


def _pieces(kind: Any, frame: pl.DataFrame) -> list[bytes]:
    async def collected() -> list[bytes]:
        return [bytes(part) async for part in rows_in(kind, frame, {}).body_iterator]  # type: ignore[attr-defined]

    return asyncio.run(collected())
