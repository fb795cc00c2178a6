"""Grafana: every query of every dashboard, as Grafana would send it, to a tenant's reader and to the API.

Grafana itself is not started.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import psycopg.conninfo
import pytest

from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.postgres import connect
from lah_platform.stores.readers import grant_reader
from tests.api.api_support import NOW, running_api
from tests.deploy.grafana import (
    Asked,
    asked,
    defaults,
    expanded_rest,
    expanded_sql,
    several,
    with_variables,
)
from tests.deploy.grafana_rows import DAY, START, WINDOWS, seed_tenant

_DATABASE, _LOGIN, _PASSWORD = "seen_by_grafana", "grafana_of_the_tests", "not a secret"
_RANGE = (NOW - timedelta(hours=6, seconds=-17), NOW + timedelta(hours=11, milliseconds=41))
_ASKED = list(asked())
_SQL = [each for each in _ASKED if each.target["datasource"]["uid"] == "lah-sql"]
_REST = [each for each in _ASKED if each.target["datasource"]["uid"] == "lah-rest"]

Rows = tuple[list[tuple[str, str]], list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def database(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    with connect(server.url) as admin:
        admin.execute(f"create database {_DATABASE} template {template}".encode())
        admin.execute(f"create role {_LOGIN} login password '{_PASSWORD}'".encode())
        url = server.url.rsplit("/", 1)[0] + "/" + _DATABASE
        with connect(url) as owner:
            owner.execute("update rollup_state set final_before = %s", [NOW - timedelta(minutes=20)])
            seed_tenant(owner, "acme")
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


def test_every_query_answers_the_own_tenants_rows_in_columns_that_its_panel_can_show(database: str) -> None:
    with _reader(database) as reader:
        alone = {str(each): _rows(each, reader) for each in _SQL}
        for each in _SQL:
            names, rows = alone[str(each)]
            assert rows, each
            _check_shape(each, dict(names), rows)
        with connect(database) as owner:
            try:
                seed_tenant(owner, "globex", low_ms=1000.0)
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
        assert _rows(board["Requests by ${by}"], reader)[1] == [(START + timedelta(minutes=7), "acme-chat", 3)]
        for chosen, expected in ((several("acme-chat", "it's another"), 3), (several("(none)"), 0)):
            text = board["In the range"].target["rawSql"].replace("$service", chosen)
            text = expanded_sql(with_variables(text, defaults("traffic")), *_RANGE, timedelta(minutes=1))
            assert (reader.execute(text.encode()).fetchone() or ())[0] == expected
        month = next(each for each in _SQL if each.name.startswith("This month"))
        assert _rows(month, reader)[1] == [
            (DAY - timedelta(days=1), Decimal("1.25"), None, 1000.0),
            (DAY, None, 6.25, 1000.0),
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
    assert [{name.split("_")[0] for name in names} for names in read] == [{window} for window in WINDOWS]


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
