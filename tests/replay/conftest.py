"""Plans shared by the replay's tests: building one costs a second."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lah_platform.events.envelope import Event
from lah_platform.replay.plan import ReplayPlan
from tests.replay.reading import events_of

END = datetime(2026, 11, 23, 18, 0, 0, 123457, tzinfo=UTC)


@pytest.fixture(scope="session")
def workload_plan() -> ReplayPlan:
    """The default replay of a machine without traces."""
    return ReplayPlan.of_traces(end=END, run_id="tests")


@pytest.fixture(scope="session")
def workload_events(workload_plan: ReplayPlan) -> list[Event]:
    """Distinct events of the default replay as they are stored."""
    return list({event.event_id: event for event in events_of(workload_plan, now=END)}.values())


@pytest.fixture(scope="session")
def trace_plan(traces: Path) -> ReplayPlan:
    """The default replay of the real traces."""
    return ReplayPlan.of_traces(end=END, run_id="tests", traces_dir=traces)
