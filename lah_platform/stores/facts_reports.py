"""Access reviews and system descriptions kept as reports: once a period, signed."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final

from lah_platform.compliance import access_review, system_description
from lah_platform.compliance.detached import ReportKey, detached_record
from lah_platform.compliance.facts import FactsDocument, facts_content
from lah_platform.compliance.facts_pages import facts_pages
from lah_platform.compliance.schedules import Plan
from lah_platform.compliance.signing import Signer
from lah_platform.errors import ConfigurationError
from lah_platform.settings import Settings
from lah_platform.stores.audit_chain import chain_head
from lah_platform.stores.facts_documents import make_access_review, make_system_description
from lah_platform.stores.postgres import Connection
from lah_platform.stores.report_runs import ReportRun, get_report, hold_report, latest_report, write_report

__all__ = ["FACTS", "TooLate", "keep_facts", "make_facts"]

FACTS: Final = (access_review.NAME, system_description.NAME)
_GRACE: Final = timedelta(days=7)
_ALL: Final = "*"


class TooLate(ConfigurationError):
    """What was configured then cannot be read any more."""


def make_facts(
    connection: Connection,
    settings: Settings,
    name: str,
    *,
    roles: Mapping[str, frozenset[str]],
    plan: Plan,
    tenant: str,
    now: datetime,
) -> FactsDocument:
    """What is configured now, as the document `name` of FACTS.

    Raises ConfigurationError for a system description of one tenant.
    """
    if name == access_review.NAME:
        return make_access_review(connection, settings, tenant=tenant, roles=roles, now=now)
    if tenant != _ALL:
        raise ConfigurationError("A system description is of the whole hub", "Leave the tenant out")
    return make_system_description(connection, settings, roles=roles, targets=plan.places(), now=now)


def keep_facts(
    connection: Connection,
    settings: Settings,
    name: str,
    *,
    roles: Mapping[str, frozenset[str]],
    plan: Plan,
    tenant: str,
    start: date,
    end: date,
    signer: Signer,
    actor: str,
    now: datetime,
) -> ReportRun:
    """The document kept for the UTC days [start, end), made now when there is none yet.

    What was configured in a past period cannot be read any more: raises TooLate for a period that is not
    this one nor, with a week to spare, the one before, and of which none was kept.
    """
    key = ReportKey(name, tenant, _ALL, f"{start}", f"{end}")
    if (kept := latest_report(connection, key)) is not None:
        return kept
    if not start <= now.date() <= end + (end - start) + _GRACE:
        raise TooLate(
            f"Of {start} to {end - timedelta(days=1)} no {name.replace('_', ' ')} was kept, and it shows what is "
            "configured now",
            "Take the newest one that is stored, or leave it out of this period",
        )
    found = make_facts(connection, settings, name, roles=roles, plan=plan, tenant=tenant, now=now)
    content = facts_content(found, (start, end))
    documents = facts_pages(content)
    with connection.transaction():
        hold_report(connection, key)
        if (kept := latest_report(connection, key)) is not None:  # somebody else was faster
            return kept
        head = chain_head(connection)
        record = detached_record(
            key,
            1,
            documents,
            generated_at=now,
            requested_by=actor,
            chain_head={"position": head.position, "row_hash": head.row_hash},
            signer=signer,
        )
        report_id = write_report(
            connection,
            key,
            revision=1,
            supersedes=None,
            changes=[],
            content=content,
            documents={**{str(name): body for name, body in documents.items()}, "signature": record},
            generated_at=now,
            requested_by=actor,
        )
        made = get_report(connection, report_id, tenant=_ALL)
    if made is None:
        raise AssertionError("a report that was written is not there")
    return made
