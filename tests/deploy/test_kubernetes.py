"""A cluster: the manifests fit Kubernetes, each other and the code."""

import inspect
import ipaddress
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from dagster._grpc.server import DagsterGrpcServer
from dagster_k8s import client as dagster_k8s_client
from dagster_webserver.webserver import DagsterWebserver
from fastapi import FastAPI
from fastapi.routing import APIRoute

from api import monitoring
from lah_platform.settings import Settings
from lah_platform.stack.environment import dagster_postgres_url
from tests.deploy.files import KUBERNETES, NOT_MANIFESTS, compose, containers, image_environment, manifests, pods
from tests.deploy.vocabulary import check_command, known_variables, port_of, variables_of_yaml

_OLDEST = "1.27"  # gRPC probes
_DAGSTER = ("code", "marts", "dagster-webserver", "dagster-daemon")
_ASKS_KUBERNETES = ("dagster-webserver", "dagster-daemon")
_SERVICES = {name: each["spec"] for (kind, name), each in manifests().items() if kind == "Service"}
_each_container = pytest.mark.parametrize(
    "container", [each for _, each in containers()], ids=lambda each: each["name"]
)
_each_in_its_pod = pytest.mark.parametrize(
    ("pod", "container"), containers(), ids=lambda each: each if isinstance(each, str) else each["name"]
)


def environment_of(container: dict[str, Any]) -> dict[str, str]:
    """What the container's process would see, secrets with their placeholders."""
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        if "configMapRef" in source:
            found |= manifests()["ConfigMap", source["configMapRef"]["name"]]["data"]
        else:
            found |= manifests(examples=True)["Secret", source["secretRef"]["name"]]["stringData"]
    return found | {each["name"]: each["value"] for each in container.get("env", [])}


@pytest.mark.parametrize("version", [_OLDEST, kubernetes_validate.latest_version()])
def test_every_manifest_fits_the_schema_of_kubernetes(version: str) -> None:
    for content in [*manifests().values(), *manifests(examples=True).values()]:
        kubernetes_validate.validate(content, version, strict=True)


def test_the_kustomization_holds_every_manifest_and_no_secret() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text(encoding="utf-8"))
    files = {path.name for path in KUBERNETES.glob("*.yaml") if ".example." not in path.name} - set(NOT_MANIFESTS)
    assert set(kustomization["resources"]) == files
    assert not [name for kind, name in manifests() if kind == "Secret"]
    assert ("Namespace", kustomization["namespace"]) in manifests()
    assert kustomization["configMapGenerator"] == [{"name": "lah-dagster", "files": ["dagster.yaml"]}]
    assert kustomization["generatorOptions"] == {"disableNameSuffixHash": True}


def test_naming_another_image_reaches_every_pod_and_the_pods_of_runs(tmp_path: Path) -> None:
    if not (kubectl := shutil.which("kubectl")):
        pytest.skip("kubectl is not on this machine")
    folder = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, folder)
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    kustomization["images"][0] |= {"newName": "registry.example/hub", "newTag": "7.8.9"}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    built = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"(?<!_)image: (\S+)", built)) == {"registry.example/hub:7.8.9"}
    (config,) = [each for each in yaml.safe_load_all(built) if each["metadata"]["name"] == "lah-config"]
    assert config["data"]["LAH_IMAGE"] == "registry.example/hub:7.8.9"
    for content in yaml.safe_load_all(built):
        kubernetes_validate.validate(content, _OLDEST, strict=True)
        assert content["kind"] == "Namespace" or content["metadata"]["namespace"] == "lah"


def test_the_secret_file_is_an_example_with_placeholders() -> None:
    secrets = manifests(examples=True)
    for content in secrets.values():
        assert all("REPLACE-ME" in value for value in content["stringData"].values())
    referenced = {
        ("Secret", source["secretRef"]["name"])
        for _, container in containers()
        for source in container["envFrom"]
        if "secretRef" in source
    }
    assert referenced == secrets.keys()
    database = secrets["Secret", "lah-database"]["stringData"]
    assert database["LAH_DAGSTER_POSTGRES_URL"] == dagster_postgres_url(database["LAH_DATABASE_URL"])


