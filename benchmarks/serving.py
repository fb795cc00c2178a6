"""What the API's time-series queries cost: kept, cold, conditional; beside a bare route, and PostgreSQL asked directly.

`python -m benchmarks.serving --json` (3 minutes; `--quick` within one). 90 days of 200 series are written. Then in
turn, each by 16 connections: wrk on a route of the same server and framework that returns a constant of the same size;
wrk on our closed-window queries with key and tenant; pgbench with the same query in SQL. One server process each. Cold
queries are all different and each asked once, by one asker and by 16. Needs wrk and pgbench.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import psutil

from api.timeseries import QUERY
from benchmarks import serving_bare
from benchmarks.landing_services import running
from benchmarks.report import progress, report
from benchmarks.serving_queries import SQL, cold, lua, warm
from benchmarks.serving_tables import MODELS, SERVICES_A_TENANT, TENANTS, fill
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.process import wait_until
from lah_platform.stores.keys import create_key
from lah_platform.stores.postgres import connect

_START = datetime(2026, 1, 1, tzinfo=UTC)
_CONNECTIONS = 16
_SECRET = "only this benchmark's, and long enough"
_BIG_ROWS = 1_000_000


@dataclass(frozen=True)
class Measured:
    """One run of wrk: requests a second, and latencies in ms."""

    rps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


def main() -> None:
    """Measure and print; ends by itself within ten minutes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="20 days, 50 series, two turns of two seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", help="superuser's URL of another PostgreSQL; unset: the embedded one")
    told = parser.parse_args()
    for tool in ("wrk", "pgbench"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is not on this machine: install Debian's packages wrk and postgresql-contrib")
    with running(None, told.database) as services, ExitStack() as stack:
        days, tenants = (20, 1) if told.quick else (90, TENANTS)
        with connect(services.database_url) as connection:
            events = fill(
                connection,
                start=_START,
                days=days,
                tenants=tenants,
                seed=told.seed,
                on_day=lambda day: progress(f"day {day + 1} of {days}") if day % 15 == 14 else None,
            )
            _, key = create_key(
                connection, _SECRET.encode(), tenant="tenant-0", role="viewer", label="benchmark", actor="benchmark"
            )
        progress(f"{days} days of {tenants * 50} series are in the tables, {events:,} events")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lah-benchmark-")))
        headers = {"Authorization": f"Bearer {key}"}
        bodies = warm(_START, days)
        ours = stack.enter_context(_server(services.database_url, folder))
        first = httpx.post(ours + QUERY, content=bodies[0], headers=headers, timeout=60)
        first.raise_for_status()
        known = [httpx.post(ours + QUERY, content=body, headers=headers, timeout=60).headers["etag"] for body in bodies]
        constant = folder / "answer.json"
        constant.write_bytes(first.content)
        bare = stack.enter_context(_bare(constant))
        questions = cold(np.random.default_rng(told.seed), _START, days, 400 if told.quick else 2000)
        half = len(questions) // 2
        progress("cold queries, one asker")
        alone = asyncio.run(_ask_once(ours + QUERY, questions[:half], headers, askers=1))
        progress(f"cold queries, {_CONNECTIONS} askers")
        crowd = asyncio.run(_ask_once(ours + QUERY, questions[half:], headers, askers=_CONNECTIONS))

        turns, seconds = (2, 2) if told.quick else (5, 6)
        runs: dict[str, list[Measured]] = {"bare_endpoint": [], "ours": [], "known": []}
        direct: list[float] = []
        statement = folder / "direct.sql"
        end = _START + timedelta(days=days)
        statement.write_text(SQL.format(services=SERVICES_A_TENANT, start=_START.isoformat(), end=end.isoformat()))
        for turn in range(turns):
            progress(f"turn {turn + 1} of {turns}")
            one = [b"{}"]
            runs["bare_endpoint"].append(_wrk(bare, serving_bare.PATH, one, {}, seconds, folder))
            runs["ours"].append(_wrk(ours, QUERY, bodies, headers, seconds, folder))
            runs["known"].append(
                _wrk(ours, QUERY, bodies, headers | {"If-None-Match": ", ".join(known)}, seconds, folder)
            )
            direct.append(_pgbench(services.database_url, statement, seconds))
        memory = {} if told.quick else _large_answer(ours, headers, end)
    scores = {
        "warm_rps": statistics.median(run.rps for run in runs["ours"]),
        "warm_p50_ms": statistics.median(run.p50_ms for run in runs["ours"]),
        "warm_p99_ms": statistics.median(run.p99_ms for run in runs["ours"]),
        "warm_p99_ms_worst_turn": max(run.p99_ms for run in runs["ours"]),
        "bare_p99_ms": statistics.median(run.p99_ms for run in runs["bare_endpoint"]),
        "not_modified_rps": statistics.median(run.rps for run in runs["known"]),
        **{f"cold_p{q}_ms": float(np.percentile(alone, q)) for q in (50, 95, 99)},
        **{f"cold_{_CONNECTIONS}_askers_p{q}_ms": float(np.percentile(crowd, q)) for q in (50, 95, 99)},
        "answer_bytes": float(len(first.content)),
        "server_processes": 1,
        **memory,
    }
    report(
        "serving",
        [run.rps for run in runs["ours"]],
        {"bare_endpoint": [run.rps for run in runs["bare_endpoint"]], "pgbench": direct},
        unit=f"closed-window queries/s over {_CONNECTIONS} connections, one server process",
        as_json=told.json,
        scores=scores,
    )


@contextmanager
def _server(database: str, folder: Path) -> Iterator[str]:
    """Our API as it is started everywhere, without a limit of requests; its address."""
    port = unused_port()
    told = {
        "LAH_HOME": str(folder / "home"),
        "LAH_DATABASE_URL": database,
        "LAH_KAFKA_BOOTSTRAP": "none",
        "LAH_SECRET": _SECRET,
        "LAH_RATE_LIMIT": "none",
        "LAH_API_PORT": str(port),
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith("LAH_")}
    with _process([sys.executable, "-m", "api.main"], others | told, port, "/health") as url:
        yield url


@contextmanager
def _bare(constant: Path) -> Iterator[str]:
    port = unused_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.serving_bare:build", "--factory"]
    options = ["--port", str(port), "--no-access-log", "--no-server-header", "--log-level", "warning"]
    with _process(
        [*command, *options], os.environ | {serving_bare.ANSWER: str(constant)}, port, serving_bare.PATH
    ) as url:
        yield url


@contextmanager
def _process(command: Sequence[str], environment: dict[str, str], port: int, path: str) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        if not wait_until(lambda: _answers(url + path), seconds=60, poll_seconds=0.1):
            raise RuntimeError(f"{' '.join(command)} does not answer")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code < 500
    except httpx.TransportError:
        return False


def _wrk(url: str, path: str, bodies: Sequence[bytes], headers: dict[str, str], seconds: int, folder: Path) -> Measured:
    script = folder / "requests.lua"
    script.write_text(lua(bodies, path, headers))
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    line = next(line for line in told.splitlines() if line.startswith("result "))
    requests, took_us, p50, p95, p99, errors = map(float, line.split()[1:])
    if errors:
        raise RuntimeError(f"{errors:.0f} of {requests:.0f} requests failed: {told}")
    return Measured(requests / took_us * 1e6, p50 / 1000, p95 / 1000, p99 / 1000)


def _pgbench(database: str, statement: Path, seconds: int) -> float:
    command = ["pgbench", "-n", "-M", "prepared", f"-c{_CONNECTIONS}", "-j1", f"-T{seconds}", "-f", str(statement)]
    options = {"PGOPTIONS": "-c search_path=lah,public"}
    done = subprocess.run(
        [*command, database], env=os.environ | options, capture_output=True, text=True, check=True, timeout=seconds + 60
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("tps = "))
    return float(line.split()[2])


async def _ask_once(url: str, bodies: Sequence[bytes], headers: dict[str, str], *, askers: int) -> list[float]:
    """The wait of each query in ms."""
    left = list(bodies)
    waits: list[float] = []

    async def ask(client: httpx.AsyncClient) -> None:
        while left:
            body = left.pop()
            started = time.perf_counter()
            answer = await client.post(url, content=body)
            waits.append((time.perf_counter() - started) * 1000)
            answer.raise_for_status()

    async with httpx.AsyncClient(headers=headers, timeout=60) as client:
        await asyncio.gather(*(ask(client) for _ in range(askers)))
    return waits


def _large_answer(url: str, headers: dict[str, str], end: datetime) -> dict[str, float]:
    """The largest answer that a query may have, read as it comes: rows, size, and the server's memory."""
    begin = end - timedelta(minutes=_BIG_ROWS // (SERVICES_A_TENANT * len(MODELS)))
    asked = {
        "metric": "latency_ms",
        "from": begin.isoformat(),
        "to": end.isoformat(),
        "window": "1m",
        "fields": ["count", "mean"],
        "group_by": ["service", "model"],
        "fill": "zero",
        "limit": _BIG_ROWS,
    }
    server = next(each for each in psutil.Process().children() if "api.main" in each.cmdline())
    before = _most_resident_mib(server)
    lines, octets, started = b"", 0, time.perf_counter()
    rows = 0
    with httpx.stream("POST", url + QUERY, json=asked, headers=headers, timeout=300) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_bytes():
            lines += chunk
            *whole, lines = lines.split(b'"is_filled"')
            rows += len(whole)
            octets += len(chunk)
    return {
        "large_answer_rows": float(rows),
        "large_answer_mib": octets / 2**20,
        "large_answer_seconds": time.perf_counter() - started,
        "large_answer_server_mib": _most_resident_mib(server),
        "server_mib_before": before,
    }


def _most_resident_mib(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
