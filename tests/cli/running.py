"""`lah` as a person runs it: in a process of its own, on the test's database."""

import os
import subprocess
import sys
from pathlib import Path

from lah_platform.settings import PROJECT_ROOT

__all__ = ["lah"]


def lah(database: str, home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """What the command wrote and how it ended; `settings` are variables of its environment."""
    environment = {"PATH": os.environ["PATH"], "LAH_DATABASE_URL": database, "LAH_HOME": str(home), "USER": "ann"}
    environment |= settings
    command = [sys.executable, "-m", "lah_platform.cli", *arguments]
    return subprocess.run(command, env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
