"""What a report reads: figures, exceptions and sources, each with the statement that an auditor can run again.

Belongs here: the shapes, and telling figures from groups. Does not: reading them (`stores/evidence.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from lah_platform.compliance.framework import Control

__all__ = [
    "MAX_EXCEPTIONS",
    "MAX_GROUPS",
    "Evidence",
    "Exceptions",
    "Reading",
    "Row",
    "Scalar",
    "Source",
    "exceptions_key",
    "figures_of",
    "query_key",
]

MAX_GROUPS = 100
"""Groups shown of one query; their names come from producers, so their number has no bound. Figures count all."""
MAX_EXCEPTIONS = 100
"""Exceptions listed of one control; their total counts all."""

Scalar = str | int | Decimal | bool | None
Row = Mapping[str, Scalar]
_TOTAL = "is_total"
_OF_THE_COUNT = frozenset({"counted_rows", "watermark", _TOTAL})


@dataclass(frozen=True)
class Evidence:
    """What one query of figures returned. `sql` is the statement with its values, ready for psql.

    `keys` name a group; `groups` are at most MAX_GROUPS, `is_cut` when there were more; `figures` cover all.
    """

    sql: str
    description: str
    figures: Row
    keys: tuple[str, ...] = ()
    groups: tuple[Row, ...] = ()
    is_cut: bool = False
    counted_rows: int | None = None
    watermark: str | None = None


@dataclass(frozen=True)
class Exceptions:
    """What failed: at most MAX_EXCEPTIONS `rows` of `total`, each with at, kind, id, tenant and detail."""

    sql: str
    description: str
    rows: tuple[Row, ...]
    total: int


@dataclass(frozen=True)
class Source:
    """A table as it was read: rows of the period, newest of them, revision; None: the hub knows of none.

    `verdicts` are the latest of its data-quality rules about the period; `suspect_windows` were kept out.
    """

    table: str
    rows: int | None
    watermark: str | None
    revision: str | None
    verdicts: tuple[Row, ...]
    suspect_windows: int
    sql: str | None


@dataclass(frozen=True)
class Reading:
    """Everything that reports of one period, tenant and environment need, read in one snapshot.

    `evidence` and `exceptions` are by the query's key (`query_key`), `sources` by table.
    """

    schema_version: str
    evidence: Mapping[str, Evidence]
    exceptions: Mapping[str, Exceptions]
    sources: Mapping[str, Source]
    chain_head: Mapping[str, Scalar] | None = field(default=None, compare=False)


def query_key(control: Control) -> str:
    """The name of the control's query; of one with SQL of its own, its id."""
    return control.query or f"sql:{control.id}"


def exceptions_key(control: Control) -> str | None:
    """The name of the control's list of exceptions, or None when it has none."""
    return f"sql:{control.id}" if control.exceptions_sql is not None else control.exceptions


def figures_of(sql: str, description: str, rows: Sequence[Row], fault: Callable[[str], Exception]) -> Evidence:
    """Tell the total row from the groups. `fault` makes the error for rows that are neither.

    One row is figures. Of several, one has is_total true; leading columns that are null there name the groups.
    """
    totals = [row for row in rows if row.get(_TOTAL, len(rows) == 1)]
    if len(totals) != 1:
        raise fault(f"returns {len(rows)} rows, {len(totals)} of them with is_total: return one row of figures")
    (total,) = totals
    groups = [row for row in rows if row is not total]
    columns = [name for name in total if name not in _OF_THE_COUNT]
    keys = [] if _TOTAL not in total else _leading_nulls(columns, total)
    figures = {name: total[name] for name in columns if name not in keys}
    if not figures:
        raise fault("returns no figure")
    counted = total.get("counted_rows")
    watermark = total.get("watermark")
    shown = [name for name in columns if name in keys or any(group[name] is not None for group in groups)]
    return Evidence(
        sql=sql,
        description=description,
        figures=figures,
        keys=tuple(keys),
        groups=tuple({name: group[name] for name in shown} for group in groups[:MAX_GROUPS]),
        is_cut=len(groups) > MAX_GROUPS,
        counted_rows=counted if isinstance(counted, int) else None,
        watermark=watermark if isinstance(watermark, str) else None,
    )


def _leading_nulls(columns: Sequence[str], total: Row) -> list[str]:
    keys = []
    for name in columns:
        if total[name] is not None:
            break
        keys.append(name)
    return keys
