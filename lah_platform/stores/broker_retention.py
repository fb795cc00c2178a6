"""Until when a topic keeps what it holds now."""

from datetime import datetime, timedelta

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
)

from lah_platform.privacy.erasure import Expiry

__all__ = ["topic_expiry"]

_TIMEOUT_S = 10.0


def topic_expiry(bootstrap: str | None, topic: str, now: datetime) -> Expiry:
    """When the records that a topic holds at `now` (UTC) are gone, by its `retention.ms`; `bootstrap` None: no broker.

    Records that are not landed yet then land without a link, whenever they do.
    """
    if bootstrap is None:
        return Expiry(None, "no broker runs: no event waits in a topic")
    try:
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        asked = ConfigResource(ConfigResource.Type.TOPIC, topic)
        (answer,) = admin.describe_configs([asked], request_timeout=_TIMEOUT_S).values()
        settings = answer.result(_TIMEOUT_S)
    except (KafkaException, TimeoutError) as error:
        return Expiry(None, f"unknown: the broker did not say how long topic {topic} keeps records ({error})")
    if "retention.ms" not in settings:
        return Expiry(None, f"unknown: the broker does not say how long topic {topic} keeps records; ask its operator")
    milliseconds = int(settings["retention.ms"].value)
    if milliseconds < 0:
        return Expiry(None, f"never: topic {topic} keeps records without end (retention.ms = -1); set an end")
    days = timedelta(milliseconds=milliseconds)
    return Expiry(now + days, f"topic {topic} keeps records for {days} (retention.ms)")
