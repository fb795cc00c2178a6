"""A score of a tenant's day is what a naive reader of the verdicts computes, by the words of docs/quality.md."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lah_platform.quality.suites import run_suite
from lah_platform.quality.verdicts import TenantVerdict, Verdict
from lah_platform.stores.checks import write_verdicts
from lah_platform.stores.postgres import Connection, connect
from tests.quality.sample import DAY, NEXT_DAY

_TENANTS = ("acme", "globex")


@st.composite
def _verdicts(draw: st.DrawFn) -> Verdict:
    severity = draw(st.sampled_from(["warn", "error"]))
    of_tenants = draw(st.booleans())
    tenants = {}
    for tenant in draw(st.lists(st.sampled_from(_TENANTS), unique=True)) if of_tenants else ():
        checked = draw(st.integers(0, 5))
        tenants[tenant] = TenantVerdict(checked, draw(st.sampled_from([0, 0, 1, 7])))
    checked = draw(st.integers(0, 9))
    failed = sum(each.failed_rows for each in tenants.values()) if of_tenants else draw(st.sampled_from([0, 0, 2]))
    name = draw(st.sampled_from("abcd"))
    return Verdict("events", name, severity, draw(st.booleans()), failed == 0, checked, failed, {}, "x", tenants)


def _naive(batches: Sequence[tuple[int, int, list[Verdict]]], day: date) -> dict[str, tuple[float, int, int]]:
    latest: dict[str, Verdict] = {}
    for first, last, verdicts in batches:
        if first <= (day - DAY.date()).days < last:
            latest |= {each.check_name: each for each in verdicts}
    known = {t for each in latest.values() for t, of in each.tenants.items() if of.checked_rows}
    scores = {}
    for tenant in known:
        weights = credits_ = 0.0
        checks = failed = 0
        for each in latest.values():
            if each.tenants and tenant not in each.tenants:
                continue
            of = each.tenants.get(tenant) or TenantVerdict(each.checked_rows or 0, each.failed_rows or 0)
            if not of.checked_rows and not of.failed_rows:
                continue
            weight = 4 if each.is_blocking else 2 if each.severity == "error" else 1
            if of.failed_rows == 0:
                credit = 1.0
            elif each.is_blocking or not of.checked_rows:
                credit = 0.0
            else:
                credit = max(0.0, 1 - of.failed_rows / of.checked_rows)
            weights, credits_ = weights + weight, credits_ + weight * credit
            checks, failed = checks + 1, failed + (of.failed_rows > 0)
        scores[tenant] = (100 * credits_ / weights, checks, failed)
    return scores


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.tuples(
            st.integers(0, 2), st.integers(1, 2), st.lists(_verdicts(), max_size=4, unique_by=lambda v: v.check_name)
        ),
        max_size=5,
    )
)
def test_scores_are_those_of_a_naive_recount_of_the_latest_verdicts(
    batches: list[tuple[int, int, list[Verdict]]], connection: Connection
) -> None:
    connection.execute("truncate checks, tenant_verdicts, quality_scores")
    spans = [(first, first + length, verdicts) for first, length, verdicts in batches]
    for hours, (first, last, verdicts) in zip(count(), spans, strict=False):
        write_verdicts(
            connection,
            verdicts,
            checked_at=NEXT_DAY + timedelta(hours=hours),
            period_from=DAY + timedelta(days=first),
            period_to=DAY + timedelta(days=last),
            run_id=None,
        )
    for offset in range(4):
        day = DAY.date() + timedelta(days=offset)
        found = connection.execute(
            "select tenant, score::float8, checks, failed_checks from quality_scores where day = %s", [day]
        ).fetchall()
        assert {tenant: (pytest.approx(score, abs=1e-4), n, failed) for tenant, score, n, failed in found} == _naive(
            spans, day
        )


def test_a_healthy_day_scores_100_and_a_broken_one_less_for_its_tenant_only(sample_url: str) -> None:
    def scores(at: datetime) -> dict[str, float]:
        with connect(sample_url) as connection:
            verdicts = run_suite(sample_url, "events", DAY, NEXT_DAY)
            write_verdicts(connection, verdicts, checked_at=at, period_from=DAY, period_to=NEXT_DAY, run_id=None)
            rows = connection.execute("select tenant, score::float8 from quality_scores where day = %s", [DAY])
            return dict(rows.fetchall())

    assert scores(NEXT_DAY) == {"acme": 100, "globex": 100}
    with connect(sample_url) as connection:
        connection.execute("update events set cost_usd = -1 where tenant = 'acme' and cost_usd is not null")
    broken = scores(NEXT_DAY + timedelta(hours=1))
    assert broken["acme"] < 100 == broken["globex"]


def test_a_part_of_a_day_is_not_scored(connection: Connection) -> None:
    verdict = Verdict("events", "a", "warn", False, True, 1, 0, {}, "x", {"acme": TenantVerdict(1, 0)})
    write_verdicts(
        connection,
        [verdict],
        checked_at=NEXT_DAY,
        period_from=DAY + timedelta(hours=1),
        period_to=NEXT_DAY + timedelta(hours=1),
        run_id=None,
    )
    assert connection.execute("select count(*) from quality_scores").fetchone() == (0,)
