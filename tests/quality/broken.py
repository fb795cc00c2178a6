"""One way to break each promise. A mutation may drop the constraint that would have refused it: a restored dump, a
superuser or a later schema has none."""

from dataclasses import dataclass, field

__all__ = ["MUTATIONS", "Mutation"]

_E = "'00000000-0000-4000-8000-0000000000{}'"
_USAGE, _EXCLUSIVE, _LATENCY, _COST, _ERRORS = (_E.format(n) for n in ("00", "05", "07", "02", "04"))
_DAY_BEFORE = _E.format("12")


@dataclass(frozen=True)
class Mutation:
    """`sql` breaks `rule` of `asset` in `failed_rows` rows, and breaks `also`, rules that rest on the same rows."""

    asset: str
    rule: str
    sql: str
    also: frozenset[str] = field(default_factory=frozenset)
    failed_rows: int = 1

    def __str__(self) -> str:
        return f"{self.asset}.{self.rule}"


_CLOSED = "update rollup_state set final_before = '2026-03-03 00:00Z'"


def _event(rule: str, change: str, event: str, *also: str, before: str = "") -> Mutation:
    return Mutation("events", rule, f"{before}; update events set {change} where event_id = {event}", frozenset(also))


_EVENTS = (
    _event(
        "required_columns_are_present",
        "environment = null",
        _USAGE,
        before="alter table events alter environment drop not null",
    ),
    _event("vocabularies_are_known", "event_type = 'rumour'", _USAGE),
    _event("token_counts_are_not_negative", "output_reasoning_tokens = -5, output_visible_tokens = 25", _USAGE),
    _event("request_counts_and_rates_are_not_negative", "latency_ms = -0.001", _LATENCY),
    _event("costs_are_not_negative", "cost_usd = -0.000000000001", _COST),
    _event("failed_requests_are_among_all_requests", "failed_requests = 51", _ERRORS),
    _event("token_buckets_add_up", "input_cache_read_tokens = 51", _USAGE),
    _event("token_buckets_add_up", "input_fresh_tokens = 9", _EXCLUSIVE),
    _event("token_buckets_add_up", "output_visible_tokens = null", _USAGE),
    _event("totals_are_input_plus_output", "total_tokens = total_tokens + 1", _USAGE),
    _event("token_derivations_are_known", "token_derivation = 'unknown'", _USAGE),
    _event("times_are_not_in_the_future", "received_at = ts - interval '301 seconds'", _USAGE),
    _event("series_belong_to_the_tenant", "series_id = 5", _USAGE),
    _event("series_belong_to_the_tenant", "series_id = 404", _USAGE),
    _event(
        "series_limit_is_kept",
        "severity = severity",
        _USAGE,
        before="update series set event_type = '__other__' where series_id = (select series_id from events"
        f" where event_id = {_USAGE})",
    ),
    _event("first_tokens_come_before_the_last", "ttft_ms = latency_ms + 1", _LATENCY),
    _event("measures_are_plausible", "latency_ms = 86400001", _LATENCY),
    _event("measures_are_plausible", "latency_ms = 'NaN'", _LATENCY),
    Mutation("events", "clocks_agree", "update events set received_at = ts - interval '3 s' where tenant = 'acme'"),
    _event("parents_exist_or_are_late", "parent_event_id = gen_random_uuid()", _LATENCY),
    _event(
        "parents_exist_or_are_late",
        f"parent_event_id = {_ERRORS}",
        _LATENCY,
        before=f"update events set tenant = 'globex' where event_id = {_ERRORS}",
    ),
    _event(
        "payload_schemas_are_known",
        """payload = '{"new_field": 1}'""",
        _LATENCY,
        before="insert into payload_shapes values ('2026-03-01', 'acme', 'llm-observatory', 'telemetry', 'latency',"
        " 'field', 'string', 20, 20)",
    ),
    _event("conflicting_timestamps", f"event_id = {_COST}", _USAGE),
    _event("conflicting_timestamps", f"event_id = {_DAY_BEFORE}", _COST),
)

