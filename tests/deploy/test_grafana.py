"""Grafana: every query of every dashboard, as Grafana would send it, to a tenant's reader and to the API.

Grafana itself is not started: no registry here has it.
"""

import importlib.resources
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import jsonschema  # type: ignore[import-untyped]
import psycopg
import psycopg.conninfo
import pytest
import yaml

from lah_platform.rollups.histogram import key
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.readers import grant_reader
from tests.api.api_support import NOW, running_api
from tests.deploy.files import DEPLOY, compose, variables_in
from tests.deploy.grafana import (
    Asked,
    asked,
    dashboards,
    defaults,
    expanded_rest,
    expanded_sql,
    provisioned,
    several,
    with_variables,
)
from tests.stores.event_rows import add_series

_DATABASE, _LOGIN, _PASSWORD = "seen_by_grafana", "grafana_of_the_tests", "not a secret"
_START = datetime(2026, 1, 31, 8, tzinfo=UTC)
_DAY = datetime(2026, 1, 31, tzinfo=UTC)
_RANGE = (NOW - timedelta(hours=6, seconds=-17), NOW + timedelta(hours=11, milliseconds=41))
_WINDOWS = ("1m", "5m", "15m", "1h", "6h", "1d")
_MEASURED = {
    "latency_ms": (3, Decimal(720)), "total_tokens": (2, Decimal(90)), "input_tokens": (2, Decimal(60)),
    "output_tokens": (2, Decimal(30)), "total_requests": (1, Decimal(10)), "failed_requests": (1, Decimal(1)),
    "cost_usd": (1, Decimal("1.25")), "events": (5, Decimal(5)),
}  # fmt: skip
_ASKED = list(asked())
_SQL = [each for each in _ASKED if each.target["datasource"]["uid"] == "lah-sql"]
_REST = [each for each in _ASKED if each.target["datasource"]["uid"] == "lah-rest"]

Rows = tuple[list[tuple[str, str]], list[tuple[Any, ...]]]


def _seed(connection: Connection, tenant: str, low_ms: float = 100.0) -> None:
    """Rows of a tenant in everything that a dashboard shows; its name is in every text of them."""
    series_id = add_series(
        connection, tenant=tenant, subtype="latency", service=f"{tenant}-chat", model=f"{tenant}-large", team=tenant
    )
    for window in _WINDOWS:
        size = {"m": "minute", "h": "hour", "d": "day"}[window[-1]]
        for metric, (count, total) in _MEASURED.items():
            connection.execute(
                f"insert into rollup_{window} select date_bin(%s::interval, %s, '1970-01-01 00:00+00'), %s, %s, %s, %s,"
                " %s, %s, %s, 240, 0, 200, 300, 300, %s, %s, 1, %s".encode(),
                [f"{window[:-1]} {size}", _START + timedelta(minutes=7), series_id, metric, count,
                 float(total), None if metric == "latency_ms" else total, low_ms, 3 * low_ms,
                 [key(low_ms), key(3 * low_ms)],
                 [1, count - 1], NOW],
            )  # fmt: skip
    connection.execute(
        "insert into rollup_1d select bucket_start - interval '24 hours', series_id, metric, count, sum, sum_exact,"
        " min, max, mean, m2, p50, p95, p99, hist_keys, hist_counts, revision, computed_at from rollup_1d"
        " where series_id = %s and metric = 'cost_usd'",
        [series_id],
    )
    number = int.from_bytes(tenant.encode()[:4], "big")
    connection.execute(
        "insert into cost_daily values (%s, %s, %s, 'production', %s, %s, 3, 30, 10, 10, 5, 5, 7, 1.25, 1.5, 1, 2, %s)",
        [_DAY.date(), tenant, f"{tenant}-large", f"{tenant}-chat", tenant, NOW],
    )
    connection.execute(
        "insert into anomalies values (%s, %s, %s, 'latency_ms', '1h', 'spike', 'mad', %s, %s, %s, 0.7, 200, 900, 12,"
        " 'high', %s, %s)",
        [UUID(int=number), tenant, series_id, _START, _START, NOW, f"{tenant} is slow", NOW],
    )
    connection.execute(
        "insert into incidents values (%s, %s, %s, 'high', true, %s, %s, %s, 0.9, 1.5, %s, %s)",
        [UUID(int=number), tenant, f"{tenant} is slow", _START, NOW, f"model {tenant}-large",
         json.dumps({"next": [f"Look at {tenant}-large"]}), NOW],
    )  # fmt: skip
    for window, length in (("1h", timedelta(hours=1)), ("1d", timedelta(days=1))):
        for metric in ("latency_ms", "cost_usd"):
            origin = (NOW if window == "1h" else _DAY) - length
            connection.execute(
                "insert into forecasts values (%s, %s, %s, %s, 'combination', %s, %s, 5, 3, 7, 0.95, 0.1, %s, 4, 6)",
                [tenant, series_id, metric, window, origin + length, origin, NOW],
            )
            connection.execute(
                "insert into forecast_models values (%s, %s, %s, %s, 'combination', %s, 1, '{\"level\": 1}', 2, 0.1,"
                " 0.1, 0.1, 0.9, 0.2, 0.5, 1, 0.3, true, %s, %s)",
                [tenant, series_id, metric, window, origin, f"{tenant} can be forecast", NOW],
            )
    for minute, stored in ((_START, 7), (_START + timedelta(hours=1), 6)):
        connection.execute(
            "insert into ledger (tenant, topic, partition, minute, received, stored, duplicate, dead_lettered)"
            " values (%s, %s, 0, %s, 10, %s, 2, 1)",
            [tenant, f"{tenant}.events", minute, stored],
        )


