"""Days of served tables are computed beside the served rows, judged there, and put in their place together with the
verdicts, in one transaction. Rows that a blocking rule fails are not served: those of before are.

Belongs here: the one way in which a daily table is replaced. Does not: what is computed, and what is judged.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from psycopg import sql

from lah_platform.errors import LahError
from lah_platform.quality.verdicts import Verdict
from lah_platform.stores.postgres import Connection

__all__ = ["SCHEMA", "Judge", "RowsRefused", "Stage", "staging"]

SCHEMA = "lah_staging"


class RowsRefused(LahError):
    """Computed rows failed a blocking check and were not served; the rows of before still are."""

    def __init__(self, table: str, verdicts: Sequence[Verdict]) -> None:
        names = ", ".join(f"{each.check_name} ({each.failed_rows} rows)" for each in verdicts)
        super().__init__(
            f"What was computed for {table} failed {names}, so the rows of before stay served",
            " ".join(dict.fromkeys(each.advice.rstrip(".") + "." for each in verdicts))
            + f" Look at the refused rows: lah checks rows {table}.{verdicts[0].check_name} --staged",
        )
        self.verdicts = tuple(verdicts)


@dataclass(frozen=True)
class Judge:
    """`judge` says what is to be thought of the staged rows; `keep` writes verdicts, in the caller's transaction."""

    judge: Callable[[], Sequence[Verdict]]
    keep: Callable[[Sequence[Verdict]], object]


@dataclass(frozen=True)
class Stage:
    """Empty tables in schema lah_staging, of the shape of the served ones, for as long as `staging` lasts."""

    connection: Connection
    tables: tuple[str, ...]

    def publish(self, remove: Callable[[], object], judge: Judge | None = None) -> list[Verdict]:
        """Judge the staged rows; then, in one transaction, `remove` the rows they replace and serve them.

        Returns the verdicts, which are kept in that transaction. When a blocking one failed, they are kept and nothing
        else is done: raises RowsRefused, and the staged rows stay to be looked at.
        """
        verdicts = list(judge.judge()) if judge else []
        refused = [each for each in verdicts if each.is_blocking and not each.passed]
        if refused:
            verdicts = [replace(each, observed={**each.observed, "served": "the rows of before"}) for each in verdicts]
        with self.connection.transaction():
            if judge:
                judge.keep(verdicts)
            if not refused:
                remove()
                for table in self.tables:
                    self._serve(table)
        if refused:
            raise RowsRefused(self.tables[0], refused)
        return verdicts

    def _serve(self, table: str) -> None:
        served, staged = sql.Identifier("lah", table), sql.Identifier(SCHEMA, table)
        names = self.connection.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped"
            " and attgenerated = '' order by attnum",
            [f"{SCHEMA}.{table}"],
        ).fetchall()
        columns = sql.SQL(", ").join(sql.Identifier(name) for (name,) in names)
        self.connection.execute(
            sql.SQL("insert into {} ({}) select {} from {}").format(served, columns, columns, staged)
        )
        self.connection.execute(sql.SQL("drop table {}").format(staged))


@contextmanager
def staging(connection: Connection, *tables: str) -> Iterator[Stage]:
    """Tables to stage rows in, one computation of the first table at a time; `connection` is in autocommit mode.

    Unlogged and without constraints: a broken row reaches its check, which says what to do about it.
    """
    key = f"lah.staging.{tables[0]}"
    connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [key])
    try:
        with connection.transaction():
            for table in tables:
                staged, served = sql.Identifier(SCHEMA, table), sql.Identifier("lah", table)
                connection.execute(sql.SQL("drop table if exists {}").format(staged))
                connection.execute(
                    sql.SQL("create unlogged table {} (like {} including defaults)").format(staged, served)
                )
        yield Stage(connection, tables)
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", [key])
