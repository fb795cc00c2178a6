"""A real server process, built from its environment as a deployment builds it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.process import wait_until


@contextmanager
def running_server(database: str, home: Path, told: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of a server on the migrated database, without a broker; `told` are more of its variables."""
    told = told or {}
    port = unused_port()
    environment = {
        "PATH": os.environ["PATH"],
        "LAH_HOME": str(home),
        "LAH_DATABASE_URL": database,
        "LAH_KAFKA_BOOTSTRAP": "none",
        "LAH_API_PORT": str(port),
        **told,
    }
    with (home / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "api.main"], cwd=PROJECT_ROOT, env=environment, stdout=log, stderr=log
        )
        url = f"{'https' if 'LAH_API_CERTIFICATE' in told else 'http'}://127.0.0.1:{port}"
        try:
            assert wait_until(lambda: _answers(url) or process.poll() is not None, seconds=60)
            assert process.poll() is None, (home / "api.log").read_text()
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) in (0, -signal.SIGTERM), (home / "api.log").read_text()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2, verify=False).is_success
    except httpx.TransportError:
        return False
