"""The system description: what runs, how it is set, what it holds and whom it talks to, each fact with its source.

Belongs here: which facts, in what order, and what must not be shown. Does not: reading them (`stores/system_facts.py`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from lah_platform.compliance.facts import FactsDocument, FactTable, Value

__all__ = [
    "NAME",
    "QUERIED",
    "Queried",
    "SettingFact",
    "build_system_description",
    "encryption_table",
    "masked",
    "retention_table",
    "settings_table",
    "third_parties_table",
]

NAME: Final = "system_description"
_STATEMENT = (
    "Generated from what is configured and running at the time given, not from prose: each table names the query, "
    "setting or catalog that it was read from."
)
_SECRET = re.compile(r"password|secret|token|credential|private|jaas|oauth|\bkey\b|[._-]key\b|pem", re.IGNORECASE)
_QUERY_OF_URL = re.compile(r"(://[^?\s]*)\?\S*")
_USER_OF_URL = re.compile(r"(?<=://)[^/@\s]*@")


@dataclass(frozen=True)
class Queried:
    """A table read by the query `system.<table_id>`, whose columns it has. `needs`: a query that must say yes."""

    table_id: str
    title: str
    reads: str
    note: str = ""
    needs: str | None = None


QUERIED: Final[Sequence[Queried]] = (
    Queried("versions", "What runs", "pg_extension, lah.schema_migrations"),
    Queried("database_transport", "Transport to PostgreSQL", "pg_stat_ssl, pg_settings"),
    Queried("tenants", "Tenants", "lah.ledger, lah.api_keys"),
    Queried("topics", "Topics", "lah.landing_offsets"),
    Queried("flow", "Data flows: records from each source", "lah.ledger"),
    Queried("archive", "Archive", "lah.archive_files"),
    Queried("retention_rules", "Retention rules that people set", "lah.retention_rules", "The settings alone decide."),
    Queried("legal_holds", "Legal holds in force", "lah.legal_holds"),
    Queried("encryption_keys", "Encryption keys in use", "lah.encryption_keys", "Nothing was encrypted here yet."),
    Queried("subjects", "Persons with keys of their own", "lah.subjects, lah.subject_tombstones"),
    Queried("audit", "Audit log: head of the hash chain", "lah.audit_chain"),
    Queried(
        "instigators",
        "Schedules and sensors",
        "dagster.instigators",
        "Empty until Dagster's daemon has run on this database.",
        needs="has_instigators",
    ),
    Queried(
        "assets",
        "Assets made by Dagster",
        "dagster.asset_keys",
        "Empty until Dagster has run on this database.",
        needs="has_assets",
    ),
)


@dataclass(frozen=True)
class SettingFact:
    """One setting as the reading process has it; `value` is masked already. `is_set`: by the environment."""

    variable: str
    value: str | None
    is_set: bool
    says: str


def masked(name: str, value: object, *, is_secret: bool = False) -> str | None:
    """A setting's value as it may be shown: nothing secret, no user or password of an address, no secret entries.

    `name` is the setting's or, within a mapping, the entry's.
    """
    if value is None:
        return None
    if is_secret:
        return "set, not shown"
    if isinstance(value, Mapping):
        shown = (
            f"{key}={masked(str(key), each, is_secret=bool(_SECRET.search(str(key))))}" for key, each in value.items()
        )
        return ", ".join(shown) or None
    if isinstance(value, list | tuple):
        return ", ".join(str(masked(name, each)) for each in value) or None
    return _QUERY_OF_URL.sub(r"\1?...", _USER_OF_URL.sub("", str(value)))


def settings_table(settings: Sequence[SettingFact]) -> FactTable:
    """Every setting with where its value comes from."""
    rows = tuple(
        (each.variable, each.value, "environment" if each.is_set else "default", each.says) for each in settings
    )
    source = "lah_platform/settings.py, the environment of the process that read it"
    return FactTable("settings", "Settings", source, ("variable", "value", "from", "means"), rows)


def retention_table(settings: Mapping[str, SettingFact], log_days: int) -> FactTable:
    """How long what is kept by settings; `log_days`: of Dagster's own event log."""
    days, hot = settings["LAH_RETENTION_DAYS"].value, settings["LAH_HOT_DAYS"].value
    rows: tuple[tuple[Value, ...], ...] = (
        ("events, and their files in the archive", f"{days} days", "LAH_RETENTION_DAYS"),
        ("events in PostgreSQL, once they are archived", f"{hot or days} days", "LAH_HOT_DAYS"),
        (
            "events uncompressed (TimescaleDB)",
            f"{settings['LAH_COMPRESS_AFTER_DAYS'].value} days",
            "LAH_COMPRESS_AFTER_DAYS",
        ),
        ("Dagster's runs and event log", f"{log_days} days", "EVENT_LOG_DAYS of lah_platform/settings.py"),
    )
    return FactTable("retention", "Retention", "settings", ("what", "kept_for", "set_by"), rows)


