"""The rights of a person on the command line: handed out, erased, proved; a rule that says what would go."""

import json
from contextlib import closing
from pathlib import Path

from lah_platform.landing.batch import prepare
from lah_platform.landing.records import Partition, Record
from lah_platform.settings import Settings
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.master_keys import hub_key_ring
from tests.cli.running import lah
from tests.landing.messages import NOW, message

_ANN = "ann@example.org"


def test_a_person_is_exported_erased_and_proved_erased_and_a_dry_run_says_what_would_go(
    database: str, tmp_path: Path
) -> None:
    home, partition = tmp_path / "home", Partition("t", "one", 0)
    tags = {"tenant": "acme", "service": "chat", "user_id": _ANN}
    with closing(PostgresLanding(database, keys=hub_key_ring(Settings(home=home)))) as store:
        start = store.adopt(partition, 0)
        records = [Record(partition, start, None, message(1, tags=tags))]
        assert store.land(prepare(records, {partition: start}, decoder=decode_now, received_at=NOW)).outcomes

    def run(*arguments: str) -> str:
        done = lah(database, home, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    out, receipt = tmp_path / "ann", tmp_path / "ann.json"
    run("subject", "export", _ANN, "--tenant", "acme", "--out", str(out))
    (event,) = json.loads((out / "events.json").read_bytes())
    assert event["tags"]["user_id"] == _ANN
    run("subject", "erase", _ANN, "--tenant", "acme", "--receipt", str(receipt))
    assert "NO" not in run("subject", "verify", str(receipt), "--person", _ANN)
    run("retention", "set", "--tenant", "acme", "--class", "events", "--days", "1")
    assert "1 rows would go" in run("retention", "run", "--dry-run")
