"""Secrets of a single machine: made once, kept in files that only their owner can read."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

__all__ = ["kept_secret"]


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """The secret in `path`, made by `make` when missing; processes that start at once agree on the first one's."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        partial.touch(mode=0o600)
        partial.write_text(make(), encoding="ascii")
        try:
            os.link(partial, path)
        except FileExistsError:
            pass
        finally:
            partial.unlink()
    return path.read_text(encoding="ascii").strip()
