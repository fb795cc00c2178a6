"""A day's run of anomaly detection: going on from what is remembered of each series, against judging four weeks again.

`python -m benchmarks.anomaly_ticks [--json] [--quick]`: 1,000 series (--quick: 150) of hourly latencies with their
histograms and counts, four weeks of history and a day, made from a seed. Both ways judge in turn, a share of the series
at a time, and must tell the same. Memories are read from and written to their bytes, as a run does; the database is
left out. Seconds of processor time.
"""

import argparse
import json
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from benchmarks.report import machine, progress
from lah_platform.anomalies.detect import detect
from lah_platform.anomalies.memory import SeriesMemory
from lah_platform.anomalies.resume import resume

_STEP = timedelta(hours=1)
_START = datetime(2026, 1, 5, tzinfo=UTC)
_HISTORY_DAYS = 28
_AT_ONCE = 50


def main() -> None:
    """Run, print, and with --json one object on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    series = 150 if asked.quick else 1000
    known = _START + timedelta(days=_HISTORY_DAYS)
    end = known + timedelta(days=1)
    anew, went_on, octets, episodes, shares = 0.0, 0.0, 0, 0, []
    for first in range(0, series, _AT_ONCE):
        progress(f"series {first} to {first + _AT_ONCE}")
        points = _points(first)
        day = points.filter(pl.col("bucket_start") >= known)
        before = points.filter(pl.col("bucket_start") < known)
        made = resume({}, before, window="1h", step=_STEP, since=_START, until=known).memories
        kept = {key: memory.to_bytes() for key, memory in made.items()}
        started = time.process_time()
        whole = detect(points, window="1h", step=_STEP, until=end)
        took_anew = time.process_time() - started
        started = time.process_time()
        memories = {key: SeriesMemory.from_bytes(each) for key, each in kept.items()}
        done = resume(memories, day, window="1h", step=_STEP, since=known, until=end)
        written = [memory.to_bytes() for memory in done.memories.values()]
        took = time.process_time() - started
        if done.found.rows() != whole.filter(pl.col("ended_at") > known).rows():
            raise AssertionError("going on tells something else than judging anew")
        anew, went_on, octets = anew + took_anew, went_on + took, octets + sum(map(len, written))
        episodes += done.found.height
        shares.append(took_anew / took)
    ours = {"seconds": went_on, "new_points_per_second": series * 24 / went_on, "bytes_per_series": octets / series}
    low, high = np.quantile(shares, [0.1, 0.9])
    print(f"{series} series, a day: going on {went_on:.1f} s ({ours['new_points_per_second']:,.0f} new points/s),")
    print(
        f"  four weeks judged again {anew:.1f} s; ratio {anew / went_on:.1f} (80 % of shares {low:.1f} to {high:.1f})"
    )
    print(f"  {ours['bytes_per_series']:,.0f} bytes a series are remembered, {episodes} episodes alike; on {machine()}")
    if asked.json:
        scores = {"going_on": ours, "judged_anew": {"seconds": anew, "new_points_per_second": series * 24 / anew}}
        print(
            json.dumps(
                {"name": "anomaly_ticks", "ours": went_on, "references": {"judged_anew": anew}}
                | {"ratios": {"judged_anew": anew / went_on}, "scores": scores, "machine": machine()}
            )
        )


def _points(first: int) -> pl.DataFrame:
    rng = np.random.default_rng(first)
    size = (_HISTORY_DAYS + 1) * 24
    hours = np.arange(size)
    wave = 1.0 + 0.4 * np.sin(hours / 24 * 2 * np.pi)
    shapes = [_histogram(rng) for _ in range(200)]
    frames = []
    for series_id in range(first, first + _AT_ONCE):
        values = wave * rng.lognormal(6, 0.1, size) * np.where(rng.random(size) < 0.002, 4.0, 1.0)
        shift = np.ceil(np.log2(values) * 32).astype(np.int64) + 2**20
        of = rng.integers(len(shapes), size=size)
        frames.append(
            pl.DataFrame(
                {
                    "bucket_start": [_START + int(hour) * _STEP for hour in hours],
                    "value": values,
                    "count": rng.poisson(200 * wave),
                    "hist_keys": [shapes[number][0] + by for number, by in zip(of, shift, strict=True)],
                    "hist_counts": [shapes[number][1] for number in of],
                }
            ).select(pl.lit(series_id).alias("series_id"), pl.lit("latency_ms").alias("metric"), pl.all())
        )
    return pl.concat(frames)


def _histogram(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return np.unique(np.ceil(rng.normal(0, 0.4, 200) * 32).astype(np.int64), return_counts=True)


if __name__ == "__main__":
    main()
