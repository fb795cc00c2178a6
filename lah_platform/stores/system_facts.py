"""What is configured, read where it is: settings, PostgreSQL and its catalog, Dagster's tables, a certificate."""

import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cryptography import x509
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from lah_platform.compliance.facts import FactTable, Value
from lah_platform.compliance.system_description import QUERIED, Queried, SettingFact, masked
from lah_platform.settings import Settings
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["read_settings", "read_system"]

_Q = queries("system")
_COUNTED_BYTES = 64 * 1024 * 1024
_PACKAGES = ("llm-analytics-hub", "dagster", "dbt-core", "cryptography")


def read_settings(settings: Settings) -> list[SettingFact]:
    """Every setting of this process, in the order of Settings, with nothing secret in it."""
    return [
        SettingFact(
            f"LAH_{name.upper()}",
            _value(name, getattr(settings, name)),
            name in settings.model_fields_set,
            field.description or "",
        )
        for name, field in type(settings).model_fields.items()
    ]


def read_system(connection: Connection, settings: Settings) -> list[FactTable]:
    """The tables that are read from PostgreSQL and this machine. `connection` is in autocommit mode."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read read only")
        queried = [_queried(connection, each) for each in QUERIED]
        relations = _relations(connection)
    versions, *others = queried
    rows = (*_software(), *versions.rows)
    source = f"{versions.source}; importlib.metadata of the process that read it"
    versions = FactTable(versions.table_id, versions.title, source, versions.columns, rows)
    return [versions, *others, relations, _api_transport(settings)]


def _value(name: str, value: object) -> str | None:
    if name == "database_url" and isinstance(value, SecretStr):
        parts = conninfo_to_dict(value.get_secret_value())
        return " ".join(f"{key}={parts[key]}" for key in ("host", "port", "dbname", "sslmode") if key in parts)
    return masked(name, value, is_secret=isinstance(value, SecretStr))


def _software() -> Iterator[tuple[Value, ...]]:
    yield "Python", platform.python_version()
    for name in _PACKAGES:
        yield name, importlib.metadata.version(name)


def _queried(connection: Connection, asked: Queried) -> FactTable:
    cursor = connection.execute(_Q[asked.table_id]) if _is_there(connection, asked.needs) else None
    columns = tuple(each.name for each in cursor.description or ()) if cursor is not None else ()
    rows = tuple(cursor.fetchall()) if cursor is not None else ()
    source = f"query system.{asked.table_id} ({asked.reads})"
    return FactTable(asked.table_id, asked.title, source, columns, rows, asked.note if not rows else "")


def _is_there(connection: Connection, needed: str | None) -> bool:
    return needed is None or connection.execute(_Q[needed]).fetchone() == (True,)


def _relations(connection: Connection) -> FactTable:
    """Rows are counted where that is quick, else the planner's estimate is given as what it is."""
    rows: list[tuple[Value, ...]] = []
    for name, size, estimate, holds in connection.execute(_Q["relations"]).fetchall():
        counted = None
        if size <= _COUNTED_BYTES:
            statement = sql.SQL("select count(*) from lah.{}").format(sql.Identifier(name))
            ((counted,),) = connection.execute(statement).fetchall()
        how = "counted" if counted is not None else "planner's estimate" if estimate is not None else "never analysed"
        rows.append((name, estimate if counted is None else counted, how, size, holds))
    source = "query system.relations (pg_class, pg_partition_tree), and count(*) of tables of at most 64 MiB"
    columns = ("table", "rows", "rows_are", "bytes", "holds")
    return FactTable("relations", "Tables and the rows they hold", source, columns, tuple(rows))


def _api_transport(settings: Settings) -> FactTable:
    path = settings.api_certificate
    facts: Mapping[str, Value] = {"scheme": settings.api_scheme, "address": settings.api_host, **_certificate(path)}
    source = "LAH_API_HOST, LAH_API_CERTIFICATE and the certificate's file"
    note = (
        "" if path else "No certificate is set: the API speaks HTTP; a proxy may add TLS, which is not seen from here."
    )
    return FactTable("api_transport", "Transport to the API", source, ("fact", "value"), tuple(facts.items()), note)


def _certificate(path: Path | None) -> dict[str, Value]:
    if path is None:
        return {}
    try:
        chain: Sequence[x509.Certificate] = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        return {"certificate": f"cannot be read here: {type(error).__name__}"}
    own = chain[0]
    return {
        "certificate_subject": own.subject.rfc4514_string(),
        "certificate_issuer": own.issuer.rfc4514_string(),
        "certificate_valid_until": own.not_valid_after_utc,
    }
