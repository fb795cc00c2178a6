"""A small content to lay out and to compare, without a database."""

from collections.abc import Mapping
from typing import Any

from lah_platform.compliance.content import build_content
from lah_platform.compliance.detached import ReportKey
from lah_platform.compliance.evidence import Evidence, Exceptions, Reading, Scalar, Source
from lah_platform.compliance.framework import Framework, read_framework

KEY = ReportKey("tiny", "acme", "*", "2026-03-01", "2026-04-01")
FRAMEWORK = """\
id: tiny
title: Tiny report
standard: none
scope: little
limits: [many]
controls:
  - &control
    id: T-1
    reference: one
    title: Nothing fails
    criterion: It works.
    owner: Ann
    query: authentication
    measure: failed
    threshold: {direction: at_most, value: 0}
    minimum_evidence: {measure: events}
    exceptions: authentication_exceptions
    tables: [events]
    remediation: Mend it.
    not_covered: The rest.
"""


def framework(text: str = FRAMEWORK) -> Framework:
    return read_framework(text, "tiny.yaml")


def reading(*, failed: int = 1, rows: int = 7, words: str = "login", sql: str = "select 1", **more: Any) -> Reading:
    figures: dict[str, Scalar] = {"events": 3, "failed": failed}
    failing: tuple[Mapping[str, Scalar], ...] = tuple(
        {"at": f"2026-03-0{n + 1}T01:02:03+00:00", "kind": "event", "id": f"00{n}", "tenant": "acme", "detail": words}
        for n in range(failed)
    )
    evidence = Evidence(
        sql, "Logins.", figures, ("action",), ({"action": words, "events": 3, "failed": failed},), False, 3, None
    )
    verdicts = ({"check_name": words, "severity": "error", "passed": False, "failed_rows": 2},)
    source = Source("events", rows, f"2026-03-31T00:00:{rows:02}+00:00", "2", verdicts, 0, sql)
    return Reading(
        "0036_report_reader",
        {"authentication": evidence},
        {"authentication_exceptions": Exceptions(sql, "Failed logins.", failing, failed)},
        {"events": source},
        **more,
    )


def content(text: str = FRAMEWORK, key: ReportKey = KEY, **more: Any) -> dict[str, Any]:
    return build_content(framework(text), reading(**more), key)
