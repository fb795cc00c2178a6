"""Who was refused too often: counted by client address, before the database is asked about a credential.

Belongs here: the counting. Which credentials are spared is the gate's.
"""

import ipaddress
import time
from typing import Final

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from api.problems import Problem

__all__ = ["Refusals"]

_ONE_CUSTOMER_V6: Final = 64


class Refusals:
    """Refused credentials of each address within `rate`, such as 30/minute, in this process; 'none': any number.

    Of IPv6 the network of 64 bits counts as one address, for a customer has all of it.
    """

    def __init__(self, rate: str) -> None:
        self._rate = None if rate == "none" else parse(rate)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def check(self, address: str) -> None:
        """Raises Problem when too many of the address were refused lately."""
        if self._rate is None or self._limiter.test(self._rate, _counted_as(address)):
            return
        wait_s = self._limiter.get_window_stats(self._rate, _counted_as(address)).reset_time - time.time()
        raise Problem(
            "too-many-requests",
            "Too many credentials from your address were refused, so none that is new here is looked at for a while",
            advice="Check the key, and send it again after `Retry-After` seconds",
            headers={"Retry-After": str(max(1, round(wait_s)))},
        )

    def count(self, address: str) -> None:
        """One was refused."""
        if self._rate is not None:
            self._limiter.hit(self._rate, _counted_as(address))


def _counted_as(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return f"{found.ipv4_mapped}"
        return f"{ipaddress.ip_network((found, _ONE_CUSTOMER_V6), strict=False)}"
    return f"{found}"