_LEDGER = (
    Mutation(
        "ledger",
        "rows_balance",
        "update ledger set duplicate = duplicate + 1 where tenant = 'acme' and minute = '2026-03-02 12:00Z'",
    ),
    Mutation(
        "ledger",
        "counts_are_not_negative",
        "update ledger set stored = 4, duplicate = -1 where tenant = 'acme' and minute = '2026-03-02 12:00Z'",
        frozenset({"stored_equals_events"}),
    ),
    Mutation("ledger", "stored_equals_events", f"delete from events where event_id = {_USAGE}"),
    Mutation(
        "ledger",
        "stored_equals_events",
        "update events set received_at = received_at - interval '1 day'",
        failed_rows=2,
    ),
    Mutation("ledger", "stored_equals_events", "update dead_letters set replayed_as = 'duplicate'"),
    Mutation("ledger", "dead_lettered_equals_dead_letters", "delete from dead_letters where code = 'invalid_json'"),
    Mutation(
        "ledger",
        "repeats_are_few",
        "update ledger set received = received + 100, duplicate = duplicate + 98, stored = stored + 2"
        " where tenant = 'acme' and minute = '2026-03-02 12:00Z'",
        frozenset({"received_equals_batches", "stored_equals_events"}),
    ),
    Mutation(
        "ledger",
        "received_equals_batches",
        "update landing_batches set received = 4, no_record = 2 where partition = 1 and from_offset = 0",
    ),
    Mutation(
        "ledger",
        "offset_ranges_are_contiguous",
        "update landing_batches set from_offset = 7, no_record = -1 where partition = 1 and from_offset = 6",
    ),
    Mutation(
        "ledger",
        "stored_offsets_are_where_batches_end",
        "update landing_offsets set next_offset = 11 where partition = 1",
    ),
)


def _of_window(table: str, source_rules: frozenset[str]) -> tuple[Mutation, ...]:
    one = f"update {table} set {{}} where metric = 'latency_ms' and series_id = 2 and bucket_start = (" + (
        f"select max(bucket_start) from {table} where metric = 'latency_ms' and bucket_start < '2026-03-03')"
    )
    return (
        Mutation(table, "counts_are_positive", one.format("count = 0, hist_counts = '{0, 0}'"), source_rules),
        Mutation(table, "percentiles_are_ordered", one.format("p95 = p99 + 1")),
        Mutation(table, "percentiles_are_ordered", one.format("p50 = min - 1")),
        Mutation(table, "moments_are_possible", one.format("mean = max + 1")),
        Mutation(table, "moments_are_possible", one.format("m2 = 'NaN'")),
        Mutation(table, "sums_are_exact_or_rounded", one.format("sum = null"), source_rules),
        Mutation(table, "histograms_sum_to_count", one.format("hist_counts[1] = hist_counts[1] + 1")),
        Mutation(table, "histograms_sum_to_count", one.format("hist_keys = hist_keys || 7")),
    )


def _of_level(table: str, rule: str, also: frozenset[str]) -> tuple[Mutation, ...]:
    cost = "metric = 'cost_usd' and series_id = 3"
    return (
        Mutation(
            table,
            rule,
            f"update {table} set sum_exact = sum_exact + 0.000000000001 where {cost} and (bucket_start, metric) = ("
            f"select max(bucket_start), 'cost_usd' from {table} where {cost} and bucket_start < '2026-03-03')",
            also,
        ),
        Mutation(
            table,
            rule,
            f"delete from {table} where {cost} and bucket_start = ("
            f"select max(bucket_start) from {table} where {cost} and bucket_start < '2026-03-03')",
            also,
        ),
        Mutation(
            table,
            rule,
            f"update {table} set series_id = 1 where {cost} and bucket_start = ("
            f"select max(bucket_start) from {table} where {cost} and bucket_start < '2026-03-03')",
            also,
            failed_rows=2,
        ),
    )


