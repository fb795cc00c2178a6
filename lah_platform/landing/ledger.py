"""The ledger: what was received, and what became of each record, so that the sum balances to zero."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from lah_platform.landing.batch import Batch
from lah_platform.landing.records import Outcome

__all__ = ["LedgerEntry", "ledger_entries"]


class LedgerEntry(NamedTuple):
    """Counts of one topic, partition, landing minute (UTC) and tenant."""

    topic: str
    partition: int
    minute: datetime
    tenant: str
    received: int
    stored: int
    duplicate: int
    dead_lettered: int


def ledger_entries(batch: Batch, outcomes: Sequence[Outcome]) -> list[LedgerEntry]:
    """The batch's entries in a fixed order, so that two processes never lock rows crosswise."""
    minute = batch.received_at.replace(second=0, microsecond=0)
    tenants = np.empty(len(batch.records), object)
    tenants[batch.events.positions] = batch.events.tenants()
    for position, rejection in batch.rejections.items():
        tenants[position] = rejection.tenant
    partitions = batch.records.partitions
    counts = Counter[tuple[str, int, str, Outcome]]()
    seen = Counter(zip(batch.records.partition_of, tenants.tolist(), outcomes, strict=True))
    for (of, tenant, outcome), count in seen.items():
        counts[partitions[of].topic, partitions[of].number, tenant, outcome] += count
    return [
        LedgerEntry(
            topic,
            partition,
            minute,
            tenant,
            sum(counts[topic, partition, tenant, outcome] for outcome in ("stored", "duplicate", "dead_lettered")),
            counts[topic, partition, tenant, "stored"],
            counts[topic, partition, tenant, "duplicate"],
            counts[topic, partition, tenant, "dead_lettered"],
        )
        for topic, partition, tenant in sorted({key[:3] for key in counts})
    ]
