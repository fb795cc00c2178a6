"""What a rule said about a period, whole and by tenant."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lah_platform.quality.rules import Severity

__all__ = ["TenantVerdict", "Verdict"]


@dataclass(frozen=True)
class TenantVerdict:
    """Rows of one tenant that a rule looked at, and those that failed it."""

    checked_rows: int
    failed_rows: int

    @property
    def passed(self) -> bool:
        return self.failed_rows == 0


@dataclass(frozen=True)
class Verdict:
    """What one rule said about one asset's rows of a period.

    `checked_rows`: rows of the asset in the period. `failed_rows`: rows that broke the rule, or what the rule returns
    of them. `observed`: JSON-serialisable examples of what failed, empty when it passed. `tenants`: the same by
    tenant, of rules whose failing rows belong to tenants; empty: the verdict is about all of them. `seconds`: what
    judging it took, an equal share of the pass for the rules that share it.
    """

    asset: str
    check_name: str
    severity: Severity
    is_blocking: bool
    passed: bool
    checked_rows: int | None
    failed_rows: int | None
    observed: Mapping[str, Any]
    advice: str
    tenants: Mapping[str, TenantVerdict] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)
