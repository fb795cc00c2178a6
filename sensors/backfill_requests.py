"""Requested backfills become runs: one request, one run over its range of days, and its state written back."""

from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.progress import REQUEST_TAG
from assets.resources import Hub
from lah_platform.stores.backfills import BACKFILL_TABLES, set_state, unfinished

__all__ = ["backfill_sensor"]

_ENDED = {
    dg.DagsterRunStatus.SUCCESS: "succeeded",
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "cancelled",
}


def backfill_sensor(name: str, jobs: list[UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    """A sensor that starts the requests for any of `jobs`; each code location has one for its own jobs."""
    names = {job.name for job in jobs}

    @dg.sensor(
        name=name,
        jobs=jobs,
        minimum_interval_seconds=2,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts one run per requested backfill (REST, `lah backfill`, `lah demo`) and notes how it ended.",
    )
    def backfill_requests(context: dg.SensorEvaluationContext, hub: Hub) -> dg.SensorResult | dg.SkipReason:
        requests = []
        with hub.connection() as connection:
            for request in unfinished(connection):
                job = BACKFILL_TABLES.get(request["table_name"])
                if job is None or job not in names:
                    continue
                identity = f"{request['request_id']}"
                run = next(iter(context.instance.get_runs(dg.RunsFilter(tags={REQUEST_TAG: identity}), limit=1)), None)
                is_cancelled = request["state"] == "cancelling"
                if run is None and is_cancelled:
                    set_state(connection, request["request_id"], "cancelled", None)
                elif run is None:
                    requests.append(_run_request(job, request, identity))
                elif (ended := _ENDED.get(run.status)) is not None:
                    stopped = is_cancelled and ended == "failed"  # by itself, after the day it was at
                    set_state(connection, request["request_id"], "cancelled" if stopped else ended, run.run_id)
                elif is_cancelled:
                    _stop(context, run)
                elif request["run_id"] is None:
                    set_state(connection, request["request_id"], "started", run.run_id)
        return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason("no new request")

    return backfill_requests


def _stop(context: dg.SensorEvaluationContext, run: dg.DagsterRun) -> None:
    if run.status == dg.DagsterRunStatus.CANCELING:
        return
    try:
        context.instance.run_coordinator.cancel_run(run.run_id)
    except Exception as error:  # whatever the launcher raises; the run ends by itself after its day
        context.log.warning("run %s cannot be terminated from here: %s", run.run_id, error)


def _run_request(job: str, request: dict, identity: str) -> dg.RunRequest:  # type: ignore[type-arg]
    tags = {REQUEST_TAG: identity, "lah/requested_by": request["requested_by"]}
    if job != "marts":  # marts are whole tables
        tags |= {
            "dagster/asset_partition_range_start": f"{request['from_day']}",
            "dagster/asset_partition_range_end": f"{request['to_day']}",
        }
    config: dict[str, Any] = {}
    if request["metrics"]:
        config = {"ops": {"compute_rollups": {"config": {"metrics": request["metrics"]}}}}
    return dg.RunRequest(run_key=identity, job_name=job, tags=tags, run_config=config)
