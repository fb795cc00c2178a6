"""Reading by the column: the same events, the same refusals, the same rows as the contract's one by one."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lah_platform.events.decode import decode
from lah_platform.events.envelope import Event
from lah_platform.events.examples import EXAMPLE_DATA, flat_example
from lah_platform.events.measures import MEASURE_TYPES, measured
from lah_platform.events.payloads import Payload
from lah_platform.landing.amounts import units_of
from lah_platform.landing.batch import Batch, prepare
from lah_platform.landing.columns import at_us
from lah_platform.landing.fast_lane import FastLane
from lah_platform.landing.records import Partition, Record
from lah_platform.landing.shapes import Shape, ShapeBook
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.postgres import Connection
from tests.events.strategies import NOW, AsWritten, as_nested, damaged, flat_events, to_wire

_P = Partition("t", "one", 0)
_UUID = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1"


def _ascii(text: str) -> bytes:
    """The same JSON without a byte above 127: only then does a record take the fast lane."""
    return "".join(c if c.isascii() else json.dumps(c)[1:-1] for c in text).encode()


def _altered(base: str, **members: Any) -> bytes:
    return _ascii(to_wire(flat_example(base) | members))


def _with_data(base: str, **data: Any) -> bytes:
    message = flat_example(base)
    message["payload"]["data"] |= data
    return _ascii(to_wire(message))


_CLOSE_CALLS = [
    None,
    b"",
    b"null",
    b"[]",
    b'{"common":{}}',
    *(
        _altered("latency", event_id=each)
        for each in (
            _UUID.upper(),
            _UUID.replace("-", ""),
            "{" + _UUID + "}",
            _UUID[:-1],
            _UUID[:-2] + "  ",
            "-" + _UUID[1:],
            " " + _UUID[1:],
            _UUID[:9] + "é" + _UUID[10:],
            _UUID.replace("0", "g"),
            "0f1e2d3c4-b5a-4978-8695-a4b3c2d1e0f1",
        )
    ),
    *(
        _altered("latency", timestamp=each)
        for each in (
            "2026-02-01T12:04:59.999999Z",
            "2026-02-01T12:05:00.000001Z",
            "2024-12-28T11:59:59.999999Z",
            "2024-12-28T12:00:00Z",
            "2026-01-31T08:00:00.1234567Z",
            "2026-01-31T08:00:00.9999999Z",
            "2026-01-31T08:00:00-23:59",
            "2026-01-31 08:00:00",
            "2026-02-30T08:00:00Z",
            1769846400,
        )
    ),
    _altered("latency", tags={"tenant": ""}),
    _altered("latency", tags={"tenant": "a" * 300}),
    _altered("latency", tags={"team": 1}),
    _altered("latency", tags={"b": "1", "a": "2"}),
    _altered("latency", schema_version="2.0.0"),
    _altered("latency", correlation_id="not a uuid"),
    _altered("latency", parent_event_id=_UUID),
    _altered("latency", parent_event_id="not a uuid"),
    *(_altered("latency", tags={"tenant": "a", tag: each}) for tag in ("service", "region", "team") for each in "xy"),
    _altered("latency", unknown="X").replace(b"X", b"\xff"),
    _with_data("latency", unknown="X").replace(b"X", b"\xed\xa0\x80"),
    _altered("latency", event_type="cost"),
    _altered("latency", unknown={"a": [[[[1]]]]}),
    _altered("latency", unknown=eval("[" * 70 + "]" * 70)),
    _with_data("latency", unknown=AsWritten("1e9999")),
    _with_data("latency", unknown=AsWritten("9" * 320)),
    _with_data("latency", unknown=AsWritten("1e-399")),
    _with_data("latency", unknown="1e9999,"),
    _with_data("latency", ttft_ms=None),
    _with_data("latency", model_id=""),
    _with_data("latency", model_id="m" * 300),
    _with_data("latency", request_id="\x00"),
    _with_data("latency", request_id="\\u0000"),
    _with_data("token_cost", total_cost_usd="0.1"),
    _with_data("token_cost", total_cost_usd="1_0"),
    _with_data("token_cost", total_cost_usd=AsWritten("99999999999999999")),
    _with_data("token_usage", input_cache_read_tokens=3),
    _with_data("custom", custom_type="other"),
    _altered("latency").replace(b'"severity"', b'"severity":"debug","severity"'),
    _altered("latency")[:-1],
    _altered("latency") + b" ",
    _altered("latency") + b"x",
]

_SERIES_TAGS = ["feature", "a"]


def _batch(values: list[bytes | None], lane: FastLane | None) -> Batch:
    records = [Record(_P, i, None, value) for i, value in enumerate(values)]
    return prepare(
        records,
        {_P: 0},
        decoder=lambda raw, now: decode(raw, now=now),
        received_at=NOW,
        lane=lane,
        series_tags=_SERIES_TAGS,
    )


def _content(batch: Batch) -> dict[int, Any]:
    """What the batch knows of each record."""
    events = batch.events
    rows = {
        position: (
            *(getattr(events.shape(i), name) for name in Shape.__slots__),
            events.timestamps_us[i],
            *(
                None if ids.is_null[i] else ids.octets[i].tobytes()
                for ids in (events.event_ids, events.correlation_ids, events.parent_event_ids)
            ),
            json.loads(events.tags_json[i]),
            _measures(events.shape(i).payload_class, events.payloads[i]),
            bytes(events.payload_json[i]),
        )
        for i, position in enumerate(events.positions.tolist())
    }
    assert len(rows) == len(events), "a record is one event at most"
    assert not rows.keys() & batch.rejections.keys()
    return rows | dict(batch.rejections)


def _measures(payload_class: type[Payload], payload: Any) -> dict[str, Any]:
    """What fills the columns; money in units of the column's last place."""
    return {
        name: value if value is None or MEASURE_TYPES[name] != "decimal" else units_of([value])[0]
        for name, (value,) in measured(payload_class, [payload]).items()
    }


