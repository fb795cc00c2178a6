"""How large, how deep, how early and how late a record may be."""

from datetime import timedelta

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """`max_future_skew` is how far ahead of the clock a timestamp may be, `max_age` how far behind."""

    max_bytes: int = 1024 * 1024
    # jsonb took 10,000 levels on PostgreSQL 15 and msgspec about 1,000; no producer is known to need ten.
    max_depth: int = 64
    max_future_skew: timedelta = timedelta(minutes=5)
    max_age: timedelta = timedelta(days=400)


DEFAULT_LIMITS = Limits()
