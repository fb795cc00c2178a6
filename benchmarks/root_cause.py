"""Root causes and links: ours against what is done elsewhere, in one run.

    python -m benchmarks.root_cause [--json] [--quick] [--issues FILE.parquet --targets FILE.json]

Top-1 and top-3 recall of the node where an issue was caused, on PetShop's issues (Hardt et al. 2024; the training ones
by default), on faults planted into its normal operation at every component, and on Nezha's Online Boutique day; then
precision and recall of lagged links on simulated series. Intervals are Wilson's, 95 %: twenty issues are few. Nothing
here is fitted: the methods' few constants are stated priors (docs/root-cause.md).
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from pathlib import Path

from benchmarks.report import machine, progress, seconds_of
from benchmarks.root_cause_baselines import METHODS, WITHOUT_GRAPH
from benchmarks.root_cause_data import Case, Recordings, nezha_cases, petshop_cases, petshop_normal
from benchmarks.root_cause_links import (
    false_links,
    false_minute_links,
    link_scores,
    minute_link_scores,
    seconds_of_size,
)
from benchmarks.root_cause_planted import ENTRANCE, planted_cases
from benchmarks.root_cause_robust import elsewhere_cases, varied_cases
from lah_platform.root_cause import rank_root_causes

__all__: list[str] = []

_DATA = Path("../shared/data/rca")
Method = Callable[[Case], list[str]]
Scores = dict[str, dict[str, float]]


def _with_graph(case: Case) -> list[str]:
    ranking = rank_root_causes(case.window, case.recordings.normal, case.target, case.recordings.calls)
    return [each.node for each in ranking.candidates]


def _without_graph(case: Case) -> list[str]:
    return [each.node for each in rank_root_causes(case.window, case.recordings.normal, case.target).candidates]


_ALL: Mapping[str, Method] = {"lah": _with_graph, **METHODS, "lah_no_graph": _without_graph, **WITHOUT_GRAPH}


def main() -> None:
    """Run what the data allows and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--issues", type=Path, default=_DATA / "petshop_train.parquet")
    parser.add_argument("--targets", type=Path, default=_DATA / "petshop_train_targets.json")
    parser.add_argument("--data", type=Path, default=_DATA, help="folder of normal operation, graphs and Nezha's day")
    parser.add_argument("--quick", action="store_true", help="fewer planted faults and simulations: under a minute")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    print(f"root_cause on {machine()}")
    scores: Scores = {}
    if (asked.data / "petshop_normal.parquet").is_file():
        recordings = petshop_normal(asked.data)
        cases = petshop_cases(asked.issues, asked.targets, recordings)
        scores |= _petshop(cases)
        scores |= _planted(recordings, 1 if asked.quick else 6)
        scores |= _scored("nezha", nezha_cases(asked.data))
    else:
        print(f"PetShop and Nezha left out: {asked.data} does not hold them")
    scores |= _links(asked.quick)
    _report(scores, as_json=asked.json)


def _petshop(cases: Sequence[Case]) -> Scores:
    causes = {case.truth for case in cases}
    if len(causes) == 1:
        print(f"all {len(cases)} issues have one root cause, {min(causes)}: a constant answer would score 1.00")
    scores = _scored("petshop", cases)
    for symptom in ("latency", "failures"):
        part = [case for case in cases if case.target.symptom == symptom]
        for name, each in _scored(f"petshop, {symptom}", part).items():
            own = name.removeprefix(f"petshop, {symptom}_")
            scores[f"petshop_{own}"] |= {f"{symptom}_{key}": value for key, value in each.items()}
    return {name.removeprefix("petshop_"): each for name, each in scores.items()}


