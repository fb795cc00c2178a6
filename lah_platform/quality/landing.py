"""What the ledger promises: nothing received is lost, nothing is counted twice, and every sum agrees."""

from lah_platform.quality.rules import Asset, Rule, at_least, names
from lah_platform.rollups.windows import window

__all__ = ["LEDGER"]

_RULES = (
    Rule(
        "ledger",
        "rows_balance",
        "error",
        True,
        "received must be stored + duplicate + dead_lettered: stop landing and report these minutes",
        broken="""
            received <> stored + duplicate + dead_lettered
        """,
        shows=names("received stored duplicate dead_lettered"),
    ),
    Rule(
        "ledger",
        "counts_are_not_negative",
        "error",
        True,
        "A dead letter was moved more often than it was booked: report these minutes",
        at_least(0, "received", "stored", "duplicate", "dead_lettered"),
    ),
    Rule(
        "ledger",
        "stored_equals_events",
        "error",
        True,
        "Rows were added to or removed from events past landing (retention and erasure of this period too): "
        "compare the offsets of the topic's events with landing_batches",
        # Rows that have left PostgreSQL are counted by archive_arrivals. A replayed dead letter is booked at the minute
        # of its first receipt, though its event arrived later. Offsets begin anew with a topic made anew, so the moment
        # of the replay says which event it was.
        sql="""
            with booked as (
                select topic, partition, sum(stored)::bigint as stored from batch group by topic, partition
            ), arrived as (
                select e.topic, e.partition, count(*) as events from events e
                where e.received_at >= {period_from} and e.received_at < {period_to}
                  and not exists (
                      select from dead_letters d
                      where d.topic = e.topic and d.partition = e.partition and d.record_offset = e.record_offset
                        and d.replayed_as = 'stored' and d.replayed_at = e.received_at)
                group by e.topic, e.partition
            ), replayed as (
                select topic, partition, count(*) as events from dead_letters
                where dead_lettered_at >= {period_from} and dead_lettered_at < {period_to} and replayed_as = 'stored'
                group by topic, partition
            ), archived as (
                select topic, partition, sum(a.row_count) as events
                from archive_arrivals a join archive_files f using (day, number)
                where a.minute >= {period_from} and a.minute < {period_to} and f.dropped_at is not null
                group by topic, partition
            ), found as (
                select topic, partition, sum(events)::bigint as events
                from (select * from arrived union all select * from replayed union all select * from archived) parts
                group by topic, partition
            )
            select topic, partition, coalesce(b.stored, 0) as ledger_stored, coalesce(f.events, 0) as events
            from booked b full join found f using (topic, partition)
            where coalesce(b.stored, 0) <> coalesce(f.events, 0)
        """,
        is_of_tenants=False,
        is_by_arrival=True,
    ),
    Rule(
        "ledger",
        "dead_lettered_equals_dead_letters",
        "error",
        True,
        "A refused record is not kept, or is kept and not booked: compare dead_letters with the ledger's minutes",
        sql="""
            with booked as (
                select topic, partition, sum(dead_lettered)::bigint as dead_lettered
                from batch group by topic, partition
            ), kept as (
                select topic, partition, count(*) as dead_letters from dead_letters
                where dead_lettered_at >= {period_from} and dead_lettered_at < {period_to} and replayed_at is null
                group by topic, partition
            )
            select topic, partition, coalesce(b.dead_lettered, 0) as ledger_dead_lettered,
                   coalesce(k.dead_letters, 0) as dead_letters
            from booked b full join kept k using (topic, partition)
            where coalesce(b.dead_lettered, 0) <> coalesce(k.dead_letters, 0)
        """,
        is_of_tenants=False,
    ),
    Rule(
        "ledger",
        "received_equals_batches",
        "error",
        True,
        "The offset ranges and the ledger disagree on how much came: compare landing_batches with these partitions",
        sql="""
            with booked as (
                select topic, partition, sum(received)::bigint as received from batch group by topic, partition
            ), landed as (
                select topic, partition, sum(received)::bigint as received from landing_batches
                where landed_at >= {period_from} and landed_at < {period_to} group by topic, partition
            )
            select topic, partition, coalesce(b.received, 0) as ledger_received,
                   coalesce(l.received, 0) as batches_received
            from booked b full join landed l using (topic, partition)
            where coalesce(b.received, 0) <> coalesce(l.received, 0)
        """,
        is_of_tenants=False,
    ),
    Rule(
        "ledger",
        "offset_ranges_are_contiguous",
        "error",
        True,
        "Offsets were skipped or read twice: read the missing range from the broker again before it expires",
        sql="""
            select l.topic, l.topic_id, l.partition, earlier.to_offset as expected_offset, l.from_offset
            from landing_batches l
            join lateral (
                select p.to_offset from landing_batches p
                where p.topic = l.topic and p.topic_id = l.topic_id and p.partition = l.partition
                  and p.from_offset < l.from_offset
                order by p.from_offset desc limit 1
            ) earlier on earlier.to_offset <> l.from_offset
            where l.landed_at >= {period_from} and l.landed_at < {period_to}
        """,
        is_of_tenants=False,
    ),
    Rule(
        "ledger",
        "stored_offsets_are_where_batches_end",
        "error",
        True,
        "The next offset is not where the last batch ended: restart landing only after comparing both with the broker",
        sql="""
            select o.topic, o.topic_id, o.partition, o.next_offset, last.to_offset as last_batch_ends
            from landing_offsets o
            join lateral (
                select p.to_offset, p.landed_at from landing_batches p
                where p.topic = o.topic and p.topic_id = o.topic_id and p.partition = o.partition
                order by p.from_offset desc limit 1
            ) last on last.to_offset <> o.next_offset
            where last.landed_at >= {period_from} and last.landed_at < {period_to}
        """,
        is_of_tenants=False,
    ),
    Rule(
        "ledger",
        "repeats_are_few",
        "warn",
        False,
        "More than a tenth of what this tenant sent to the topic had been landed before: its producer's retries do not "
        "wait for answers, or a job sends everything again; nothing is counted twice, but landing does the work",
        sql="""
            select topic, tenant, sum(received)::bigint as received, sum(duplicate)::bigint as duplicate,
                   round(sum(duplicate) / sum(received), 4) as share
            from batch group by topic, tenant
            having sum(duplicate) >= 100 and sum(duplicate) * 10 > sum(received)
        """,
    ),
)

LEDGER = Asset(
    "ledger",
    "minute",
    ("topic", "partition", "minute", "tenant", "received", "stored", "duplicate", "dead_lettered"),
    _RULES,
    keys=names("topic partition minute tenant"),
    grain=window("1m"),
)