_any_record = st.one_of(
    st.none(),
    st.sampled_from(_CLOSE_CALLS),
    flat_events().map(lambda tree: _ascii(to_wire(tree))),
    flat_events().map(lambda tree: to_wire(tree).encode()),
    flat_events().map(lambda tree: _ascii(to_wire(as_nested(tree)))),
    damaged(),
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_any_record, max_size=12))
@example(_CLOSE_CALLS)
def test_the_fast_lane_reads_and_refuses_what_the_contract_reads_and_refuses(values: list[bytes | None]) -> None:
    expected = _content(_batch(values, None))
    lane = FastLane(ShapeBook(_SERIES_TAGS))
    for _ in range(2):  # the second time every shape is known
        assert _content(_batch(values, lane)) == expected


@st.composite
def _cut_elsewhere(draw: st.DrawFn) -> list[bytes | None]:
    """Events one a line, cut into messages that begin and end anywhere, mostly at a line break or beside a bracket."""
    whole = b"\n".join(
        _altered(base) for base in draw(st.lists(st.sampled_from(["latency", "token_cost"]), max_size=4))
    )
    whole = whole.replace(b"}}", b"}\n}") if draw(st.booleans()) else whole
    places = [at for at, octet in enumerate(whole) if octet in b"\n{}"]
    cuts = draw(st.lists(st.sampled_from(places) | st.integers(0, len(whole)), max_size=5)) if places else []
    edges = [0, *sorted(at + draw(st.integers(0, 1)) for at in cuts), len(whole)]
    parts: list[bytes | None] = [whole[start:stop] for start, stop in itertools.pairwise(edges)]
    return [part.strip(b"\n") if part and draw(st.booleans()) else part for part in parts]


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(_cut_elsewhere())
@example([_altered("latency") + b"\n" + _altered("latency"), _altered("latency")[:-1], b"}"])
@example([_altered("latency")[:-1] + b',"x":{}', b"}"])
@example([_altered("latency") + _altered("latency"), b""])
@example([_altered("latency") + _altered("latency"), b"", _altered("latency")])
@example([_altered("latency") + _altered("latency"), b" ", _altered("latency")])
def test_messages_that_are_json_only_together_are_refused(values: list[bytes | None]) -> None:
    lane = FastLane(ShapeBook(_SERIES_TAGS))
    _batch([_altered("latency"), _altered("token_cost")], lane)  # their shapes are known
    assert _content(_batch(values, lane)) == _content(_batch(values, None))


def test_ordinary_records_do_take_the_fast_lane() -> None:
    values = [_ascii(to_wire(flat_example(subtype))) for subtype in EXAMPLE_DATA]
    lane = FastLane(ShapeBook(_SERIES_TAGS))
    lane.read(values, NOW, lambda i: decode(values[i], now=NOW))  # type: ignore[arg-type, return-value]
    assert len(lane.read(values, NOW, lambda i: pytest.fail(f"{values[i]!r} was read by itself"))) == len(values)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(st.lists(flat_events(), min_size=1, max_size=8), st.booleans())
@example([flat_example(subtype) for subtype in EXAMPLE_DATA], True)
def test_what_the_contract_reads_is_what_stands_in_the_table(
    database: str, connection: Connection, trees: list[dict[str, Any]], by_column: bool
) -> None:
    connection.execute("truncate events, ledger, landing_batches, landing_offsets, rollup_partial_sets, series")
    values: list[bytes | None] = [_ascii(to_wire(tree)) for tree in trees]
    events = {event.event_id: event for raw in values if isinstance(event := decode(raw, now=NOW), Event)}
    lane = FastLane(ShapeBook(_SERIES_TAGS)) if by_column else None
    store = PostgresLanding(database)
    store.adopt(_P, 0)
    store.land(_batch(values, lane))
    store.close()
    names = (
        "event_id, ts, tenant, source_module, event_type, payload_type, subtype, severity::text, environment,"
        " schema_version, correlation_id, parent_event_id, received_at, topic, partition"
    )
    measures = ", ".join(MEASURE_TYPES)
    rows = connection.execute(f"select {names}, tags, record_offset, payload, {measures} from events").fetchall()
    assert {row[0] for row in rows} == events.keys()
    for row in rows:
        event = events[row[0]]
        assert row[1:15] == (
            event.timestamp, event.tenant, event.source_module, event.event_type, event.payload_type, event.subtype,
            event.severity, event.environment, event.schema_version, event.correlation_id, event.parent_event_id,
            NOW, "t", 0,
        )  # fmt: skip
        assert row[15] == event.tags
        assert values[row[16]] is not None
        same = "select %s::jsonb = payload from events where event_id = %s"
        assert connection.execute(same, (event.payload_json.decode(), event.event_id)).fetchone() == (True,)
        expected = measured(type(event.payload), [event.payload])
        assert dict(zip(MEASURE_TYPES, row[18:], strict=True)) == {
            name: expected.get(name, [None])[0] for name in MEASURE_TYPES
        }
        assert at_us(row[1]) == at_us(event.timestamp)
