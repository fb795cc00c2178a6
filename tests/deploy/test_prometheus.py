"""Alerts: the rules ask for numbers that the code has, by labels that those numbers carry, and the page names them."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from prometheus_client.core import Metric

from api import monitoring
from lah_platform.landing.records import Partition
from lah_platform.settings import PROJECT_ROOT
from lah_platform.stack.landing_metrics import OUTCOMES, BatchFigures, LandingMetrics
from tests.deploy.files import DEPLOY, compose, environment_of, manifests

_FOLDER = DEPLOY / "prometheus"
_NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
_PARTITION = Partition("t", "one", 0)
_TARGET_LABELS = {"instance", "job"}  # Prometheus adds these to whatever it scrapes
_HISTOGRAM_SUFFIXES = ("_bucket", "_count", "_sum", "_created")


def _yaml(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((_FOLDER / name).read_text(encoding="utf-8"))
    return content


def _rules() -> list[dict[str, Any]]:
    return [rule for group in _yaml("landing.rules.yaml")["groups"] for rule in group["rules"]]


def _landing_metrics() -> list[Metric]:
    """Every metric of a process that has done everything once."""
    metrics = LandingMetrics("t", clock=lambda: _NOW)
    metrics.watch(lambda: {_PARTITION: 5})
    metrics.adopted(_PARTITION, 0)
    metrics.landed(BatchFigures(3, 1, 1, {"tombstone": 1}, {_PARTITION: 3}, _NOW, 0.1))
    metrics.caught_up(frozenset([_PARTITION]), _NOW)
    return [each for each in metrics.registry.collect() if each.name.startswith("lah_")]


def _exposed() -> dict[str, set[str]]:
    """The labels of every series name: landing's from itself, the API's ledger from its source."""
    found: dict[str, set[str]] = {}
    for metric in _landing_metrics():
        assert metric.samples, f"{metric.name} has no sample"
        for sample in metric.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    source = re.sub(r"\s+", " ", (PROJECT_ROOT / "api" / "monitoring.py").read_text(encoding="utf-8"))
    pattern = r'(Counter|Gauge)MetricFamily\( ?"(\w+)", "[^"]*", labels=\[([^\]]*)\]'
    for kind, name, labels in re.findall(pattern, source):
        found.setdefault(name + ("_total" if kind == "Counter" else ""), set()).update(re.findall(r"\w+", labels))
    return found


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["alert"])
def test_every_alert_asks_for_series_and_labels_that_exist(rule: dict[str, Any]) -> None:
    exposed, expression = _exposed(), rule["expr"]
    names = set(re.findall(r"\blah_\w+", expression))
    assert names
    assert names <= exposed.keys()
    known = set.union(_TARGET_LABELS, *(exposed[name] for name in names))
    grouped = {label for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in re.findall(r"\w+", group)}
    for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", expression):
        for label, value in re.findall(r'(\w+)=~?"([^"]*)"', matchers):
            assert label in exposed[name], f"{name} has no label {label}"
            assert label != "outcome" or set(value.split("|")) <= set(OUTCOMES)
    assert grouped <= known
    shown = set(re.findall(r"\$labels\.(\w+)", f"{rule['annotations']}"))
    assert shown <= grouped, "an alert shows only labels that its expression keeps"
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["alert"])
def test_every_alert_has_the_shape_of_a_rule_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Lah[A-Z][A-Za-z]+", rule["alert"])
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"].keys() == {"summary", "description"}
    mentioned = set(re.findall(r"\blah_\w+", f"{rule['annotations']}"))
    families = {re.sub(r"_(bucket|count|sum|created|total)$", "", name) for name in _exposed()}
    assert mentioned <= families | _exposed().keys()


def test_the_numbers_of_the_api_that_rules_ask_for_are_read_from_its_source() -> None:
    """Were the pattern to miss them, the test above would know no labels of theirs."""
    exposed = _exposed()
    assert exposed["lah_records_total"] == {"topic", "tenant", "outcome"}
    assert exposed["lah_records_dead_lettered"] == {"topic", "tenant"}
    assert monitoring.__doc__


def test_one_name_is_one_thing_here_and_in_the_api() -> None:
    source = (PROJECT_ROOT / "api" / "monitoring.py").read_text(encoding="utf-8")
    shared = [each for each in _landing_metrics() if f'"{each.name}"' in source]
    assert [each.name for each in shared] == ["lah_landing_lag_seconds"]
    for each in shared:
        assert f'"{each.documentation}"' in source
        assert all(sample.labels.keys() == {"topic", "partition"} for sample in each.samples)


def test_prometheus_scrapes_the_ports_and_paths_that_are_there() -> None:
    configuration = _yaml("prometheus.yaml")
    assert [(_FOLDER / name).is_file() for name in configuration["rule_files"]] == [True]
    jobs = {job["job_name"]: job for job in configuration["scrape_configs"]}
    secrets = {"LAH_DB_PASSWORD": "x", "LAH_SECRET": "y", "LAH_MASTER_KEY": "z"}
    (found,) = jobs["lah-landing"]["dns_sd_configs"]
    (service,) = found["names"]
    assert service in compose()["services"]
    landing = environment_of(service, secrets)
    assert (str(found["port"]), landing["LAH_METRICS_HOST"]) == (landing["LAH_METRICS_PORT"], "0.0.0.0")
    (target,) = jobs["lah-api"]["static_configs"][0]["targets"]
    assert target == f"api:{environment_of('api', secrets)['LAH_API_PORT']}"
    assert f'"{jobs["lah-api"]["metrics_path"]}"' in (PROJECT_ROOT / "api" / "monitoring.py").read_text(
        encoding="utf-8"
    )


def test_the_pods_of_landing_are_annotated_with_the_port_they_listen_on() -> None:
    template = manifests()["Deployment", "landing"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    environment = {each["name"]: each["value"] for each in container["env"]}
    (port,) = container["ports"]
    assert port == {"name": "metrics", "containerPort": int(environment["LAH_METRICS_PORT"])}
    assert environment["LAH_METRICS_HOST"] == "0.0.0.0"
    assert template["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": environment["LAH_METRICS_PORT"],
        "prometheus.io/path": "/metrics",
    }


def test_the_page_for_operators_names_every_metric_and_alert_of_landing_and_no_other() -> None:
    page = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = page.split("## Landing: what to watch", 1)[1].split("\n## ", 1)[0]
    served = {re.sub(rf"({'|'.join(_HISTOGRAM_SUFFIXES)})$", "", name) for name in _exposed() if "_landing_" in name}
    table = set(re.findall(r"^\| `(lah_\w+)", section, re.MULTILINE))
    assert table == served
    assert set(re.findall(r"\bLah[A-Z]\w+", section)) == {rule["alert"] for rule in _rules()}