@_each_container
def test_every_command_exists(container: dict[str, Any]) -> None:
    check_command(container["command"])
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if "exec" in container.get(probe, {}):
            check_command(container[probe]["exec"]["command"])


@_each_container
def test_every_variable_is_read_by_the_code_and_every_setting_is_valid(
    container: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = environment_of(container)
    assert seen.keys() <= known_variables()
    for name, value in seen.items():
        monkeypatch.setenv(name, value)
    chosen = Settings()
    assert chosen.database_url is not None
    assert chosen.kafka_bootstrap is not None


@_each_in_its_pod
def test_every_container_fits_the_restricted_pod_security_standard(pod: str, container: dict[str, Any]) -> None:
    assert manifests()["Namespace", "lah"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    around = pods()[pod]["securityContext"]
    assert around == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@_each_in_its_pod
def test_every_container_says_what_it_needs_and_where_it_writes(pod: str, container: dict[str, Any]) -> None:
    assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    assert "memory" in container["resources"]["limits"]
    volumes = {each["name"]: each for each in pods()[pod]["volumes"]}
    mounted = {each["mountPath"]: volumes[each["name"]] for each in container["volumeMounts"]}
    assert "emptyDir" in mounted[image_environment()["LAH_HOME"]]
    assert "emptyDir" in mounted["/tmp"]


@pytest.mark.parametrize("pod", _DAGSTER)
def test_every_process_of_dagster_has_the_instance_and_what_it_reads(pod: str) -> None:
    container = pods()[pod]["containers"][0]
    mount = next(each for each in container["volumeMounts"] if each["name"] == "instance")
    path = f"{image_environment()['DAGSTER_HOME']}/dagster.yaml"
    assert mount == {"name": "instance", "mountPath": path, "subPath": "dagster.yaml"}
    assert {"name": "instance", "configMap": {"name": "lah-dagster"}} in pods()[pod]["volumes"]
    assert variables_of_yaml() <= environment_of(container).keys()


def test_services_lead_to_the_port_that_is_listened_on() -> None:
    assert _SERVICES.keys() == {"api", "code", "marts", "dagster-webserver"}
    for name, service in _SERVICES.items():
        labels = manifests()["Deployment", name]["spec"]["template"]["metadata"]["labels"]
        chosen = [pod for pod in pods() if service["selector"].items() <= _labels(pod).items()]
        assert chosen == [name], labels
        container = pods()[name]["containers"][0]
        (port,) = service["ports"]
        (declared,) = container["ports"]
        assert port["targetPort"] == declared["name"]
        assert port["port"] == declared["containerPort"] == port_of(container["command"], environment_of(container))


def _labels(pod: str) -> dict[str, str]:
    content = manifests().get(("Deployment", pod)) or manifests()["Job", pod]
    labels: dict[str, str] = content["spec"]["template"]["metadata"]["labels"]
    return labels


def test_the_workspace_leads_to_the_services_of_the_code_locations() -> None:
    config = manifests()["ConfigMap", "lah-config"]["data"]
    for prefix in ("LAH_CODE", "LAH_MARTS"):
        (port,) = _SERVICES[config[f"{prefix}_HOST"]]["ports"]
        assert port["port"] == int(config[f"{prefix}_PORT"])


def test_the_same_processes_run_as_with_compose() -> None:
    services = compose()["services"]
    assert pods().keys() == services.keys() - {"timescaledb", "kafka"}
    for name, pod in pods().items():
        assert pod["containers"][0]["command"] == services[name]["command"]


def test_whatever_opens_a_port_is_probed_on_a_path_that_exists() -> None:
    """Landing's is for Prometheus alone, and it ends by itself; the daemon's heartbeats are asked for."""
    routes = FastAPI()
    monitoring.add_routes(routes)
    paths = {
        "api": {route.path for route in routes.routes if isinstance(route, APIRoute)},
        "dagster-webserver": set(re.findall(r'"(/\w+)"', inspect.getsource(DagsterWebserver.build_routes))),
    }
    for name, pod in pods().items():
        container = pod["containers"][0]
        if "ports" not in container:
            continue
        (port,) = container["ports"]
        if port["name"] == "metrics":
            continue
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container[kind]
            if "grpc" in probe:
                assert probe["grpc"]["port"] == port["containerPort"]
                assert f'.set("{probe["grpc"]["service"]}"' in inspect.getsource(DagsterGrpcServer)
            else:
                assert probe["httpGet"]["port"] == port["name"]
                assert probe["httpGet"]["path"] in paths[name]
    assert pods()["api"]["containers"][0]["livenessProbe"]["httpGet"]["path"] == "/health"
    assert pods()["api"]["containers"][0]["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert "livenessProbe" in pods()["dagster-daemon"]["containers"][0]


def test_no_service_can_change_a_setting_by_its_name() -> None:
    """A Service `dagster-webserver` would set DAGSTER_WEBSERVER_PORT=tcp://..., which is its --port."""
    assert all(pod["enableServiceLinks"] is False for pod in pods().values())


def test_only_dagsters_webserver_and_daemon_may_ask_kubernetes_for_anything() -> None:
    for name, pod in pods().items():
        if name in _ASKS_KUBERNETES:
            assert pod["serviceAccountName"] == "lah-dagster"
        else:
            assert pod["automountServiceAccountToken"] is False
            assert "serviceAccountName" not in pod
    binding = manifests()["RoleBinding", "lah-dagster"]
    assert [subject["name"] for subject in binding["subjects"]] == ["lah-dagster"]
    assert not [name for kind, name in manifests() if kind.startswith("Cluster")]


def test_the_rights_are_what_the_run_launcher_calls_and_no_more() -> None:
    """Each call of dagster-k8s, such as read_namespaced_job_status, is one verb on one resource."""
    calls = re.findall(r"\.(batch|core)_api\.([a-z_]+)\(", inspect.getsource(dagster_k8s_client))
    needed = {(group, *_right(call)) for group, call in calls}
    granted = {
        ({"batch": "batch", "": "core"}[group], verb, resource)
        for rule in manifests()["Role", "lah-dagster"]["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == needed


def _right(call: str) -> tuple[str, str]:
    verb, resource = re.fullmatch(r"(\w+)_namespaced_(\w+)", call).groups()  # type: ignore[union-attr]
    kind, _, part = resource.partition("_")
    return {"read": "get"}.get(verb, verb), f"{kind}s" + (f"/{part}" if part else "")


def test_one_daemon_only_and_never_two_during_a_rollout() -> None:
    daemon = manifests()["Deployment", "dagster-daemon"]["spec"]
    assert daemon["replicas"] == 1
    assert daemon["strategy"] == {"type": "Recreate"}


def test_landing_shares_the_partitions_among_its_processes() -> None:
    landing = manifests()["Deployment", "landing"]["spec"]
    seen = environment_of(pods()["landing"]["containers"][0])
    assert seen["LAH_CONSUMER_GROUP"]
    assert 2 <= landing["replicas"] <= int(seen["LAH_TOPIC_PARTITIONS"])


def test_landing_is_given_the_time_that_it_takes_to_stop() -> None:
    chosen = Settings()
    assert pods()["landing"]["terminationGracePeriodSeconds"] > chosen.stop_seconds + chosen.batch_seconds


def test_what_needs_the_schema_waits_for_it() -> None:
    assert pods()["migrate"]["containers"][0]["command"] == ["lah", "migrate"]
    for name in ("landing", "dagster-webserver", "dagster-daemon"):
        (first,) = pods()[name]["initContainers"]
        assert first["command"] == ["lah", "migrate", "status"]


def test_only_the_api_is_told_the_server_secret_and_it_takes_no_demo_key() -> None:
    told = {pod for pod, container in containers() if "LAH_SECRET" in environment_of(container)}
    assert told == {"api"}
    host = environment_of(pods()["api"]["containers"][0])["LAH_API_HOST"]
    assert not ipaddress.ip_address(host).is_loopback
