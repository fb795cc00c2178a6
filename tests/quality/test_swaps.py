"""What is computed is served only after its blocking checks passed; what was served before stays, whoever reads."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

import lah_platform.stores.costs as cost_store
from assets.definitions import build_defs
from assets.resources import Hub
from lah_platform.quality.verdicts import Verdict
from lah_platform.stores.costs import compute_cost_daily, ensure_price_book
from lah_platform.stores.failing_rows import failing_rows
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.staging import SCHEMA, Judge, RowsRefused, staging
from tests.quality.sample import DAY, NEXT_DAY

_DAY = DAY.date()


@pytest.fixture
def sample(sample_url: str) -> Iterator[Connection]:
    with connect(sample_url) as connection:
        yield connection


def _served(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute("select * from cost_daily order by 1, 2, 3, 4, 5, 6").fetchall()


def _verdict(*, passed: bool, is_blocking: bool = True) -> Verdict:
    return Verdict("cost_daily", "x", "error", is_blocking, passed, 3, 0 if passed else 2, {}, "Repair it")


def test_refused_rows_leave_the_last_good_ones_the_verdict_why_and_themselves_to_be_looked_at(
    sample: Connection, sample_url: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _served(sample)
    ensure_price_book(sample)
    right = cost_store.daily_costs
    monkeypatch.setattr(
        cost_store,
        "daily_costs",
        lambda rows: right(rows).with_columns(output_tokens=-1 - right(rows)["output_tokens"]),
    )
    hub = Hub(database_url=sample_url, home=str(tmp_path), topic="t")
    job = build_defs(resource_overrides={"hub": hub}).resolve_job_def("cost_daily")
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(partition_key=str(_DAY), instance=instance, raise_on_error=False)

    assert not done.success
    assert not done.get_asset_materialization_events()
    told = {each.check_name: each.passed for each in done.get_asset_check_evaluations()}
    assert told["amounts_are_not_negative"] is False
    assert _served(sample) == before
    passed, advice, observed = sample.execute(
        "select passed, advice, observed from checks where check_name = 'amounts_are_not_negative'"
    ).fetchone() or (None, None, {})
    assert (passed, bool(advice), observed["served"]) == (False, True, "the rows of before")
    refused = failing_rows(sample, "cost_daily", "amounts_are_not_negative", DAY, NEXT_DAY, limit=9, schema=SCHEMA)
    assert refused
    assert all(row["output_tokens"] < 0 for row in refused)
    monkeypatch.undo()
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(partition_key=str(_DAY), instance=instance).success
    assert _served(sample) != before


def test_a_failing_check_that_does_not_block_is_kept_and_the_rows_are_served(sample: Connection) -> None:
    kept: list[Verdict] = []
    judge = Judge(lambda: [_verdict(passed=False, is_blocking=False)], kept.extend)
    with staging(sample, "cost_daily") as stage:
        stage.publish(lambda: sample.execute("delete from cost_daily"), judge)
    assert (len(kept), _served(sample)) == (1, [])


@pytest.mark.parametrize("is_refused", [True, False])
def test_whoever_reads_meanwhile_sees_all_rows_of_before_or_all_of_after_and_never_refused_ones(
    sample: Connection, sample_url: str, is_refused: bool
) -> None:
    before = _served(sample)
    judge = Judge(lambda: [_verdict(passed=not is_refused)], lambda _: None)
    seen: set[tuple[object, ...]] = set()
    stop = threading.Event()

    def read() -> None:
        with connect(sample_url) as reader:
            while not stop.is_set():
                seen.add(
                    tuple(reader.execute("select count(*), count(distinct computed_at) from cost_daily").fetchall())
                )

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for round_ in range(8):
        try:
            compute_cost_daily(sample, _DAY, _DAY, computed_at=datetime(2026, 4, 1 + round_, tzinfo=UTC), judge=judge)
        except RowsRefused:
            assert is_refused
    stop.set()
    for reader in readers:
        reader.join()

    after = _served(sample)
    assert (after == before) is is_refused
    whole = {((len(before), 1),), ((len(after), 2),)} | {
        ((len(rows), len({row[-1] for row in rows})),) for rows in (before, after)
    }
    assert seen <= whole


def test_a_computation_that_breaks_changes_nothing_and_the_next_begins_afresh(sample: Connection) -> None:
    before = _served(sample)

    def broken() -> None:
        with staging(sample, "cost_daily"):
            sample.execute(f"insert into {SCHEMA}.cost_daily select * from cost_daily")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert _served(sample) == before
    with staging(sample, "cost_daily"):
        assert sample.execute(f"select count(*) from {SCHEMA}.cost_daily").fetchone() == (0,)
