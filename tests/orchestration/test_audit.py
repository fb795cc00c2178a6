"""The audit log is watched over by the hub itself: signed, sent outside, and told of when somebody changes it."""

import json
from pathlib import Path

import dagster as dg
import pytest

from assets.definitions import build_defs
from assets.resources import Hub
from lah_platform.settings import settings
from lah_platform.stores.audit import record
from lah_platform.stores.audit_heads import last_head
from lah_platform.stores.checks import latest_verdicts
from lah_platform.stores.postgres import Connection
from tests.audit_rows import owners_way_in


def _run(hub: Hub, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = build_defs(resource_overrides={"hub": hub}).resolve_job_def("audit")
    return job.execute_in_process(instance=instance, raise_on_error=False)


def test_an_hours_run_signs_and_sends_the_head_and_stops_where_the_log_was_changed(
    hub: Hub, instance: dg.DagsterInstance, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "heads.jsonl"
    monkeypatch.setenv("LAH_HOME", str(tmp_path))
    monkeypatch.setenv("LAH_AUDIT_ANCHORS", json.dumps([f"file://{outside}"]))
    settings.cache_clear()
    try:
        position = record(connection, "ann", "create", "api_key", "k", "acme", {})
        assert _run(hub, instance).success
        signed = last_head(connection)
        assert signed is not None
        assert signed.position == position
        assert outside.read_text() == signed.line()

        with owners_way_in(connection):
            connection.execute("update audit_log set actor = 'bob' where position = %s", [position])
        record(connection, "ann", "create", "api_key", "k", "acme", {})
        failed = _run(hub, instance)
        assert not failed.success
        (evaluation,) = failed.get_asset_check_evaluations()
        assert not evaluation.passed
        (verdict,) = latest_verdicts(connection, "audit_heads")
        told = f"position {position}: changed: its hash is not that of its columns"
        assert verdict.verdict.observed["breaches"][0] == told
        assert last_head(connection) == signed
        assert outside.read_text() == signed.line()
    finally:
        settings.cache_clear()
