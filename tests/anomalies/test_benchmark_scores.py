"""What the benchmark calls NAB, VUS-PR and an episode: figures worked out by hand, and slow, obvious versions."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.anomalies_data import SHARED, Labelled, label_runs, read_shared, read_table, windows_around
from benchmarks.anomalies_episodes import episode_scores
from benchmarks.anomalies_methods import SIMPLE, Scored, lah
from benchmarks.anomalies_nab import LOW_FALSE_NEGATIVES, LOW_FALSE_POSITIVES, STANDARD, Corpus
from benchmarks.anomalies_vus import vus_pr


def labelled(points: int, *windows: tuple[int, int], name: str = "s") -> Labelled:
    labels = np.zeros(points, dtype=np.bool_)
    for first, last in windows:
        labels[first : last + 1] = True
    at_us = np.arange(points, dtype=np.int64) * 300_000_000
    return Labelled(name, at_us, np.zeros(points), labels, windows)


def alarms(points: int, *at: int) -> dict[str, np.ndarray]:
    scores = np.zeros(points)
    scores[list(at)] = 1.0
    return {"s": scores}


def sigmoid(position: float) -> float:
    return 2 / (1 + math.exp(5 * position)) - 1


def test_nab_by_hand() -> None:
    # 100 points, probation 15; one window of ten points, 40 to 49
    corpus = Corpus([labelled(100, (40, 49))])
    assert corpus.at(alarms(100), 0.5) == 0.0
    assert corpus.at(alarms(100, 40), 0.5) == pytest.approx(100.0)
    assert corpus.at(alarms(100, 3, 14, 40), 0.5) == pytest.approx(100.0)  # in probation nothing counts
    found = sigmoid(-0.5) / sigmoid(-1.0)  # at 45 the place is -(49 - 45 + 1) / 10
    assert corpus.at(alarms(100, 45), 0.5) == pytest.approx(100 * (found + 1) / 2)
    assert corpus.at(alarms(100, 45, 48), 0.5) == pytest.approx(100 * (found + 1) / 2)  # only the best in a window
    assert corpus.at(alarms(100, 20), 0.5) == pytest.approx(100 * (-0.11) / 2)
    behind = 0.11 * sigmoid(3 / 9)  # three points behind the window's end
    assert corpus.at(alarms(100, 52), 0.5) == pytest.approx(100 * behind / 2)
    assert corpus.at(alarms(100, 90), 0.5) == pytest.approx(100 * (-0.11) / 2)  # far behind
    assert corpus.at(alarms(100, 20), 0.5, LOW_FALSE_POSITIVES) == pytest.approx(100 * (-0.22) / 2)
    assert corpus.at(alarms(100, 40), 0.5, LOW_FALSE_NEGATIVES) == pytest.approx(100.0)
    assert corpus.at(alarms(100, 20), 0.5, LOW_FALSE_NEGATIVES) == pytest.approx(100 * (-0.11) / 3)


def test_nab_chooses_the_threshold_for_the_whole_corpus() -> None:
    corpus = Corpus([labelled(100, (40, 49)), labelled(100, (60, 69), name="t")])
    first, second = np.zeros(100), np.zeros(100)
    first[[40, 70]] = 0.9, 0.3
    second[[60, 30]] = 0.5, 0.4
    best, threshold = corpus.best({"s": first, "t": second})
    assert (best, threshold) == (pytest.approx(100.0), 0.5)
    assert corpus.best({"s": np.zeros(100), "t": np.zeros(100)})[0] == 0.0


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10**6))
def test_nab_at_every_threshold_is_a_recount(seed: int) -> None:
    rng = np.random.default_rng(seed)
    series = labelled(200, (50, 60), (100, 130))
    scores = {"s": rng.integers(0, 6, 200) / 5}
    corpus = Corpus([series])

    def recount(threshold: float) -> float:
        total = 0.0
        for first, last in series.windows:
            hits = [i for i in range(max(first, 30), last + 1) if scores["s"][i] >= threshold]
            width = last - first + 1
            total += max((sigmoid(-(last - i + 1) / width) / sigmoid(-1.0) for i in hits), default=-1.0)
        for i in range(30, 200):
            if scores["s"][i] >= threshold and not series.labels[i]:
                ended = [(f, e) for f, e in series.windows if e < i]
                place = (i - ended[-1][1]) / (ended[-1][1] - ended[-1][0]) if ended else 9.0
                total += 0.11 * (-1.0 if place > 3 else sigmoid(place))
        return 100 * (total + 2) / 4

    for threshold in (0.2, 0.6, 1.0):
        assert corpus.at(scores, threshold) == pytest.approx(recount(threshold))
    best = max(0.0, *(recount(threshold) for threshold in np.unique(scores["s"])))
    assert corpus.best(scores, STANDARD)[0] == pytest.approx(best)


def naive_vus(labels: np.ndarray, scores: np.ndarray, buffer: int, thresholds: int) -> float:
    """Buffer by buffer, threshold by threshold, run by run, as the paper's appendix tells it."""
    ranked, areas = -np.sort(-scores), []
    for width in range(buffer + 1):
        soft = labels.astype(float)
        for first, last in label_runs(labels):
            for i in range(len(labels)):
                away = max(first - i, i - last, 0)
                if 0 < away <= width // 2:
                    soft[i] += math.sqrt(1 - away / width)
        soft = np.minimum(soft, 1.0)
        area, before = 0.0, 0.0
        for place in np.linspace(0, len(labels) - 1, thresholds).astype(int):
            predicted = scores >= ranked[place]
            kept = np.where(labels, 1.0, soft * predicted)
            found = float((kept * predicted).sum())
            runs = label_runs(soft > 0)
            touched = sum(bool(predicted[first : last + 1].any()) for first, last in runs) / len(runs)
            recall = min(found / ((labels.sum() + kept.sum()) / 2), 1.0) * touched
            area += (recall - before) * found / predicted.sum()
            before = recall
        areas.append(area)
    return float(np.mean(areas))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), ties=st.booleans())
