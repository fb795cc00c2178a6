"""What makes a series: the dimensions by which aggregates are kept apart.

Belongs here: the key. Assigning ids and counting a tenant's series is landing's, in its transaction.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["NO_TAGS", "OTHER", "SeriesKey", "chosen_tags", "overflow_key"]

OTHER = "__other__"
NO_TAGS = "{}"
_MAX_TAG_BYTES = 256


class SeriesKey(NamedTuple):
    """The dimensions of a series; an absent one is the empty string. `tags` are those a deployment chose, as JSON."""

    tenant: str
    event_type: str
    subtype: str
    model: str
    environment: str
    service: str
    region: str
    team: str
    source_module: str
    provider: str
    tags: str = NO_TAGS


def overflow_key(tenant: str) -> SeriesKey:
    """The series that takes every new combination once `tenant` has as many series as it may."""
    return SeriesKey(tenant, *[OTHER] * 9)


def chosen_tags(tags: Mapping[str, str], names: Sequence[str]) -> str:
    """Those of `tags` that are called one of `names`, as a JSON object; a text of over 256 bytes is `__other__`."""
    chosen = {name: tags[name] for name in sorted(names) if name in tags}
    if not chosen:
        return NO_TAGS
    short = {name: text if len(text.encode()) <= _MAX_TAG_BYTES else OTHER for name, text in chosen.items()}
    return json.dumps(short, ensure_ascii=False)
