"""Ids and times read by array: what one text by itself would be, or left to the contract; never something else."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lah_platform.events.envelope import Timestamp
from lah_platform.landing.columns import at_us
from lah_platform.landing.texts import timestamps_us, uuids

_UUID = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENTS = st.integers(-62_135_400_000_000, 253_402_200_000_000).map(lambda ms: _EPOCH + timedelta(milliseconds=ms))
_FORMS = st.sampled_from(
    [
        lambda t: t.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        lambda t: t.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        lambda t: t.isoformat(timespec="seconds").replace("+00:00", "Z"),
        lambda t: t.isoformat(timespec="microseconds"),
        lambda t: t.isoformat(),
        lambda t: t.astimezone(timezone(timedelta(hours=2))).isoformat(timespec="microseconds"),
        lambda t: t.isoformat(timespec="microseconds").replace("+00:00", "123Z"),
    ]
)


def _one_by_one(text: str) -> int | None:
    try:
        return at_us(msgspec.convert(text, Timestamp))
    except (msgspec.ValidationError, OverflowError):
        return None


@st.composite
def _times(draw: st.DrawFn) -> list[str]:
    """Mostly of one spelling, as one producer writes, some with a character changed."""
    form = draw(_FORMS)
    texts = [(draw(_FORMS) if draw(st.integers(0, 20)) == 0 else form)(t) for t in draw(st.lists(_MOMENTS, max_size=8))]
    for at in draw(st.lists(st.integers(0, len(texts) - 1), max_size=2)) if texts else ():
        place = draw(st.integers(0, len(texts[at]) - 1))
        texts[at] = texts[at][:place] + draw(st.sampled_from("0123456789-:TZt+ .é")) + texts[at][place + 1 :]
    return texts


@settings(deadline=None, max_examples=300)
@given(_times())
@example(["2024-02-29T23:59:59.999999Z", "2023-02-29T00:00:00.000000Z"])
@example(["2026-04-31T00:00:00Z"])
@example(["2026-12-31T24:00:00Z"])
@example(["2026-12-31T23:59:60Z"])
@example(["0000-01-01T00:00:00Z"])
@example(["2026-01-01T00:00:00.000000Z2", "026-01-01T00:00:00.000000Z"])
def test_times_are_what_each_by_itself_is(texts: list[str]) -> None:
    moments, is_read = timestamps_us(texts)
    assert [moment if read else None for moment, read in zip(moments.tolist(), is_read.tolist(), strict=True)] == [
        _one_by_one(text) for text in texts
    ]


_IDS = st.one_of(
    st.none(),
    st.uuids().map(str),
    st.uuids().map(lambda each: str(each).upper()),
    st.sampled_from(
        [_UUID + "0", _UUID[:-1], _UUID[1:], _UUID.replace("-", ""), "", _UUID.replace("0", "g"), "é" * 36]
    ),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(_IDS, max_size=8))
@example([_UUID + "0", _UUID[1:]])  # together as long as two ids, and well spelt if cut in the middle
def test_ids_are_what_each_by_itself_is(texts: list[str | None]) -> None:
    column, is_read = uuids(texts)
    for place, text in enumerate(texts):
        assert column.is_null[place] == (text is None)
        is_canonical = text is None or (len(text) == 36 and _is_uuid(text))
        assert is_read[place] == is_canonical
        if text is not None and is_canonical:
            assert column.octets[place].tobytes() == UUID(text).bytes


def _is_uuid(text: str) -> bool:
    parts = text.split("-")
    digits = "0123456789abcdefABCDEF"
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and all(c in digits for part in parts for c in part)
