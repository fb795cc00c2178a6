"""The contract with schemathesis: no answer of the running API is other than its document says.

`make contract` runs all of it, `python tests/api/contract.py --help` says what less there is; test_api_contract.py runs
a part that is the same every time.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from api_support import Api, running_api, seed
from fastapi import FastAPI

from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.migrations import migrate
from lah_platform.stores.postgres import connect

CALLERS = (("*", "admin"), ("acme", "viewer"), ("acme", "ingest"))
_HERE = Path(__file__).parent
_START_S = 20


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """The address of a real server of the app."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=unused_port(), log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + _START_S
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.config.port}"
    finally:
        server.should_exit = True
        thread.join()


def unlimited(api: Api) -> Api:
    """The app for a caller whose many wrong credentials are all looked at."""
    return api.changed(settings=api.services.settings.model_copy(update={"refusal_limit": "none"}))


@dataclass(frozen=True)
class Examined:
    """What schemathesis did and found; `printed` is all it said."""

    cases: int
    operations: int
    seconds: float
    failures: int
    is_complete: bool
    printed: str

    def __str__(self) -> str:
        return f"{self.operations} operations, {self.cases} cases, {self.seconds:.0f} s, {self.failures} findings"


def examine(address: str, key: str, home: Path, options: Sequence[str]) -> Examined:
    """schemathesis's findings on the server at `address`, as the key's holder sees it. Reports are left in `home`."""
    report = home / "report.json"
    command = [sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(_HERE / "contract.toml")]
    command += ["run", f"{address}/openapi.json", "--header", f"Authorization: Bearer {key}"]
    command += ["--report-json-path", str(report), "--continue-on-failure", *options]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": str(_HERE / "contract_hooks.py"),
        "CONTRACT_KEY_ID": key.split("_")[1],
    }
    ran = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    found = json.loads(report.read_text()) if report.exists() else {}
    return Examined(
        cases=_count(r"(\d+) generated", ran.stdout),
        operations=found.get("operations", {}).get("tested", 0),
        seconds=found.get("running_time", 0.0),
        failures=sum(_count(r"ST\d+ [^:]*: (\d+)", line) for line in ran.stdout.splitlines()),
        is_complete=ran.returncode == 0 and found.get("complete", False),
        printed=ran.stdout + ran.stderr,
    )


def _count(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


@contextmanager
def _seeded(home: Path) -> Iterator[Api]:
    server = EmbeddedPostgres(home / "postgres", port=unused_port(), settings={"fsync": "off"})
    server.start()
    try:
        with connect(server.url) as connection:
            migrate(connection)
        with running_api(server.url) as api:
            seed(api)
            yield unlimited(api)
    finally:
        server.destroy()


def main() -> None:
    """Examine the API as every caller sees it; ends with status 1 when there is a finding."""
    callers = ["/".join(each) for each in CALLERS]
    parser = argparse.ArgumentParser(
        description="No answer of the API is other than its document says.",
        epilog="Other options are schemathesis's, such as --max-examples 20 or --seed 7.",
    )
    parser.add_argument("--caller", action="append", choices=callers, help="tenant/role (default: each)")
    chosen, options = parser.parse_known_args()
    is_kept = True
    for caller in chosen.caller or callers:
        tenant, role = caller.split("/")
        with tempfile.TemporaryDirectory() as home, _seeded(Path(home)) as api, listening(api.app) as address:
            examined = examine(address, api.keys[tenant, role], Path(home), options)
        is_kept &= examined.is_complete
        sys.stdout.write(f"{'' if examined.is_complete else examined.printed}{caller}: {examined}\n")
        sys.stdout.flush()
    sys.exit(0 if is_kept else 1)


if __name__ == "__main__":
    main()