_ROLLUPS = (
    *_of_window("rollup_15m", frozenset({"equals_its_source"})),
    *_of_level("rollup_1m", "equals_events", frozenset()),
    *_of_level("rollup_5m", "equals_its_source", frozenset()),
    *_of_level("rollup_1mo", "equals_its_source", frozenset()),
    *(
        _of_level(table, "equals_its_source", frozenset())[0]
        for table in ("rollup_15m", "rollup_1h", "rollup_6h", "rollup_1w")
    ),
    _of_level("rollup_1d", "equals_its_source", frozenset({"equals_its_minutes"}))[0],
    Mutation(
        "rollup_1d",
        "equals_its_minutes",
        "update rollup_1m set count = count + 1 where series_id = 3 and metric = 'cost_usd' and bucket_start = ("
        "select max(bucket_start) from rollup_1m where series_id = 3 and bucket_start < '2026-03-03')",
    ),
    Mutation(
        "rollup_1m",
        "ticks_keep_up_with_landing",
        "insert into rollup_partial_sets (day, first_minute, group_count, series_ids, metrics, minutes, counts, sums,"
        " exact_sums, minima, maxima, means, m2s, hist_sizes, hist_keys, hist_counts) values ('2026-03-02',"
        " '2026-03-02 20:00Z', 0, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');"
        " update rollup_state set ticked_at = '2026-03-02 20:00Z'",
    ),
    Mutation(
        "rollup_1d",
        "volumes_are_near_their_forecast",
        f"{_CLOSED}; insert into forecasts (tenant, series_id, metric, window_name, method, target_start,"
        " trained_through, value, lower, upper, level, computed_at) values ('acme', 1, 'events', '1d', 'ets',"
        " '2026-03-02', '2026-03-01', 50, 40, 60, 0.95, '2026-03-01')",
    ),
    Mutation(
        "rollup_1d",
        "tenants_do_not_fall_silent",
        f"{_CLOSED}; insert into series (series_id, tenant, event_type, subtype, model, environment, service, region,"
        " team) overriding system value values (7, 'initech', 'telemetry', 'latency', '', '', '', '', '');"
        " insert into rollup_1d select '2026-02-23 00:00Z'::timestamptz + n * interval '24 hours', 7, 'events', 1,"
        " null, 1, 1, 1, 1, 0, 1, 1, 1, '{1}', '{1}', 1, '2026-03-01' from generate_series(0, 6) n",
    ),
)


def _served(asset: str, rule: str, change: str, where: str = "true", before: str = "") -> Mutation:
    return Mutation(asset, rule, f"{before}; update {asset} set {change} where {where}")


def _costs(rule: str, change: str) -> Mutation:
    return _served("cost_daily", rule, change, "day = '2026-03-02' and model <> ''")


def _anomaly(rule: str, change: str) -> Mutation:
    return _served("anomalies", rule, change, "series_id = 2")


def _forecast(rule: str, change: str, before: str = "") -> Mutation:
    return _served("forecasts", rule, change, "method = 'ets'", before)


def _members(rule: str, sql: str) -> Mutation:
    return Mutation("correlations", rule, sql)


def _of_incident(rule: str, sql: str) -> Mutation:
    return Mutation("incidents", rule, sql)


def _incident(rule: str, change: str, constraint: str = "", *also: str) -> Mutation:
    before = f"alter table incidents drop constraint {constraint}" if constraint else ""
    return Mutation(
        "incidents", rule, f"{before}; update incidents set {change} where tenant = 'acme'", frozenset(also)
    )


