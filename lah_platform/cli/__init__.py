"""The `lah` command. Each command imports what it needs when it runs, so that `--help` is quick."""

from lah_platform.cli.app import main

__all__ = ["main"]
