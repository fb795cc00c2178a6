"""Queries as Hypothesis makes them: anything that the model allows, over a few known dimensions."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

WINDOWS = [None, "1m", "7m", "15m", "90m", "1h", "6h", "1d", "3d", "1w", "2w", "1M", "3M", "12M"]
DIMENSIONS = {
    "tenant": ["acme", "globex"],
    "event_type": ["telemetry", "cost"],
    "subtype": ["latency", "api_cost", "token_usage"],
    "model": ["gpt-4", "claude-3", ""],
    "environment": ["production", "staging"],
    "service": ["chat", "rag", "a%b {c}"],
    "region": ["eu", "us", ""],
    "team": ["", "search"],
    "source_module": ["llm-observatory", "llm-sentinel"],
    "provider": ["p", ""],
    "tags.feature": ["x", "", "100%"],
}
KINDS = {"events": "counter", "latency_ms": "histogram", "input_tokens": "counter", "cost_usd": "counter"}
FIELDS = ["count", "sum", "min", "max", "mean", "stddev", "median", "rate", "count_rate", "p0", "p95", "p99.9", "p100"]
NEWEST = datetime(2026, 3, 4, 12, 1, tzinfo=UTC)
_PATTERNS = {
    name: ["^" + texts[0][:2], ("^" + texts[0][:2]).upper(), "t|x", "^(e|c)", "", "[a-c]+.", r"\w{2,4}$"]
    for name, texts in DIMENSIONS.items()
}


@st.composite
def filters(draw: st.DrawFn) -> tuple[str, str, Any]:
    name = draw(st.sampled_from(sorted(DIMENSIONS)))
    operator = draw(st.sampled_from(["equals", "in", "not", "regex"]))
    texts = st.sampled_from([*DIMENSIONS[name], "nobody"])
    value = {
        "equals": texts,
        "in": st.lists(texts, min_size=1, max_size=3),
        "not": texts | st.lists(texts, min_size=1, max_size=2),
        "regex": st.sampled_from(_PATTERNS[name]),
    }[operator]
    return name, operator, draw(value)


@st.composite
def ranges(draw: st.DrawFn) -> tuple[datetime, datetime]:
    """A range of whole minutes; its ends are often those of hours, days or months."""

    def end() -> datetime:
        at = NEWEST - draw(st.integers(0, 100)) * timedelta(1) - draw(st.integers(0, 1439)) * timedelta(minutes=1)
        cut = draw(st.sampled_from(["minute", "hour", "day", "month", "now"]))
        at = at if cut == "minute" else at.replace(minute=0)
        at = at if cut in ("minute", "hour") else at.replace(hour=0)
        return NEWEST if cut == "now" else at.replace(day=1) if cut == "month" else at

    ends = {end(), end()}
    if len(ends) == 1:
        ends.add(min(ends) - draw(st.sampled_from([timedelta(minutes=1), timedelta(hours=5), timedelta(40)])))
    return min(ends), max(ends)


@st.composite
def queries(draw: st.DrawFn) -> dict[str, Any]:
    """The arguments of `make_query`, without a fill and in order of time."""
    from_, to = draw(ranges())
    return {
        "metric": draw(st.sampled_from(sorted(KINDS))),
        "from_": from_,
        "to": to,
        "window": draw(st.sampled_from(WINDOWS)),
        "fields": draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=6, unique=True)),
        "filters": draw(st.lists(filters(), max_size=2)),
        "group_by": draw(st.lists(st.sampled_from(sorted(DIMENSIONS)), max_size=3, unique=True)),
    }