def _planted(recordings: dict[str, Recordings], per_node: int) -> Scores:
    plain = planted_cases(recordings, per_node)
    masked = planted_cases(recordings, per_node, is_masked=True)
    scores = _scored("planted", plain) | _scored("planted_masked", masked)
    varied = varied_cases(planted_cases(recordings, 1), recordings)
    for name, cases in (varied | {"something else hurts": elsewhere_cases(recordings, ENTRANCE)}).items():
        scores |= _scored(f"planted, {name}", cases, {"lah": _with_graph, "lah_no_graph": _without_graph})
    return scores


def _links(is_quick: bool) -> Scores:
    runs = 10 if is_quick else 50
    progress("links")
    scores: Scores = {}
    print(f"\nlagged links, {runs} runs of 20 simulated series      precision   recall")
    for name, is_confounded in (("links_lead_lag", False), ("links_common_cause", True)):
        each = link_scores(runs, is_confounded=is_confounded)
        scores[name] = {"precision": each.precision, "recall": each.recall}
        print(f"  {name:<28} {each.precision:16.3f} {each.recall:16.3f}")
    for seconds in (120, 600, 1800):
        each = minute_link_scores(runs, seconds)
        name = f"links_lead_{seconds}_s"
        scores[name] = {"precision": each.precision, "recall": each.recall}
        print(f"  {name:<28} {each.precision:16.3f} {each.recall:16.3f}")
    print("  independent series: share of runs with a false link, of pairs linked falsely")
    for step, found in (("hours", false_links(runs)), ("minutes", false_minute_links(runs))):
        for law, (share, pairs) in found.items():
            scores[f"links_independent_{step}_{law.replace(' ', '_')}"] = {"false_runs": share, "false_pairs": pairs}
            print(f"  {step + ', ' + law:<28} {share:16.3f} {pairs:16.5f}")
    scores["links_seconds"] = {}
    for size in (500, 1000, 2000):
        progress(f"links among {size} series")
        scores["links_seconds"][f"series_{size}"] = seconds_of_size(size)
        print(f"  {size:>5} x {size} series of six weeks {scores['links_seconds'][f'series_{size}']:10.2f} s")
    return scores


def _scored(title: str, cases: Sequence[Case], methods: Mapping[str, Method] = _ALL) -> Scores:
    if not cases:
        return {}
    print(f"\n{title}: {len(cases)} cases          top-1  (95 %)         top-3  (95 %)       ms a case")
    scores: Scores = {}
    for name, method in methods.items():
        progress(f"{title}: {name}")
        ranks: list[int] = []

        def run(method: Method = method, ranks: list[int] = ranks) -> None:
            ranks.extend(_rank(method(case), case.truth) for case in cases)

        seconds = seconds_of(run)
        top = {f"top{k}": sum(rank <= k for rank in ranks) / len(ranks) for k in (1, 3)}
        shown = "   ".join(f"{top[f'top{k}']:.3f}  {_interval(top[f'top{k}'], len(ranks))}" for k in (1, 3))
        print(f"  {name:<28} {shown}   {1000 * seconds / len(cases):8.1f}")
        scores[f"{title}_{name}"] = top
    return scores


def _rank(nodes: Sequence[str], truth: str) -> int:
    return nodes.index(truth) + 1 if truth in nodes else len(nodes) + 1000


def _interval(share: float, size: int, z: float = 1.96) -> str:
    """Wilson (J. Am. Stat. Assoc. 22, 1927)."""
    middle = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    return f"({max(middle - half, 0):.2f} to {min(middle + half, 1):.2f})"


def _report(scores: Scores, *, as_json: bool) -> None:
    ours = scores.get("lah", {}).get("top1", 0.0)
    references = {name: scores[name]["top1"] for name in {**METHODS, **WITHOUT_GRAPH} if name in scores}
    ratios = {name: ours / value for name, value in references.items() if value > 0}
    print()
    for name, ratio in ratios.items():
        print(f"  top-1 of lah / {name}: {ratio:.2f}")
    if as_json:
        body = {"name": "root_cause", "ours": ours, "references": references, "ratios": ratios, "scores": scores}
        print(json.dumps(body))


if __name__ == "__main__":
    main()
