"""What a replay promises whoever sends its messages and reads the ledger afterwards."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lah_platform.errors import ConfigurationError
from lah_platform.events.envelope import Event
from lah_platform.replay.disturbances import MALFORMED_KINDS
from lah_platform.replay.plan import ReplayPlan
from lah_platform.replay.traces import TRACES
from tests.replay.conftest import END
from tests.replay.reading import data_of, events_of, rejections_of

# hypothesis takes naive bounds and adds the zone
INSTANTS = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def identity(event: Event) -> tuple[object, ...]:
    return event.tenant, event.event_id, event.timestamp


# no shrinking: an example costs half a second, and its arguments are plain enough
@settings(max_examples=5, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    end=INSTANTS,
    events=st.integers(600, 3000),
    seed=st.integers(0, 2**31),
    duplicate_share=st.floats(0, 0.3),
    malformed_count=st.integers(0, 30),
    nested_share=st.floats(0, 1),
)
def test_the_ledger_of_any_replay_is_known_before_it_is_sent(
    end: datetime, events: int, seed: int, duplicate_share: float, malformed_count: int, nested_share: float
) -> None:
    plan = ReplayPlan.of_traces(
        end=end,
        run_id="property",
        events=events,
        seed=seed,
        duplicate_share=duplicate_share,
        malformed_count=malformed_count,
        nested_share=nested_share,
    )
    stored = events_of(plan, now=end)
    distinct = {identity(event) for event in stored}
    assert plan.expected.received == len(plan.messages) == sum(plan.expected[1:])
    assert plan.expected.stored == len(distinct) == sum(plan.counts.values())
    assert plan.expected.duplicate == len(stored) - len(distinct)
    assert plan.expected.dead_lettered == len(rejections_of(plan, now=end)) == malformed_count
    assert max(event.timestamp for event in stored) == end
    sent = [message.timestamp for message in plan]
    assert sent == sorted(sent)
    assert sent[-1] <= end


def test_every_event_of_the_default_replay_can_be_stored(workload_plan: ReplayPlan) -> None:
    stored = events_of(workload_plan, now=END)
    assert len(stored) == workload_plan.expected.stored + workload_plan.expected.duplicate
    assert 55_000 <= workload_plan.expected.stored <= 60_000
    kinds = Counter(f"{event.payload_type}/{event.subtype}" for event in {identity(e): e for e in stored}.values())
    assert dict(kinds) == workload_plan.kinds


def test_every_subtype_of_the_catalog_is_replayed(workload_plan: ReplayPlan) -> None:
    from lah_platform.events.payloads import PAYLOAD_TYPE_OF

    replayed = {kind.partition("/")[2] for kind in workload_plan.kinds}
    assert set(PAYLOAD_TYPE_OF) <= replayed
    assert {kind for kind in workload_plan.kinds if kind.startswith("custom/")}


def test_both_spellings_are_sent(workload_plan: ReplayPlan) -> None:
    nested = sum(message.value.startswith(b'{"common"') for message in workload_plan)
    assert 0.05 < nested / len(workload_plan.messages) < 0.1


def test_a_malformed_record_of_every_kind_is_sent_and_refused_for_its_own_reason(workload_plan: ReplayPlan) -> None:
    refused = rejections_of(workload_plan, now=END)
    assert len(refused) == len(MALFORMED_KINDS)
    assert len({(rejection.code, rejection.field) for rejection in refused}) >= len(MALFORMED_KINDS) - 1


def test_a_repeat_has_the_same_key_and_bytes_and_comes_later(workload_plan: ReplayPlan) -> None:
    sent: dict[bytes, list[int]] = {}
    for index, message in enumerate(workload_plan):
        sent.setdefault(message.value, []).append(index)
    repeats = [places for places in sent.values() if len(places) > 1]
    assert len(repeats) == workload_plan.expected.duplicate
    for first, second in repeats:
        original, repeat = workload_plan.messages[first], workload_plan.messages[second]
        assert original.key == repeat.key
        assert original.timestamp <= repeat.timestamp


def test_the_same_run_repeats_its_bytes_and_another_run_shares_no_id() -> None:
    def plan(run_id: str) -> ReplayPlan:
        return ReplayPlan.of_traces(end=END, run_id=run_id, events=2000)

    first, again, other = plan("a"), plan("a"), plan("b")
    assert first.messages == again.messages
    ids = {event.event_id for event in events_of(first, now=END)}
    others = events_of(other, now=END)
    assert ids.isdisjoint(event.event_id for event in others)
    requests = {data_of(event)["request_id"] for event in events_of(first, now=END) if event.subtype == "token_usage"}
    assert requests.isdisjoint(data_of(event)["request_id"] for event in others if event.subtype == "token_usage")


@pytest.mark.parametrize("events", [700, 3_000, 20_000])
def test_a_smaller_replay_keeps_every_source_and_the_whole_time_span(events: int) -> None:
    plan = ReplayPlan.of_traces(end=END, run_id="tests", events=events, duplicate_share=0, malformed_count=0)
    # scenarios stay whole, and every stratum keeps something: a small budget may be exceeded by as much
    assert plan.expected.stored <= max(events, 1_200)
    stored = events_of(plan, now=END)
    assert set(plan.counts) - {"planted"} == {*TRACES, "synthetic"}
    assert all(count > 0 for count in plan.counts.values())
    spans: dict[str, list[datetime]] = {}
    for event in stored:
        spans.setdefault(event.tags["trace"], []).append(event.timestamp)
    for trace in ("azure-code", "mooncake", "servegen-m-small", "servegen-m-large", "servegen-deepseek-r1"):
        assert max(spans[trace]) == END, trace
    for trace, days in (("servegen-m-small", 10), ("llmperf", 10), ("synthetic", 10), ("servegen-deepseek-r1", 1)):
        assert max(spans[trace]) - min(spans[trace]) > timedelta(days=0.9 * days), trace
    for trace in ("azure-code", "mooncake"):
        assert max(spans[trace]) - min(spans[trace]) > timedelta(minutes=50), trace


def test_the_events_of_a_request_stay_together(workload_plan: ReplayPlan) -> None:
    requests: dict[object, set[str]] = {}
    partitions: dict[object, set[bytes]] = {}
    usage_ids: dict[object, object] = {}
    costs: list[Event] = []
    for message in workload_plan:
        for event in events_of([message], now=END):
            if event.tags["trace"] in ("azure-code", "mooncake"):
                request = (event.correlation_id, data_of(event)["request_id"])
                requests.setdefault(request, set()).add(event.subtype)
                partitions.setdefault(request, set()).add(message.key)
                if event.subtype == "token_usage":
                    usage_ids[request] = event.event_id
                elif event.subtype == "token_cost":
                    costs.append(event)
    assert requests
    assert all(subtypes == {"token_usage", "token_cost", "latency"} for subtypes in requests.values())
    assert all(len(keys) == 1 for keys in partitions.values())
    for cost in costs:
        assert cost.parent_event_id == usage_ids[cost.correlation_id, data_of(cost)["request_id"]]


def test_no_partition_gets_much_more_than_its_share(workload_plan: ReplayPlan) -> None:
    from zlib import crc32

    for partitions in (4, 6):
        loads = Counter(crc32(message.key) % partitions for message in workload_plan)
        assert max(loads.values()) < 1.3 * len(workload_plan.messages) / partitions


def test_a_single_trace_is_replayed_alone() -> None:
    for name in TRACES:
        plan = ReplayPlan.of_traces(end=END, run_id="tests", source=name, events=600, malformed_count=0)
        traces = {event.tags["trace"].partition("-")[0] for event in events_of(plan, now=END)}
        assert traces == {name.partition("-")[0]}


def test_it_says_which_of_the_two_it_ran_and_how_much_of_each_source(workload_plan: ReplayPlan) -> None:
    line = workload_plan.describe()
    assert line.startswith("generated workload: ")
    assert "\n" not in line
    for name, count in workload_plan.counts.items():
        assert f"{name} {count:,}" in line


def test_a_wrong_name_or_folder_says_what_to_do(tmp_path: object) -> None:
    from pathlib import Path

    with pytest.raises(ConfigurationError, match=r"no trace 'azure'.*azure-code"):
        ReplayPlan.of_traces(end=END, run_id="tests", source="azure")
    with pytest.raises(ConfigurationError, match=r"azure2023_code_requests\.parquet is not in"):
        ReplayPlan.of_traces(end=END, run_id="tests", traces_dir=Path(str(tmp_path)))
    with pytest.raises(ValueError, match="time zone"):
        ReplayPlan.of_traces(end=END.replace(tzinfo=None), run_id="tests")
