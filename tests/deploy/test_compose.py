"""One machine: what `docker compose --file deploy/compose.yaml up` would start."""

import importlib.resources
import ipaddress
import json
import re
import shutil
import subprocess
from typing import Any
from urllib.parse import urlsplit

import jsonschema  # type: ignore[import-untyped]
import pytest

from lah_platform.settings import PROJECT_ROOT, Settings
from lah_platform.stack.environment import dagster_postgres_url
from tests.deploy.files import DEPLOY, HUB_IMAGE, compose, environment_of, image_environment, substituted, variables_in
from tests.deploy.vocabulary import check_command, known_variables, port_of, settings_variables, variables_of_yaml

_SECRETS = {"LAH_DB_PASSWORD": "0123456789abcdef", "LAH_SECRET": "fedcba9876543210", "LAH_MASTER_KEY": "A" * 43 + "="}
_SERVICES = compose()["services"]
_OURS = {name: service for name, service in _SERVICES.items() if HUB_IMAGE in service["image"]}
_DAGSTER = ("code", "marts", "dagster-webserver", "dagster-daemon")
_text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")


def _example() -> dict[str, str]:
    """env.example: what is commented out is a default."""
    text = (DEPLOY / "env.example").read_text(encoding="utf-8")
    return dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE))


def _defaults() -> dict[str, str]:
    return {name: f"{default}" for name, default in settings_variables().items()}


def _published() -> dict[str, tuple[str, str, str]]:
    """(address, host's port, container's port) of each service that publishes one."""
    ports = {name: service["ports"] for name, service in _SERVICES.items() if "ports" in service}
    assert all(len(each) == 1 for each in ports.values())
    return {name: tuple(substituted(each[0], _SECRETS).split(":")) for name, each in ports.items()}  # type: ignore[misc]


def test_the_file_fits_the_compose_specification() -> None:
    pytest.importorskip("check_jsonschema", reason="the package that holds the compose specification's JSON Schema")
    schemas = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((schemas / "compose-spec.json").read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(compose())] == []