@pytest.fixture(scope="module")
def database(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    with connect(server.url) as admin:
        admin.execute(f"create database {_DATABASE} template {template}".encode())
        admin.execute(f"create role {_LOGIN} login password '{_PASSWORD}'".encode())
        url = server.url.rsplit("/", 1)[0] + "/" + _DATABASE
        with connect(url) as owner:
            owner.execute("update rollup_state set final_before = %s", [NOW - timedelta(minutes=20)])
            _seed(owner, "acme")
            grant_reader(owner, _LOGIN, "acme", actor="test")
        yield url
        admin.execute(f"drop database {_DATABASE} with (force)".encode())
        admin.execute(f"drop role {_LOGIN}".encode())


@contextmanager
def _reader(url: str) -> Iterator[psycopg.Connection[Any]]:
    login = psycopg.conninfo.make_conninfo(url, user=_LOGIN, password=_PASSWORD)
    with psycopg.connect(login, autocommit=True) as connection:
        yield connection


def _text(each: Asked, reader: psycopg.Connection[Any], *, interval: timedelta = timedelta(minutes=1)) -> str:
    """The SQL as PostgreSQL would get it from Grafana."""
    values = defaults(each.dashboard)
    if each.dashboard == "signals":
        (series_id,) = reader.execute("select max(series_id) from lah_tenant.series").fetchone() or (0,)
        values |= {"metric": "latency_ms", "series": str(series_id)}
    return expanded_sql(with_variables(each.target["rawSql"], values), *_RANGE, interval)


def _rows(each: Asked, reader: psycopg.Connection[Any]) -> Rows:
    cursor = reader.execute(_text(each, reader).encode())
    names = [(column.name, psycopg.adapters.types[column.type_code].name) for column in cursor.description or ()]
    return names, cursor.fetchall()


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


def test_every_query_answers_the_own_tenants_rows_in_columns_that_its_panel_can_show(database: str) -> None:
    with _reader(database) as reader:
        alone = {str(each): _rows(each, reader) for each in _SQL}
        for each in _SQL:
            names, rows = alone[str(each)]
            assert rows, each
            _check_shape(each, dict(names), rows)
        with connect(database) as owner:
            try:
                _seed(owner, "globex", low_ms=1000.0)
                for each in _SQL:
                    assert _rows(each, reader) == alone[str(each)], f"{each} shows another tenant's rows"
                grant_reader(owner, _LOGIN, "globex", actor="test")
                same = {each.name for each in _SQL if _rows(each, reader) == alone[str(each)]}
            finally:
                owner.execute("delete from sql_readers where tenant = 'globex'")
        of_one_series = {"${metric}: forecast and what came about", "How forecasts came out", "variable metric"}
        assert same <= of_one_series | {"variable environment"}, "the other tenant's rows would not have shown anyway"


def _check_shape(each: Asked, columns: dict[str, str], rows: list[tuple[Any, ...]]) -> None:
    numbers = {name for name, kind in columns.items() if kind in ("int4", "int8", "float8", "numeric")}
    if each.target["format"] == "time_series":
        (first, kind), *others = columns.items()
        assert (first, kind) == ("time", "timestamptz"), each
        texts = [name for name, kind in others if kind == "text"]
        assert texts in ([], ["metric"]), f"{each}: a series is named by one text column, metric"
        assert numbers == columns.keys() - {"time", *texts}, each
        assert [row[0] for row in rows] == sorted(row[0] for row in rows), each
    elif each.needs == "stat":
        assert numbers == columns.keys(), each
        assert len(rows) == 1, each
    elif each.needs == "variable":
        assert list(columns) in (["coalesce"], ["metric"], ["__value", "__text"]), each
        assert all(value not in (None, "") for row in rows for value in row), each
    elif each.needs == "annotation":
        assert columns == {"time": "timestamptz", "timeend": "timestamptz", "text": "text", "tags": "text"}, each
    else:
        assert each.needs == "table"


def test_figures_are_those_of_the_rows_and_variables_choose_among_them(database: str) -> None:
    board = {each.name: each for each in _SQL if each.dashboard == "traffic"}
    with _reader(database) as reader:
        ((requests, tokens, error_rate, p95),) = _rows(board["In the range"], reader)[1]
        assert (requests, tokens, error_rate) == (3, 90, Decimal("0.1"))
        assert p95 == pytest.approx(300, rel=0.0109)
        assert _rows(board["Requests by ${by}"], reader)[1] == [(_START + timedelta(minutes=7), "acme-chat", 3)]
        for chosen, expected in ((several("acme-chat", "it's another"), 3), (several("(none)"), 0)):
            text = board["In the range"].target["rawSql"].replace("$service", chosen)
            text = expanded_sql(with_variables(text, defaults("traffic")), *_RANGE, timedelta(minutes=1))
            assert (reader.execute(text.encode()).fetchone() or ())[0] == expected
        month = next(each for each in _SQL if each.name.startswith("This month"))
        assert _rows(month, reader)[1] == [
            (_DAY - timedelta(days=1), Decimal("1.25"), None, 1000.0),
            (_DAY, None, 6.25, 1000.0),
        ]


@pytest.mark.parametrize(
    "each", [each for each in _SQL if re.search(r"metrics_1m .*\$__interval_ms", each.target["rawSql"])], ids=str
)
def test_a_longer_range_reads_a_longer_window_and_only_that(each: Asked, database: str) -> None:
    read = []
    with _reader(database) as reader:
        for interval in (timedelta(seconds=12), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2),
                         timedelta(hours=12), timedelta(days=2)):  # fmt: skip
            plan = reader.execute(f"explain {_text(each, reader, interval=interval)}".encode()).fetchall()
            read.append(sorted(set(re.findall(r"\brollup_(\d+\w+)", f"{plan}"))))
    assert [{name.split("_")[0] for name in names} for names in read] == [{window} for window in _WINDOWS]


