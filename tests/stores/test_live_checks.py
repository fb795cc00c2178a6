"""Failed checks as alerts of the live stream: when a rule begins to fail, fails otherwise, and holds again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from api.access import ROLES
from api.live_messages import message_of
from lah_platform.quality.suites import Verdict
from lah_platform.stores.checks import write_verdicts
from lah_platform.stores.live_changes import Change, changes_after, rows_of, settle
from lah_platform.stores.postgres import Connection

_NOW = datetime(2026, 3, 4, tzinfo=UTC)


def _verdict(*, passed: bool, failed: int, severity: str = "error") -> Verdict:
    return Verdict("events", "ids_are_unique", severity, True, passed, 100, failed, {"twice": failed}, "Look")


def _told(connection: Connection, tenant: str = "acme") -> list[Change]:
    settle(connection)
    return changes_after(connection, (0, 0), tenant=tenant, limit=100)[0]


def test_a_rule_that_fails_is_an_alert_once_until_it_fails_otherwise_or_holds(connection: Connection) -> None:
    judged = [(True, 0), (False, 3), (False, 3), (False, 4), (True, 0), (True, 0), (False, 1)]
    for hour, (passed, failed) in enumerate(judged):
        verdict = _verdict(passed=passed, failed=failed)
        warning = replace(verdict, severity="warn", check_name="other")
        write_verdicts(
            connection,
            [verdict, warning],
            checked_at=_NOW + timedelta(hours=hour),
            period_from=_NOW,
            period_to=_NOW + timedelta(hours=1),
            run_id=None,
        )
    told = _told(connection)
    assert [(each.kind, each.change) for each in told] == [
        ("alert", change) for change in ("new", "changed", "withdrawn", "new")
    ]
    assert len({each.object_id for each in told}) == 1
    rows = rows_of(connection, told)
    message = message_of(told[0], rows[told[0].place])
    assert '"check_name":"ids_are_unique"' in message.data
    assert '"passed":false' in message.data, "as it is now"
    assert not [name for name in ("observed", "failed_rows", "checked_rows") if name in message.data]


def test_whoever_hears_the_stream_may_read_checks_too() -> None:
    assert all("checks:read" in may for may in ROLES.values() if "live:read" in may)
