"""Running an asset's rules on PostgreSQL through Great Expectations, and saying what came out.

All rules on single rows share one pass over the asset's rows; every other rule is one query. Each is an expectation of
one suite, and Great Expectations asks a query once that several of them depend on.

Belongs here: everything that touches Great Expectations, inside functions because its import takes 5 seconds and
300 MB. Does not: what is promised (`registry`), rules as SQL (`conditions`), keeping verdicts (`stores/checks.py`).
"""

import json
import os
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, ClassVar

from lah_platform.errors import LahError
from lah_platform.quality.conditions import batch_of, broken, failing, is_shared
from lah_platform.quality.registry import ASSETS
from lah_platform.quality.rules import Asset, Rule, filled
from lah_platform.quality.verdicts import TenantVerdict, Verdict
from lah_platform.settings import TELEMETRY_OFF

__all__ = ["ASSETS", "STAGING", "RuleFailedToRun", "Verdict", "run_suite"]

STAGING = "lah_staging"
"""The schema in which tables wait to be judged before they are served."""

_EXAMPLES = 5
_ALL_IDS_UP_TO = 1_000_000  # rows; beyond, rules that compare ids look at one in so many that about as many are left
_COUNTED_UP_TO = 100_000  # failing rows that are told apart by tenant
_PASS = "pass"  # the shared pass; no rule is called so
# work_mem: comparing a day of minutes with its events spills to disk below it
_SESSION = "-c search_path={schemas} -c TimeZone=UTC -c default_transaction_read_only=on -c work_mem=64MB"

# By tenant: rows, then failing rows of each shared rule. The JOIN keeps GX from adding an alias behind {batch}.
_SHARED = """
with batch as {batch}, counted as (
    select batch.{owner} as owner, count(*) as checked{counts} from batch group by 1
)
select coalesce(jsonb_object_agg(tenant, counts), '{{}}')::text as tenants from (
    select {tenant} as tenant, array[sum(checked){sums}]::bigint[] as counts
    from counted left join series on series.series_id = {series_id} group by 1
) by_tenant
"""
# GX fetches whatever a query returns, so it returns one row: how many fail, a few of them, and whose they are
_FAILING = """
with batch as {batch}, failing as (
%s
), total as (
    select count(*) as failed_rows from failing
), told as (
    select to_jsonb(failing) as row from failing limit %d
), by_tenant as (
    select coalesce(row ->> 'tenant', series.tenant) as tenant, count(*) as failed_rows
    from told left join series on row ->> 'tenant' is null and series.series_id = (row ->> 'series_id')::bigint
    group by 1
)
select failed_rows, (select jsonb_agg(row)::text from (select row from told limit %d) few) as examples,
    (select jsonb_object_agg(tenant, failed_rows) filter (where tenant is not null) from by_tenant)::text as tenants
from total
"""


class RuleFailedToRun(LahError):
    """A rule could not be checked; that is neither a pass nor a failure of the data."""


