"""docs/questions.md: every block is executed as it stands; SQL, curl and Python give one answer, and a recount too."""

import json
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import psycopg.conninfo
import pytest
from api_support import NOW, Api
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from stream_support import serving

from lah_platform.costs.price_book import PriceRow
from lah_platform.events.examples import flat_example
from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.costs import compute_cost_daily, load_price_book
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.readers import grant_reader
from lah_platform.stores.rollups import tick
from tests.cli.running import lah

_PAGE = (PROJECT_ROOT / "docs" / "questions.md").read_text(encoding="utf-8")
_BEFORE, _YESTERDAY, _TODAY = (datetime(2026, 1, day, tzinfo=UTC) for day in (13, 20, 21))
_DRAWN = 0.03  # of a sum: what drawing paths may differ by from adding central values


@dataclass(frozen=True)
class Question:
    """A section of the page: its blocks by language."""

    title: str
    blocks: dict[str, list[str]]


def _questions() -> list[Question]:
    found = []
    for section in re.split(r"^## ", _PAGE, flags=re.MULTILINE)[1:]:
        blocks: dict[str, list[str]] = {}
        for language, block in re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL):
            blocks.setdefault(language, []).append(block)
        found.append(Question(section.partition("\n")[0], blocks))
    return found


_QUESTIONS = _questions()
(_PREAMBLE,) = re.findall(r"```python\n(.*?)```", _PAGE.partition("## 1.")[0], re.DOTALL)


def _events() -> Iterator[dict[str, Any]]:
    """Twelve requests on the day a week before and twenty yesterday, from 10:00, four minutes apart."""
    for day, requests in ((_BEFORE, 12), (_YESTERDAY, 20)):
        for number in range(requests):
            for subtype in ("latency", "token_usage", "token_cost"):
                event = flat_example(subtype, (day + timedelta(hours=10, minutes=4 * number)).isoformat())
                event["event_id"] = f"{day.day:08d}-0000-4000-8000-{number:06d}{len(subtype):06d}"
                event["tags"] |= {"team": "search" if number % 4 else "ops", "service": "chat" if number % 3 else "api"}
                data = event["payload"]["data"]
                data |= {"model_id": "claude-4" if number % 5 == 4 else "gpt-4o", "request_id": f"{day.day}-{number}"}
                if subtype == "latency":
                    data["total_latency_ms"] = 100.0 + 10 * number
                else:
                    data |= {"prompt_tokens": 1100 + number, "completion_tokens": 100, "total_tokens": 1200 + number}
                    data.pop("input_cache_read_tokens", None)
                if subtype == "token_cost":
                    data["total_cost_usd"] = 0.01 if day == _BEFORE else 0.02
                yield event


def _seed_tables(connection: Connection) -> None:
    """What other stages write: prices, costs, forecasts, an incident; the watermark after yesterday."""
    change = _TODAY - timedelta(days=3)
    book = [_price(None, change, "2", "10"), _price(change, None, "3", "12")]
    load_price_book(connection, book)
    compute_cost_daily(connection, _BEFORE.date(), _YESTERDAY.date())
    connection.execute("update rollup_state set final_before = %s", [_TODAY])
    for tenant, series_id in connection.execute(
        "select tenant, min(series_id) from series where subtype = 'token_cost' group by tenant"
    ).fetchall():
        for ahead in range(11):
            connection.execute(
                "insert into forecasts values (%s, %s, 'cost_usd', '1d', 'combination', %s, %s, 0.1, 0.08, 0.12, 0.95,"
                " 0.1, %s, 0.09, 0.11)",
                [tenant, series_id, _TODAY + timedelta(days=ahead), _YESTERDAY, _TODAY],
            )
        connection.execute(
            "insert into forecast_models values (%s, %s, 'cost_usd', '1d', 'combination', %s, 11, '{\"level\": 1}', 2,"
            " 0.1, 0.1, 0.1, 0.9, 0.2, 0.5, 1, 0.3, true, 'Can be forecast.', %s)",
            [tenant, series_id, _YESTERDAY, _TODAY],
        )
        for service in ("chat", "api"):
            started = _YESTERDAY + timedelta(hours=11)
            connection.execute(
                "insert into incidents values (%s, %s, %s, 'high', false, %s, %s, 'model gpt-4o', 0.9, 1.5, %s, %s)",
                [UUID(int=secrets.randbits(120)), tenant, f"latency_ms of service {service} above the usual", started,
                 started + timedelta(hours=1), Jsonb(_story(service, started)), _TODAY],
            )  # fmt: skip


def _price(start: datetime | None, end: datetime | None, input_usd: str, output_usd: str) -> PriceRow:
    return PriceRow(
        model="gpt-4o",
        provider="openai",
        valid_from=start or _BEFORE - timedelta(days=300),
        valid_to=end,
        input_usd_per_mtok=Decimal(input_usd),
        cache_read_usd_per_mtok=None,
        cache_write_usd_per_mtok=None,
        output_usd_per_mtok=Decimal(output_usd),
        source="the test",
    )


def _story(service: str, at: datetime) -> dict[str, Any]:
    return {
        "what": ["Latency is high"], "since": at.isoformat(), "until": at.isoformat(), "where": {"candidates": []},
        "hurts": {"service": [service], "model": ["gpt-4o"], "team": ["search"]}, "costs": {"cost_usd": 1.5},
        "next": ["Look at model gpt-4o (90%)"],
    }  # fmt: skip


