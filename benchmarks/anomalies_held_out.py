"""How far the NAB figure is in-sample: threshold and memory chosen on all groups of series but one, scored on that one.

`python -m benchmarks.anomalies_held_out [--json] [--quick]`. NAB has seven groups (sources) and no training part. For
each, the alarm threshold and the length of the memory (1,000, 2,000, 4,000 or 8,000 values) are those that score best
on the other six; all alarms together give one figure. Beside it: the best of the same choices in sample, and the
default. The methods themselves were chosen with all groups in sight, which this cannot undo. --quick: every sixth
series.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks.anomalies_data import Floats, Labelled, read_shared
from benchmarks.anomalies_methods import lah
from benchmarks.anomalies_nab import Corpus
from benchmarks.report import machine, progress
from lah_platform.anomalies.config import DEFAULT

_MEMORIES = (1000, 2000, 4000, 8000)

Alarms = Mapping[str, Floats]


def main() -> None:
    """Run, print, and with --json one object on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    series = read_shared("nab")
    if series is None:
        print("skipped: the shared data set nab is absent", file=sys.stderr)
        return
    series = series[::6] if asked.quick else series
    by_memory = {}
    for values in _MEMORIES:
        progress(f"memory of {values}")
        config = replace(DEFAULT, memory=replace(DEFAULT.memory, values=values))
        by_memory[values] = {each.series_id: lah(each, config).alarm for each in series}
    whole = Corpus(series)
    told: dict[str, Floats] = {}
    chosen = {}
    for group in sorted({_group(each) for each in series}):
        others = [each for each in series if _group(each) != group]
        memory, threshold = _best(others, by_memory)
        chosen[group] = {"memory": memory, "threshold": round(threshold, 3)}
        for each in series:
            if _group(each) == group:
                told[each.series_id] = (by_memory[memory][each.series_id] >= threshold).astype(float)
    scores = {
        "held_out": whole.at(told, 0.5),
        "in_sample": max(whole.best(alarms)[0] for alarms in by_memory.values()),
        "default": whole.at(by_memory[DEFAULT.memory.values], DEFAULT.surprise),
    }
    print(", ".join(f"{name} {score:.1f}" for name, score in scores.items()), f"on {machine()}")
    for group, choice in chosen.items():
        print(f"  {group}: {choice}")
    if asked.json:
        print(
            json.dumps(
                {"name": "anomalies_held_out", "ours": scores["held_out"]}
                | {"references": {"in_sample": scores["in_sample"], "default": scores["default"]}}
                | {"ratios": {"in_sample": scores["held_out"] / scores["in_sample"]}}
                | {"scores": {"lah": scores}, "chosen": chosen, "machine": machine()}
            )
        )


def _group(series: Labelled) -> str:
    return series.series_id.split("/")[0]


def _best(series: Sequence[Labelled], by_memory: Mapping[int, Alarms]) -> tuple[int, float]:
    corpus = Corpus(series)
    memory = max(by_memory, key=lambda values: corpus.best(by_memory[values])[0])
    return memory, corpus.best(by_memory[memory])[1]


if __name__ == "__main__":
    main()
