"""What the stored events promise."""

from lah_platform.quality.rules import Asset, Rule, at_least, names, not_below, one_of, present
from lah_platform.quality.shapes import DRIFT

__all__ = ["EVENTS"]

_REQUIRED = names(
    "ts tenant event_id series_id received_at source_module event_type payload_type subtype severity environment"
    " schema_version tags payload topic partition record_offset"
)
_TOKENS = names(
    "input_tokens output_tokens total_tokens input_fresh_tokens input_cache_read_tokens input_cache_write_tokens"
    " output_visible_tokens output_reasoning_tokens"
)
_COUNTS = ("total_requests", "failed_requests")
_RATES = ("latency_ms", "ttft_ms", "tokens_per_second", "requests_per_second")

_RULES = (
    Rule(
        "events",
        "required_columns_are_present",
        "error",
        True,
        "The schema forbids nulls here: compare the schema with `lah migrate status`, then find who changed it",
        present(*_REQUIRED),
    ),
    Rule(
        "events",
        "vocabularies_are_known",
        "error",
        True,
        "Decoding lets only catalog values through: look for rows written past landing and erase them",
        one_of("severity", "debug", "info", "warning", "error", "critical")
        + one_of("event_type", "telemetry", "security", "cost", "governance", "lifecycle", "audit", "alert")
        + one_of("payload_type", "telemetry", "security", "cost", "governance", "custom"),
    ),
    Rule(
        "events",
        "token_counts_are_not_negative",
        "error",
        True,
        "Decoding refuses negative counts: look for rows written past landing; recompute the day after repair",
        at_least(0, *_TOKENS),
    ),
    Rule(
        "events",
        "request_counts_and_rates_are_not_negative",
        "error",
        True,
        "Decoding refuses negative measures: look for rows written past landing; recompute the day after repair",
        at_least(0, *_COUNTS, *_RATES),
    ),
    Rule(
        "events",
        "costs_are_not_negative",
        "error",
        False,
        "Ask the producer whether these are credits; they lower cost_daily as they stand",
        at_least(0, "cost_usd"),
    ),
    Rule(
        "events",
        "failed_requests_are_among_all_requests",
        "error",
        False,
        "Error rates above 100 % come from the producer's counters: tell its owner; nothing is corrected here",
        not_below("total_requests", "failed_requests"),
    ),
    Rule(
        "events",
        "token_buckets_add_up",
        "error",
        True,
        "The disjoint token buckets are the hub's own arithmetic: report the event, and recompute after the fix",
        broken="""
            token_derivation = 'inclusive' and (
                    input_fresh_tokens + coalesce(input_cache_read_tokens, 0) + coalesce(input_cache_write_tokens, 0)
                        is distinct from input_tokens
                    or output_visible_tokens + coalesce(output_reasoning_tokens, 0) is distinct from output_tokens)
               or token_derivation = 'exclusive' and (
                    input_fresh_tokens is distinct from input_tokens
                    or output_visible_tokens is distinct from output_tokens)
        """,
        shows=names("token_derivation"),
    ),
    Rule(
        "events",
        "totals_are_input_plus_output",
        "error",
        False,
        "Totals are stored as the producer sent them: tell its owner that its three counts disagree",
        broken="""
            total_tokens <> input_tokens + output_tokens
              and (token_derivation is distinct from 'exclusive'
                   or total_tokens <> input_tokens + output_tokens + coalesce(input_cache_read_tokens, 0)
                       + coalesce(input_cache_write_tokens, 0) + coalesce(output_reasoning_tokens, 0))
        """,
        shows=names("input_tokens output_tokens total_tokens"),
    ),
    Rule(
        "events",
        "token_derivations_are_known",
        "warn",
        False,
        "The producer sends cache or reasoning tokens without saying whether its totals include them, or more of them "
        "than the total: have it send token_derivation; until then these tokens are priced as unknown",
        broken="""
            token_derivation = 'unknown' and (input_cache_read_tokens is not null
                or input_cache_write_tokens is not null or output_reasoning_tokens is not null)
        """,
    ),
    Rule(
        "events",
        "times_are_not_in_the_future",
        "error",
        False,
        "An event dated after its arrival by more than five minutes: check the producer's clock and this one",
        broken="""
            ts > received_at + interval '5 minutes'
        """,
        shows=names("received_at"),
    ),
    Rule(
        "events",
        "first_tokens_come_before_the_last",
        "warn",
        False,
        "The time to the first token is longer than the whole answer took: tell the producer's owner that it measures "
        "one of them wrongly; both are served as sent",
        broken="ttft_ms > latency_ms and latency_ms >= 0",
        shows=names("latency_ms ttft_ms"),
    ),
    Rule(
        "events",
        "measures_are_plausible",
        "warn",
        False,
        "An answer of more than a day, a million tokens a second, a hundred million tokens or ten thousand dollars in "
        "one event, or a NaN: most likely another unit; ask the producer, and erase and recompute what was wrong",
        broken="""
            latency_ms > 86400000 or ttft_ms > 86400000 or tokens_per_second > 1000000 or total_tokens > 100000000
            or cost_usd > 10000
        """,
        shows=names("latency_ms ttft_ms tokens_per_second total_tokens cost_usd"),
    ),
    Rule(
        "events",
        "clocks_agree",
        "warn",
        False,
        "Most events of this producer are dated after they arrived, or all of them lie behind by the same ten minutes "
        "or more: set its clock by NTP, and see that it writes UTC and not its local time",
        sql="""
            select s.tenant, s.source_module, sum(b.events)::bigint as events, sum(b.ahead)::bigint as ahead,
                   min(b.least_delay) as least_delay, max(b.greatest_delay) as greatest_delay
            from (
                select series_id, count(*) as events,
                       count(*) filter (where ts > received_at + interval '2 s') as ahead,
                       min(received_at - ts) as least_delay, max(received_at - ts) as greatest_delay
                from batch group by series_id
            ) b join series s using (series_id)
            group by s.tenant, s.source_module
            having sum(b.events) >= 5 and sum(b.ahead) * 2 > sum(b.events)
                or sum(b.events) >= 100 and min(b.least_delay) > interval '10 minutes'
                    and max(b.greatest_delay) - min(b.least_delay) < interval '10 minutes'
        """,
    ),
    Rule(
        "events",
        "parents_exist_or_are_late",
        "warn",
        False,
        "An hour after these events came, the parent that they name still had not: its producer loses events or sends "
        "them to another hub; trees of calls break here. Parents are looked for in the same day, so the first and "
        "the last hour are not judged",
        sql="""
            select c.ts, c.tenant, c.event_id, c.parent_event_id from (
                select ts, tenant, event_id, parent_event_id, received_at from batch
                where parent_event_id is not null and mod(uuid_hash(parent_event_id), {one_in}) = 0
            ) c
            where c.ts >= {period_from} + interval '1 hour' and c.ts < {period_to} - interval '1 hour'
              and c.received_at < (select max(landed_at) from landing_batches) - interval '1 hour'
              and not exists (
                select from events p
                where p.ts >= {period_from} and p.ts < {period_to} and mod(uuid_hash(p.event_id), {one_in}) = 0
                  and p.event_id = c.parent_event_id and p.tenant = c.tenant)
        """,
    ),
    Rule(
        "events",
        "payload_schemas_are_known",
        "warn",
        False,
        "A producer began to send a field or a type, or ceased to: ask its owner whether that was meant; it is known "
        "from tomorrow on. If not, the fields of the contract are in docs/events.md",
        sql=DRIFT,
    ),
    Rule(
        "events",
        "series_belong_to_the_tenant",
        "error",
        True,
        "A rollup would count this event for nobody or for another tenant: stop landing and report it",
        sql="""
            select b.ts, b.tenant, b.event_id, b.series_id from batch b
            left join series s using (series_id) where s.tenant is distinct from b.tenant
        """,
    ),
    Rule(
        "events",
        "series_limit_is_kept",
        "warn",
        False,
        "The tenant has as many series as it may, and these events are counted together as __other__: find the tag "
        "that makes so many and have it dropped, or raise LAH_SERIES_LIMIT (docs/rollups.md)",
        sql="""
            select tenant, count(*) filter (where is_other) as events,
                round(count(*) filter (where is_other) / count(*)::numeric, 4) as share,
                min(ts) filter (where is_other) as first_ts, max(ts) filter (where is_other) as last_ts
            from (select s.tenant, b.ts, s.event_type = '__other__' as is_other
                  from batch b join series s using (series_id)) counted
            group by tenant having bool_or(is_other)
        """,
    ),
    Rule(
        "events",
        "conflicting_timestamps",
        "warn",
        False,
        "The same id under several timestamps is a conflict, not a retry, and is counted each time: have the producer "
        "repeat the timestamp when it retries, or set LAH_DEDUP=strict (docs/ledger.md)",
        # By arrival, not by the event's own time: what came in the period, against all that came in it and in the
        # 24 hours before. One pass over that range (BRIN on received_at), no second index on ids.
        sql="""
            select tenant, event_id, count(*) as timestamps, min(ts) as earliest_ts, max(ts) as latest_ts,
                   min(received_at) as first_received_at, max(received_at) as last_received_at
            from events
            where received_at >= {period_from} - interval '24 hours' and received_at < {period_to}
              and mod(uuid_hash(event_id), {one_in}) = 0
            group by tenant, event_id
            having count(*) > 1 and max(received_at) >= {period_from}
        """,
        is_by_arrival=True,
    ),
)

EVENTS = Asset(
    "events",
    "ts",
    (*_REQUIRED, *_TOKENS, *_COUNTS, *_RATES, "cost_usd", "token_derivation", "parent_event_id"),
    _RULES,
    keys=names("ts tenant event_id"),
)
