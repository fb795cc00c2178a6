"""The files of deploy/ as data, read once. Belongs here: reading. Does not: what they must promise."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from lah_platform.settings import PROJECT_ROOT

DEPLOY = PROJECT_ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
NOT_MANIFESTS = ("dagster.yaml", "kustomization.yaml")
HUB_IMAGE = "llm-analytics-hub"
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<operator>:[-?])(?P<argument>[^}]*))?\}")


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile; `stage` counts the FROM lines from 0."""

    stage: int
    name: str
    text: str


@cache
def dockerfile() -> list[Instruction]:
    """The Dockerfile's instructions in order, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    stage, found = -1, []
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            stage += name == "FROM"
            found.append(Instruction(stage, name, rest.strip()))
    return found


def of(name: str, *, stage: int | None = None) -> list[str]:
    """The arguments of every instruction `name`; stage -1 is the last one."""
    steps = dockerfile()
    wanted = steps[-1].stage if stage == -1 else stage
    return [step.text for step in steps if step.name == name and wanted in (None, step.stage)]


def image_environment() -> dict[str, str]:
    """What every process in the image is started with."""
    pairs = re.findall(r'(\w+)="([^"]*)"', " ".join(of("ENV", stage=-1)))
    return dict(pairs)


@cache
def compose() -> dict[str, Any]:
    """The compose file, its anchors resolved, its ${variables} not."""
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return content


def variables_in(text: str) -> Iterator[tuple[str, str | None, str | None]]:
    """Every ${NAME}, ${NAME:-default} and ${NAME:?message} as (name, operator, argument)."""
    for match in _VARIABLE.finditer(text):
        yield match["name"], match["operator"], match["argument"]


def substituted(value: str, given: Mapping[str, str]) -> str:
    """`value` as compose would read it. Raises LookupError for a variable that must be set and is not."""

    def replace(match: re.Match[str]) -> str:
        if match["name"] in given:
            return given[match["name"]]
        if match["operator"] != ":-":
            raise LookupError(match["name"])
        return match["argument"]

    return _VARIABLE.sub(replace, value)


def environment_of(service: str, given: Mapping[str, str]) -> dict[str, str]:
    """The environment that compose would start the service with; a name without a value comes from `given`."""
    declared: dict[str, str | None] = compose()["services"][service].get("environment", {})
    return {
        name: substituted(value, given) if value is not None else given[name]
        for name, value in declared.items()
        if value is not None or name in given
    }


@cache
def manifests(*, examples: bool = False) -> dict[tuple[str, str], dict[str, Any]]:
    """Every Kubernetes object by (kind, name)."""
    objects = [
        content
        for path in sorted(KUBERNETES.glob("*.yaml"))
        if path.name not in NOT_MANIFESTS and (".example." in path.name) == examples
        for content in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]
    return {(content["kind"], content["metadata"]["name"]): content for content in objects}


def pods() -> dict[str, dict[str, Any]]:
    """The pod specification of each Deployment and Job by name."""
    return {
        name: content["spec"]["template"]["spec"]
        for (kind, name), content in manifests().items()
        if kind in ("Deployment", "Job")
    }


def containers() -> list[tuple[str, dict[str, Any]]]:
    """(pod, container) for every container, init containers too."""
    return [
        (name, container)
        for name, pod in pods().items()
        for container in [*pod.get("initContainers", []), *pod["containers"]]
    ]


@cache
def instance(folder: str = "") -> dict[str, Any]:
    """deploy/<folder>/dagster.yaml."""
    content: dict[str, Any] = yaml.safe_load((DEPLOY / folder / "dagster.yaml").read_text(encoding="utf-8"))
    return content
