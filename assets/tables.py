"""What every asset says about its table: group, owner, kinds, and its columns from the published schema."""

import re
from functools import cache
from typing import Any

import dagster as dg

from lah_platform.settings import SQL_ROOT

__all__ = ["OWNERS", "column_schema", "table_spec"]

OWNERS = ["team:data-platform"]
_COLUMN = re.compile(r"^column ([a-z0-9_]+)\.([a-z0-9_]+) (.+)$")


@cache
def _columns() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for line in (SQL_ROOT / "schema.snapshot").read_text(encoding="utf-8").splitlines():
        if match := _COLUMN.match(line):
            found.setdefault(match[1], []).append((match[2], match[3]))
    return found


def column_schema(table: str) -> dg.TableSchema:
    """The columns of a table of schema lah as `sql/schema.snapshot` publishes them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                type=kind.split(" not null")[0].split(" default")[0],
                constraints=dg.TableColumnConstraints(nullable="not null" not in kind),
            )
            for name, kind in _columns()[table]
        ]
    )


def table_spec(
    table: str, description: str, *, group: str, deps: list[str], key: str | None = None, **more: Any
) -> dg.AssetSpec:
    """The spec of the asset that is table `table` of schema lah; `key` when its name differs from the table's."""
    return dg.AssetSpec(
        key or table,
        description=description,
        group_name=group,
        deps=deps,
        owners=OWNERS,
        kinds={"postgres", "table"},
        metadata={"dagster/column_schema": column_schema(table), "dagster/table_name": f"lah.{table}"},
        **more,
    )
