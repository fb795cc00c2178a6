"""The events room needs msgspec and the standard library, nothing else: it runs wherever bytes arrive."""

import ast
import sys
from pathlib import Path

import lah_platform.events as events

ROOM = Path(events.__file__).parent


def test_the_room_imports_msgspec_and_the_standard_library_only() -> None:
    for path in ROOM.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                allowed = top in sys.stdlib_module_names or top == "msgspec" or name.startswith("lah_platform.events")
                assert allowed, f"{path.name} imports {name}"
