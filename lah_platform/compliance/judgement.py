"""What a control comes to: pass, fail or not evidenced, and why. A control never passes for lack of data."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Literal

from lah_platform.compliance.evidence import Evidence, Scalar
from lah_platform.compliance.framework import Control
from lah_platform.errors import ConfigurationError

__all__ = ["Judgement", "Status", "judge", "rule_of"]

Status = Literal["pass", "fail", "not_evidenced"]
_SHARE_DIGITS = Decimal("0.0001")


@dataclass(frozen=True)
class Judgement:
    """`number` is what the threshold was held to, of a share in percent; None: there was nothing to judge."""

    status: Status
    number: Decimal | None
    reason: str


def judge(control: Control, evidence: Evidence) -> Judgement:
    """Hold a control's number to its threshold.

    Not evidenced when the minimum evidence is not there, or the number cannot be formed (null, or a share of nothing).
    A share is judged as it is and shown to four digits. Raises ConfigurationError naming the control and the field for
    a column that the query does not return or that is no number.
    """
    needed = control.minimum_evidence
    seen = _number(control, "minimum_evidence.measure", needed.measure, evidence)
    if seen is None or seen < needed.at_least:
        return Judgement("not_evidenced", None, f"{_words(needed.measure)}: {seen or 0} of at least {needed.at_least}")
    measured = _number(control, "measure", control.measure, evidence)
    if measured is None:
        return Judgement("not_evidenced", None, f"{_words(control.measure)} is not known")
    if control.share_of is None:
        number = measured
    else:
        whole = _number(control, "share_of", control.share_of, evidence)
        if not whole:
            return Judgement("not_evidenced", None, f"no {_words(control.share_of)} to take a share of")
        with localcontext(prec=50):
            number = measured * 100 / whole
    limit = control.threshold.value
    passed = number <= limit if control.threshold.direction == "at_most" else number >= limit
    shown = number if control.share_of is None else number.quantize(_SHARE_DIGITS, ROUND_HALF_EVEN)
    return Judgement("pass" if passed else "fail", shown, "within the threshold" if passed else "beyond the threshold")


def rule_of(control: Control) -> str:
    """The threshold in words: "failed at most 5 % of events"."""
    limit = f"{control.threshold.direction.replace('_', ' ')} {control.threshold.value:f}"
    if control.share_of is None:
        return f"{_words(control.measure)} {limit}"
    return f"{_words(control.measure)} {limit} % of {_words(control.share_of)}"


def _number(control: Control, field: str, column: str, evidence: Evidence) -> Decimal | None:
    if column not in evidence.figures:
        there = ", ".join(evidence.figures)
        raise ConfigurationError(
            f"control {control.id}, field {field}: its query returns no column {column!r}", f"It returns {there}"
        )
    value: Scalar = evidence.figures[column]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ConfigurationError(
            f"control {control.id}, field {field}: {column} is {value!r}", "Name a column of numbers"
        )
    return Decimal(value)


def _words(name: str) -> str:
    return name.replace("_", " ")
