"""What makes a series: the dimensions by which aggregates are kept apart.

Belongs here: the key. Assigning ids and counting a tenant's series is landing's, in its transaction.
"""

from typing import NamedTuple

__all__ = ["OTHER", "SeriesKey", "overflow_key"]

OTHER = "__other__"


class SeriesKey(NamedTuple):
    """The dimensions of a series, in the order of table `series`; an absent one is the empty string."""

    tenant: str
    event_type: str
    subtype: str
    model: str
    environment: str
    service: str
    region: str
    team: str


def overflow_key(tenant: str) -> SeriesKey:
    """The series that takes every new combination once `tenant` has as many series as it may."""
    return SeriesKey(tenant, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER)
