"""What real producers also send: the same bytes again, and records that cannot be stored.

Both are seeded and counted, so that a replay's ledger can be held to known numbers.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import numpy as np

from lah_platform.replay.wire import Identity, ReplayMessage

__all__ = ["MALFORMED_KINDS", "with_duplicates", "with_malformed"]

_LATEST_REPEAT = 400  # messages later: a retry within seconds, in the same landing batch or a later one

# Every kind is wrong whatever the clock and the limits say.
MALFORMED_KINDS = (
    "truncated JSON",
    "missing timestamp",
    "other major version",
    "negative tokens",
    "no event id",
    "unknown subtype",
    "text instead of a number",
    "time without offset",
    "not an object",
    "not UTF-8",
    "unknown severity",
    "missing payload",
)


def with_duplicates(messages: Sequence[ReplayMessage], share: float, seed: int) -> tuple[list[ReplayMessage], int]:
    """`messages` with a `share` of them sent once more some messages later, and how many those are.

    The repeat has the same key and bytes; its own timestamp is that of the message it follows.
    """
    count = round(len(messages) * share)
    rng = np.random.default_rng([seed, 1])
    originals = np.sort(rng.choice(len(messages), count, replace=False)).tolist()
    delays = rng.integers(0, _LATEST_REPEAT, count).tolist()
    repeats: dict[int, list[int]] = {}
    for original, delay in zip(originals, delays, strict=True):
        repeats.setdefault(min(original + delay, len(messages) - 1), []).append(original)
    result: list[ReplayMessage] = []
    for index, message in enumerate(messages):
        result.append(message)
        for original in repeats.get(index, ()):
            result.append(messages[original]._replace(timestamp=message.timestamp))
    return result, count


def with_malformed(messages: list[ReplayMessage], count: int, seed: int, identity: Identity) -> list[ReplayMessage]:
    """`messages` with `count` malformed records of MALFORMED_KINDS in turn, spread over the run."""
    if not messages:
        return messages
    rng = np.random.default_rng([seed, 2])
    result = list(messages)
    places = np.sort(rng.integers(0, len(messages), count))[::-1].tolist()
    for number, place in enumerate(places):  # from the back, so that a place still means what it meant
        sent = messages[place].timestamp
        result.insert(place, ReplayMessage(b"acme/gateway", _malformed(number, sent, identity), sent))
    return result


def _malformed(number: int, timestamp: datetime, identity: Identity) -> bytes:
    kind = MALFORMED_KINDS[number % len(MALFORMED_KINDS)]
    data: dict[str, object] = {
        "telemetry_type": "token_usage",
        "model_id": "gpt-4",
        "request_id": f"malformed-{number}",
        "prompt_tokens": 12,
        "completion_tokens": 3,
        "total_tokens": 15,
    }
    event: dict[str, object] = {
        "event_id": identity.uuid("malformed", number, kind),
        "timestamp": timestamp,
        "source_module": "llm-observatory",
        "event_type": "telemetry",
        "severity": "info",
        "environment": "production",
        "schema_version": "1.0.0",
        "tags": {"tenant": "acme", "service": "gateway", "trace": "malformed", "synthetic": "true"},
        "payload": {"payload_type": "telemetry", "data": data},
    }
    match kind:
        case "missing timestamp":
            del event["timestamp"]
        case "other major version":
            event["schema_version"] = "2.0.0"
        case "negative tokens":
            data["prompt_tokens"] = -12
        case "no event id":
            event["event_id"] = "request-1"
        case "unknown subtype":
            data["telemetry_type"] = "vibes"
        case "text instead of a number":
            data["completion_tokens"] = "three"
        case "time without offset":
            event["timestamp"] = timestamp.replace(tzinfo=None).isoformat()
        case "unknown severity":
            event["severity"] = "catastrophic"
        case "missing payload":
            del event["payload"]
        case "not an object":
            return msgspec.json.encode([event])
    spelled = msgspec.json.encode(event)
    match kind:
        case "truncated JSON":
            return spelled[: len(spelled) // 2]
        case "not UTF-8":
            return spelled.replace(b"production", b"produc\xfftion")
    return spelled
