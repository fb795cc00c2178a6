"""The labelled incidents that root causes are looked for in: PetShop's issues and Nezha's Online Boutique day."""

import csv
import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from lah_platform.root_cause import Target

__all__ = ["Case", "Recordings", "nezha_cases", "petshop_cases", "petshop_normal"]

Calls = list[tuple[str, str]]
_NEZHA = "nezha_onlineboutique_2022-08-22"


@dataclass(frozen=True)
class Recordings:
    """Normal operation and the call graph of one traffic scenario; `normal` as `root_cause.telemetry` reads it."""

    normal: pl.DataFrame
    calls: Calls


@dataclass(frozen=True)
class Case:
    """One incident: what was recorded around it, what hurt, and the node where it was caused."""

    name: str
    window: pl.DataFrame
    recordings: Recordings
    target: Target
    truth: str


def petshop_normal(folder: Path) -> dict[str, Recordings]:
    """Recordings by traffic scenario."""
    frame = pl.read_parquet(folder / "petshop_normal.parquet")
    return {
        str(traffic): Recordings(_wide(part), _graph(folder / f"petshop_graph_{traffic}.csv"))
        for (traffic,), part in sorted(frame.group_by("traffic"))
    }


def petshop_cases(issues: Path, targets: Path, recordings: dict[str, Recordings]) -> list[Case]:
    """One case per target whose issue is in the file. A scenario without a recording of its own takes the one whose
    request rate at the target is nearest."""
    frame = pl.read_parquet(issues)
    cases = []
    for entry in json.loads(targets.read_text()):
        traffic, issue = entry["traffic"], entry["issue"]
        part = frame.filter(pl.col("traffic") == traffic, pl.col("issue") == issue)
        node = entry["target"]["node"]
        if part.is_empty():
            continue
        window = _wide(part)
        recording = recordings.get(traffic) or min(recordings.values(), key=lambda r: _distance(r, window, node))
        target = Target(
            node,
            "latency" if entry["target"]["metric"] == "latency" else "failures",
            _profile(part, window, entry["target"]),
        )
        cases.append(Case(f"{traffic}/{issue}", window, recording, target, entry["root_cause"]["node"]))
    return cases


def _wide(part: pl.DataFrame) -> pl.DataFrame:
    rows = part.filter(pl.col("statistic").is_in(["Average", "Sum"]))

    def metric(name: str) -> pl.Expr:
        return pl.col("value").filter(pl.col("metric") == name).first()

    return rows.group_by(at="unix_s", node="node").agg(
        requests=metric("requests"), latency=metric("latency"), failed_share=1.0 - metric("availability") / 100.0
    )


def _profile(part: pl.DataFrame, window: pl.DataFrame, target: dict[str, Any]) -> list[float] | None:
    if target["agg"] == "Average":
        return None
    course = part.filter(
        pl.col("node") == target["node"], pl.col("metric") == target["metric"], pl.col("statistic") == target["agg"]
    )
    steps = window.select("at").unique().sort("at").join(course, left_on="at", right_on="unix_s", how="left")
    values = steps["value"].fill_null(float("nan")).to_list()
    return values if target["metric"] == "latency" else [-value for value in values]


def _distance(recording: Recordings, window: pl.DataFrame, node: str) -> float:
    usual, now = (f.filter(pl.col("node") == node)["requests"].median() or 0.0 for f in (recording.normal, window))
    return abs(float(usual) - float(now))  # type: ignore[arg-type]


def _graph(path: Path) -> Calls:
    with path.open(newline="") as lines:
        header, *rows = list(csv.reader(lines))
    return [
        (row[0], callee) for row in rows for callee, is_call in zip(header[1:], row[1:], strict=True) if float(is_call)
    ]


def nezha_cases(folder: Path) -> list[Case]:
    """Faults injected into pods; the target is the entrance, `frontend`, and the incident's window five minutes each
    side of the injection. What lies more than five minutes from any fault is normal operation."""
    frame = pl.read_parquet(folder / f"{_NEZHA}_metrics.parquet")
    faults = json.loads((folder / f"{_NEZHA}_faults.json").read_text())
    calls = [
        (row["Source"], row["Target"])
        for row in csv.DictReader((folder / f"{_NEZHA}_dependency.csv").read_text().splitlines())
    ]
    wide = (
        frame.group_by(at=pl.col("timestamp").dt.truncate("1m"), node="service")
        .agg(
            requests=pl.col("PodWorkload(Ops)").mean() * 60.0,
            latency=pl.col("PodServerLatencyP95(s)").mean(),
            failed_share=1.0 - pl.col("PodSuccessRate(%)").mean() / 100.0,
        )
        .sort("at", "node")
    )
    rows = [fault for hour in faults.values() for fault in hour]
    times = [pl.Series([fault["inject_time"]]).str.to_datetime(time_zone="UTC").item() for fault in rows]
    near = [pl.col("at").is_between(time - timedelta(minutes=1), time + timedelta(minutes=5)) for time in times]
    normal = Recordings(wide.filter(~pl.any_horizontal(near)), calls)
    cases = []
    for fault, time in zip(rows, times, strict=True):
        window = wide.filter(pl.col("at").is_between(time - timedelta(minutes=5), time + timedelta(minutes=5)))
        truth = str(fault["inject_pod"]).rsplit("-", 2)[0]
        cases.append(Case(f"{time:%H:%M} {fault['inject_type']}", window, normal, Target("frontend", "latency"), truth))
    return cases
