"""What landing writes. Landing is a process of its own: Dagster sees these tables, it does not make them."""

from datetime import timedelta

import dagster as dg

from assets.tables import table_spec

__all__ = ["LANDING"]

_FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=24), warn_window=timedelta(hours=1))
_KAFKA = dg.AssetSpec(
    "kafka_events",
    description="The topic that producers send to; offsets are kept in the database, in the landing transaction.",
    group_name="sources",
    owners=["team:data-platform"],
    kinds={"kafka"},
)

LANDING = [
    _KAFKA,
    table_spec(
        "events",
        "Every event once, with its hot measures as columns and its payload as sent.",
        group="landing",
        deps=["kafka_events"],
        freshness_policy=_FRESH,
    ),
    table_spec(
        "dead_letters",
        "Records that cannot be stored, with their bytes, the field and the reason; replayed after a fix.",
        group="landing",
        deps=["kafka_events"],
    ),
    table_spec(
        "ledger",
        "received = stored + duplicate + dead_lettered, per topic, partition, landing minute and tenant.",
        group="landing",
        deps=["events", "dead_letters"],
    ),
    table_spec(
        "rollup_partials",
        "Per-batch aggregates, written in the landing transaction and merged by the next tick.",
        group="landing",
        deps=["events"],
    ),
]
