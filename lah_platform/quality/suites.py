"""Running an asset's rules on PostgreSQL through Great Expectations, and saying what came out.

Belongs here: everything that touches Great Expectations, inside functions because its import takes 5 seconds and
300 MB. Does not: what is promised (`events`, `landing`, `rollups`, `served`, `incidents`), keeping verdicts
(`stores/checks.py`).
"""

import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar

from lah_platform.errors import LahError
from lah_platform.quality.events import EVENTS
from lah_platform.quality.incidents import INCIDENTS
from lah_platform.quality.landing import LEDGER
from lah_platform.quality.rollups import ROLLUPS
from lah_platform.quality.rules import Asset, Expectation, Rule, Severity, filled
from lah_platform.quality.served import ANOMALIES, CORRELATIONS, COST_DAILY, FORECASTS, REPORTS
from lah_platform.settings import TELEMETRY_OFF

__all__ = ["ASSETS", "RuleFailedToRun", "Verdict", "run_suite"]

ASSETS: Mapping[str, Asset] = MappingProxyType(
    {
        asset.name: asset
        for asset in (
            *(EVENTS, LEDGER, *ROLLUPS, COST_DAILY),
            *(ANOMALIES, FORECASTS, CORRELATIONS, INCIDENTS, REPORTS),
        )
    }
)
"""Every asset that has a suite, in the order of the flow."""

_EXAMPLES = 5
_ROWS = "rows"  # counts the batch; no rule is called so
_MICROSECOND = timedelta(microseconds=1)
# work_mem: comparing a day of minutes with its events spills to disk below it
_SESSION = "-c search_path=lah,public -c TimeZone=UTC -c default_transaction_read_only=on -c work_mem=64MB"

# The failing rows' number and a few of them in one bounded answer: GX fetches whatever a query returns. The JOIN
# keeps GX from adding an alias of its own behind {batch}.
_FAILING = """
with batch as {batch}, failing as (
%s
)
select total.failed_rows, to_jsonb(failing)::text as example from failing
cross join (select count(*) as failed_rows from failing) as total limit %d
"""


class RuleFailedToRun(LahError):
    """A rule could not be checked; that is neither a pass nor a failure of the data."""


@dataclass(frozen=True)
class Verdict:
    """What one rule said about one asset's rows of a period.

    `checked_rows`: rows of the asset in the period. `failed_rows`: rows that broke the rule (of rules over several
    columns: values). `observed`: JSON-serialisable examples of what failed, empty when it passed.
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


def run_suite(url: str, asset: str, period_from: datetime, period_to: datetime) -> list[Verdict]:
    """Check every rule of `asset` for its rows in [period_from, period_to), in the order of the rules.

    `url` is a postgresql:// URL; the session is read-only and sees schema lah. The period (time zone required) is
    widened to whole buckets of the asset: minutes for events and the ledger, days for cost_daily. Nothing is
    written, to the database or to disk. The first call of a process imports Great Expectations (5 s, 300 MB).
    Raises ValueError for an unknown asset or a period that is empty or without time zone, RuleFailedToRun when a rule
    cannot be checked (no database, a missing table, a wrong column).
    """
    if asset not in ASSETS:
        raise ValueError(f"no suite checks {asset!r}: use one of {', '.join(ASSETS)}")
    if period_from.utcoffset() is None or period_to.utcoffset() is None or period_from >= period_to:
        raise ValueError(f"[{period_from}, {period_to}) is not a period with time zone")
    spec = ASSETS[asset]
    gx = _great_expectations()
    with _batch(gx, url, spec, period_from, period_to) as validate:
        count = {_ROWS: [gx.expectations.ExpectTableRowCountToBeBetween(min_value=0)]}
        by_value = {rule.name: [_built(gx, each) for each in rule.expectations] for rule in spec.rules if not rule.sql}
        by_query = {rule.name: [_query(gx, spec, rule, period_from, period_to)] for rule in spec.rules if rule.sql}
        # whether values pass is one query for all columns; which ones do not is another for each
        found = validate(by_value, {"result_format": "BOOLEAN_ONLY"})
        failing = {name: by_value[name] for name, results in found.items() if not all(r.success for r in results)}
        found |= validate(
            count | failing | by_query, {"result_format": "SUMMARY", "partial_unexpected_count": _EXAMPLES}
        )
    checked_rows = int(found[_ROWS][0].result["observed_value"])
    return [_verdict(rule, checked_rows, found[rule.name]) for rule in spec.rules]


def _great_expectations() -> Any:
    os.environ.update(TELEMETRY_OFF)  # read once, at import
    with warnings.catch_warnings():
        # GX 1.24 imports two modules that Python 3.11 deprecates; nobody here can act on it
        warnings.filterwarnings("ignore", r"module 'sre_(constants|parse)' is deprecated", DeprecationWarning)
        import great_expectations
        import great_expectations.expectations
    return great_expectations


_Validate = Callable[[Mapping[str, list[Any]], Mapping[str, Any]], dict[str, list[Any]]]


@contextmanager
def _batch(gx: Any, url: str, spec: Asset, period_from: datetime, period_to: datetime) -> Iterator[_Validate]:
    """Validates expectations by rule name against the asset's rows of the period; closes its connections at the end."""
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )
    from great_expectations.datasource.fluent.interfaces import TestConnectionError
    from great_expectations.exceptions.exceptions import GreatExpectationsError
    from sqlalchemy.exc import SQLAlchemyError

    start, end = _literals(spec, period_from, period_to)
    query = filled(
        "select {columns} from {table} where {time} >= {start} and {time} < {end}",
        columns=", ".join(spec.columns),
        table=spec.name,
        time=spec.time_column,
        start=start,
        end=end,
    )
    try:
        in_memory = DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
            progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
            analytics_enabled=False,
        )
        context = gx.get_context(mode="ephemeral", project_config=in_memory)
        source = context.data_sources.add_postgres(
            "lah",
            connection_string=_sqlalchemy_url(url),
            create_temp_table=False,
            kwargs={"connect_args": {"options": _SESSION, "application_name": "lah-quality", "connect_timeout": 10}},
        )
        try:
            batch = source.add_query_asset(spec.name, query=query).add_batch_definition_whole_table("rows").get_batch()

            def validate(by_rule: Mapping[str, list[Any]], result_format: Mapping[str, Any]) -> dict[str, list[Any]]:
                suite = gx.ExpectationSuite(name=spec.name)
                for name, expectations in by_rule.items():
                    for expectation in expectations:
                        expectation.meta = {"rule": name}
                        suite.add_expectation(expectation)
                found: dict[str, list[Any]] = {name: [] for name in by_rule}
                for result in batch.validate(suite, result_format=result_format).results:
                    name = result.expectation_config.meta["rule"]
                    _refuse_exception(spec.name, name, result.exception_info)
                    found[name].append(result)
                return found

            yield validate
        finally:
            source.get_engine().dispose()
    except (GreatExpectationsError, TestConnectionError, SQLAlchemyError) as error:
        raise RuleFailedToRun(
            f"The suite of {spec.name} could not run ({_one_line(str(error))})",
            "Check the database's URL, and `lah migrate status`; `lah doctor` tells more",
        ) from error