def test_vus_is_the_volume_of_its_definition(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    labels = np.zeros(80, dtype=np.bool_)
    for first in rng.integers(0, 75, 3):
        labels[first : first + rng.integers(1, 8)] = True
    scores = rng.integers(0, 5, 80).astype(float) if ties else rng.random(80)
    assert vus_pr(labels, scores, buffer=12, thresholds=20) == pytest.approx(naive_vus(labels, scores, 12, 20))


def test_vus_of_a_perfect_score_is_near_one_of_noise_near_the_share_of_labels_and_of_no_labels_unknown() -> None:
    labels = np.zeros(4000, dtype=np.bool_)
    labels[1000:1400] = True
    noise = np.random.default_rng(0).random(4000)
    assert vus_pr(labels, labels.astype(float)) > 0.9
    assert vus_pr(labels, noise) == pytest.approx(0.1, abs=0.03)
    assert math.isnan(vus_pr(np.zeros(10, dtype=np.bool_), np.zeros(10)))


def test_episodes_by_hand() -> None:
    series = labelled(10_000, (100, 109), (500, 500))
    alarmed = np.zeros(10_000, dtype=np.bool_)
    alarmed[[105, 107, 300, 301, 304, 700]] = True  # true; false, gaps of two and less do not end it; false
    told = episode_scores([series], {"s": Scored(alarmed, alarmed, alarmed)})
    assert told["episode_precision"] == pytest.approx(1 / 3)
    assert told["episode_recall"] == pytest.approx(1 / 2)
    assert told["episode_f1"] == pytest.approx(2 / 5)
    assert told["false_per_series_week"] == pytest.approx(2 / series.weeks)
    assert told["share_alarmed"] == pytest.approx(6 / 10_000)


def test_windows_around_labels_share_a_tenth_of_the_points_and_merge_where_they_touch() -> None:
    labels = labelled(1000, (200, 200), (600, 603)).labels
    assert windows_around(labels) == ((175, 225), (576, 626))
    assert windows_around(labelled(1000, (200, 200), (230, 230)).labels) == ((175, 255),)
    wide = labelled(1000, (200, 300)).labels
    assert windows_around(wide) == ((200, 300),)
    assert windows_around(np.zeros(10, dtype=np.bool_)) == ()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_of_labelled_series_is_read_whatever_its_times_are(tmp_path: Path, kind: str) -> None:
    frame = pl.DataFrame(
        {
            "series_id": ["a", "b", "a"],
            "timestamp": ["2025-01-06 00:05:00", "2025-01-06 00:00:00", "2025-01-06 00:00:00"],
            "value": [2.0, 9.0, 1.0],
            "is_anomaly": [1, 0, 0],
        }
    )
    path = tmp_path / f"labelled.{kind}"
    frame.write_csv(path) if kind == "csv" else frame.write_parquet(path)
    first, second = read_table(path)
    assert (first.series_id, first.values.tolist(), first.labels.tolist()) == ("a", [1.0, 2.0], [False, True])
    assert first.at_us[1] - first.at_us[0] == 300_000_000
    assert len(second.values) == 1


@pytest.mark.parametrize("name", ["lah", *SIMPLE])
def test_every_method_takes_what_labelled_series_hold(name: str) -> None:
    run = lah if name == "lah" else SIMPLE[name]
    rng = np.random.default_rng(1)
    for values in ([5.0], [5.0] * 400, rng.normal(size=400).tolist(), [*rng.normal(size=300), float("nan")] * 2):
        points = len(values)
        series = labelled(points)
        scored = run(Labelled("s", series.at_us, np.array(values), series.labels, ()))
        assert all(len(each) == points for each in (scored.alarm, scored.state, scored.alarmed))
        assert np.isfinite(scored.alarm).all()
        assert np.isfinite(scored.state).all()


@pytest.mark.skipif(not (SHARED / "nab.parquet").exists(), reason="the shared NAB series are absent")
def test_our_default_holds_what_it_promises_on_a_few_of_nabs_series() -> None:
    series = [each for each in read_shared("nab") or [] if each.series_id.startswith("realTraffic/")]
    scored = {each.series_id: lah(each) for each in series}
    told = {name: each.onsets.astype(float) for name, each in scored.items() if each.onsets is not None}
    assert Corpus(series).at(told, 0.5) > 60
    assert episode_scores(series, scored)["share_alarmed"] < 0.02
