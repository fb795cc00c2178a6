"""Whether the broker answers, asked in a time that a readiness probe can wait."""

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

__all__ = ["BrokerHealth"]

_PATIENCE_S = 2.0


class BrokerHealth:
    """Asks one broker, over a connection that is kept."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        # The client would log each refused connection; the answer already says it
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "socket.timeout.ms": 2000})
        self._topic = topic

    def fault(self) -> str | None:
        """What is wrong, or None."""
        try:
            topics = self._admin.list_topics(timeout=_PATIENCE_S).topics
        except KafkaException:
            return "the broker does not answer"
        return None if self._topic in topics else f"the broker has no topic {self._topic}"