def run_suite(
    url: str,
    asset: str,
    period_from: datetime,
    period_to: datetime,
    *,
    rules: Collection[str] = (),
    schema: str = "lah",
    is_exhaustive: bool = False,
) -> list[Verdict]:
    """Check the rules of `asset` for its rows in [period_from, period_to), in the order of the rules.

    `url` is a postgresql:// URL; the session is read-only and sees schema lah, and before it `schema`, which may hold
    the rows to be judged in a table of the asset's name. The period (time zone required) is widened to whole buckets
    of the asset: minutes for the ledger, days for cost_daily. `rules`: only these, none named: all. Rules that compare
    ids look at a share of them when the period has more than a million rows, unless `is_exhaustive`. Nothing is
    written, to the database or to disk. The first call of a process imports Great Expectations (5 s, 300 MB).
    Raises ValueError for an unknown asset or a period that is empty or without time zone, RuleFailedToRun when a rule
    cannot be checked (no database, a missing table, a wrong column).
    """
    if asset not in ASSETS:
        raise ValueError(f"no suite checks {asset!r}: use one of {', '.join(ASSETS)}")
    if period_from.utcoffset() is None or period_to.utcoffset() is None or period_from >= period_to:
        raise ValueError(f"[{period_from}, {period_to}) is not a period with time zone")
    spec = ASSETS[asset]
    chosen = [rule for rule in spec.rules if not rules or rule.name in rules]
    shared = [rule for rule in chosen if is_shared(rule)]
    gx = _great_expectations()
    with _batch(gx, url, spec, batch_of(spec, period_from, period_to), schema) as validate:
        query = _shared_query(spec, shared)
        judged = validate({_PASS: (query, -1)} | {rule.name: (query, place) for place, rule in enumerate(shared)})
        counts = _Counts(judged[_PASS].row)
        one_in = 1 if is_exhaustive else max(1, -(-counts.checked_rows // _ALL_IDS_UP_TO))
        found: dict[str, _Judged] = {}
        for rule in chosen:
            if not is_shared(rule) or not judged[rule.name].passed:
                query = _failing_query(failing(spec, rule, period_from, period_to, one_in=one_in))
                found |= validate({rule.name: (query, None)})
    return [_verdict(rule, counts, shared.index(rule) if is_shared(rule) else None, judged | found) for rule in chosen]


@dataclass(frozen=True)
class _Judged:
    passed: bool
    row: Mapping[str, Any]
    seconds: float


class _Counts:
    """What the shared pass found: by tenant the rows, then the failing rows of each shared rule."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._of: dict[str, list[int]] = json.loads(row["tenants"])

    @property
    def checked_rows(self) -> int:
        return sum(counts[0] for counts in self._of.values())

    def failed_rows(self, number: int) -> int:
        return sum(counts[1 + number] for counts in self._of.values())

    def by_tenant(self, failed: Callable[[str, list[int]], int]) -> dict[str, TenantVerdict]:
        """Of tenants with rows; `failed` says how many of a tenant's fail."""
        return {
            tenant: TenantVerdict(counts[0], failed(tenant, counts))
            for tenant, counts in sorted(self._of.items())
            if tenant
        }


def _verdict(rule: Rule, counts: _Counts, number: int | None, judged: Mapping[str, _Judged]) -> Verdict:
    passed, row = judged[rule.name].passed, judged[rule.name].row
    examples = json.loads(row.get("examples") or "[]")
    if number is not None:
        failed_rows = counts.failed_rows(number)
        tenants = counts.by_tenant(lambda _, of: of[1 + number])
    else:
        failed_rows = int(row["failed_rows"])
        failing_of = json.loads(row["tenants"] or "{}")
        tenants = counts.by_tenant(lambda tenant, _: failing_of.get(tenant, 0))
        for tenant in failing_of.keys() - tenants.keys():
            tenants[tenant] = TenantVerdict(0, failing_of[tenant])
    if passed != (failed_rows == 0) or passed != (not examples):
        raise RuleFailedToRun(
            f"Rule {rule.asset}.{rule.name} says passed={passed} with {failed_rows} failing rows",
            "The rows changed meanwhile, or the installed Great Expectations is not the locked one: run it again",
        )
    return Verdict(
        rule.asset,
        rule.name,
        rule.severity,
        rule.is_blocking,
        passed,
        counts.checked_rows,
        failed_rows,
        {"examples": examples} if examples else {},
        rule.advice,
        tenants if rule.is_of_tenants else {},
        judged[rule.name].seconds,
    )


def _great_expectations() -> Any:
    os.environ.update(TELEMETRY_OFF)  # read once, at import
    with warnings.catch_warnings():
        # GX 1.24 imports two modules that Python 3.11 deprecates; nobody here can act on it
        warnings.filterwarnings("ignore", r"module 'sre_(constants|parse)' is deprecated", DeprecationWarning)
        import great_expectations
        import great_expectations.expectations
    return great_expectations


def _shared_query(spec: Asset, shared: Sequence[Rule]) -> str:
    by_series = spec.tenant_by == "series_id"
    return filled(
        _SHARED,
        owner=spec.tenant_by,
        counts="".join(f", count(*) filter (where {_escaped(broken(rule))}) as f{n}" for n, rule in enumerate(shared)),
        sums="".join(f", sum(f{n})" for n in range(len(shared))),
        tenant="coalesce(series.tenant, '')" if by_series else "owner",
        series_id="owner" if by_series else "null",
    )


def _failing_query(text: str) -> str:
    return _FAILING % (_escaped(text), _COUNTED_UP_TO, _EXAMPLES)


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


_Validate = Callable[[Mapping[str, tuple[str, int | None]]], dict[str, _Judged]]


@contextmanager
def _batch(gx: Any, url: str, spec: Asset, rows: str, schema: str) -> Iterator[_Validate]:
    """Asks queries by rule name about the asset's rows of the period; closes its connections at the end."""
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )
    from great_expectations.datasource.fluent.interfaces import TestConnectionError
    from great_expectations.exceptions.exceptions import GreatExpectationsError
    from sqlalchemy.exc import SQLAlchemyError

    options = _SESSION.format(schemas="lah,public" if schema == "lah" else f"{schema},lah,public")
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
            kwargs={"connect_args": {"options": options, "application_name": "lah-quality", "connect_timeout": 10}},
        )
        try:
            batch = source.add_query_asset(spec.name, query=rows).add_batch_definition_whole_table("rows").get_batch()

            def validate(queries: Mapping[str, tuple[str, int | None]]) -> dict[str, _Judged]:
                started = time.monotonic()
                suite = gx.ExpectationSuite(name=spec.name)
                for name, (query, place) in queries.items():
                    suite.add_expectation(
                        _no_failing_rows(gx)(unexpected_rows_query=query, place=place, meta={"rule": name})
                    )
                found: dict[str, _Judged] = {}
                results = batch.validate(suite, result_format={"result_format": "SUMMARY"}).results
                share = (time.monotonic() - started) / len(queries)
                for result in results:
                    name = result.expectation_config.meta["rule"]
                    _refuse_exception(spec.name, name, result.exception_info)
                    (row,) = result.result["rows"]
                    found[name] = _Judged(result.success, row, share)
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


@cache
def _no_failing_rows(gx: Any) -> Any:
    """GX's expectation of a query without rows, here of one that counts them: GX's own asks a second time for that.

    `place`: of a query that counts for several rules by tenant, which count is meant; below 0: none.
    """

    class ExpectQueryToCountNoFailingRows(gx.expectations.UnexpectedRowsExpectation):  # type: ignore[misc]
        place: int | None = None
        metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.table",)

        def _validate(self, metrics: dict[str, Any], **_: Any) -> dict[str, Any]:
            rows = metrics["unexpected_rows_query.table"]
            if self.place is None:
                failed_rows = sum(row["failed_rows"] for row in rows)
            elif self.place < 0:
                failed_rows = 0
            else:
                failed_rows = sum(_Counts(row).failed_rows(self.place) for row in rows)
            return {"success": failed_rows == 0, "result": {"rows": rows}}

    return ExpectQueryToCountNoFailingRows


def _sqlalchemy_url(url: str) -> str:
    from sqlalchemy import make_url

    return make_url(url).set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
