"""The optional LSTM: a member like the others where jax is installed, and a clear message where it is not."""

import sys

import numpy as np
import pytest

from lah_platform.forecasts.lstm import ExtraMissing, lstm
from lah_platform.forecasts.members import Member, NotFitted
from lah_platform.forecasts.one_series import forecast_values
from lah_platform.forecasts.series import Floats
from tests.forecasts.simulation import seasonal

_SEASONS = (24, 168)


def _histories() -> list[Floats]:
    return [seasonal(np.random.default_rng(i), 24 * 24) * 10**i for i in range(3)]


@pytest.fixture(scope="module")
def member() -> Member:
    pytest.importorskip("jax", reason="the extra lstm (jax) is not installed: the network is not trained here")
    return lstm(_histories(), 48, _SEASONS, rounds=40)


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'llm-analytics-hub\[lstm\]'"):
        lstm(_histories(), 48, _SEASONS)


def test_histories_too_short_for_what_the_backtest_holds_back_train_nothing() -> None:
    with pytest.raises(NotFitted, match="no series is long enough"):
        lstm([seasonal(np.random.default_rng(1), 24 * 11)], 48, _SEASONS)
    with pytest.raises(NotFitted, match="season"):
        lstm(_histories(), 48, ())


def test_it_learns_what_is_noise_and_leaves_out_what_it_was_not_trained_for(member: Member) -> None:
    for values in _histories():
        ahead = member(values[: -24 * 2], 48, _SEASONS)
        naive = np.tile(values[-24 * 3 : -24 * 2], 2)
        assert np.abs(ahead - values[-48:]).sum() < np.abs(naive - values[-48:]).sum()
    for wrong in ((_histories()[0], 72, _SEASONS), (_histories()[0], 24, (7,)), (np.ones(40), 24, _SEASONS)):
        with pytest.raises(NotFitted):
            member(*wrong)


def test_it_sees_nothing_of_the_days_it_is_judged_on(member: Member) -> None:
    """Training on histories whose judged days hold anything else ends in the same network, to the last bit."""
    changed = _histories()
    for values in changed:
        values[-(48 + 6 * 24) :] = 1e6
    again = lstm(changed, 48, _SEASONS, rounds=40)
    values = _histories()[1]
    assert again(values, 48, _SEASONS).tobytes() == member(values, 48, _SEASONS).tobytes()


def test_a_contender_takes_part_only_where_its_backtest_beats_the_others() -> None:
    values = seasonal(np.random.default_rng(5), 24 * 16)
    observed = np.ones(len(values), dtype=bool)

    def knows(history: Floats, ahead: int, seasons: tuple[int, ...]) -> Floats:  # noqa: ARG001
        came = values[len(history) : len(history) + ahead]
        return came if len(came) == ahead else history[:ahead]

    def wrong(history: Floats, ahead: int, seasons: tuple[int, ...]) -> Floats:  # noqa: ARG001
        return np.full(ahead, 3.0)

    alone = forecast_values(values, observed, 24, _SEASONS)
    beaten = forecast_values(values, observed, 24, _SEASONS, contenders={"wrong": wrong})
    assert beaten.value.tobytes() == alone.value.tobytes()
    assert dict(beaten.weights) == dict(alone.weights)
    kept = forecast_values(values, observed, 24, _SEASONS, contenders={"knows": knows, "wrong": wrong})
    assert kept.weights["knows"] == max(kept.weights.values())
    assert "wrong" not in kept.weights
    untested = forecast_values(values[:8], observed[:8], 24, _SEASONS, contenders={"knows": knows})
    assert "knows" not in untested.weights