@contextmanager
def _reader(api: Api) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A connection as a login that reads the rows of acme."""
    name, password = f"asks_{secrets.token_hex(6)}", secrets.token_hex(12)
    with connect(api.url) as owner:
        owner.execute(f"create role {name} login password '{password}'".encode())
        grant_reader(owner, name, "acme", actor="test")
        try:
            login = psycopg.conninfo.make_conninfo(api.url, user=name, password=password)
            with psycopg.connect(login, autocommit=True, row_factory=dict_row) as connection:
                yield connection
        finally:
            owner.execute(f"drop owned by {name}".encode())
            owner.execute(f"drop role {name}".encode())


def _curl(command: str) -> Any:
    """What curl printed: JSON, or else its text."""
    said = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=20, check=True).stdout
    return json.loads(said) if said.startswith("{") else said


def _plain(value: Any) -> Any:
    """One spelling of what SQL, JSON and polars each write in their own way; floats stay floats."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        try:
            return _plain(datetime.fromisoformat(value)) if "T" in value else Decimal(value)
        except (ValueError, InvalidOperation):
            return value
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], within: float) -> None:
    assert ours
    assert [row.keys() for row in ours] == [row.keys() for row in theirs]
    for one, other in zip(ours, theirs, strict=True):
        for name in one:
            left, right = _plain(one[name]), _plain(other[name])
            if isinstance(left, float) or isinstance(right, float):
                assert float(left) == pytest.approx(float(right), rel=within), name
            else:
                assert left == right, name


def test_sql_curl_and_python_give_one_answer_to_each_question_which_a_recount_gives_too(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for tenant in ("acme", "globex"):
        broken = [{**flat_example("latency"), "severity": loud} for loud in ("loud", "very loud")]
        sent = [*_events(), *(broken if tenant == "acme" else ())]
        answered = api.client(tenant, "ingest").post("/api/v1/events/batch", json=sent).json()
        assert (answered["accepted"], answered["rejected"]) == (96, len(sent) - 96)
    with connect(api.url) as connection:
        tick(connection, now=NOW)
        _seed_tables(connection)

    answers = []
    with (
        serving(api) as url,
        _reader(api) as reader,
        psycopg.connect(api.url, autocommit=True, row_factory=dict_row, options="-c search_path=lah") as operator,
    ):
        monkeypatch.setenv("HUB", url)
        monkeypatch.setenv("KEY", api.keys["acme", "viewer"])
        monkeypatch.setenv("COMPLIANCE", api.keys["acme", "compliance"])
        for question in _QUESTIONS:
            (by_sql,), (by_curl, *more), (by_python,) = (question.blocks[name] for name in ("sql", "sh", "python"))
            asks = operator if "from dead_letters" in by_sql else reader
            rows = asks.execute(by_sql.encode()).fetchall()
            names: dict[str, Any] = {}
            exec(_PREAMBLE + by_python, names)
            assert _curl(by_curl) == names["said"], question.title
            _same(rows, names["answer"], _DRAWN if question.title.startswith("4.") else 1e-9)
            answers.append(rows)
            for command in more:
                program, *arguments = shlex.split(command)
                done = lah(api.url, tmp_path, *arguments)
                assert (program, done.returncode) == ("lah", 0), done.stderr
                assert "stored 0, duplicate 0, still refused 2" in done.stdout
            names["hub"].close()
    assert len(answers) == 10
    _check_recount(*answers)


def _check_recount(*answers: list[dict[str, Any]]) -> None:
    """Each answer counted by hand from the events."""
    costs, hours, tokens, (month,), (incident,), refused, (ledger,), prices, (final,), made_from = answers
    search = [number for number in range(20) if number % 4]
    claude = [number for number in search if number % 5 == 4]
    gpt = [number for number in search if number % 5 != 4]
    assert [(row["model"], row["requests_before"], row["requests"]) for row in costs] == [
        (name, sum(number < 12 for number in those), len(those))
        for name, those in (("claude-4", claude), ("gpt-4o", gpt))
    ]
    assert [row["usd"] for row in costs] == [len(claude) * Decimal("0.02"), len(gpt) * Decimal("0.02")]
    of_hour = [100.0 + 10 * number for number in range(15) if number % 5 != 4]
    assert (hours[0]["count"], len(hours)) == (len(of_hour), 2)
    assert hours[0]["p95"] == pytest.approx(sorted(of_hour)[-1], rel=0.0109)
    of_all = sum(1200 + number for number in range(20))
    first = [1200 + number for number in range(20) if number % 4 and number % 3 and number % 5 != 4]
    assert (tokens[0]["team"], tokens[0]["service"], tokens[0]["model"]) == ("search", "chat", "gpt-4o")
    assert (tokens[0]["tokens"], tokens[0]["share"]) == (sum(first), pytest.approx(sum(first) / of_all))
    assert (month["spent_usd"], month["expected_usd"]) == (pytest.approx(0.52), pytest.approx(0.52 + 1.1))
    assert (incident["title"], incident["look_at"]) == (
        "latency_ms of service chat above the usual", "Look at model gpt-4o (90%)",
    )  # fmt: skip
    assert [b"very loud" in row["raw"] for row in refused] == [True, False]
    counts = [ledger[name] for name in ("received", "stored", "duplicate", "dead_lettered", "unaccounted")]
    assert counts == [98, 96, 0, 2, 0]
    for row, requests, input_usd, output_usd in zip(prices, (12, 20), (2, 3), (10, 12), strict=True):
        those = [number for number in range(requests) if number % 5 != 4]
        spent = sum((1100 + number) * input_usd + 100 * output_usd for number in those)
        assert row["usd_per_mtok"] == pytest.approx(spent / sum(1200 + number for number in those))
    assert final["is_final"]
    in_the_hour = sum(1 for number in range(15) if number % 4 and number % 3 and number % 5 != 4)
    assert {row["values"] for row in made_from} == {in_the_hour}
    assert made_from[-1]["rows"] == in_the_hour
    assert [row["window"] for row in made_from] == ["15m", "5m", "1m"]