def encryption_table(settings: Mapping[str, SettingFact], fields: Mapping[str, Mapping[str, str]]) -> FactTable:
    """What is encrypted before it is stored: `fields` are the declared personal ones, path to sort, by payload type."""
    mode, provider = settings["LAH_FIELD_ENCRYPTION"].value, settings["LAH_MASTER_KEY_PROVIDER"].value
    own = "environment" if settings["LAH_MASTER_KEY"].value else "file in LAH_HOME"
    rows: list[tuple[Value, ...]] = [
        ("personal fields", "encrypted, AES-256-GCM" if mode == "on" else "stored as sent", "LAH_FIELD_ENCRYPTION"),
        ("master key", provider or own, "LAH_MASTER_KEY_PROVIDER"),
    ]
    rows += [
        (f"{kind}: {path}", f"personal ({sort})", "x-personal in lah_platform/events/payloads")
        for kind, paths in fields.items()
        for path, sort in paths.items()
    ]
    note = "Disks and volumes may be encrypted below PostgreSQL; that is not seen from here."
    source = "settings, and the catalog of personal fields"
    return FactTable("encryption", "Encryption before storage", source, ("what", "how", "source"), tuple(rows), note)


def third_parties_table(settings: Mapping[str, SettingFact], targets: Sequence[tuple[str, str, str]]) -> FactTable:
    """Whom the hub talks to outside its own processes. `targets`: name, kind and address of deliveries of reports."""
    rows: list[tuple[Value, ...]] = [
        (purpose, fact.value, fact.variable)
        for variable, purpose in _ELSEWHERE.items()
        if (fact := settings.get(variable)) is not None and fact.value not in (None, "none")
    ]
    rows += [
        (f"reports delivered to {kind} {name}", address, "LAH_REPORT_SCHEDULES") for name, kind, address in targets
    ]
    note = "" if rows else "None is configured: every part runs on this machine."
    return FactTable("third_parties", "Third parties", "settings", ("purpose", "address", "source"), tuple(rows), note)


_ELSEWHERE: Final = {
    "LAH_DATABASE_URL": "PostgreSQL, if others run it",
    "LAH_KAFKA_BOOTSTRAP": "Kafka",
    "LAH_OIDC_ISSUER": "issuer of tokens",
    "LAH_VAULT_URL": "master key in HashiCorp Vault",
    "LAH_KMS_KEY": "master key in AWS KMS",
    "LAH_AUDIT_ANCHORS": "copies of the audit log's signed heads",
}


def build_system_description(tables: Sequence[FactTable], *, as_of: datetime) -> FactsDocument:
    """The description of the whole hub; tables in the order given. Raises ValueError when two have one id."""
    ids = [table.table_id for table in tables]
    if len(set(ids)) != len(ids):
        raise ValueError(f"two tables have one id: {sorted(ids)}")
    return FactsDocument(NAME, "System description", "*", as_of, _STATEMENT, tuple(_numbered(tables)))


def _numbered(tables: Sequence[FactTable]) -> Iterator[FactTable]:
    for number, table in enumerate(tables, 1):
        title = f"{number}. {table.title}"
        yield FactTable(table.table_id, title, table.source, table.columns, table.rows, table.note)
