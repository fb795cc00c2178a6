"""The image: one for every process, from the lock, unprivileged, with nothing in it that is not needed."""

import fnmatch
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from lah_platform.settings import PROJECT_ROOT, TELEMETRY_OFF
from tests.deploy.files import DEPLOY, HUB_IMAGE, compose, containers, dockerfile, image_environment, manifests, of
from tests.deploy.vocabulary import check_command, stack_environment

_NEVER_A_ROOM = {"tests", "benchmarks"}


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def _sources() -> list[str]:
    """What is copied from the repository."""
    copies = [text.split() for text in of("COPY") if "--from=" not in text]
    return [source for *sources, _destination in copies for source in sources]


def _is_let_through(source: str) -> bool:
    """Docker's rule: the last pattern that fits the path, or a folder above it, decides."""
    decision = True
    for line in (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        above = [source, *(parent.as_posix() for parent in Path(source).parents)]
        names = above if line.startswith("!") or "/" in pattern else [*above, *Path(source).parts]
        if any(fnmatch.fnmatchcase(name, pattern) for name in names if name != "."):
            decision = line.startswith("!")
    return decision


def test_everything_that_is_copied_is_there_and_reaches_the_build() -> None:
    for source in _sources():
        assert (PROJECT_ROOT / source).exists(), source
        assert _is_let_through(source), f"{source} is kept out by Dockerfile.dockerignore"


@pytest.mark.parametrize("path", [".env", "deploy/.env", ".git", ".venv", ".lah", "tests", "dbt/target", "docs"])
def test_secrets_data_and_environments_never_reach_the_build(path: str) -> None:
    assert not _is_let_through(path)


def test_every_room_of_the_project_is_in_the_image() -> None:
    packages = {path.parent.name for path in PROJECT_ROOT.glob("*/__init__.py")} - _NEVER_A_ROOM
    assert packages | {"sql", "dbt", "workspace.yaml"} <= set(_sources())


def test_base_images_are_pinned_to_a_python_that_the_project_supports() -> None:
    for base in of("FROM"):
        found = re.fullmatch(r"python:(\d+\.\d+)-slim-[a-z]+(?: AS \w+)?", base)
        assert found, base
        specifier = Requirement(f"x {_project()['requires-python']}").specifier
        assert specifier.contains(Version(f"{found[1]}.99")), base


def test_the_runtime_stage_installs_nothing_and_runs_as_an_unprivileged_number() -> None:
    commands = " ".join(of("RUN", stage=-1))
    assert not re.search(r"\b(pip|uv|apt|apt-get|curl|wget|gcc|make)\b", commands)
    assert of("USER") == ["10001:10001"]
    last_of_root = max(place for place, step in enumerate(dockerfile()) if step.name in ("RUN", "COPY"))
    assert [step.name for step in dockerfile()].index("USER") > last_of_root
    assert "--uid 10001" in commands
    assert "--gid 10001" in commands


def test_the_folders_that_are_written_to_are_made_for_the_user() -> None:
    commands = " ".join(of("RUN", stage=-1))
    environment = image_environment()
    folders = shlex.split(next(part for part in commands.split("&&") if "install --directory" in part))
    assert environment["LAH_HOME"] in folders
    assert f"{environment['DAGSTER_HOME']}/storage" in folders
    assert folders[folders.index("--owner") + 1] == "lah"
    assert f"deploy/dagster.yaml {environment['DAGSTER_HOME']}/dagster.yaml" in of("COPY", stage=-1)


def test_every_installed_package_has_a_hash() -> None:
    installs = [part for text in of("RUN") for part in text.split("&&") if re.search(r"\b(pip|uv pip) install\b", part)]
    assert len(installs) == 3
    for install in installs:
        if "--editable" in install:  # the hub itself: what builds it is held by the lock
            assert "--no-deps" in install
            assert "--build-constraint requirements.lock" in install
        else:
            assert "--require-hashes" in install
        assert not re.search(r"https?://|--index|--trusted-host|--group|--extra", install)


def test_the_lock_decides_every_runtime_dependency() -> None:
    lock = (PROJECT_ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE))
    for text in _project()["dependencies"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(Version(pinned[requirement.name])), f"{text}: renew the lock"


def test_nothing_secret_is_written_into_the_image() -> None:
    assert not of("ARG")
    assert not of("ADD")
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert not re.search(r"(?i)password|passwd|token|api_?key|_secret|://[^\s/]*:[^\s/]*@", text)
    assert not [name for name in image_environment() if re.search(r"(?i)secret|password|token|url", name)]


def test_the_image_gives_its_processes_what_lah_up_gives_them() -> None:
    given = image_environment()
    assert given | TELEMETRY_OFF == given
    ours = stack_environment()
    elsewhere = {"PATH", "LAH_HOME", "DAGSTER_HOME", "PYTHONPATH"}  # places, which differ in an image
    shared = {name for name in ours if not name.startswith("LAH_")} & given.keys() - elsewhere
    assert {name: given[name] for name in shared} == {name: ours[name] for name in shared}
    threads = {name for name in ours if name.endswith("_THREADS")}
    assert threads | {"DAGSTER_EVENT_BATCH_SIZE", "PYTHONUNBUFFERED"} <= shared


def test_the_dbt_manifest_is_built_in_the_image_by_a_module_that_exists() -> None:
    (step,) = [text for text in of("RUN", stage=0) if "dbt_project" in text]
    built = next(part.split() for part in step.split("&&") if "dbt_project" in part)
    assert built[:2] == ["/opt/venv/bin/python", "-m"]
    assert (PROJECT_ROOT / f"{built[2].replace('.', '/')}.py").is_file()
    assert "dbt" in _sources()


def test_the_default_command_exists() -> None:
    (command,) = of("CMD")
    program, option = re.findall(r'"([^"]+)"', command)
    assert option == "--help"
    check_command([program])


def test_the_same_version_is_named_everywhere() -> None:
    version = _project()["version"]
    (label,) = re.findall(r'image\.version="([^"]+)"', " ".join(of("LABEL")))
    assert label == version
    ours = [service["image"] for service in compose()["services"].values() if HUB_IMAGE in service["image"]]
    assert set(ours) == {f"${{LAH_IMAGE:-{HUB_IMAGE}:{version}}}"}
    assert {container["image"] for _, container in containers()} == {f"{HUB_IMAGE}:{version}"}
    assert manifests()["ConfigMap", "lah-config"]["data"]["LAH_IMAGE"] == f"{HUB_IMAGE}:{version}"
    assert f"--tag {HUB_IMAGE}:{version} " in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
