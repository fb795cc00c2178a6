"""Pass, fail or not evidenced: never a pass for lack of data, and at the threshold itself still a pass."""

from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lah_platform.compliance.evidence import Evidence, Scalar, figures_of
from lah_platform.compliance.framework import Control, MinimumEvidence, Threshold
from lah_platform.compliance.judgement import judge, rule_of
from lah_platform.errors import ConfigurationError

_NUMBERS = st.integers(0, 1000) | st.decimals("0", "1000", places=3)


def _control(
    direction: Literal["at_most", "at_least"] = "at_most",
    value: str = "5",
    *,
    share_of: str | None = None,
    at_least: int = 1,
    measure: str = "failed",
) -> Control:
    return Control(
        id="C-1",
        reference="r",
        title="t",
        criterion="c",
        owner="o",
        query="q",
        measure=measure,
        share_of=share_of,
        threshold=Threshold(direction=direction, value=Decimal(value)),
        minimum_evidence=MinimumEvidence(measure="events", at_least=at_least),
        tables=["events"],
        remediation="r",
        not_covered="n",
    )


def _evidence(**figures: Scalar) -> Evidence:
    return Evidence("select 1", "", figures)


@given(failed=_NUMBERS, limit=_NUMBERS, direction=st.sampled_from(["at_most", "at_least"]))
def test_a_number_is_held_to_its_threshold_with_the_threshold_itself_within(
    failed: Any, limit: Any, direction: Any
) -> None:
    judged = judge(_control(direction, f"{limit}"), _evidence(failed=failed, events=1))
    within = failed <= limit if direction == "at_most" else failed >= limit
    assert (judged.status, judged.number) == ("pass" if within else "fail", Decimal(failed))


@given(seen=st.integers(0, 20), needed=st.integers(1, 20), failed=st.integers(0, 3))
def test_below_the_minimum_evidence_nothing_is_judged_whatever_the_number(seen: int, needed: int, failed: int) -> None:
    judged = judge(_control(value="1", at_least=needed), _evidence(failed=failed, events=seen))
    if seen < needed:
        assert (judged.status, judged.number) == ("not_evidenced", None)
    else:
        assert judged.status == ("pass" if failed <= 1 else "fail")


@given(failed=st.integers(0, 10**6), events=st.integers(1, 10**6), limit=st.integers(0, 100))
def test_a_share_is_judged_unrounded_and_shown_to_four_digits(failed: int, events: int, limit: int) -> None:
    judged = judge(_control(value=f"{limit}", share_of="events"), _evidence(failed=failed, events=events))
    assert judged.status == ("pass" if failed * 100 <= limit * events else "fail")
    assert judged.number is not None
    assert abs(judged.number - Decimal(failed) * 100 / events) <= Decimal("0.00005")


@pytest.mark.parametrize(
    ("figures", "share_of"),
    [
        ({"failed": 0, "events": 0}, None),
        ({"failed": 0, "events": None}, None),
        ({"failed": None, "events": 9}, None),
        ({"failed": 0, "events": 9, "whole": 0}, "whole"),
        ({"failed": 0, "events": 9, "whole": None}, "whole"),
    ],
)
def test_what_cannot_be_known_is_not_evidenced_even_where_zero_would_pass(
    figures: dict[str, Scalar], share_of: str | None
) -> None:
    judged = judge(_control(value="0", share_of=share_of), _evidence(**figures))
    assert (judged.status, judged.number) == ("not_evidenced", None)
    assert judged.reason


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"failed": 1}, "field minimum_evidence.measure: its query returns no column 'events'"),
        ({"events": 1}, "field measure: its query returns no column 'failed'"),
        ({"failed": "many", "events": 1}, "field measure: failed is 'many'"),
        ({"failed": True, "events": 1}, "field measure: failed is True"),
    ],
)
def test_a_column_that_is_not_there_or_no_number_is_an_error_that_names_the_field(
    figures: dict[str, Scalar], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        judge(_control(), _evidence(**figures))
    assert f"control C-1, {said}" in caught.value.message


def test_a_rule_reads_as_a_sentence() -> None:
    assert rule_of(_control("at_least", "183", measure="retention_days")) == "retention days at least 183"
    assert rule_of(_control(value="2.50", share_of="events")) == "failed at most 2.50 % of events"


def _figures(*rows: dict[str, Scalar]) -> Evidence:
    return figures_of("sql", "said", rows, ValueError)


def test_one_row_is_figures_and_of_several_the_total_is_and_the_rest_are_groups() -> None:
    assert _figures({"n": 3, "none": None, "counted_rows": 9, "watermark": "w"}).figures == {"n": 3, "none": None}
    total: dict[str, Scalar] = {"model": None, "team": None, "n": 5, "mean": None, "is_total": True}
    found = _figures(total, {"model": "m", "team": None, "n": 5, "mean": 1, "is_total": False})
    assert (found.keys, found.figures) == (("model", "team"), {"n": 5, "mean": None})
    assert found.groups == ({"model": "m", "team": None, "n": 5, "mean": 1},)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"n": 1}, {"n": 2}],
        [{"n": 1, "is_total": False}],
        [{"n": 1, "is_total": True}, {"n": 1, "is_total": True}],
        [{"counted_rows": 1}],
    ],
)
def test_rows_that_are_neither_are_refused(rows: list[dict[str, Scalar]]) -> None:
    with pytest.raises(ValueError, match=r"rows|no figure"):
        _figures(*rows)
