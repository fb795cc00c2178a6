"""What the code knows: its variables, its commands, the ports its commands listen on.

Belongs here: questions to the code itself. A command is parsed by the program's own parser and never run.
"""

import importlib.metadata
import importlib.util
import re
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer

from lah_platform.settings import PROJECT_ROOT, Settings
from lah_platform.stack.environment import child_environment
from tests.deploy.files import DEPLOY

_ENV_REFERENCE = re.compile(r"\{\s*env:\s*(\w+)\s*\}")


def settings_variables() -> dict[str, Any]:
    """LAH_<NAME> of every setting, with its default."""
    return {f"LAH_{name.upper()}": field.default for name, field in Settings.model_fields.items()}


def variables_of_yaml() -> set[str]:
    """Every name that workspace.yaml or a dagster.yaml reads from the environment."""
    paths = [PROJECT_ROOT / "workspace.yaml", DEPLOY / "dagster.yaml", DEPLOY / "kubernetes" / "dagster.yaml"]
    return {name for path in paths for name in _ENV_REFERENCE.findall(path.read_text(encoding="utf-8"))}


def stack_environment() -> dict[str, str]:
    """What `lah up` starts its processes with."""
    url = "postgresql://lah:secret@127.0.0.1:5432/lah"
    return child_environment(Settings(), database_url=url, bootstrap="127.0.0.1:9092", code_port=4266, marts_port=4267)


def known_variables() -> set[str]:
    """Every variable that some process of the hub reads."""
    return settings_variables().keys() | variables_of_yaml() | stack_environment().keys()


def check_command(argv: Sequence[str]) -> None:
    """Parse a command of the hub's image as its program would. Raises when program, command or option is unknown."""
    program, *arguments = argv
    if program == "python":
        _check_python(arguments)
        return
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name=program)
    _parse(_root(program, entry.module), program, [each for each in arguments if each != "--help"])
    for option, value in pairwise(arguments):
        if option == "--module-name":
            _check_module(value, "defs")
        if option == "--workspace":
            assert (PROJECT_ROOT / value).is_file(), value


def port_of(argv: Sequence[str], environment: dict[str, str]) -> int | None:
    """The port that a command of the hub's image listens on."""
    if list(argv[:3]) == ["python", "-m", "api.main"]:
        return int(environment["LAH_API_PORT"])
    options = dict(pairwise(argv))
    return int(options["--port"]) if "--port" in options else None


def _check_python(arguments: Sequence[str]) -> None:
    if arguments[0] == "-c":
        compile(arguments[1], "<command>", "exec")
    else:
        assert arguments[0] == "-m", arguments
        _check_module(arguments[1], "main")


def _check_module(name: str, attribute: str) -> None:
    found = importlib.util.find_spec(name)
    assert found is not None, f"no module {name}"
    assert found.origin is not None, name
    source = Path(found.origin).read_text(encoding="utf-8")
    assert re.search(rf"^(def {attribute}\(|{attribute} = )", source, re.MULTILINE), f"{name}.{attribute}"


def _root(program: str, module: str) -> Any:
    if program == "lah":
        from lah_platform.cli.app import app

        return typer.main.get_command(app)
    makers = {
        "dagster": "create_dagster_cli",
        "dagster-daemon": "create_dagster_daemon_cli",
        "dagster-webserver": "create_dagster_webserver_cli",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, at import
        return getattr(importlib.import_module(module), makers[program])()


def _parse(command: Any, name: str, arguments: Sequence[str]) -> None:
    """Down to the last subcommand; a group without arguments is fine when it is a command itself, like `migrate`."""
    if hasattr(command, "get_command") and not arguments:
        assert command.invoke_without_command or name == "lah", f"{name} needs a command"
        return
    context = command.make_context(name, list(arguments))
    rest = [*getattr(context, "_protected_args", []), *context.args]
    if rest:
        assert hasattr(command, "get_command"), f"{name} takes no {rest[0]}"
        found = command.get_command(context, rest[0])
        assert found is not None, f"{name} has no command {rest[0]}"
        _parse(found, rest[0], rest[1:])