def test_every_rest_query_is_accepted_and_answers_the_fields_that_its_panel_names(database: str) -> None:
    assert {each.target["url"] for each in _REST} == {
        "/api/v1/timeseries/query", "/api/v1/forecasts/outlook", "/api/v1/checks",
    }  # fmt: skip
    with running_api(database) as api:
        with connect(database) as owner:
            owner.execute(
                "insert into checks (checked_at, asset, check_name, severity, blocking, passed, advice)"
                " values (%s, 'events', 'ids_are_unique', 'error', true, true, 'Fine')",
                [NOW],
            )
        client = api.client("acme", "viewer")
        for each in _REST:
            options, values = each.target["url_options"], defaults(each.dashboard)
            told: dict[str, Any] = {
                "params": {one["key"]: with_variables(one["value"], values) for one in options.get("params", ())}
            }
            if options["method"] == "POST":
                told["content"] = expanded_rest(with_variables(options["data"], values), *_RANGE)
                told["headers"] = {"Content-Type": options["body_content_type"]}
            answer = client.request(options["method"], each.target["url"], **told)
            assert answer.status_code == 200, (each, answer.text)
            root = each.target["root_selector"]
            found = answer.json()[root] if root else [answer.json()]
            assert found, each
            for column in each.target["columns"]:
                kinds = {type(_at(row, column["selector"])) for row in found}
                assert kinds <= _KINDS[column["type"]], (each, column)


_KINDS = {"timestamp": {str}, "number": {int, float}, "string": {str}, "boolean": {bool}}


def _at(row: Any, selector: str) -> Any:
    for name in selector.split("."):
        row = row[name]
    return row


@pytest.mark.parametrize("days", [0.1, 1, 7, 30, 90, 400])
def test_the_rest_buckets_are_ones_that_the_api_has_and_never_too_many(days: float) -> None:
    (body,) = (each.target["url_options"]["data"] for each in _REST if each.target["url_options"]["method"] == "POST")
    start = _RANGE[1] - timedelta(days=days)
    asked_for = json.loads(expanded_rest(body, start, _RANGE[1]))
    size = {"m": 1, "h": 60, "d": 1440}[asked_for["window"][-1]] * int(asked_for["window"][:-1])
    assert days * 1440 / size <= 500
    assert (asked_for["from"], asked_for["to"]) == (f"{start:%Y-%m-%dT%H:%M}:00Z", "2026-01-31T23:00:00Z")


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
