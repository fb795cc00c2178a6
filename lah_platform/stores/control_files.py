"""Frameworks of controls: those of the package, and a deployment's own in LAH_CONTROLS_DIR, which come first."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from lah_platform.compliance.framework import Control, Framework, read_framework
from lah_platform.errors import ConfigurationError
from lah_platform.stores.queries import queries

__all__ = ["PACKAGED", "load_framework", "load_frameworks"]

PACKAGED: Final = Path(__file__).parents[1] / "compliance" / "frameworks"


def load_frameworks(own: Path | None = None) -> Mapping[str, Framework]:
    """Every framework by id, sorted; a file in `own` replaces the package's of the same id.

    Raises ConfigurationError naming file, control and field for what no framework may say, and for a folder that is not
    there.
    """
    if own is not None and not own.is_dir():
        raise ConfigurationError(f"LAH_CONTROLS_DIR is no folder: {own}", "Make it, or unset the variable")
    found: dict[str, Framework] = {}
    for folder in (PACKAGED, own):
        seen: dict[str, str] = {}
        for path in sorted(folder.glob("*.y*ml")) if folder else ():
            framework = _read(path)
            if framework.id in seen:
                raise ConfigurationError(
                    f"{path.name}, field id: {framework.id} is also in {seen[framework.id]}",
                    "Name one of them otherwise",
                )
            seen[framework.id] = path.name
            found[framework.id] = framework
    for framework in found.values():
        for name in framework.summarizes:
            if name not in found or found[name].summarizes:
                raise ConfigurationError(
                    f"{framework.id}, field summarizes: {name!r} is no framework that can be summed up",
                    f"Name some of {', '.join(sorted(found))}",
                )
    return MappingProxyType(dict(sorted(found.items())))


def load_framework(name: str, own: Path | None = None) -> tuple[Framework, list[Framework]]:
    """A framework and those that it sums up. Raises ConfigurationError for an unknown name, and as above."""
    every = load_frameworks(own)
    if name not in every:
        raise ConfigurationError(f"No framework is called {name!r}", f"There are {', '.join(every)}")
    return every[name], [every[each] for each in every[name].summarizes]


def _read(path: Path) -> Framework:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path.name} is not UTF-8", "Save it as UTF-8") from None
    framework = read_framework(text, path.name)
    for control in framework.controls:
        _check_names(control, path.name)
    return framework


def _check_names(control: Control, file: str) -> None:
    for field, room, name in (
        ("query", "evidence", control.query),
        ("exceptions", "exceptions", control.exceptions),
    ):
        if name is not None and name not in queries(room):
            raise ConfigurationError(
                f"{file}, control {control.id}, field {field}: there is no named query {name!r}",
                f"Name one of {', '.join(sorted(queries(room)))}; or write SQL of your own",
            )
