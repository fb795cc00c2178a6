"""What an auditor types, and what he reads."""

import json
from pathlib import Path

from lah_platform.compliance.signing import Signer
from lah_platform.stores.audit import record
from lah_platform.stores.postgres import Connection
from tests.audit_rows import owners_way_in
from tests.cli.running import lah


def test_a_log_is_listed_signed_exported_and_verified_and_what_is_broken_is_located(
    database: str, connection: Connection, tmp_path: Path
) -> None:
    position = record(connection, "ann", "create", "api_key", "k1", "acme", {"role": "viewer"})
    listed = [
        json.loads(line)
        for line in lah(database, tmp_path, "audit", "list", "--kind", "key", "--json").stdout.splitlines()
    ]
    assert [(entry["position"], entry["actor"]) for entry in listed] == [(position, "ann")]
    assert f"signed position {position}" in lah(database, tmp_path, "audit", "sign").stdout
    key = Signer((tmp_path / "signing.key").read_text()).public_key

    whole = lah(database, tmp_path, "audit", "verify")
    assert (whole.returncode, whole.stdout.startswith(f"whole: {position} entries")) == (0, True), whole
    assert "Only heads from outside" in whole.stderr

    out = tmp_path / "log.csv"
    lah(database, tmp_path, "audit", "export", str(out), "--format", "csv", "--tenant", "acme")
    elsewhere = tmp_path / "auditor"
    checked = lah("postgresql://nowhere:1/x", elsewhere, "audit", "verify", "--file", str(out), "--public-key", key)
    assert (checked.returncode, checked.stdout[:6]) == (0, "whole:"), checked
    assert not elsewhere.exists()  # nobody's key was made there

    with owners_way_in(connection):
        connection.execute("update audit_log set actor = 'bob' where position = %s", [position])
    broken = lah(database, tmp_path, "audit", "verify")
    assert broken.returncode == 1
    assert broken.stdout.splitlines()[0] == f"position {position}: changed: its hash is not that of its columns"
    assert "BROKEN in 1 places" in broken.stdout
