"""Anybody's CSV or Parquet of requests: a mapping makes it events, and what is missing is named."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lah_platform.errors import ConfigurationError
from lah_platform.events.envelope import Event
from lah_platform.replay.generic import parse_mapping
from lah_platform.replay.plan import ReplayPlan
from tests.replay.reading import data_of, events_of

END = datetime(2026, 11, 23, 18, tzinfo=UTC)
MAPPING = {"timestamp": "ts", "model": "model_name", "input_tokens": "in", "output_tokens": "out"}


def written(folder: Path, text: str) -> Path:
    path = folder / "requests.csv"
    path.write_text(text, encoding="utf-8")
    return path


def events(path: Path, mapping: dict[str, str], **options: Any) -> list[Event]:
    return events_of(ReplayPlan.of_file(path, mapping, end=END, run_id="tests", **options), now=END)


def test_rows_become_usage_and_cost_and_latency_events_that_end_now(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "ts,model_name,in,out,ms,cached,who\n"
        "2025-01-01T10:00:00Z,gpt-4,100,20,1500.5,,acme\n"
        "2025-01-01T11:30:00+01:00,claude-sonnet-5,1000,50,900,600,globex\n",
    )
    mapping = {**MAPPING, "latency_ms": "ms", "cache_read_tokens": "cached", "tenant": "who"}
    stored = events(path, mapping)
    assert [(event.tenant, event.subtype) for event in stored] == [
        ("acme", "token_usage"),
        ("acme", "latency"),
        ("acme", "token_cost"),
        ("globex", "token_usage"),
        ("globex", "latency"),
        ("globex", "token_cost"),
    ]
    assert max(event.timestamp for event in stored) == END
    assert stored[3].timestamp - stored[0].timestamp == timedelta(minutes=30)
    costs: list[Any] = [event.payload for event in stored if event.subtype == "token_cost"]
    assert costs[0].total_cost_usd == Decimal("0.0042")  # 100 * 30 + 20 * 60 USD per million
    assert costs[1].total_cost_usd == Decimal("0.00213")  # 400 * 3 + 600 * 0.3 + 50 * 15 USD per million
    assert stored[2].parent_event_id == stored[0].event_id


def test_the_files_own_cost_is_kept_to_the_last_digit(tmp_path: Path) -> None:
    path = written(tmp_path, "ts,model_name,in,out,usd\n2026-01-01T00:00:00Z,mine,1,1,0.100000000001\n")
    [usage, cost] = events(path, {**MAPPING, "cost_usd": "usd"})
    payload: Any = cost.payload
    assert payload.total_cost_usd == Decimal("0.100000000001")
    assert usage.tenant == "default"


def test_a_model_without_a_price_has_usage_and_no_invented_cost(tmp_path: Path) -> None:
    path = written(tmp_path, "ts,model_name,in,out\n2026-01-01T00:00:00Z,nobody-knows,1,1\n")
    assert [event.subtype for event in events(path, MAPPING)] == ["token_usage"]


def test_parquet_columns_may_be_instants_or_counts_of_time(tmp_path: Path) -> None:
    times = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (1, 2, 3)]
    frame = pl.DataFrame(
        {"ts": pl.Series(times).dt.replace_time_zone(None), "ms": [0.5, 1.5, 2.5], "s": [0, 3600, 7200]}
    )
    for time_unit in ("ns", "us", "ms"):
        path = tmp_path / f"{time_unit}.parquet"
        frame.with_columns(pl.col("ts").dt.cast_time_unit(time_unit)).write_parquet(path)
        for field, column in (("timestamp", "ts"), ("timestamp_s", "s")):
            stored = events(path, {field: column, "latency_ms": "ms"})
            assert [data_of(event)["total_latency_ms"] for event in stored] == [0.5, 1.5, 2.5]
            assert {later.timestamp - event.timestamp for event, later in pairwise(stored)} == {timedelta(hours=1)}


def test_unshifted_rows_keep_their_times_and_those_to_come_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, "ts,model_name,in,out\n2026-11-01T00:00:00Z,x,1,1\n2027-01-01T00:00:00Z,x,1,1\n")
    [event] = events(path, MAPPING, is_shifted=False)
    assert event.timestamp == datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "row",
    [
        ",gpt-4,1,1,5,0",
        "yesterday,gpt-4,1,1,5,0",
        "2026-01-01T00:00:00Z,gpt-4,,1,5,0",
        "2026-01-01T00:00:00Z,gpt-4,-1,1,5,0",
        "2026-01-01T00:00:00Z,gpt-4,1.5,1,5,0",
        "2026-01-01T00:00:00Z,gpt-4,ten,1,5,0",
        "2026-01-01T00:00:00Z,gpt-4,1,1,slow,0",
        "2026-01-01T00:00:00Z,gpt-4,1,1,nan,0",
        "2026-01-01T00:00:00Z,gpt-4,10,1,5,11",
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_and_counted(tmp_path: Path, row: str) -> None:
    good = "2026-01-01T00:00:00Z,gpt-4,10,1,5,10"
    path = written(tmp_path, f"ts,model_name,in,out,ms,cached\n{good}\n{row}\n")
    mapping = {**MAPPING, "latency_ms": "ms", "cache_read_tokens": "cached"}
    plan = ReplayPlan.of_file(path, mapping, end=END, run_id="tests")
    assert plan.expected.stored == 3
    assert "1 unusable rows left out" in plan.describe()


def test_fractional_token_counts_of_parquet_are_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "floats.parquet"
    pl.DataFrame({"s": [1, 2, 3], "in": [10.0, 1.5, None], "out": [2.0, 2.0, 2.0]}).write_parquet(path)
    [event] = events(path, {"timestamp_s": "s", "input_tokens": "in", "output_tokens": "out"})
    assert data_of(event)["prompt_tokens"] == 10


def test_a_large_file_is_thinned_over_its_whole_span(tmp_path: Path) -> None:
    path = tmp_path / "many.parquet"
    pl.DataFrame({"s": range(10_000), "ms": [1.0] * 10_000}).write_parquet(path)
    stored = events(path, {"timestamp_s": "s", "latency_ms": "ms"}, events=100)
    assert len(stored) == 100
    assert stored[-1].timestamp - stored[0].timestamp == timedelta(seconds=9_999)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({**MAPPING, "model": "modell"}, r"has no column 'modell'.*It has: ts, model_name, in, out"),
        ({"model": "model_name"}, "exactly one mapped time, not 0"),
        ({"timestamp": "ts", "timestamp_s": "ts"}, "exactly one mapped time, not 2"),
        ({"timestamp": "ts", "input_tokens": "in"}, "Map input_tokens and output_tokens, or latency_ms"),
    ],
)
def test_a_wrong_mapping_names_what_is_missing(tmp_path: Path, mapping: dict[str, str], message: str) -> None:
    path = written(tmp_path, "ts,model_name,in,out\n2026-01-01T00:00:00Z,x,1,1\n")
    with pytest.raises(ConfigurationError, match=message):
        events(path, mapping)


def test_a_file_that_is_no_table_says_so(tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"not parquet")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        events(broken, MAPPING)
    with pytest.raises(ConfigurationError, match="neither CSV nor Parquet"):
        events(tmp_path / "notes.txt", MAPPING)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        events(tmp_path / "absent.csv", MAPPING)


def test_a_mapping_is_read_from_text_toml_and_json(tmp_path: Path) -> None:
    expected = {"timestamp": "ts", "model": "model_name"}
    (tmp_path / "map.toml").write_text('timestamp = "ts"\nmodel = "model_name"\n', encoding="utf-8")
    (tmp_path / "map.json").write_text('{"timestamp": "ts", "model": "model_name"}', encoding="utf-8")
    assert parse_mapping("timestamp=ts, model=model_name") == expected
    assert parse_mapping(str(tmp_path / "map.toml")) == expected
    assert parse_mapping(str(tmp_path / "map.json")) == expected
    with pytest.raises(ConfigurationError, match="no event field 'modle'"):
        parse_mapping("timestamp=ts,modle=m")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        parse_mapping(str(tmp_path / "absent.toml"))