def _docker_compose(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    docker = shutil.which("docker")
    plugin = docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0
    if not plugin:
        pytest.skip("docker with its compose plugin is not on this machine")
    command = [str(docker), "compose", "--file", str(DEPLOY / "compose.yaml"), "config", "--format", "json"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_docker_reads_the_file_as_we_do() -> None:
    config = _docker_compose({"PATH": "/usr/bin:/bin", "HOME": "/", **_SECRETS})
    assert config.returncode == 0, config.stderr
    read: dict[str, Any] = json.loads(config.stdout)["services"]
    assert read.keys() == _SERVICES.keys()
    for name in _SERVICES:
        seen = {key: value for key, value in read[name].get("environment", {}).items() if value is not None}
        assert seen == environment_of(name, _SECRETS)


@pytest.mark.parametrize("name", _SECRETS)
def test_no_secret_has_a_default(name: str) -> None:
    """Compose refuses to start while one is unset or empty, and the example leaves all empty."""
    uses = [(operator, argument) for each, operator, argument in variables_in(_text) if each == name]
    assert uses
    assert all(operator == ":?" and argument for operator, argument in uses)
    assert _example()[name] == ""
    for service in _SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|MASTER_KEY|://[^/]*@", f"{variable} {value}"):
                assert any(secret in value for secret in _SECRETS), f"{variable} is written out"


def test_only_the_api_is_told_the_server_secret() -> None:
    assert [name for name in _SERVICES if "LAH_SECRET" in _SERVICES[name].get("environment", {})] == ["api"]


def test_every_port_is_on_loopback_and_where_lah_up_puts_it() -> None:
    published = _published()
    assert {address for address, _, _ in published.values()} == {"127.0.0.1"}
    defaults = Settings()
    assert {name: int(port) for name, (_, port, _) in published.items()} == {
        "timescaledb": defaults.postgres_port,
        "kafka": defaults.broker_port,
        "api": defaults.api_port,
        "dagster-webserver": defaults.dagster_port,
    }


def test_each_published_port_is_the_one_that_is_listened_on() -> None:
    published = _published()
    for name in ("api", "dagster-webserver"):
        assert port_of(_SERVICES[name]["command"], environment_of(name, _SECRETS)) == int(published[name][2])
    listeners = environment_of("kafka", _SECRETS)["KAFKA_LISTENERS"]
    assert f"OUTSIDE://:{published['kafka'][2]}" in listeners.split(",")
    assert urlsplit(environment_of("api", _SECRETS)["LAH_DATABASE_URL"]).port == int(published["timescaledb"][2])


def test_images_are_pinned_and_never_latest() -> None:
    for name, service in _SERVICES.items():
        _, _, tag = substituted(service["image"], _SECRETS).rpartition(":")
        assert re.match(r"\d+\.\d+\.\d+", tag), f"{name}: {service['image']}"


def test_timescaledb_and_kafka_are_new_enough_and_send_nothing_home() -> None:
    version = re.match(r"timescale/timescaledb:(\d+)\.(\d+)\.\d+-pg(\d+)$", _SERVICES["timescaledb"]["image"])
    assert version
    assert (int(version[1]), int(version[2])) >= (2, 23)
    assert 15 <= int(version[3]) <= 18
    assert _SERVICES["timescaledb"]["environment"]["TIMESCALEDB_TELEMETRY"] == "off"
    assert re.match(r"apache/kafka:4\.", _SERVICES["kafka"]["image"])


@pytest.mark.parametrize("name", _OURS)
def test_every_variable_of_a_hub_process_is_read_by_the_code(name: str) -> None:
    unknown = _SERVICES[name]["environment"].keys() - known_variables()
    assert not unknown


@pytest.mark.parametrize("name", _OURS)
def test_every_value_of_a_setting_is_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in environment_of(name, _SECRETS | _filled_example()).items():
        monkeypatch.setenv(variable, value)
    chosen = Settings()
    assert chosen.database_url is not None
    assert not chosen.has_embedded_postgres


def _filled_example() -> dict[str, str]:
    return {name: value for name, value in _example().items() if value}


def test_the_example_names_every_variable_with_the_default_that_holds() -> None:
    asked = {name for name, _, _ in variables_in(_text)}
    passed_on = {name for each in _OURS.values() for name, value in each["environment"].items() if value is None}
    assert asked | passed_on == _example().keys()
    given = {name: argument for name, operator, argument in variables_in(_text) if operator == ":-"}
    for name, value in _filled_example().items():
        assert value == given.get(name, _defaults().get(name)), name
        if name in given and name in _defaults():
            assert value == _defaults()[name], f"{name} is not the default of lah_platform/settings.py"


def test_every_command_and_health_check_exists() -> None:
    for service in _OURS.values():
        check_command(service["command"])
        if "healthcheck" in service:
            kind, *command = service["healthcheck"]["test"]
            assert kind == "CMD"
            check_command(command)


def test_health_checks_ask_the_port_that_is_listened_on() -> None:
    for name in ("api", "code", "marts", "dagster-webserver"):
        port = port_of(_SERVICES[name]["command"], environment_of(name, _SECRETS))
        asked = " ".join(_SERVICES[name]["healthcheck"]["test"])
        assert re.search(rf"(:|--port ){port}\b", asked), asked


def test_every_process_of_dagster_has_what_its_files_read() -> None:
    kubernetes_only = {"LAH_RUN_NAMESPACE", "LAH_IMAGE"}
    for name in _DAGSTER:
        assert variables_of_yaml() - kubernetes_only <= _SERVICES[name]["environment"].keys(), name


def test_the_workspace_leads_to_the_code_locations() -> None:
    seen = environment_of("dagster-daemon", _SECRETS)
    for prefix, module in (("LAH_CODE", "assets.definitions"), ("LAH_MARTS", "assets.marts_definitions")):
        command = _SERVICES[seen[f"{prefix}_HOST"]]["command"]
        assert module in command
        assert port_of(command, {}) == int(seen[f"{prefix}_PORT"])
        assert command[command.index("--host") + 1] == "0.0.0.0"


def test_dagster_uses_the_hubs_own_database_and_everyone_the_same() -> None:
    urls = {environment_of(name, _SECRETS)["LAH_DATABASE_URL"] for name in _OURS}
    (url,) = urls
    for name in _DAGSTER:
        assert environment_of(name, _SECRETS)["LAH_DAGSTER_POSTGRES_URL"] == dagster_postgres_url(url)
    parts, database = urlsplit(url), environment_of("timescaledb", _SECRETS)
    assert parts.hostname == "timescaledb"
    assert (parts.username, parts.password) == (database["POSTGRES_USER"], database["POSTGRES_PASSWORD"])
    assert parts.path == f"/{database['POSTGRES_DB']}"


def test_the_broker_is_reached_from_inside_and_outside_and_can_acknowledge_all() -> None:
    kafka = environment_of("kafka", _SECRETS)
    advertised = dict(each.split("://") for each in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
    assert {environment_of(name, _SECRETS)["LAH_KAFKA_BOOTSTRAP"] for name in ("landing", "api")} == {
        advertised["INSIDE"]
    }
    assert advertised["OUTSIDE"] == ":".join(_published()["kafka"][:2])
    listeners = {each.split("://")[0] for each in kafka["KAFKA_LISTENERS"].split(",")}
    assert listeners == advertised.keys() | {kafka["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert listeners == {each.split(":")[0] for each in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")}
    assert int(kafka["KAFKA_MIN_INSYNC_REPLICAS"]) <= int(kafka["KAFKA_DEFAULT_REPLICATION_FACTOR"]) == 1
    assert f"{_SERVICES['kafka']['volumes'][0]}".endswith(kafka["KAFKA_LOG_DIRS"])


def test_landing_can_be_started_several_times() -> None:
    landing = _SERVICES["landing"]
    assert not {"container_name", "ports", "hostname", "volumes"} & landing.keys()
    assert landing["environment"]["LAH_CONSUMER_GROUP"]


def test_landing_is_given_the_time_that_it_takes_to_stop() -> None:
    chosen = Settings()
    assert int(_SERVICES["landing"]["stop_grace_period"].rstrip("s")) > chosen.stop_seconds + chosen.batch_seconds


def test_the_api_takes_no_demo_key() -> None:
    host = environment_of("api", _SECRETS)["LAH_API_HOST"]
    assert not ipaddress.ip_address(host).is_loopback


def test_nothing_starts_before_what_it_needs() -> None:
    for name, service in _SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in _SERVICES[other], f"{name} waits for the health of {other}"
            else:
                assert how["condition"] == "service_completed_successfully"
                assert other == "migrate"
    for name in ("landing", "api", "code", "marts"):
        assert "migrate" in _SERVICES[name]["depends_on"]
    for name in ("dagster-webserver", "dagster-daemon"):  # they load their locations once, at start
        assert _SERVICES[name]["depends_on"].keys() == {"code", "marts"}


def test_every_service_comes_back_and_is_bounded() -> None:
    for name, service in _SERVICES.items():
        assert service["restart"] == ("on-failure" if name == "migrate" else "unless-stopped")
        assert re.fullmatch(r"\d+[mg]", service["deploy"]["resources"]["limits"]["memory"])
        assert service.get("healthcheck") or name in ("migrate", "landing"), name


@pytest.mark.parametrize("name", _OURS)
def test_hub_processes_have_no_rights_to_lose(name: str) -> None:
    service = _OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert "user" not in service
    assert service["build"] == {"context": "..", "dockerfile": "deploy/Dockerfile"}


def test_what_is_kept_is_on_volumes_that_the_image_prepared() -> None:
    image = image_environment()
    prepared = {image["LAH_HOME"], f"{image['DAGSTER_HOME']}/storage"}
    named = set(compose()["volumes"])
    for name, service in _SERVICES.items():
        for volume in service.get("volumes", []):
            source, target = volume.split(":")
            assert source in named
            assert name not in _OURS or target in prepared
    assert {volume for name in ("code", "marts") for volume in _SERVICES[name]["volumes"]} == {
        f"home:{image['LAH_HOME']}",
        f"dagster:{image['DAGSTER_HOME']}/storage",
    }
    for name in _DAGSTER:  # the webserver shows what a run has printed
        assert f"dagster:{image['DAGSTER_HOME']}/storage" in _SERVICES[name]["volumes"]


def test_the_readme_gives_no_command_or_path_that_is_not_there() -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    for path in re.findall(r"(?:deploy|kubernetes|lah_platform|tests)/[\w./-]*\w", text):
        assert path == "deploy/.env" or any((root / path).exists() for root in (PROJECT_ROOT, DEPLOY)), path
    for service, command in re.findall(r"run --rm ([\w-]+) ([^#\n`]+)", text):
        assert service in _OURS
        check_command(command.split())
    for service in re.findall(r"(?:exec -T|--scale) ([\w-]+)", text):
        assert service in _OURS
    assert set(re.findall(r"`(LAH_[A-Z_]+)`", text)) <= known_variables()
