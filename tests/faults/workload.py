"""Producers: traffic that flows through every fault, and bursts of what a hub must sort out.

Each message is labelled when it is made, from how it was made; the oracle never asks the code under test what it is.
Belongs here: messages and producing. Not: what must have become of them (oracle).
"""

import json
import random
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, Message, Producer

__all__ = ["BAD_KINDS", "Identity", "Label", "Workload"]

_TENANTS = ("acme", "globex", "initech")
_MODELS = ("gpt-4", "claude-3", "llama-3")
_MEGABYTE = 1 << 20
_TICK_SECONDS = 0.05
_PRODUCERS = 2
_PRODUCER = {
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 5,
    "message.max.bytes": 4 * _MEGABYTE,
    "message.timeout.ms": 0,  # a killed broker comes back: nothing is given up
    "reconnect.backoff.max.ms": 500,
    "socket.timeout.ms": 10_000,
    "log_level": 0,
}


class Identity(NamedTuple):
    """What makes a repeat a repeat."""

    tenant: str
    event_id: uuid.UUID
    timestamp: datetime


class Label(NamedTuple):
    """What a message is: an event with its identity, or a record that must be refused for `code`."""

    identity: Identity | None
    code: str


Sent = tuple[bytes | None, Label]


class Workload:
    """Produces about `rate` messages a second into random partitions until `stop`. All randomness from `seed`."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, *, seed: int, rate: int, base: datetime) -> None:
        self._topic = topic
        self._partitions = partitions
        self._chance = random.Random(seed)
        self._rate = rate
        self._base = base
        self._producers = [Producer({"bootstrap.servers": bootstrap} | _PRODUCER) for _ in range(_PRODUCERS)]
        self._turn = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="workload", daemon=True)
        self._events: list[Sent] = []
        self._envelopes: list[dict[str, Any]] = []
        self.labels: dict[bytes | None, Label] = {None: Label(None, "tombstone")}
        self.acknowledged: dict[tuple[int, int], bytes | None] = {}
        self.failed: list[str] = []
        self.produced = 0
        self.kinds: dict[str, int] = {}

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> int:
        """End the traffic and wait for every acknowledgement; returns how many are missing."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        return sum(int(producer.flush(seconds)) for producer in self._producers)

    def burst(self, make: str, count: int) -> None:
        """`count` messages of one making at once: 'duplicate', 'conflict', 'late', 'reordered' or a bad kind."""
        with self._turn:
            if make == "reordered":
                self._reordered(count)
                return
            for _ in range(count):
                self._send(make)

    def _run(self) -> None:
        owed = 0.0
        while not self._stopping.wait(_TICK_SECONDS):
            owed += self._rate * _TICK_SECONDS
            with self._turn:
                while owed >= 1:
                    owed -= 1
                    draw = self._chance.random()
                    make = "duplicate" if draw < 0.03 else "conflict" if draw < 0.04 else "event"
                    self._send(self._chance.choice(BAD_OFTEN) if draw > 0.985 else make)
            for producer in self._producers:
                producer.poll(0)

    def _send(self, make: str) -> None:
        if make in ("duplicate", "conflict") and not self._events:
            make = "event"
        value, label = self._make(make)
        self._produce(value, label, make)

    def _make(self, make: str) -> Sent:
        if make == "duplicate":
            return self._chance.choice(self._events)
        if make == "conflict":
            envelope = dict(self._chance.choice(self._envelopes))
            stamp = datetime.fromisoformat(envelope["timestamp"]) - timedelta(seconds=self._chance.randint(1, 1800))
            return self._event(envelope | {"timestamp": stamp.isoformat()})
        envelope = self._envelope()
        if make == "event":
            return self._event(envelope)
        if make == "late":
            stamp = self._base - timedelta(hours=self._chance.uniform(20, 120))
            return self._event(envelope | {"timestamp": stamp.isoformat()})
        return _BAD[make](envelope, self._chance, self._base)

    def _event(self, envelope: dict[str, Any]) -> Sent:
        identity = Identity(
            envelope["tags"]["tenant"],
            uuid.UUID(envelope["event_id"]),
            datetime.fromisoformat(envelope["timestamp"]),
        )
        sent = (json.dumps(envelope).encode(), Label(identity, ""))
        self._envelopes.append(envelope)
        self._events.append(sent)
        return sent

    def _reordered(self, count: int) -> None:
        """Events of the last half hour, newest first."""
        stamps = sorted(self._chance.uniform(0, 1800) for _ in range(count))
        for seconds in stamps:
            stamp = self._base - timedelta(seconds=seconds)
            value, label = self._event(self._envelope() | {"timestamp": stamp.isoformat()})
            self._produce(value, label, "reordered")

    def _produce(self, value: bytes | None, label: Label, make: str) -> None:
        self.labels[value] = label
        self.kinds[make] = self.kinds.get(make, 0) + 1
        self.produced += 1

        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self.failed.append(error.str())
            else:
                self.acknowledged[message.partition() or 0, message.offset() or 0] = value

        producer = self._chance.choice(self._producers)
        while True:
            try:
                producer.produce(
                    self._topic,
                    value,
                    key=b"k",
                    headers={"make": make.encode()},
                    partition=self._chance.randrange(self._partitions),
                    on_delivery=report,
                )
                return
            except BufferError:
                producer.poll(0.1)

    def _envelope(self) -> dict[str, Any]:
        chance = self._chance
        stamp = self._base - timedelta(seconds=chance.uniform(0, 600))
        event_type, payload = chance.choice(_PAYLOADS)(chance)
        return {
            "event_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            "timestamp": stamp.isoformat(),
            "source_module": "llm-observatory",
            "event_type": event_type,
            "severity": "info",
            "environment": "production",
            "tags": {"tenant": chance.choice(_TENANTS), "service": "chat"},
            "payload": {"payload_type": event_type, "data": payload},
        }