def _refuse_exception(asset: str, rule: str, info: Mapping[str, Any]) -> None:
    """GX reports a rule that broke as one that failed; it is neither. One entry a metric, or one for all."""
    entries = [info] if "raised_exception" in info else list(info.values())
    message = next((entry["exception_message"] for entry in entries if entry["raised_exception"]), None)
    if message is not None:
        raise RuleFailedToRun(
            f"Rule {asset}.{rule} could not be checked ({_one_line(message)})",
            "Compare the schema with `lah migrate status`; the rule is in lah_platform/quality",
        )


def _built(gx: Any, expectation: Expectation) -> Any:
    return getattr(gx.expectations, expectation.type)(**expectation.kwargs)


def _query(gx: Any, spec: Asset, rule: Rule, period_from: datetime, period_to: datetime) -> Any:
    start, end = _literals(spec, period_from, period_to)
    failing = filled(rule.sql, period_from=start, period_to=end)
    escaped = failing.replace("{", "{{").replace("}", "}}")
    return _failing_rows(gx)(unexpected_rows_query=_FAILING % (escaped, _EXAMPLES))


@cache
def _failing_rows(gx: Any) -> Any:
    """GX's expectation of a query without rows, asking once: its own asks a second time, for the number of rows."""

    class ExpectQueryToFindNoFailingRows(gx.expectations.UnexpectedRowsExpectation):  # type: ignore[misc]
        metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.table",)

        def _validate(self, metrics: dict[str, Any], **_: Any) -> dict[str, Any]:
            rows = metrics["unexpected_rows_query.table"]
            return {"success": not rows, "result": {"rows": rows}}

    return ExpectQueryToFindNoFailingRows


def _verdict(rule: Rule, checked_rows: int, results: list[Any]) -> Verdict:
    passed = all(result.success for result in results)
    if rule.sql:
        rows = results[0].result["rows"]
        failed_rows = int(rows[0]["failed_rows"]) if rows else 0
        observed: dict[str, Any] = {"examples": [json.loads(row["example"]) for row in rows]} if rows else {}
    else:
        failed_rows = sum(int(result.result.get("unexpected_count") or 0) for result in results)
        observed = {
            _columns(result): json.loads(json.dumps(result.result["partial_unexpected_list"], default=str))
            for result in results
            if not result.success
        }
    if passed != (failed_rows == 0):
        raise RuleFailedToRun(
            f"Rule {rule.asset}.{rule.name} says passed={passed} with {failed_rows} failing rows",
            "The installed Great Expectations answers differently: install the locked version",
        )
    return Verdict(
        rule.asset,
        rule.name,
        rule.severity,
        rule.is_blocking,
        passed,
        checked_rows,
        failed_rows,
        observed,
        rule.advice,
    )


def _columns(result: Any) -> str:
    kwargs = result.expectation_config.kwargs
    return str(kwargs.get("column") or f"{kwargs['column_A']}, {kwargs['column_B']}")


def _literals(spec: Asset, period_from: datetime, period_to: datetime) -> tuple[str, str]:
    """The period's ends in SQL, widened to whole buckets of the asset."""
    start, end = period_from.astimezone(UTC), period_to.astimezone(UTC)
    if spec.grain is not None:
        start, end = spec.grain.floor(start), spec.grain.end(spec.grain.floor(end - _MICROSECOND))
    if spec.is_dated:
        return f"date '{start:%Y-%m-%d}'", f"date '{end:%Y-%m-%d}'"
    return f"timestamptz '{start.isoformat()}'", f"timestamptz '{end.isoformat()}'"


def _sqlalchemy_url(url: str) -> str:
    from sqlalchemy import make_url

    return make_url(url).set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
