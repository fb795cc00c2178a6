"""What every seeded stream shares: the run, the ten days it fills, and random numbers of its own.

Belongs here: the time axis and the scenario windows that several streams must agree on. Does not: events.
"""

from typing import NamedTuple

import numpy as np

from lah_platform.replay.llmperf import SPAN_US
from lah_platform.replay.wire import Identity, Source
from lah_platform.replay.workload_profile import Profile

__all__ = ["DAY_US", "HOUR_US", "MINUTE_US", "SECOND_US", "Scene", "synthetic"]

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US


class Scene(NamedTuple):
    """A run's ten days up to `end_us` (microseconds since 1970 UTC)."""

    identity: Identity
    end_us: int
    seed: int
    profile: Profile

    @property
    def start_us(self) -> int:
        return self.end_us - SPAN_US

    def rng(self, stream: str) -> np.random.Generator:
        """Random numbers of one stream: adding a stream does not change what another draws."""
        return np.random.default_rng([self.seed, *stream.encode()])

    def hours_before_end_us(self, hours: float) -> int:
        return self.end_us - round(hours * HOUR_US)

    def hourly_multiplier(self, at_us: int) -> float:
        """How busy that hour is, mean 1: the hour of a day whose midnight is the scene's start, as ServeGen's is."""
        return self.profile.throughput["m-small"].hourly[(at_us - self.start_us) // HOUR_US % 24]

    def moments(self, stream: str, per_hour: float) -> list[int]:
        """Times of a Poisson stream of `per_hour` that follows the measured hours of the day."""
        rng = self.rng(f"{stream} moments")
        moments: list[int] = []
        for hour_us in range(self.start_us, self.end_us, HOUR_US):
            count = rng.poisson(per_hour * self.hourly_multiplier(hour_us))
            moments += (hour_us + np.sort(rng.integers(0, HOUR_US, count))).tolist()
        return moments


def synthetic(module: str, **tags: str) -> Source:
    """A source whose events say that nobody measured them; tag names are tenant, region, service, team, version."""
    return Source(module, {**tags, "trace": "synthetic", "synthetic": "true"})
