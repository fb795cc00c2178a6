"""The Dagster instances of compose and Kubernetes load, and the pod that Kubernetes gets for a run is a good one."""

import importlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from dagster import DagsterInstance, DagsterRun
from dagster._config import process_config
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from kubernetes.client import ApiClient, V1Job  # type: ignore[import-untyped]

from tests.deploy.files import DEPLOY, image_environment, instance, manifests
from tests.deploy.vocabulary import check_command

_VARIABLES = {
    "LAH_DAGSTER_POSTGRES_URL": "postgresql+psycopg2://lah:secret@127.0.0.1:1/lah?options=-csearch_path%3Ddagster",
    "LAH_RUN_NAMESPACE": "lah",
    "LAH_IMAGE": "registry.example/hub:7.8.9",
}
_KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "nowhere",
    "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
    "clusters": [{"name": "nowhere", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "nobody", "user": {}}],
}


@pytest.fixture(scope="module")
def variables() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _VARIABLES.items():
            patch.setenv(name, value)
        yield


def _home(folder: str, path: Path) -> Path:
    shutil.copyfile(DEPLOY / folder / "dagster.yaml", path / "dagster.yaml")
    return path


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize("folder", ["", "kubernetes"])
def test_the_instance_loads_with_dagsters_tables_in_the_hubs_database(folder: str, tmp_path: Path) -> None:
    home = _home(folder, tmp_path)
    dagster_instance_config(str(home))  # raises for an unknown section or option
    ref = InstanceRef.from_dir(str(home))
    for part in (ref.run_storage_data, ref.event_storage_data, ref.schedule_storage_data):
        assert part is not None
        assert part.module_name.startswith("dagster_postgres")
        assert yaml.safe_load(part.config_yaml) == {"postgres_url": {"env": "LAH_DAGSTER_POSTGRES_URL"}}
    assert instance(folder)["telemetry"] == {"enabled": False}
    assert instance(folder)["run_monitoring"]["enabled"] is True
    ref.run_coordinator  # noqa: B018 - made from its configuration, or an error


@pytest.mark.usefixtures("variables")
def test_the_kubernetes_instance_differs_only_where_runs_are_pods(tmp_path: Path) -> None:
    ours, theirs = instance(), instance("kubernetes")
    different = {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
    assert different == {"run_launcher", "run_monitoring", "concurrency", "compute_logs"}
    assert ours["concurrency"]["pools"] == theirs["concurrency"]["pools"]
    ref = InstanceRef.from_dir(str(_home("kubernetes", tmp_path)))
    assert isinstance(ref.compute_log_manager, NoOpComputeLogManager)


def _launcher(**elsewhere: Any) -> RunLauncher:
    """The run launcher that kubernetes/dagster.yaml names, on the cluster that `elsewhere` describes."""
    wanted = instance("kubernetes")["run_launcher"]
    named = getattr(importlib.import_module(wanted["module"]), wanted["class"])
    processed = process_config(named.config_type(), wanted["config"])
    assert processed.success, processed.errors
    launcher = named(**dict(processed.value or {}) | elsewhere)
    assert isinstance(launcher, RunLauncher)
    return launcher


@dataclass
class _Cluster:
    """Takes jobs and keeps them."""

    jobs: list[tuple[str, V1Job]] = field(default_factory=list)

    def create_namespaced_job(self, *, body: V1Job, namespace: str, **_options: object) -> None:
        self.jobs.append((namespace, body))


@pytest.fixture(scope="module")
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The Kubernetes job of a run of the hub's code location, as the launcher of kubernetes/dagster.yaml makes it."""
    request.getfixturevalue("variables")
    tmp_path = tmp_path_factory.mktemp("launcher")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(_KUBECONFIG), encoding="utf-8")
    cluster = _Cluster()
    launcher = _launcher(load_incluster_config=False, kubeconfig_file=str(kubeconfig), k8s_client_batch_api=cluster)
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        launcher.register_instance(instance)
        repository = RepositoryPythonOrigin(
            "/opt/venv/bin/python", ModuleCodePointer("assets.definitions", "defs"), None, DEFAULT_DAGSTER_ENTRY_POINT
        )
        run = DagsterRun(job_name="daily", job_code_origin=JobPythonOrigin("daily", repository))
        instance.add_run(run)
        launcher.launch_run(LaunchRunContext(run, None))
    ((namespace, body),) = cluster.jobs
    assert namespace == _VARIABLES["LAH_RUN_NAMESPACE"]
    made: dict[str, Any] = ApiClient().sanitize_for_serialization(body)
    return made


def test_kubernetes_gets_a_valid_job_for_each_run(job: dict[str, Any]) -> None:
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == _VARIABLES["LAH_IMAGE"]
    check_command(container["args"])


def test_a_runs_pod_fits_the_restricted_standard_and_may_ask_kubernetes_for_nothing(job: dict[str, Any]) -> None:
    pod = job["spec"]["template"]["spec"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert ("ServiceAccount", pod["serviceAccountName"]) in manifests()
    assert pod["serviceAccountName"] != "lah-dagster"
    assert {"cpu", "memory"} <= pod["containers"][0]["resources"]["requests"].keys()
    assert "memory" in pod["containers"][0]["resources"]["limits"]


def test_a_runs_pod_has_the_instance_the_settings_and_the_database(job: dict[str, Any]) -> None:
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    code = manifests()["Deployment", "code"]["spec"]["template"]["spec"]["containers"][0]
    assert container["envFrom"] == code["envFrom"]
    home = image_environment()["DAGSTER_HOME"]
    assert {"name": "DAGSTER_HOME", "value": home} in container["env"]
    volumes = {each["name"]: each for each in pod["volumes"]}
    mounted = {each["mountPath"]: (each, volumes[each["name"]]) for each in container["volumeMounts"]}
    mount, volume = mounted[f"{home}/dagster.yaml"]
    assert mount["subPath"] == "dagster.yaml"
    assert volume["configMap"] == {"name": "lah-dagster"}
    for folder in ("/tmp", image_environment()["LAH_HOME"]):
        assert "emptyDir" in mounted[folder][1]
