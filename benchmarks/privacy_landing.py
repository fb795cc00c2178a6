"""Landing with field encryption beside landing without it: the same process, topic and server, in turn.

standard: the events of `benchmarks.landing`. A third of them carry a session tag, which becomes an HMAC.
persons: the same, and every event names one of 10,000 users (a few send most), whose id becomes a subject_id.
prompts: a tenth of the requests also send 400 bytes of prompt and completion, encrypted under the user's key.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from benchmarks.landing_process import measure
from benchmarks.landing_services import Services, running
from benchmarks.landing_workload import EVENTS_PER_REQUEST, messages
from benchmarks.report import machine, progress

__all__ = ["Kept", "WORKLOADS", "landing_rates_kept"]

WORKLOADS = ("standard", "persons", "prompts")
_SEED = 20231116
_USERS = 10_000
_PROMPT_EVERY = 10
_TEXT = "My neighbour asked what the clinic on the corner charges for a first visit, and whether they speak Dutch. "
_PROMPT = (
    b'{"event_id":"%s","timestamp":"%s","source_module":"llm-observatory","event_type":"telemetry","severity":"info",'
    b'"environment":"prod","tags":{"tenant":"%s","service":"chat","user_id":"%s"},"payload":{"payload_type":"custom",'
    b'"data":{"custom_type":"chat","data":{"gen_ai.operation.name":"chat","gen_ai.prompt.0.content":"%s",'
    b'"gen_ai.completion.0.content":"%s","gen_ai.usage.input_tokens":88}}}}'
)


class Kept(NamedTuple):
    """Events a second of every turn, and the ratio of the medians; µs of CPU an event, of landing and its backends."""

    on: list[float]
    off: list[float]
    cpu_us: dict[str, list[float]]

    @property
    def ratio(self) -> float:
        return statistics.median(self.on) / statistics.median(self.off)


def workload(name: str, count: int, start: datetime) -> list[tuple[bytes, bytes]]:
    """`count` events; `name` is one of WORKLOADS."""
    plain = messages(count, seed=_SEED, start=start)
    if name == "standard":
        return plain
    rng = np.random.default_rng(_SEED)
    users = np.minimum(rng.zipf(1.3, len(plain) // EVENTS_PER_REQUEST + 1), _USERS).tolist()
    named = [
        (key, value.replace(b'"tags":{', b'"tags":{"user_id":"user-%05d",' % users[number // EVENTS_PER_REQUEST], 1))
        for number, (key, value) in enumerate(plain)
    ]
    if name == "persons":
        return named
    return _with_prompts(named, users)[:count]


def _with_prompts(named: Sequence[tuple[bytes, bytes]], users: Sequence[int]) -> list[tuple[bytes, bytes]]:
    made = []
    for number, (key, value) in enumerate(named):
        made.append((key, value))
        if number % (EVENTS_PER_REQUEST * _PROMPT_EVERY) == 0:
            said = json.loads(value)
            event_id = "f" + said["event_id"][1:]
            text = (_TEXT * 2)[:200].encode()
            user = b"user-%05d" % users[number // EVENTS_PER_REQUEST]
            tenant = said["tags"]["tenant"].encode()
            made.append((key, _PROMPT % (event_id.encode(), said["timestamp"].encode(), tenant, user, text, text)))
    return made


def landing_rates_kept(
    services: Services, events: int, turns: int, *, names: Sequence[str] = WORKLOADS, ends_at: float = float("inf")
) -> dict[str, Kept]:
    """Rates with LAH_FIELD_ENCRYPTION on and off in turn, by workload; no turn begins after `ends_at` (monotonic)."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
    found = {}
    for name in names:
        topic = services.topic(f"privacy-{name}")
        made = workload(name, events, noon)
        services.fill(topic, made)
        kept = Kept([], [], {"on": [], "off": []})
        for turn in range(turns + 1):
            for state, rates in (
                (("on", kept.on), ("off", kept.off)) if turn % 2 else (("off", kept.off), ("on", kept.on))
            ):
                with services.connect() as connection:
                    services.empty(connection)
                    if turn and time.monotonic() > ends_at and kept.on and kept.off:
                        break
                    landed = measure(services, topic, len(made), settings={"field_encryption": state})
                    rate = landed.rate
                    if turn:  # the first turn makes series and fills caches
                        rates.append(rate)
                        spent = landed.cpu_seconds + (landed.backend_cpu_seconds or 0.0)
                        kept.cpu_us[state].append(spent / landed.events * 1e6)
                        progress(f"{name}, encryption {state}: {rate:,.0f} events/s")
        found[name] = kept
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="150,000 events, one turn: a minute")
    parser.add_argument("--workload", choices=WORKLOADS, action="append")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    events, turns = (150_000, 1) if chosen.quick else (chosen.events, chosen.turns)
    with running(None, None) as services:
        found = landing_rates_kept(services, events, turns, names=chosen.workload or WORKLOADS)
    print(f"privacy_landing on {machine()}; events a second, median (min to max) of the turns")
    for name, kept in found.items():
        for state, rates in (("on", kept.on), ("off", kept.off)):
            print(f"  {name:<9} {state:<4} {statistics.median(rates):>9,.0f}  ({min(rates):,.0f} to {max(rates):,.0f})")
        cpu = {state: statistics.median(spent) for state, spent in kept.cpu_us.items()}
        print(f"  {name:<9} kept {kept.ratio:>9.2f}; CPU {cpu['on']:.1f} µs an event instead of {cpu['off']:.1f}")
    if chosen.json:
        scores = {f"landing_rate_kept_{name}": kept.ratio for name, kept in found.items()}
        scores["landing_rate_kept"] = min(found[name].ratio for name in ("standard", "persons") if name in found)
        ours = statistics.median(found[next(iter(found))].on)
        off = {f"{name}_off": statistics.median(kept.off) for name, kept in found.items()}
        ratios = {f"{name}_off": kept.ratio for name, kept in found.items()}
        print(
            json.dumps({"name": "privacy_landing", "ours": ours, "references": off, "ratios": ratios, "scores": scores})
        )


if __name__ == "__main__":
    main()
