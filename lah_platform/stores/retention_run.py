"""A run of retention: what rules let go is removed, what is under a legal hold stays, and the receipt proves the rest.

Of each table and UTC day that loses rows the receipt has number and checksum before, of what went, and afterwards: the
first is the sum of the other two, or the transaction is rolled back. It also has how many rows the transactions wrote
in any other table, by PostgreSQL's own count.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.types.json import Jsonb

from lah_platform.compliance.signing import Signer
from lah_platform.errors import ArchiveError, LahError
from lah_platform.privacy.holds import Hold
from lah_platform.privacy.receipts import sealed
from lah_platform.privacy.retention import TABLES, Due
from lah_platform.stores import archive_files as files
from lah_platform.stores.archive import archive_day, day_lock, event_columns, start_of
from lah_platform.stores.archive_columns import postgres_row_hash
from lah_platform.stores.audit import record
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.retention_archive import Expiry, clear_unknown_days, expire_rows
from lah_platform.stores.retention_drop import Drop

__all__ = ["Outcome", "active_holds", "run_retention"]

_Q = {name: text.decode() for name, text in queries("retention_run").items()}
_ARCHIVE = queries("archive")
_DAY = timedelta(days=1)
_PERSONAL = "(e.payload::text like '%%\"enc:v1:%%' or e.tags::text like '%%\"enc:v1:%%')"
_SAID = "coalesce(e.subject_id::text, '') || e.payload::text || e.tags::text"
_CONTENT = ("payload", "tags")
_BYTES_THERE = "t.bytes_expired_at is null"


@dataclass(frozen=True)
class Outcome:
    """What a run did, or would: `document` is the signed receipt, None when nothing was removed."""

    drops: Sequence[Drop]
    not_done: Mapping[str, str]
    document: Mapping[str, Any] | None


def run_retention(
    connection: Connection,
    dues: Sequence[Due],
    *,
    now: datetime,
    actor: str,
    signer: Callable[[], Signer],
    archive_dir: Path | None,
    recompute: Callable[[date], object],
    dry_run: bool = False,
) -> Outcome:
    """Remove what is due and not held from PostgreSQL and the archive; `connection` must be in autocommit mode.

    A transaction for each day of events and for each other table, so that a day that somebody is using is left for the
    next run (`not_done` says why). `recompute` is what `archive_day` asks for. `dry_run` counts and removes nothing.
    """
    connection.execute(_Q["stage"].encode())
    connection.execute(_Q["clear"].encode())
    for each in dues:
        connection.execute(_Q["add"].encode(), {**vars(each), "class": each.class_})
    run = _Run(connection, dues, now, archive_dir, recompute, dry_run)
    for (class_, table), own in groupby(dues, key=lambda each: (each.class_, each.table)):
        run.table(class_, table, max(each.before for each in own))
    drops = [drop for drop in run.drops if drop.rows_dropped or drop.rows_held]
    if dry_run or not any(drop.rows_dropped for drop in drops):
        return Outcome(drops, run.not_done, None)
    receipt = sealed(_receipt(drops, run, actor), signer())
    asked = {"run_id": receipt.receipt["run_id"], "started_at": now, "actor": actor}
    with connection.transaction():
        (finished_at,) = connection.execute("select clock_timestamp()").fetchone() or (now,)
        connection.execute(
            _Q["record_run"].encode(),
            {
                **asked,
                "finished_at": finished_at,
                "receipt": Jsonb(dict(receipt.receipt)),
                "public_key": receipt.signature.public_key,
                "signature": receipt.signature.signature,
            },
        )
        for position, drop in enumerate(drops):
            values = {**vars(drop), "class": drop.class_, "run_id": asked["run_id"], "position": position}
            connection.execute(_Q["record_drop"].encode(), values)
        details = {"run_id": asked["run_id"], "rows_dropped": sum(drop.rows_dropped for drop in drops)}
        record(connection, actor, "retention", "retention_run", asked["run_id"], "*", details)
    return Outcome(drops, run.not_done, receipt.document())


def active_holds(connection: Connection) -> list[Hold]:
    """The holds that were not released."""
    return [Hold(*row) for row in connection.execute(_Q["active_holds"].encode())]


class _Run:
    def __init__(
        self,
        connection: Connection,
        dues: Sequence[Due],
        now: datetime,
        archive_dir: Path | None,
        recompute: Callable[[date], object],
        dry_run: bool,
    ) -> None:
        self._connection = connection
        self._dues = dues
        self._now = now
        self._archive_dir = archive_dir
        self._recompute = recompute
        self._dry_run = dry_run
        self._holds = active_holds(connection)
        columns = event_columns(connection)
        measures = {name: kind for name, kind in columns.items() if name not in _CONTENT}
        self._parts = {
            "hash": postgres_row_hash(columns),
            "measures_hash": postgres_row_hash(measures),
        }
        self.drops: list[Drop] = []
        self.not_done: dict[str, str] = {}
        self.elsewhere: dict[str, int] = {}

    def table(self, class_: str, table: str, before: datetime) -> None:
        if table != "events":
            with self._told(f"{class_} {table}"):
                self._other(class_, table, before)
            return
        days = self._connection.execute(_Q["event_days"].encode(), {"before": before}).fetchall()
        for (day,) in days:
            with self._told(f"{class_} {day}"):
                self._events_of(class_, day)
        self._archive(class_, before)

    def _events_of(self, class_: str, day: date) -> None:
        is_personal = class_ == "personal"
        parts = {
            **self._parts,
            "where": sql.SQL(_PERSONAL if is_personal else "true"),
            "held": self._held(class_, "e.tenant", "e.event_type", "e.ts", _SAID),
        }
        if not is_personal:
            parts["measures_hash"] = sql.SQL("0")
        period = {"class": class_, "start": start_of(day), "end": start_of(day) + _DAY}
        with self._writing(f"lah.{self._day_table(day)}", "lah.events") as allowed:
            if not self._dry_run:
                self._connection.execute(self._lock(day))
            rows, total, measures, doomed, doomed_sum, held = self._one("event_day", parts, period)
            if not doomed or self._dry_run:
                self._note("postgresql", "events", class_, day, rows, total, doomed, doomed_sum, held, rows, total)
                return
            put = 0
            if not is_personal:
                self._connection.execute(self._text("forget_named", parts), period)
            if is_personal:
                changed, put = self._one("empty_events", parts, period)
            elif doomed == rows:
                self._connection.execute(_ARCHIVE["lock_rollups"])
                self._connection.execute(_ARCHIVE["drop_day"], {"day": day})
                changed = doomed
            else:
                changed = self._connection.execute(self._text("delete_events", parts), period).rowcount
            after, after_sum, after_measures, *_ = self._one("event_day", parts, period)
            stays = rows if is_personal else rows - doomed
            if (changed, after, after_sum) != (doomed, stays, total - doomed_sum + put) or measures != after_measures:
                raise ArchiveError(
                    f"Of {day}, {changed} of {doomed} rows went and {after} of {stays} stayed, or others changed",
                    "Nothing was removed of this day; report it",
                )
            allowed |= {"lah.events", "lah.event_subjects"}
            self._note("postgresql", "events", class_, day, rows, total, doomed, doomed_sum, held, after, after_sum)

    def _other(self, class_: str, table: str, before: datetime) -> None:
        place = next(each for each in TABLES[class_] if each.name == table)  # type: ignore[index]
        is_emptied = class_ == "dead_letters"
        parts = {
            "table": sql.Identifier(table),
            "at": sql.SQL(place.at),
            "tenant": sql.SQL(place.tenant),
            "where": sql.SQL(_BYTES_THERE if is_emptied else "true"),
            # what the bytes of a dead letter say is not known here: a subject's hold covers all of its tenant
            "held": self._held(class_, place.tenant, "''", place.at, "null" if is_emptied else "''"),
        }
        asked = {"class": class_, "table": table, "before": before, "now": self._now}
        self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        try:
            with self._writing(f"lah.{table}") as allowed:
                allowed |= {"lah.correlation_members", "lah.incident_members"}  # gone with what they belong to
                if class_ == "rollups" and not self._dry_run:
                    self._connection.execute(_ARCHIVE["lock_rollups"])
                days = self._connection.execute(self._text("other_days", parts), asked).fetchall()
                if self._dry_run or not any(each[3] for each in days):
                    for day, rows, total, doomed, doomed_sum, held in days:
                        self._note("postgresql", table, class_, day, rows, total, doomed, doomed_sum, held, rows, total)
                    return
                put: dict[date, tuple[int, int]] = {}
                if is_emptied:
                    emptied = self._connection.execute(self._text("empty_dead_letters", parts), asked).fetchall()
                    put = {day: (count, int(total)) for day, count, total in emptied}
                else:
                    self._connection.execute(self._text("delete_others", parts), asked)
                left = {each[0]: each for each in self._connection.execute(self._text("other_days", parts), asked)}
                for day, rows, total, doomed, doomed_sum, held in days:
                    _, after, after_sum, *_ = left.get(day, (day, 0, 0))
                    count, put_sum = put.get(day, (0, 0))
                    if (after, after_sum) != (rows - doomed + count, total - doomed_sum + put_sum):
                        raise ArchiveError(f"Of {table} and {day}, other rows went than were due", "Report it")
                    self._note(
                        "postgresql", table, class_, day, rows, total, doomed, doomed_sum, held, after, after_sum
                    )
        finally:
            self._connection.isolation_level = None

    def _archive(self, class_: str, before: datetime) -> None:
        """Files of rows that PostgreSQL had still are written anew from it; out of the others rows are taken."""
        period = {"first": date.min, "last": (before - _DAY).date(), "before": before.date()}
        with_files = {day for (day,) in self._connection.execute(_ARCHIVE["warm_file_days"], period)}
        warm = with_files & {drop.day for drop in self.drops if drop.class_ == class_ and drop.rows_dropped}
        cold = [day for (day,) in self._connection.execute(_ARCHIVE["cold_file_days"], period)]
        folder = self._archive_dir
        if folder is None:
            if warm or cold:
                self.not_done[f"{class_} archive"] = "LAH_ARCHIVE_DIR is not set, and files hold such rows"
            return
        for day in [] if self._dry_run else sorted(warm):
            with self._told(f"{class_} archive {day}"):
                archive_day(self._connection, folder, day, now=self._now, recompute=self._recompute)
        dues = [each for each in self._dues if each.class_ == class_]
        for day in cold:
            with self._told(f"{class_} archive {day}"), day_lock(self._connection, day):
                expiry = Expiry(class_, dues, self._holds, self._now, self._dry_run)
                with self._connection.transaction():
                    drops, old = expire_rows(self._connection, folder, day, expiry)
                for path in old:
                    files.remove(path)
                self.drops += drops
        if class_ == "events" and not self._dry_run:
            first = min(each.before for each in dues).date()
            known = {day for (day,) in self._connection.execute(_ARCHIVE["file_days"], {"before": first})}
            clear_unknown_days(folder, first, known)

    def _note(
        self,
        store: str,
        table: str,
        class_: str,
        day: date,
        rows: int,
        total: int,
        doomed: int,
        doomed_sum: int,
        held: int,
        after: int,
        after_sum: int,
    ) -> None:
        sums = (f"{int(total)}", f"{int(doomed_sum)}", f"{int(after_sum)}")
        self.drops.append(Drop(store, table, class_, day, rows, doomed, after, held, *sums))

    def _held(self, class_: str, tenant: str, event_type: str, at: str, text: str) -> sql.Composable:
        if not self._holds:
            return sql.SQL("false")
        return sql.SQL("lah_is_held({}, {}, {}, {}, {})").format(
            sql.Literal(class_), *(sql.SQL(each) for each in (tenant, event_type, at, text))
        )

    def _day_table(self, day: date) -> str:
        (table,) = self._connection.execute(_ARCHIVE["day_table"], {"day": day}).fetchone() or ("",)
        return f"{table}"

    def _lock(self, day: date) -> sql.Composed:
        return sql.SQL(_Q["lock_writers"]).format(table=sql.SQL(self._day_table(day)))

    def _text(self, name: str, parts: Mapping[str, sql.Composable]) -> sql.Composed:
        return sql.SQL(_Q[name]).format(**parts)

    def _one(self, name: str, parts: Mapping[str, sql.Composable], asked: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(int(each) for each in self._connection.execute(self._text(name, parts), asked).fetchone() or ())

    @contextmanager
    def _writing(self, *tables: str) -> Iterator[set[str]]:
        """A transaction, and what it wrote in tables that are not among those it may write."""
        allowed = set(tables)
        with self._connection.transaction():
            self._connection.execute(_Q["wait_at_most"].encode())
            counted = _Q["written_elsewhere"].encode()
            before = {name: int(count) for name, count in self._connection.execute(counted)}
            yield allowed
            for name, count in self._connection.execute(counted).fetchall():
                if name not in allowed and (more := int(count) - before.get(name, 0)):
                    self.elsewhere[name] = self.elsewhere.get(name, 0) + more

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure):
            self.not_done[what] = "somebody is using these rows; the next run tries again"
        except LahError as error:
            self.not_done[what] = f"{error}"


def _receipt(drops: Sequence[Drop], run: _Run, actor: str) -> dict[str, Any]:
    return {
        "kind": "retention",
        "version": 1,
        "run_id": f"{uuid.uuid4()}",
        "run_by": actor,
        "tables": [drop.told() for drop in drops],
        "rows_written_in_other_tables": run.elsewhere,
        "not_done": run.not_done,
        "how_to_verify": (
            "Of each table and day, rows_before = rows_dropped + rows_after and checksum_before = checksum_dropped + "
            "checksum_after where rows were removed; where content was removed (classes personal and dead_letters), "
            "rows stay. A checksum is the sum of the first 60 bits of the MD5 of each row. `lah retention verify` "
            "checks signature and sums."
        ),
    }
