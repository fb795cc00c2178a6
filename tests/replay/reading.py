"""How the tests read messages: through the events room, as landing does."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from lah_platform.events.decode import decode
from lah_platform.events.envelope import Event
from lah_platform.events.rejection import Rejection
from lah_platform.replay.wire import ReplayMessage


def events_of(messages: Iterable[ReplayMessage], now: datetime) -> list[Event]:
    """What can be stored, in order, each as often as it was sent."""
    return [event for message in messages if isinstance(event := decode(message.value, now=now), Event)]


def rejections_of(messages: Iterable[ReplayMessage], now: datetime) -> list[Rejection]:
    return [answer for message in messages if isinstance(answer := decode(message.value, now=now), Rejection)]


def data_of(event: Event) -> dict[str, Any]:
    """The payload's fields; numbers as Python reads them."""
    fields: dict[str, Any] = msgspec.json.decode(event.payload_json)
    return fields
