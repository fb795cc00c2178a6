"""The custom payload: a producer's own type name and any JSON under `data`."""

from typing import Any

import msgspec

from lah_platform.events.payloads.quantities import NonEmptyName


class Custom(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    custom_type: NonEmptyName
    data: Any
