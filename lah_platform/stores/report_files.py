"""Reports made: read, judged, written as documents, kept as a revision, and put into the hub's folder.

A period is made once. Making it again gives the stored revision byte for byte, unless a published figure differs now:
then there is a new revision that says which.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from lah_platform.compliance.changes import changes_between, with_revision
from lah_platform.compliance.content import ALL, build_content
from lah_platform.compliance.detached import FORMATS, ReportKey, detached_record
from lah_platform.compliance.documents import documents_of
from lah_platform.compliance.evidence import Reading
from lah_platform.compliance.signing import Signer
from lah_platform.errors import ConfigurationError
from lah_platform.settings import Settings
from lah_platform.stores.cold_events import refuse_cold_days
from lah_platform.stores.control_files import load_frameworks
from lah_platform.stores.evidence import read_evidence
from lah_platform.stores.postgres import Connection
from lah_platform.stores.report_runs import ReportEntry, ReportRun, get_report, hold_report, latest_report, write_report
from lah_platform.stores.signing_key import hub_signer

__all__ = ["Made", "make_reports", "report_paths", "write_files"]

_DAY: Final = timedelta(days=1)
_EXTENSIONS: Final = {"html": "html", "pdf": "pdf", "json": "json", "csv": "csv", "signature": "signature.json"}


@dataclass(frozen=True)
class Made:
    """A report that was asked for: its revision, its files by format, and whether it was made now or there before."""

    run: ReportRun
    paths: Mapping[str, Path]
    is_new: bool


def report_paths(home: Path, entry: ReportEntry) -> dict[str, Path]:
    """The files of a revision by format, named by framework, tenant, environment, first and last day and revision."""
    parts = [entry.name, "all" if entry.tenant == ALL else quote(entry.tenant, safe="")]
    if entry.environment != ALL:
        parts.append(quote(entry.environment, safe=""))
    parts += [f"{entry.period_from}", f"{entry.period_to - _DAY}", f"r{entry.revision}"]
    return {name: home / "reports" / f"{'-'.join(parts)}.{ending}" for name, ending in _EXTENSIONS.items()}


def write_files(home: Path, run: ReportRun) -> dict[str, Path]:
    """Write the documents of a revision and its detached record; each is there whole or not at all."""
    paths = {name: path for name, path in report_paths(home, run.entry).items() if name in run.documents}
    for name, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_bytes(run.documents[name])
        partial.replace(path)
    return paths


def make_reports(
    connection: Connection,
    settings: Settings,
    names: Sequence[str] = (),
    *,
    tenant: str = ALL,
    environment: str = ALL,
    start: date,
    end: date,
    actor: str,
    now: datetime,
) -> list[Made]:
    """The reports of the frameworks `names` (none: of all) for the UTC days `start` to `end` (included).

    All are read in one snapshot. Raises ConfigurationError for an unknown name, an empty period, what `read_evidence`
    refuses, and days whose events have left PostgreSQL when no revision was made before.
    """
    every = load_frameworks(settings.controls_dir)
    if unknown := [name for name in names if name not in every]:
        raise ConfigurationError(f"No framework is called {unknown[0]!r}", f"There are {', '.join(every)}")
    if start > end:
        raise ConfigurationError(f"The period {start} to {end} is empty", "Name the earlier day first")
    frameworks = [every[name] for name in names or every]
    keys = [ReportKey(each.id, tenant, environment, f"{start}", f"{end + _DAY}") for each in frameworks]
    try:
        refuse_cold_days(connection, start, end, what="a report")
    except ConfigurationError:
        kept = [run for key in keys if (run := latest_report(connection, key)) is not None]
        if len(kept) == len(keys):
            return [Made(run, write_files(settings.home, run), is_new=False) for run in kept]
        raise
    summarized = {each.id: [every[name] for name in each.summarizes] for each in frameworks}
    needed = {each.id: each for framework in frameworks for each in (framework, *summarized[framework.id])}
    reading = read_evidence(
        connection,
        needed.values(),
        keys[0],
        retention_days=settings.retention_days,
        statement_seconds=settings.report_query_seconds,
    )
    signer = hub_signer(settings)
    made = []
    for framework, key in zip(frameworks, keys, strict=True):
        content = build_content(framework, reading, key, summarized=summarized[framework.id])
        run, is_new = _kept(connection, key, content, reading, signer, actor=actor, now=now)
        made.append(Made(run, write_files(settings.home, run), is_new))
    return made


def _kept(
    connection: Connection,
    key: ReportKey,
    content: Mapping[str, Any],
    reading: Reading,
    signer: Signer,
    *,
    actor: str,
    now: datetime,
) -> tuple[ReportRun, bool]:
    with connection.transaction():
        hold_report(connection, key)
        before = latest_report(connection, key)
        revision, supersedes, changes = 1, None, []
        if before is not None:
            changes = changes_between(before.content, content)
            if not changes:
                return before, False
            revision, supersedes = before.entry.revision + 1, before.entry
        content = with_revision(content, revision, supersedes.sha256 if supersedes else None, changes)
        documents = documents_of(content)
        published: dict[str, bytes] = {name: documents[name] for name in FORMATS}
        record = detached_record(
            key,
            revision,
            documents,
            generated_at=now,
            requested_by=actor,
            chain_head=reading.chain_head,
            signer=signer,
        )
        report_id = write_report(
            connection,
            key,
            revision=revision,
            supersedes=supersedes.report_id if supersedes else None,
            changes=changes,
            content=content,
            documents=published | {"signature": record},
            generated_at=now,
            requested_by=actor,
        )
        run = get_report(connection, report_id, tenant=ALL)
    if run is None:
        raise AssertionError("a report that was written is not there")
    return run, True
