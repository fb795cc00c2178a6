"""`lah checks`: what an operator asks when a check has failed."""

import json
from pathlib import Path

from lah_platform.stores.postgres import Connection
from tests.cli.running import lah

_DAY = ["--from", "2026-03-02", "--to", "2026-03-03"]


def test_a_failing_check_is_run_listed_remembered_and_its_rows_shown(
    database: str, connection: Connection, tmp_path: Path
) -> None:
    connection.execute(
        "insert into ledger values ('t', 0, '2026-03-02 12:00Z', 'acme', 5, 3, 1, 0), ('t', 0, '2026-03-02 12:01Z',"
        " 'globex', 1, 1, 0, 0)"
    )
    assert "Nothing was checked yet" in lah(database, tmp_path, "checks", "list").stdout

    done = lah(database, tmp_path, "checks", "run", "ledger.rows_balance", "ledger.repeats_are_few", *_DAY)
    assert (done.returncode, done.stderr) == (1, "")  # it blocks
    assert "FAILED  ledger.rows_balance: 1 rows. received must be stored" in done.stdout
    assert "passed  ledger.repeats_are_few" in done.stdout

    assert "repeats_are_few" not in lah(database, tmp_path, "checks", "list", "--failed").stdout
    history = lah(database, tmp_path, "checks", "history", "ledger.rows_balance").stdout
    assert "2026-03-02 00:00 to 2026-03-03 00:00 FAILED 1 of 2 rows" in history
    rows = lah(database, tmp_path, "checks", "rows", "ledger.rows_balance", *_DAY).stdout.splitlines()
    assert [json.loads(row)["tenant"] for row in rows] == ["acme"]
    assert lah(database, tmp_path, "checks", "rows", "ledger.rows_balance", *_DAY, "--tenant", "globex").stdout == ""


def test_a_check_that_there_is_not_is_refused_with_the_ones_there_are(database: str, tmp_path: Path) -> None:
    for check, named in (("ledger.nothing", "rows_balance"), ("nothing.x", "events")):
        refused = lah(database, tmp_path, "checks", "rows", check, *_DAY)
        assert (refused.returncode, named in refused.stderr) == (1, True)
