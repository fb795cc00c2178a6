"""The hub's own processes: their commands, and how each is known to be ready.

Belongs here: what is started. Starting, watching and stopping are the supervisor's.
"""

import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.embedded.ports import is_free
from lah_platform.stores.embedded.process import Child

__all__ = ["Service", "hub_services"]


@dataclass
class Service:
    """A process that is started again when it dies; `is_ready` is asked after each start."""

    name: str
    command: list[str]
    is_ready: Callable[[], bool]
    child: Child | None = None
    restarts: int = 0
    restart_at: float = 0.0


def hub_services(
    *, has_broker: bool, code_port: int, marts_port: int, dagster_port: int, dagster_url: str, api_url: str
) -> list[Service]:
    """Every process besides the database and the broker, in the order of their start.

    Dagster's webserver and daemon load their code locations once, at their own start, so those come before them.
    """
    python = [sys.executable, "-m"]
    workspace = ["-w", str(PROJECT_ROOT / "workspace.yaml")]
    code = [*python, "dagster", "api", "grpc", "--host", "127.0.0.1"]
    webserver = [*python, "dagster_webserver", "-h", "127.0.0.1", "-p", str(dagster_port), *workspace]
    landing = Service("landing", [*python, "lah_platform.cli", "land"], lambda: True)
    return [
        *([landing] if has_broker else []),
        Service("code", [*code, "-p", str(code_port), "-m", "assets.definitions"], lambda: not is_free(code_port)),
        Service("api", [*python, "api.main"], lambda: _answers(f"{api_url}/health")),
        Service(
            "marts", [*code, "-p", str(marts_port), "-m", "assets.marts_definitions"], lambda: not is_free(marts_port)
        ),
        Service("dagster-webserver", webserver, lambda: _answers(f"{dagster_url}/server_info")),
        Service("dagster-daemon", [*python, "dagster._daemon", "run", *workspace], lambda: True),
    ]


# Whether our own process is there is asked, by its address and not by its certificate's name; nothing secret is sent
_OUR_OWN = ssl.create_default_context()
_OUR_OWN.check_hostname, _OUR_OWN.verify_mode = False, ssl.CERT_NONE


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2, context=_OUR_OWN) as response:
            return bool(response.status < 500)
    except (urllib.error.URLError, OSError):
        return False
