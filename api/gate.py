"""The one door of all credentials: from what a request presents to who it is, and whether that one may ask now."""

import time
from typing import Final

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from api.credentials import REVOKED_WITHIN_S, KeyRing, Principal
from api.problems import Problem
from api.services import Services
from api.tokens import TokenVerifier

__all__ = ["Gate"]

_KEY_PREFIX: Final = "lah_"


class Gate:
    """Keys and, where an issuer is configured, its tokens; each has so many requests a time in each server process."""

    def __init__(self, services: Services) -> None:
        self._takes_demo_keys = services.takes_demo_keys
        self._keys = KeyRing(services.pool, services.secret, monotonic_s=services.monotonic_s)
        self._tokens = TokenVerifier.configured(services.settings)
        rate = services.settings.rate_limit
        self._rate = None if rate == "none" else parse(rate)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def admit(self, presented: str) -> Principal:
        """Who presents it. Raises Problem when it is not valid, or asks too often."""
        principal = self._principal(presented)
        if self._rate is not None and not self._limiter.hit(self._rate, principal.actor):
            wait_s = self._limiter.get_window_stats(self._rate, principal.actor).reset_time - time.time()
            raise Problem(
                "too-many-requests",
                f"This credential may ask {self._rate}",
                headers={"Retry-After": str(max(1, round(wait_s)))},
            )
        return principal

    def still(self, presented: str) -> Principal:
        """Who presents it as of now, however lately it was verified, and without its counting. Raises Problem."""
        return self._principal(presented, within_s=0)

    def _principal(self, presented: str, *, within_s: float = REVOKED_WITHIN_S) -> Principal:
        if self._tokens is not None and not presented.startswith(_KEY_PREFIX):
            return self._tokens.principal(presented)
        key = self._keys.find(presented, within_s=within_s)
        if key is None:
            raise _refused("The API key is unknown, was revoked or has ended")
        if key.is_demo and not self._takes_demo_keys:
            raise _refused("Demo keys work on the loopback address only")
        return Principal(key.tenant, key.role, key.actor)


def _refused(detail: str) -> Problem:
    return Problem("key-refused", detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
