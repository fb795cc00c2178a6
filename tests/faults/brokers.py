"""The two brokers the harness lands from: the embedded one, and Apache Kafka that may be killed.

Belongs here: starting, killing, and what a broker cannot do. Not: topics and messages (workload), consumers (landers).
"""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Protocol

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.embedded.broker import EmbeddedBroker
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.process import Child

__all__ = ["Broker", "BrokerUnavailable", "Kafka", "Tansu", "kafka_missing", "start_broker"]

_POM = Path(__file__).with_name("pom.xml")
_RESOLVE_SECONDS = 240.0
_READY_SECONDS = 60.0
_JAVA_NEEDED = 17
# One node is broker and controller. The short broker session lets a killed broker register again at once; the low
# group session is what lets a frozen consumer become a zombie within seconds.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
group.min.session.timeout.ms=1000
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=2
log.cleaner.enable=false
"""
_JVM = ["-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]
_LOGGING = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dkafka.logs.dir=."]


class BrokerUnavailable(Exception):
    """This machine cannot run that broker; the text says why."""


class Broker(Protocol):
    """What the harness asks of a broker."""

    name: str
    can_be_killed: bool
    has_quick_groups: bool

    @property
    def bootstrap(self) -> str: ...

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def destroy(self) -> None: ...


class Tansu:
    """The embedded broker. Its log is in memory, so killing it would lose what it acknowledged."""

    name = "embedded (Tansu, memory only)"
    can_be_killed = False
    has_quick_groups = False

    def __init__(self, folder: Path) -> None:
        self._broker = EmbeddedBroker(folder, port=unused_port())

    @property
    def bootstrap(self) -> str:
        return self._broker.bootstrap

    def start(self) -> None:
        self._broker.start()

    def kill(self) -> None:
        self._broker.kill()

    def destroy(self) -> None:
        self._broker.stop()


class Kafka:
    """Apache Kafka in KRaft mode, one node, its log on disk: `kill()` is SIGKILL, `start()` goes on from the log."""

    can_be_killed = True
    has_quick_groups = True

    def __init__(self, folder: Path) -> None:
        self._java = _java()
        self._classpath = _classpath()
        version = re.search(r"kafka_2\.13-([0-9.]+)\.jar", self._classpath)
        self.name = f"Apache Kafka {version[1] if version else ''} (KRaft, acks=all)"
        self._port = unused_port()
        self._folder = folder
        self._child: Child | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._properties = folder / "server.properties"
        self._properties.write_text(
            _PROPERTIES.format(port=self._port, controller_port=unused_port(), data=folder / "data"), encoding="utf-8"
        )
        self._run_tool("format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", str(self._properties))

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        command = [*self._command(), "kafka.Kafka", str(self._properties)]
        self._child = Child("Kafka", command, log=self._folder / "kafka.log", cwd=self._folder)
        self._child.wait_ready(self._answers, seconds=_READY_SECONDS)

    def kill(self) -> None:
        if self._child:
            self._child.kill()

    def destroy(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _command(self) -> list[str]:
        return [self._java, *_JVM, *_LOGGING, "-cp", self._classpath]

    def _run_tool(self, *arguments: str) -> None:
        done = subprocess.run(
            [*self._command(), "kafka.tools.StorageTool", *arguments], capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise BrokerUnavailable(f"Kafka's StorageTool failed: {(done.stderr or done.stdout).strip()[-300:]}")

    def _answers(self) -> bool:
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0, "socket.timeout.ms": 2000})
        try:
            topics = client.list_topics(timeout=2).topics.values()
        except KafkaException:
            return False
        return all(partition.leader >= 0 for topic in topics for partition in topic.partitions.values())


def kafka_missing() -> str:
    """Why Apache Kafka cannot run here; empty when it can."""
    try:
        _java()
        _classpath()
    except BrokerUnavailable as error:
        return str(error)
    return ""


def start_broker(kind: str, folder: Path) -> Broker:
    """A running broker: 'kafka' or 'embedded'. Raises BrokerUnavailable when this machine cannot run it."""
    broker: Broker = Kafka(folder) if kind == "kafka" else Tansu(folder)
    try:
        broker.start()
    except Exception:
        broker.destroy()
        raise
    return broker


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise BrokerUnavailable("there is no java on this machine")
    said = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _JAVA_NEEDED:
        raise BrokerUnavailable(f"Kafka 4 needs Java {_JAVA_NEEDED}; this is {said.splitlines()[0] if said else '?'}")
    return java


def _classpath() -> str:
    """The jars that the pom names, resolved by Maven once and remembered beside pytest's cache."""
    remembered = (
        PROJECT_ROOT / ".pytest_cache" / f"kafka-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]}.classpath"
    )
    if remembered.exists():
        jars = remembered.read_text(encoding="utf-8").strip()
        if all(Path(jar).exists() for jar in jars.split(os.pathsep)):
            return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerUnavailable("there is no mvn on this machine, which brings Kafka's jars")
    remembered.parent.mkdir(exist_ok=True)
    command = [maven, "-q", "-B", "-f", str(_POM), "dependency:build-classpath", f"-Dmdep.outputFile={remembered}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_RESOLVE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise BrokerUnavailable(f"Maven did not bring Kafka's jars within {_RESOLVE_SECONDS:g} s") from error
    if done.returncode:
        remembered.unlink(missing_ok=True)
        said = (done.stdout + done.stderr).strip().splitlines()
        raise BrokerUnavailable(f"Maven does not resolve Kafka's jars: {said[0] if said else 'it says nothing'}")
    return remembered.read_text(encoding="utf-8").strip()
