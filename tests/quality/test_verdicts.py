"""Verdicts are kept, and the latest of each rule is the one that holds."""

from datetime import timedelta

from lah_platform.quality.suites import Verdict
from lah_platform.stores.checks import StoredVerdict, latest_verdicts, write_verdicts
from lah_platform.stores.postgres import Connection
from tests.quality.sample import DAY, NEXT_DAY

_PASSED = Verdict("events", "costs_are_not_negative", "error", False, True, 10, 0, {}, "ask the producer")
_FAILED = Verdict(
    "events", "costs_are_not_negative", "error", False, False, 10, 2, {"cost_usd": ["-1", "-2"]}, "ask the producer"
)
_OTHER = Verdict("ledger", "rows_balance", "warn", True, True, None, None, {}, "stop landing")


def test_the_latest_verdict_of_each_rule_comes_back_as_it_was_reached(connection: Connection) -> None:
    for hours, verdicts in [(1, [_FAILED, _OTHER]), (3, [_PASSED]), (2, [_FAILED])]:
        at = NEXT_DAY + timedelta(hours=hours)
        write_verdicts(connection, verdicts, checked_at=at, period_from=DAY, period_to=NEXT_DAY, run_id=f"run {hours}")

    assert latest_verdicts(connection) == [
        StoredVerdict(_PASSED, NEXT_DAY + timedelta(hours=3), DAY, NEXT_DAY, "run 3"),
        StoredVerdict(_OTHER, NEXT_DAY + timedelta(hours=1), DAY, NEXT_DAY, "run 1"),
    ]
    assert [stored.verdict for stored in latest_verdicts(connection, "ledger")] == [_OTHER]


def test_no_verdict_is_ever_overwritten(connection: Connection) -> None:
    for _ in range(2):
        write_verdicts(
            connection, [_PASSED, _FAILED], checked_at=NEXT_DAY, period_from=DAY, period_to=NEXT_DAY, run_id=None
        )

    assert connection.execute("select count(*), count(*) filter (where passed) from checks").fetchone() == (4, 2)
    # of two verdicts of the same moment the one written later holds
    assert [stored.verdict for stored in latest_verdicts(connection)] == [_FAILED]
