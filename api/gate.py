"""The one door of all credentials: from what a request presents to who it is, and whether that one may ask now."""

import time
from typing import Final

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from psycopg import OperationalError
from starlette.datastructures import Headers

from api.credentials import REVOKED_WITHIN_S, KeyRing, Principal
from api.problems import Problem
from api.refusals import Refusals
from api.services import Services
from api.tokens import TokenVerifier
from lah_platform.stores.keys import ApiKey

__all__ = ["Gate", "presented_in"]

_KEY_PREFIX: Final = "lah_"


class Gate:
    """Keys and, where an issuer is configured, its tokens; each has so many requests a time in each server process."""

    def __init__(self, services: Services) -> None:
        self._takes_demo_keys = services.takes_demo_keys
        self._keys = KeyRing(services.pool, services.secret, monotonic_s=services.monotonic_s)
        self._tokens = TokenVerifier.configured(services.settings)
        rate = services.settings.rate_limit
        self._rate = None if rate == "none" else parse(rate)
        self._refusals = Refusals(services.settings.refusal_limit)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def admit(self, presented: str, address: str) -> Principal:
        """Who presents it from that client address. Raises Problem when it is not valid, or asks too often.

        An address whose credentials are refused too often gets no other looked up for a while. Keys that were valid
        when this process last saw them are spared, and so are valid tokens, which need no database: who shares a
        proxy with somebody who guesses keeps working.
        """
        if self._is_key(presented) and not self.has_seen(presented):
            self._refusals.check(address)
        try:
            principal = self._principal(presented)
        except Problem as problem:
            if problem.kind.status == 401:
                self._refusals.check(address)
                self._refusals.count(address)
            raise
        if not self.may_ask(principal):
            assert self._rate is not None
            wait_s = self._limiter.get_window_stats(self._rate, principal.actor).reset_time - time.time()
            raise Problem(
                "too-many-requests",
                f"This credential may ask {self._rate}",
                headers={"Retry-After": str(max(1, round(wait_s)))},
            )
        return principal

    def believed(self, presented: str) -> Principal | None:
        """Who presents a key that needs no look into the database now; None: `admit` has to say. Never waits."""
        key = self._keys.believed(presented)
        return None if key is None or (key.is_demo and not self._takes_demo_keys) else _of(key)

    def has_seen(self, presented: str) -> bool:
        """Whether it was a valid key when it was last looked up."""
        return self._keys.has_seen(presented)

    def verified(self, presented: str) -> Principal | None:
        """Who presents it; None when `admit` has to say why not. Counts no request, and may wait for the database."""
        try:
            return self._principal(presented)
        except (Problem, OperationalError):
            return None

    def may_ask(self, principal: Principal) -> bool:
        """Count one request of the principal; False when it asks too often."""
        return self._rate is None or self._limiter.hit(self._rate, principal.actor)

    def still(self, presented: str) -> Principal:
        """Who presents it as of now, however lately it was verified, and without its counting. Raises Problem."""
        return self._principal(presented, within_s=0)

    def _is_key(self, presented: str) -> bool:
        return self._tokens is None or presented.startswith(_KEY_PREFIX)

    def _principal(self, presented: str, *, within_s: float = REVOKED_WITHIN_S) -> Principal:
        if self._tokens is not None and not self._is_key(presented):
            return self._tokens.principal(presented)
        key = self._keys.find(presented, within_s=within_s)
        if key is None:
            raise _refused("The API key is unknown, was revoked or has ended")
        if key.is_demo and not self._takes_demo_keys:
            raise _refused("Demo keys work on the loopback address only")
        return _of(key)


def presented_in(headers: Headers) -> str | None:
    """The credential that a request carries: a bearer, or else a key of its own header."""
    scheme, _, credential = headers.get("authorization", "").partition(" ")
    return credential if scheme.lower() == "bearer" else headers.get("x-api-key")


def _of(key: ApiKey) -> Principal:
    return Principal(key.tenant, key.role, key.actor)


def _refused(detail: str) -> Problem:
    return Problem("key-refused", detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
