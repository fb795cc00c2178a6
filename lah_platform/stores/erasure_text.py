"""Personal text in served tables: every free text that people or methods wrote, without one person's identifier.

Events are not here: their personal fields are encrypted with a key that the erasure destroys. Nor are figures.
"""

from psycopg import sql

from lah_platform.privacy.mentions import ERASED_TEXT, is_distinct, mention_pattern
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["NOT_SEARCHED", "SERVED_TEXT", "scrub"]

_SCRUB = queries("rights")["scrub"].decode()

SERVED_TEXT = {
    "anomalies": ("explanation",),
    "anomaly_dismissals": ("note",),
    "correlations": ("explanation", "evidence"),
    "incidents": ("title", "root_cause", "story"),
    "maintenance_windows": ("reason",),
    "checks": ("observed", "advice"),
    "legal_holds": ("reason",),
}
"""Tables and their columns of free text; a test enumerates the schema, so that a new one is not forgotten."""

NOT_SEARCHED = {
    "events": "personal fields are encrypted, dimensions are the organisation's own words",
    "dead_letters": "their bytes are decrypted and searched (`erasure_reach`)",
    "audit_log": "append-only: it has subject_ids, never identifiers",
    "reports": "signed revisions, made of counts and of references to events whose personal fields are encrypted",
    "metrics": "the hub's own words",
    "suspect_windows": "the hub's own words",
    "subject_requests": "counts, and the reasons of holds that forbade an erasure",
}
"""Tables whose texts are left alone, each with the reason; so are columns that hold names, codes and ids alone."""


def scrub(connection: Connection, tenant: str, identifier: str) -> dict[str, int]:
    """Replace the identifier in the tenant's served texts; returns how many rows changed, by table.

    Inside the erasing transaction. An identifier that cannot be told from other words is looked for nowhere.
    """
    if not is_distinct(identifier):
        return {}
    changed = {}
    for table, columns in SERVED_TEXT.items():
        kinds: dict[str, str] = dict(connection.execute(
            "select a.attname, format_type(a.atttypid, null) from pg_attribute a"
            " where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped", [f"lah.{table}"]
        ).fetchall())  # fmt: skip
        there = [name for name in columns if name in kinds]
        if there and (rows := connection.execute(_statement(table, there, kinds, tenant, identifier)).rowcount):
            changed[table] = rows
    return changed


def _statement(table: str, columns: list[str], kinds: dict[str, str], tenant: str, identifier: str) -> sql.Composed:
    places, sets = [], []
    for name in columns:
        is_json = kinds[name] == "jsonb"
        pattern = sql.Literal(mention_pattern(identifier, in_json=is_json))
        column = sql.Identifier(name)
        text = sql.SQL("{}::text").format(column)
        places.append(sql.SQL("{} ~ {}").format(text, pattern))
        replaced = sql.SQL("regexp_replace({}, {}, {}, 'g')").format(text, pattern, sql.Literal(ERASED_TEXT))
        sets.append(sql.SQL("{} = {}{}").format(column, replaced, sql.SQL("::jsonb" if is_json else "")))
    where = sql.SQL("({})").format(sql.SQL(" or ").join(places))
    if "tenant" in kinds:
        where = sql.SQL("tenant in ('*', {}) and {}").format(sql.Literal(tenant), where)
    return sql.SQL(_SCRUB).format(table=sql.Identifier(table), columns=sql.SQL(", ").join(sets), condition=where)