_SERVED = (
    _costs("amounts_are_not_negative", "output_tokens = -1"),
    _costs("token_buckets_add_up", "input_unknown_tokens = 11"),
    _costs("priced_where_a_price_exists", "priced_usd = null"),
    _costs("priced_where_a_price_exists", "unpriced_requests = requests + 1"),
    _costs("dollars_equal_events", "reported_usd = reported_usd + 0.000000000001"),
    _costs("reported_is_near_priced", "requests = 100, priced_usd = reported_usd / 3"),
    _served("cost_daily", "are_newer_than_their_events", "computed_at = '2026-03-01 23:00Z'", "tenant = 'acme'"),
    Mutation("cost_daily", "dollars_equal_events", "delete from cost_daily where day = '2026-03-02' and model = ''"),
    _anomaly("times_are_ordered", "peak_at = '2026-03-02 12:01Z'"),
    _anomaly("scores_are_shares", "score = 1.01"),
    _anomaly("numbers_are_finite", "baseline = 'NaN'"),
    _anomaly("numbers_are_finite", "deviation = '-Infinity'"),
    _anomaly("impacts_follow_scores", "impact = 'critical'"),
    _anomaly("series_belong_to_the_tenant", "tenant = 'globex'"),
    _forecast(
        "intervals_hold_their_value", "lower = 5.01", before="alter table forecasts drop constraint forecasts_check"
    ),
    _forecast("numbers_are_finite", "upper = 'Infinity'"),
    _forecast(
        "levels_and_errors_are_possible",
        "level = 1",
        before="alter table forecasts drop constraint forecasts_level_check",
    ),
    _forecast("levels_and_errors_are_possible", "backtest_wape = -0.1"),
    Mutation(
        "forecasts",
        "are_made_of_the_latest",
        f"{_CLOSED}; update forecasts set trained_through = '2026-02-28 22:00Z'",
    ),
    _forecast("targets_follow_training", "trained_through = target_start"),
    _forecast("series_belong_to_the_tenant", "series_id = 5"),
    _served(
        "correlations",
        "strengths_are_shares",
        "strength = 1.2",
        before="alter table correlations drop constraint correlations_strength_check",
    ),
    _served("correlations", "times_are_ordered", "ended_at = '2026-03-02 09:59Z'"),
    _members("have_two_members", "delete from correlation_members where position > 0"),
    _members("have_two_members", "delete from correlation_members"),
    _members("members_exist", "delete from anomalies where series_id = 2"),
    _members("members_exist", "update correlation_members set member_id = '5' where member_type = 'series'"),
    _members("members_exist", "update correlation_members set at = at + '1 s' where member_type = 'event'"),
    _served("correlations", "costs_add_up", "evidence = evidence || '{\"cache_usd\": 0.400002}'"),
    _incident("times_are_ordered", "ended_at = '2026-03-02 09:59Z'", "incidents_check", "peaks_lie_within"),
    _of_incident("peaks_lie_within", "update anomalies set peak_at = '2026-03-02 12:01Z' where series_id = 2"),
    _of_incident("peaks_lie_within", "update anomalies set ended_at = '2026-03-02 13:00Z' where series_id = 2"),
    _incident("peaks_lie_within", "started_at = '2026-03-02 10:01Z'"),
    _of_incident("members_exist", "delete from anomalies where series_id = 2"),
    _of_incident("members_exist", "delete from incident_members where member_id like '%9000-000000000002'"),
    Mutation(
        "incidents",
        "members_exist",
        "delete from correlations",
        frozenset({"cost_is_the_sum_of_its_evidence"}),
    ),
    _of_incident("tenants_are_not_mixed", "update anomalies set tenant = 'globex' where series_id = 2"),
    _of_incident("tenants_are_not_mixed", "update correlations set tenant = 'globex'"),
    _incident("root_cause_is_its_component", "root_cause = 'model gpt-4'"),
    _incident("root_cause_is_its_component", "root_cause_confidence = null"),
    _incident(
        "root_cause_is_its_component",
        "root_cause = 'service mail', story = jsonb_set(story, '{where,candidates,0,node}', '\"service mail\"')",
    ),
    _incident("cost_is_the_sum_of_its_evidence", "cost_usd = cost_usd + 0.000001"),
    _incident("cost_is_the_sum_of_its_evidence", "cost_usd = null"),
    _served("reports", "documents_are_unaltered", "sha256 = 'of another'"),
    _served("reports", "contents_match_their_row", "tenant = 'globex'"),
    _served(
        "reports",
        "periods_are_ordered",
        "period_to = period_from, content = jsonb_set(content, '{period,to}', '\"2026-02-01\"')",
    ),
)

MUTATIONS = (*_EVENTS, *_LEDGER, *_ROLLUPS, *_SERVED)
