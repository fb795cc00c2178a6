"""`lah land` as a process that tests start, ask, kill and start again."""

import json
import os
import sys
from pathlib import Path
from typing import Any, Protocol

from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.embedded.process import Child

__all__ = ["Lander"]


class _Broker(Protocol):
    @property
    def bootstrap(self) -> str: ...


class Lander:
    """One process on one topic; `variables` are more of its environment."""

    def __init__(self, database: str, broker: _Broker, topic: str, folder: Path, **variables: str) -> None:
        self.log = folder / "landing.log"
        self._environment = (
            os.environ
            | {
                "LAH_DATABASE_URL": database,
                "LAH_KAFKA_BOOTSTRAP": broker.bootstrap,
                "LAH_TOPIC": topic,
                "LAH_BATCH_ROWS": "200",
                "LAH_HOME": str(folder),
            }
            | variables
        )
        self.child = self._start()

    def _start(self) -> Child:
        command = [sys.executable, "-m", "lah_platform.cli", "land"]
        return Child("landing", command, log=self.log, env=self._environment, cwd=PROJECT_ROOT)

    def restart(self) -> None:
        self.child = self._start()

    def lines(self, start: str = "") -> list[dict[str, Any]]:
        """The JSON lines it has written whose message begins so, oldest first."""
        written = [line for line in self.log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
        return [each for each in map(json.loads, written) if each["message"].startswith(start)]
