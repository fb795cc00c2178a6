"""Grafana's files: dashboards that hang together, secrets from the environment, macros as documented."""

import importlib.resources
import json
import re
from datetime import UTC, datetime, timedelta

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from tests.deploy.files import DEPLOY, compose, variables_in
from tests.deploy.grafana import dashboards, expanded_rest, expanded_sql, provisioned, several, with_variables


def test_macros_are_expanded_as_the_data_sources_document_them() -> None:
    at = datetime(2020, 7, 13, 20, 19, 9, 254_000, tzinfo=UTC)
    seen = expanded_rest("${__timeFrom:date:YYYY-MM-DD} ${__timeTo:date:YYYY:MM:DD:HH:mm}", at, at)
    assert seen == "2020-07-13 2020:07:13:20:19"
    for days, expected in ((1, "A"), (2, "B"), (9, "C")):
        assert expanded_rest("$__customInterval(1d,A,2d,B,C)", at, at + timedelta(days=days)) == expected
    seen = expanded_sql("$__timeFrom()::timestamptz, $__interval_ms", at, at, timedelta(minutes=1))
    assert seen == "'2020-07-13T20:19:09.254000Z'::timestamptz, 60000"
    assert with_variables("in ($one), ${two}, $three", {"one": several("a", "b'c"), "two": "2"}) == (
        "in ('a','b''c'), 2, $three"
    )
    with pytest.raises(ValueError, match=r"\$__timeFilter"):
        expanded_sql("where $__timeFilter(day)", at, at, timedelta(minutes=1))


def test_dashboards_have_uids_of_their_own_known_data_sources_and_no_variable_that_is_not_there() -> None:
    boards = dashboards()
    assert len({board["uid"] for board in boards.values()}) == len(boards) == 4
    sources = {source["uid"]: source["type"] for source in provisioned("datasources")["datasources"]}
    for name, board in boards.items():
        text = json.dumps(board)
        for found in re.findall(r'\{"type": "([\w-]+)", "uid": "([\w-]+)"\}', text):
            assert sources[found[1]] == found[0]
        assert len(re.findall(r'"datasource": ', text)) == len(re.findall(r'\{"type": "[\w-]+", "uid": "lah-', text))
        known = {variable["name"] for variable in board["templating"]["list"]}
        used = set(re.findall(r"\$\{?([a-z]\w*)", text))
        assert used == known, f"{name}: variables that are not there, or that nothing uses"
        panels = board["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        assert all(panel["title"] and panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
        places = [
            (column, row)
            for at in (panel["gridPos"] for panel in panels)
            for column in range(at["x"], at["x"] + at["w"])
            for row in range(at["y"], at["y"] + at["h"])
        ]
        assert len(places) == len(set(places)), f"{name}: panels lie on each other"


def test_the_overlay_fits_the_compose_specification() -> None:
    pytest.importorskip("check_jsonschema", reason="the package that holds the compose specification's JSON Schema")
    schemas = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((schemas / "compose-spec.json").read_text(encoding="utf-8"))
    overlay = yaml.safe_load((DEPLOY / "compose.grafana.yaml").read_text(encoding="utf-8"))
    jsonschema.validators.validator_for(schema)(schema).validate(overlay)


def test_secrets_come_from_the_environment_and_compose_passes_every_one() -> None:
    overlay = yaml.safe_load((DEPLOY / "compose.grafana.yaml").read_text(encoding="utf-8"))
    (service,) = overlay["services"].values()
    environment = service["environment"]
    for source in provisioned("datasources")["datasources"]:
        assert all(re.fullmatch(r"\$LAH_GRAFANA_\w+", value) for value in source["secureJsonData"].values())
    text = json.dumps(provisioned("datasources"))
    assert set(re.findall(r"\$(LAH_GRAFANA_\w+)", text)) == {name for name in environment if name.startswith("LAH_")}
    asked_of_env = {name: operator for value in environment.values() for name, operator, _ in variables_in(value)}
    assert asked_of_env == dict.fromkeys(("LAH_GRAFANA_PASSWORD", "LAH_GRAFANA_DB_PASSWORD", "LAH_GRAFANA_KEY"), ":?")
    readme = (DEPLOY / "README.md").read_text(encoding="utf-8")
    assert all(f"{name}=" in readme for name in asked_of_env)
    (port,) = service["ports"]
    assert port.startswith("127.0.0.1:")
    assert re.fullmatch(r"grafana/grafana:\d+\.\d+\.\d+", service["image"])
    assert re.fullmatch(r"[\w-]+@\d+\.\d+\.\d+", environment["GF_PLUGINS_PREINSTALL"])
    mounts = dict(mount.split(":")[:2] for mount in service["volumes"] if mount.startswith("./"))
    assert all((DEPLOY / place).is_dir() for place in mounts)
    (provider,) = provisioned("dashboards")["providers"]
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    hub = compose()["services"]
    assert service["depends_on"].keys() <= hub.keys()
    assert environment["LAH_GRAFANA_API"] == "http://api:" + hub["api"]["ports"][0].rsplit(":", 1)[1]
