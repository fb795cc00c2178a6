"""The published figures are of forecasts that saw nothing of what they are judged by, scored as M4 defines it."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.forecasts import methods_of
from benchmarks.forecasts_data import Task, from_file
from benchmarks.forecasts_scores import Made, score
from tests.forecasts.simulation import Floats, bursty_counts, seasonal

_TRAIN, _AHEAD, _SEASONS = 24 * 16, 48, (24, 168)


def _file(path: Path, test_parts: list[Floats]) -> list[Task]:
    pasts = [seasonal(np.random.default_rng(1), _TRAIN), bursty_counts(np.random.default_rng(2), _TRAIN)]
    rows = [
        (f"s{i}", step, float(y), "train" if step < _TRAIN else "test")
        for i, (past, test) in enumerate(zip(pasts, test_parts, strict=True))
        for step, y in enumerate(np.concatenate([past, test]))
    ]
    frame = pl.DataFrame(rows, schema=["series_id", "step", "y", "split"], orient="row")
    frame.sample(fraction=1.0, shuffle=True, seed=3).write_csv(path)
    return from_file(path, seasons=_SEASONS, horizon=_AHEAD, origins=1)


@pytest.fixture(scope="module")
def told_twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Task], list[Task]]:
    folder = tmp_path_factory.mktemp("split")
    ordinary = [seasonal(np.random.default_rng(4), _AHEAD), bursty_counts(np.random.default_rng(5), _AHEAD)]
    absurd = [np.linspace(-1e9, 1e9, _AHEAD), np.full(_AHEAD, np.nan)]
    return _file(folder / "a.csv", ordinary), _file(folder / "b.csv", absurd)


@pytest.mark.parametrize("name", sorted(methods_of(_SEASONS)))
def test_whatever_the_test_part_holds_no_forecast_changes_by_a_bit(
    told_twice: tuple[list[Task], list[Task]], name: str
) -> None:
    method = methods_of(_SEASONS)[name]
    for one, other in zip(*told_twice, strict=True):
        assert len(one.past) == _TRAIN
        assert not np.array_equal(one.actual, other.actual)
        made, again = method(one), method(other)
        assert made.value.tobytes() == again.value.tobytes()
        assert made.bounds.keys() == again.bounds.keys()
        for level, (lower, upper) in made.bounds.items():
            assert lower.tobytes() == again.bounds[level][0].tobytes()
            assert upper.tobytes() == again.bounds[level][1].tobytes()


def test_smape_and_mase_are_what_the_competition_defines() -> None:
    """Its definitions, written as sums over buckets: means of series' means, in-sample steps of one season."""
    generator = np.random.default_rng(6)
    tasks = [Task(f"s{i}", generator.gamma(2, 50, 100), generator.gamma(2, 50, 48)) for i in range(3)]
    made = [Made(generator.gamma(2, 50, 48)) for _ in tasks]
    smape = mase = 0.0
    for task, one in zip(tasks, made, strict=True):
        pairs = list(zip(task.actual.tolist(), one.value.tolist(), strict=True))
        steps = [abs(task.past[t] - task.past[t - 24]) for t in range(24, 100)]
        smape += sum(2 * abs(y - f) / (abs(y) + abs(f)) * 100 for y, f in pairs) / len(pairs) / len(tasks)
        mase += sum(abs(y - f) for y, f in pairs) / len(pairs) / (sum(steps) / len(steps)) / len(tasks)
    figures = score(tasks, made, 24).figures
    assert figures["smape"] == pytest.approx(smape)
    assert figures["mase"] == pytest.approx(mase)
