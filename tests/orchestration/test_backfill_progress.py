"""Whoever asked for many days to be computed again is told how many of them are done."""

import uuid
from datetime import date, timedelta

import dagster as dg
import pytest

from assets.definitions import build_defs
from assets.progress import REQUEST_TAG
from assets.resources import Hub
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.backfill_progress import Progress, note_day_done, progress_of
from lah_platform.stores.backfills import request_backfill, set_state
from lah_platform.stores.postgres import Connection
from tests.landing.messages import NOW, message
from tests.orchestration.test_sensors import land

_LAST = NOW.date()


def _requested(connection: Connection, table: str, days: int) -> uuid.UUID:
    request = uuid.uuid4()
    first = _LAST - timedelta(days=days - 1)
    request_backfill(connection, request, table=table, start=first, end=_LAST, actor="test")
    return request


def _tags(request: uuid.UUID, first: date) -> dict[str, str]:
    days = {"dagster/asset_partition_range_start": f"{first}", "dagster/asset_partition_range_end": f"{_LAST}"}
    return days | {REQUEST_TAG: f"{request}"}


@pytest.mark.parametrize(("days", "lines"), [(3, 3), (45, 15)])
def test_a_run_over_days_counts_each_in_its_request_and_says_so_in_its_log_without_filling_it(
    database: str, hub: Hub, instance: dg.DagsterInstance, connection: Connection, days: int, lines: int
) -> None:
    land(database, [message(1)])
    request = _requested(connection, "rollups", days)
    job = build_defs(resource_overrides={"hub": hub}).resolve_job_def("rollups")
    tags = _tags(request, _LAST - timedelta(days=days - 1))
    windows = [dg.AssetKey(window.table) for window in WINDOWS]  # without their checks
    run = job.execute_in_process(instance=instance, tags=tags, asset_selection=windows)
    assert progress_of(connection, request) == Progress("requested", None, days, days)
    said = [entry.user_message for entry in instance.all_logs(run.run_id) if "is computed" in entry.user_message]
    assert len(said) == lines
    assert said[-1] == f"{_LAST} is computed: {days} of {days} days"


def test_a_request_that_succeeded_has_all_its_days_and_one_that_failed_those_it_had_computed(
    connection: Connection,
) -> None:
    finished, failed = _requested(connection, "cost_daily", 7), _requested(connection, "rollups", 7)
    note_day_done(connection, failed)
    set_state(connection, finished, "succeeded", "run 1")
    set_state(connection, failed, "failed", "run 2")
    assert progress_of(connection, finished) == Progress("succeeded", "run 1", 7, 7)
    assert progress_of(connection, failed) == Progress("failed", "run 2", 1, 7)


def test_a_run_that_is_tried_again_counts_no_day_beyond_the_range(connection: Connection) -> None:
    request = _requested(connection, "rollups", 2)
    for _ in range(5):
        note_day_done(connection, request)
    assert progress_of(connection, request).days_done == 2


@pytest.mark.parametrize(
    ("state", "days_done", "description"),
    [("requested", 0, "waiting for its run"), ("started", 3, "computing"), ("started", 9, "being checked")],
)
def test_the_command_says_what_is_going_on(state: str, days_done: int, description: str) -> None:
    assert Progress(state, "run", days_done, 9).description == description
