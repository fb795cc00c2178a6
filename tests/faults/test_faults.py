"""Landing is exactly once whatever dies: the short form of `python -m tests.faults`, every kind of fault once."""

import pytest

from tests.faults.brokers import kafka_missing
from tests.faults.campaign import rig, run_round

_SEED = 20260304
_RATE = 120  # events a second
_FAULTS = 20  # when one broker has to take them all
_ONCE_EACH = {"kafka": 16, "embedded": 13}


@pytest.mark.timeout(280)
@pytest.mark.parametrize("kind", ["kafka", "embedded"])
def test_whatever_is_killed_frozen_filled_or_locked_every_event_is_counted_exactly_once(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = kafka_missing()
    if kind == "kafka" and missing:
        pytest.skip(f"no Apache Kafka: {missing}; the embedded broker takes all {_FAULTS} faults")
    faults = _FAULTS if missing else _ONCE_EACH[kind]
    with rig(kind) as on:
        report = run_round(on, seed=_SEED, faults=faults, dedup="exact" if kind == "kafka" else "strict", rate=_RATE)
        with capsys.disabled():  # which broker and which faults is part of the promise
            print(f"\n{on.broker.name}, seed {_SEED}, {report.seconds:.0f} s: {dict(report.injected)}")  # noqa: T201
            print("skipped there: " + (", ".join(on.skipped()) or "nothing"))  # noqa: T201
    assert report.injected.total() == faults
