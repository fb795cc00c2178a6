"""Late data: a past day whose rollups are newer than its costs is computed again, that day only.

Not when its events, or those its correlations look back on, have left PostgreSQL for the archive: costs and signals are
computed from PostgreSQL.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.resources import Hub
from lah_platform.stores.archive import cold_days
from lah_platform.stores.queries import queries

__all__ = ["late_data_sensor"]

_LOOK_BACK = timedelta(days=60)
_EVIDENCE = timedelta(days=14)  # what correlations look back on


def late_data_sensor(job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """The sensor that starts `job` for each late day; no cursor, the tables say what is stale."""

    @dg.sensor(
        name="late_data",
        job=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Recomputes costs and signals of a past day when late events have changed its rollups.",
    )
    def late_data(hub: Hub) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(UTC)
        with hub.connection() as connection:
            late = connection.execute(
                queries("stack")["late_days"], {"since": now - _LOOK_BACK, "today": now.date()}
            ).fetchall()
            cold = cold_days(connection, (now - _LOOK_BACK - _EVIDENCE).date(), now.date())
        late = [(day, at) for day, at in late if not any(day - _EVIDENCE <= each <= day for each in cold)]
        if not late:
            return dg.SkipReason("no past day has changed since it was computed")
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(run_key=f"late-{day}-{changed_at.isoformat()}", partition_key=f"{day}")
                for day, changed_at in late
            ]
        )

    return late_data
