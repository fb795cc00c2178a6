"""When which reports are made and where they go: one YAML file, checked whole before anything of it is used.

Belongs here: its shape, its errors, which period a schedule means. Does not: making reports, sending them, Dagster.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
import yaml
from msgspec import Meta

from lah_platform.compliance import system_description
from lah_platform.compliance.cron import cron_problem
from lah_platform.compliance.periods import PeriodName
from lah_platform.errors import ConfigurationError
from lah_platform.events.names import tenant_problem

__all__ = ["DOCUMENTS", "Plan", "ReportSchedule", "TargetSettings", "read_plan"]

Document = Literal["html", "pdf", "json", "csv", "signature"]
DOCUMENTS: Final[tuple[Document, ...]] = ("html", "pdf", "json", "csv", "signature")
_ADVICE: Final = "Mend the file that LAH_REPORT_SCHEDULES names; `lah report schedules` reads it again"
_Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
_Variable = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")]
_Text = Annotated[str, Meta(min_length=1, max_length=2000)]
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_STORES: Final = ("s3", "gs", "az", "abfs", "abfss", "file", "memory")
_SECRET = re.compile(r"secret|token|password|access_key|account_key|sas|credential", re.IGNORECASE)
_T = TypeVar("_T")


class _Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class TargetSettings(_Data, frozen=True, kw_only=True):
    """Where documents go: exactly one of folder, store, webhook. Secrets are given by the name of a variable.

    `store` is an address such as s3://bucket/prefix, `settings` and `secrets` its options as obstore names them.
    `webhook_from` is a variable that holds the whole address; `secret_headers` are variables that hold headers' values.
    `plain_http` allows a webhook by http beyond this machine.
    """

    folder: _Text | None = None
    store: _Text | None = None
    settings: dict[str, str] = {}
    secrets: dict[str, _Variable] = {}
    webhook: _Text | None = None
    webhook_from: _Variable | None = None
    secret_headers: dict[str, _Variable] = {}
    plain_http: bool = False

    @property
    def kind(self) -> Literal["folder", "store", "webhook"]:
        """What it is."""
        return "folder" if self.folder is not None else "store" if self.store is not None else "webhook"

    @property
    def place(self) -> str:
        """What may be shown of the address: no path of a webhook, which may be a secret."""
        if self.webhook is not None:
            return f"{urlsplit(self.webhook).scheme}://{urlsplit(self.webhook).hostname}"
        return self.folder or self.store or f"${self.webhook_from}"

    @property
    def variables(self) -> list[str]:
        """The variables that must be set."""
        own = [self.webhook_from] if self.webhook_from else []
        return [*own, *self.secrets.values(), *self.secret_headers.values()]


class ReportSchedule(_Data, frozen=True, kw_only=True):
    """Make `reports` of the last whole `period` whenever `cron` (UTC, five fields) says, and deliver them."""

    reports: Annotated[list[_Name], Meta(min_length=1)]
    period: PeriodName
    cron: _Text
    tenant: _Text = "*"
    deliver: list[_Name] = []
    documents: Annotated[tuple[Document, ...], Meta(min_length=1)] = ("pdf", "json", "signature")


@dataclass(frozen=True)
class Plan:
    """Everything that the file says, by name."""

    targets: Mapping[str, TargetSettings]
    schedules: Mapping[str, ReportSchedule]

    def places(self) -> list[tuple[str, str, str]]:
        """Name, kind and what may be shown of the address of each target."""
        return [(name, target.kind, target.place) for name, target in self.targets.items()]

    def of_period(self, period: str) -> dict[str, ReportSchedule]:
        """The schedules of one period, by name."""
        return {name: each for name, each in self.schedules.items() if each.period == period}


class _File(_Data, frozen=True, kw_only=True):
    targets: dict[_Name, Any] = {}
    schedules: dict[_Name, Any] = {}


def read_plan(text: str, file: str, *, known_reports: Collection[str]) -> Plan:
    """The plan that a YAML file says; `file` is its name, for errors.

    Raises ConfigurationError that names file, entry and field, for the first thing that cannot be.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(f"{file}{where} is not YAML: {getattr(error, 'problem', error)}", _ADVICE) from error
    found = _converted({} if data is None else data, _File, file)
    plan = Plan(
        {name: _converted(each, TargetSettings, f"{file}: targets.{name}") for name, each in found.targets.items()},
        {name: _converted(each, ReportSchedule, f"{file}: schedules.{name}") for name, each in found.schedules.items()},
    )
    for problem in _problems(plan, known_reports):
        raise ConfigurationError(f"{file}: {problem}", _ADVICE)
    return plan


def _converted(data: Any, kind: type[_T], place: str) -> _T:
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at `")
        at = path.rstrip("`").replace("key in $", "").lstrip("$").lstrip(".")
        raise ConfigurationError(f"{place}{f'.{at}' if at else ''}: {said}", _ADVICE) from error


def _problems(found: Plan, known_reports: Collection[str]) -> Iterator[str]:
    for name, target in found.targets.items():
        yield from (f"targets.{name}: {said}" for said in _target_problems(target))
    for name, schedule in found.schedules.items():
        at = f"schedules.{name}"
        for report in schedule.reports:
            if report not in known_reports:
                yield f"{at}.reports: there is no report {report}; there are {', '.join(sorted(known_reports))}"
        if schedule.tenant != "*" and system_description.NAME in schedule.reports:
            yield f"{at}.reports: {system_description.NAME} is of the whole hub, not of one tenant"
        if problem := cron_problem(schedule.cron):
            yield f"{at}.cron: {problem}"
        if schedule.tenant != "*" and tenant_problem(schedule.tenant):
            yield f"{at}.tenant: {schedule.tenant!r} cannot be a tenant"
        for target_name in schedule.deliver:
            if target_name not in found.targets:
                yield f"{at}.deliver: there is no target {target_name}"


def _target_problems(target: TargetSettings) -> Iterator[str]:
    given = [name for name in ("folder", "store", "webhook", "webhook_from") if getattr(target, name) is not None]
    if len(given) != 1:
        yield f"give exactly one of folder, store, webhook, webhook_from; it has {', '.join(given) or 'none'}"
        return
    if target.folder is not None and not target.folder.startswith("/"):
        yield "folder: is not a whole path"
    if target.store is not None and urlsplit(target.store).scheme not in _STORES:
        yield f"store: begins with none of {', '.join(f'{each}://' for each in _STORES)}"
    if (target.settings or target.secrets) and target.store is None:
        yield "settings and secrets are for a store"
    if target.secret_headers and target.kind != "webhook":
        yield "secret_headers are for a webhook"
    for name in target.settings:
        if _SECRET.search(name) and name != "access_key_id":
            yield f"settings.{name}: give it under secrets, by the name of a variable"
    for address in (target.store, target.webhook):
        if address is not None and "@" in urlsplit(address).netloc:
            yield "the address must hold no user and no password"
    if target.webhook is not None and (problem := webhook_problem(target.webhook, plain_http=target.plain_http)):
        yield f"webhook: {problem}"


def webhook_problem(address: str, *, plain_http: bool) -> str | None:
    """Why no document may be sent there; None: it may."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "is not a web address"
    if parts.scheme == "http" and not plain_http and parts.hostname not in _LOOPBACK:
        return "is not reached by https; set plain_http: true to send it readable by others"
    return None