def _latency(chance: random.Random) -> tuple[str, dict[str, Any]]:
    data = {"telemetry_type": "latency", "model_id": chance.choice(_MODELS), "request_id": f"r{chance.getrandbits(40)}"}
    return "telemetry", data | {"total_latency_ms": chance.lognormvariate(5, 1)}


def _token_usage(chance: random.Random) -> tuple[str, dict[str, Any]]:
    prompt, completion = chance.randint(1, 4000), chance.randint(1, 1000)
    data = {
        "telemetry_type": "token_usage",
        "model_id": chance.choice(_MODELS),
        "request_id": f"r{chance.getrandbits(40)}",
    }
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return "telemetry", data | counts


def _api_cost(chance: random.Random) -> tuple[str, dict[str, Any]]:
    data = {"cost_type": "api_cost", "provider": "p", "api_endpoint": "/", "request_count": 1, "cost_per_request": 0}
    return "cost", data | {"total_cost_usd": chance.randint(1, 10**6) / 10**6, "billing_period": "2026-03"}


_PAYLOADS: Sequence[Callable[[random.Random], tuple[str, dict[str, Any]]]] = (
    _latency,
    _latency,
    _token_usage,
    _api_cost,
)


def _malformed(envelope: dict[str, Any], _chance: random.Random, _base: datetime) -> Sent:
    return json.dumps(envelope).replace('"severity": "info"', '"severity": info').encode(), Label(
        None, "malformed_json"
    )


def _truncated(envelope: dict[str, Any], chance: random.Random, _base: datetime) -> Sent:
    whole = json.dumps(envelope).encode()
    return whole[: chance.randrange(1, len(whole))], Label(None, "malformed_json")


def _oversized(envelope: dict[str, Any], chance: random.Random, _base: datetime) -> Sent:
    padding = "x" * (_MEGABYTE + chance.randrange(_MEGABYTE // 8))
    return json.dumps(envelope | {"padding": padding}).encode(), Label(None, "too_large")


def _not_utf8(envelope: dict[str, Any], _chance: random.Random, _base: datetime) -> Sent:
    return json.dumps(envelope).encode().replace(b'"chat"', b'"ch\xff\xfet"'), Label(None, "not_utf8")


def _wrong_version(envelope: dict[str, Any], chance: random.Random, _base: datetime) -> Sent:
    versioned = envelope | {"schema_version": f"{chance.randint(2, 9)}.0.0"}
    return json.dumps(versioned).encode(), Label(None, "unsupported_schema_version")


def _deeply_nested(envelope: dict[str, Any], chance: random.Random, _base: datetime) -> Sent:
    levels = chance.randint(100, 5000)
    whole = json.dumps(envelope | {"extra": "@"}).replace('"@"', "[" * levels + "]" * levels)
    return whole.encode(), Label(None, "too_deep")


def _future(envelope: dict[str, Any], chance: random.Random, base: datetime) -> Sent:
    stamp = base + timedelta(days=chance.uniform(1, 400))
    return json.dumps(envelope | {"timestamp": stamp.isoformat()}).encode(), Label(None, "future_timestamp")


def _tombstone(_envelope: dict[str, Any], _chance: random.Random, _base: datetime) -> Sent:
    return None, Label(None, "tombstone")


_BAD: dict[str, Callable[[dict[str, Any], random.Random, datetime], Sent]] = {
    "malformed": _malformed,
    "truncated": _truncated,
    "oversized": _oversized,
    "not_utf8": _not_utf8,
    "wrong_version": _wrong_version,
    "deeply_nested": _deeply_nested,
    "future": _future,
    "tombstone": _tombstone,
}
BAD_KINDS: tuple[str, ...] = tuple(_BAD)
BAD_OFTEN = tuple(kind for kind in BAD_KINDS if kind != "oversized")  # a megabyte each: only in bursts
