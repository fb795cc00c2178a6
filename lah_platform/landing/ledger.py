"""The ledger: what was received, and what became of each record, so that the sum balances to zero."""

from datetime import datetime
from typing import NamedTuple

import numpy as np

from lah_platform.landing.batch import Batch
from lah_platform.landing.records import OUTCOMES, Landed

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


def ledger_entries(batch: Batch, landed: Landed) -> list[LedgerEntry]:
    """The batch's entries in a fixed order, so that two processes never lock rows crosswise."""
    minute = batch.received_at.replace(second=0, microsecond=0)
    tenants = sorted(
        {shape.tenant for shape in batch.events.distinct_shapes().values()}
        | {rejection.tenant for rejection in batch.rejections.values()}
    )
    number = {tenant: at for at, tenant in enumerate(tenants)}
    tenant_of = np.zeros(len(batch.records), np.int64)
    tenant_of[batch.events.positions] = batch.events.by_shape(lambda shape: number[shape.tenant], np.int64)
    for position, rejection in batch.rejections.items():
        tenant_of[position] = number[rejection.tenant]
    codes = (batch.records.partition_of * len(tenants) + tenant_of) * len(OUTCOMES) + landed.outcome_of
    counts = np.bincount(codes, minlength=len(batch.records.partitions) * len(tenants) * len(OUTCOMES))
    entries = []
    for place, (stored, duplicate, dead) in enumerate(counts.reshape(-1, len(OUTCOMES)).tolist()):
        if received := stored + duplicate + dead:
            partition, tenant = batch.records.partitions[place // len(tenants)], tenants[place % len(tenants)]
            entries.append(
                LedgerEntry(partition.topic, partition.number, minute, tenant, received, stored, duplicate, dead)
            )
    return sorted(entries)
