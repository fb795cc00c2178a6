"""The scalar types payload fields are made of, with their ranges and their JSON Schema. No payloads here."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

MAX_BIGINT = 2**63 - 1

MAX_NAME_BYTES = 256
"""Longest series dimension in UTF-8 bytes: eight of them share one b-tree key, and PostgreSQL takes 2704 bytes."""

MAX_MAGNITUDE = 1e140
"""Largest float of a payload: rollups keep squares of measures, and those have to stay doubles too."""

MONEY_TEXT_PATTERN = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$"

Count = Annotated[int, Meta(ge=0, le=MAX_BIGINT)]
"""A number of things: 0 .. 2^63-1, so that it fits `bigint`."""

NonNegative = Annotated[float, Meta(ge=0, le=MAX_MAGNITUDE)]
"""A finite quantity that cannot be negative: milliseconds, per-second rates, amounts of a resource."""

Percent = Annotated[float, Meta(ge=0, le=MAX_MAGNITUDE)]
"""0 and up; utilization and spend may pass 100."""

CvssScore = Annotated[float, Meta(ge=0, le=10)]

Number = Annotated[float, Meta(ge=-MAX_MAGNITUDE, le=MAX_MAGNITUDE)]
"""Any finite number."""

Money = Annotated[
    Decimal,
    Meta(
        description="A JSON number, or the same number as text. Magnitude below 10^16; stored to 12 decimals.",
        extra_json_schema={"pattern": MONEY_TEXT_PATTERN},
    ),
]
"""Exact decimal money. Its magnitude is checked in `decode`, because msgspec takes no range for Decimal."""

Name = Annotated[str, Meta(max_length=MAX_NAME_BYTES)]
"""A value that becomes a series dimension."""

PersonId = Annotated[str, Meta(extra_json_schema={"x-personal": "identifier"})]
"""Names one person. What `x-personal` means for storage is in `lah_platform/privacy/fields.py`."""

Address = Annotated[str, Meta(extra_json_schema={"x-personal": "address"})]
"""Leads to one person's device or connection."""

FreeText = Annotated[str, Meta(extra_json_schema={"x-personal": "text"})]
"""Written freely, so that it may name anybody."""

NonEmptyName = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_BYTES)]
