"""Many series over all cores: a pool of processes behind the same interface as `map`."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from lah_platform.forecasts.forecast import Over

__all__ = ["over_cores"]

_CHUNK = 8
_WORTH_A_POOL = 100  # series; fewer are done before a process has started


@contextmanager
def over_cores(most: int) -> Iterator[Over]:
    """`over` of `forecast_with_reasons`, by a process a core, `most` at most, which end with the block.

    They start when there are series enough to be worth it, each with 200 MB and one thread of linear algebra.
    """
    pools: list[ProcessPoolExecutor] = []
    count = min(most, os.cpu_count() or 1)

    def over(function: Callable[[Any], Any], each: Iterable[Any], /) -> Iterable[Any]:
        several = list(each)
        if count == 1 or len(several) < _WORTH_A_POOL:
            return map(function, several)
        if not pools:
            # spawned, for the caller has threads; before numpy is imported there
            pools.append(
                ProcessPoolExecutor(
                    count, get_context("spawn"), initializer=os.putenv, initargs=("OPENBLAS_NUM_THREADS", "1")
                )
            )
        return pools[0].map(function, several, chunksize=_CHUNK)

    try:
        yield over
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)
