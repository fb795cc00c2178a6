"""What the served tables promise: costs, anomalies, forecasts, correlations and reports."""

from lah_platform.quality.incidents import COSTS_ADD_UP
from lah_platform.quality.rules import Asset, Rule, above, at_least, between, filled, names, not_below
from lah_platform.rollups.windows import window

__all__ = ["ANOMALIES", "CORRELATIONS", "COST_DAILY", "FORECASTS", "REPORTS"]

_MAX_FLOAT = 1.7976931348623157e308  # NaN sorts above it and the infinities beside it: neither is between
_TOKENS = names(
    "input_tokens input_fresh_tokens input_cache_read_tokens input_cache_write_tokens input_unknown_tokens"
    " output_tokens"
)


def _series_exist(asset: str, columns: str) -> Rule:
    return Rule(
        asset,
        "series_belong_to_the_tenant",
        "error",
        True,
        "These rows would be served to a tenant whose data they are not about: delete them and run the stage again",
        sql=filled(
            """
            select {columns}, b.tenant, series_id from batch b
            left join series s using (series_id) where s.tenant is distinct from b.tenant
            """,
            columns=columns,
        ),
    )


COST_DAILY = Asset(
    "cost_daily",
    "day",
    (
        *("day", "tenant", "model", "environment", "service", "team", "requests", "unpriced_requests"),
        *_TOKENS,
        *("reported_usd", "priced_usd", "other_usd", "computed_at"),
    ),
    (
        Rule(
            "cost_daily",
            "amounts_are_not_negative",
            "error",
            True,
            "Look for credits among the day's cost events; erase what is wrong and recompute the day",
            at_least(0, "requests", "unpriced_requests", *_TOKENS, "reported_usd", "priced_usd", "other_usd"),
        ),
        Rule(
            "cost_daily",
            "token_buckets_add_up",
            "error",
            True,
            "Input must be fresh + cache read + cache write + unknown: recompute the day, report it if it comes back",
            broken="""
            input_tokens <> input_fresh_tokens + input_cache_read_tokens + input_cache_write_tokens
                    + input_unknown_tokens
        """,
            shows=names("input_tokens"),
        ),
        Rule(
            "cost_daily",
            "priced_where_a_price_exists",
            "error",
            True,
            "priced_usd must be null exactly when none of the requests could be priced: recompute the day",
            broken="""
            unpriced_requests > requests or (priced_usd is null) <> (unpriced_requests = requests)
        """,
            shows=names("requests unpriced_requests"),
        ),
        Rule(
            "cost_daily",
            "dollars_equal_events",
            "warn",
            False,
            "Events landed or were erased since the day was computed: recompute it with `lah backfill cost_daily`; "
            "days whose events are in the archive are left out",
            sql="""
                with cold as (
                    select day from archive_files where dropped_at is not null
                ), of_events as (
                    select (ts at time zone 'UTC')::date as day, tenant,
                           coalesce(sum(cost_usd) filter (where subtype = 'token_cost'), 0) as reported_usd,
                           coalesce(sum(cost_usd) filter (
                               where subtype in ('api_cost', 'resource_consumption')), 0) as other_usd
                    from events
                    where ts >= {period_from}::timestamp at time zone 'UTC'
                      and ts < {period_to}::timestamp at time zone 'UTC'
                      and subtype in ('token_cost', 'api_cost', 'resource_consumption')
                    group by 1, tenant
                ), of_days as (
                    select day, tenant, sum(reported_usd) as reported_usd, sum(other_usd) as other_usd
                    from batch group by day, tenant
                )
                select day, tenant, d.reported_usd, e.reported_usd as events_reported_usd,
                       d.other_usd, e.other_usd as events_other_usd
                from of_days d full join of_events e using (day, tenant)
                where (coalesce(d.reported_usd, 0) <> coalesce(e.reported_usd, 0)
                   or coalesce(d.other_usd, 0) <> coalesce(e.other_usd, 0)) and day not in (select day from cold)
            """,
        ),
        Rule(
            "cost_daily",
            "reported_is_near_priced",
            "warn",
            False,
            "What the producer reports is more than double or less than half of what the price book says: look at the "
            "model's prices (`select * from prices`), then at how the producer counts; both figures are served",
            sql="""
                select day, tenant, model, sum(requests)::bigint as requests, sum(reported_usd) as reported_usd,
                       sum(priced_usd) as priced_usd
                from batch where priced_usd is not null and unpriced_requests = 0
                group by day, tenant, model
                having sum(requests) >= 100 and sum(reported_usd) > 0 and sum(priced_usd) > 0
                   and sum(reported_usd) not between sum(priced_usd) / 2 and sum(priced_usd) * 2
            """,
        ),
        Rule(
            "cost_daily",
            "are_newer_than_their_events",
            "warn",
            False,
            "Events came into the day more than a day after its costs were computed: recompute it with "
            "`lah backfill cost_daily`, and see that the sensor late_data runs",
            sql="""
                select day, tenant, d.computed_at, r.computed_at as events_counted_at from (
                    select day, tenant, max(computed_at) as computed_at from batch group by day, tenant
                ) d
                join lateral (
                    select max(r.computed_at) as computed_at from rollup_1d r join series s using (series_id)
                    where r.metric = 'cost_usd' and s.tenant = d.tenant
                      and r.bucket_start = d.day::timestamp at time zone 'UTC'
                ) r on r.computed_at > d.computed_at + interval '1 day'
            """,
        ),
    ),
    keys=names("day tenant model environment service team"),
    grain=window("1d"),
    is_dated=True,
)

ANOMALIES = Asset(
    "anomalies",
    "started_at",
    names(
        "anomaly_id tenant series_id metric window_name started_at peak_at ended_at score baseline observed deviation"
        " impact"
    ),
    (
        Rule(
            "anomalies",
            "times_are_ordered",
            "error",
            False,
            "started_at <= peak_at <= ended_at must hold: delete these anomalies and detect the period again",
            not_below("peak_at", "started_at") + not_below("ended_at", "peak_at"),
        ),
        Rule(
            "anomalies",
            "scores_are_shares",
            "error",
            False,
            "A score lies in 0..1: delete these anomalies and detect the period again",
            between(0, 1, "score"),
        ),
        Rule(
            "anomalies",
            "numbers_are_finite",
            "error",
            False,
            "NaN or infinity came out of a detector: report the series named in observed values, then detect again",
            between(-_MAX_FLOAT, _MAX_FLOAT, "deviation", "baseline", "observed"),
        ),
        Rule(
            "anomalies",
            "impacts_follow_scores",
            "error",
            False,
            "Impact changes at 0.2, 0.4, 0.6 and 0.8: these rows alarm the wrong people; detect the period again",
            broken="""
            score between 0 and 1 and impact <> case
                    when score >= 0.8 then 'critical' when score >= 0.6 then 'high' when score >= 0.4 then 'medium'
                    when score >= 0.2 then 'low' else 'negligible' end
        """,
            shows=names("score impact"),
        ),
        _series_exist("anomalies", "b.anomaly_id"),
    ),
    keys=names("anomaly_id tenant"),
)

FORECASTS = Asset(
    "forecasts",
    "target_start",
    names(
        "tenant series_id metric window_name method target_start trained_through value lower upper level backtest_wape"
    ),
    (
        Rule(
            "forecasts",
            "intervals_hold_their_value",
            "error",
            True,
            "lower <= value <= upper must hold: delete these forecasts and run the forecast of their series again",
            not_below("value", "lower") + not_below("upper", "value"),
        ),
        Rule(
            "forecasts",
            "numbers_are_finite",
            "error",
            True,
            "NaN or infinity came out of a model: delete these forecasts; the series is too short or constant",
            between(-_MAX_FLOAT, _MAX_FLOAT, "value", "lower", "upper", "backtest_wape"),
        ),
        Rule(
            "forecasts",
            "levels_and_errors_are_possible",
            "error",
            False,
            "A level lies between 0 and 1 and an error is not negative: run the forecast again, report it if it stays",
            broken="""
            not (level > 0 and level < 1) or backtest_wape < 0
        """,
            shows=names("level backtest_wape"),
        ),
        Rule(
            "forecasts",
            "targets_follow_training",
            "error",
            False,
            "A forecast of what it was trained on is no forecast: delete these rows and run it again",
            above("target_start", "trained_through"),
        ),
        _series_exist("forecasts", "b.metric, b.window_name, b.method, b.target_start"),
        Rule(
            "forecasts",
            "are_made_of_the_latest",
            "warn",
            False,
            "The newest forecast rests on data that is two days older than what is there: run the job forecasts, and "
            "see why its schedule did not",
            sql="""
                select tenant, window_name, max(trained_through) as trained_through,
                       (select final_before from rollup_state) as final_before
                from batch group by tenant, window_name
                having max(trained_through) < (select final_before from rollup_state) - interval '49 hours'
                   and max(target_start) >= (select final_before from rollup_state) - interval '24 hours'
            """,
        ),
    ),
    keys=names("tenant series_id metric window_name method target_start"),
)

CORRELATIONS = Asset(
    "correlations",
    "started_at",
    ("correlation_id", "tenant", "correlation_type", "started_at", "ended_at", "strength", "confidence"),
    (
        Rule(
            "correlations",
            "strengths_are_shares",
            "error",
            False,
            "Strength and confidence lie in 0..1: delete these correlations and correlate the period again",
            between(0, 1, "strength", "confidence"),
        ),
        Rule(
            "correlations",
            "times_are_ordered",
            "error",
            False,
            "A correlation ends no earlier than it starts: correlate the period again",
            not_below("ended_at", "started_at"),
        ),
        Rule(
            "correlations",
            "have_two_members",
            "error",
            False,
            "One thing alone correlates with nothing: correlate the period again",
            sql="""
                select correlation_id, count(m.correlation_id) as members from batch b
                left join correlation_members m using (correlation_id)
                group by correlation_id having count(distinct (m.member_type, m.member_id, m.metric)) < 2
            """,
        ),
        Rule(
            "correlations",
            "members_exist",
            "error",
            False,
            "Members were erased or belong to another tenant: correlate the period again; events of days in the "
            "archive are taken to be there",
            sql="""
                select b.correlation_id, m.position, m.member_type, m.member_id from batch b
                join correlation_members m using (correlation_id)
                where not case m.member_type
                    when 'event' then exists (
                        select from events e
                        where e.ts = m.at and e.tenant = b.tenant and e.event_id::text = m.member_id)
                        or exists (
                        select from archive_files f
                        where f.day = (m.at at time zone 'UTC')::date and f.dropped_at is not null)
                    when 'anomaly' then exists (
                        select from anomalies a where a.anomaly_id::text = m.member_id and a.tenant = b.tenant)
                    else exists (
                        select from series s where s.series_id::text = m.member_id and s.tenant = b.tenant)
                end
            """,
        ),
        COSTS_ADD_UP,
    ),
    keys=names("correlation_id tenant"),
)

REPORTS = Asset(
    "reports",
    "generated_at",
    ("report_id", "name", "tenant", "period_from", "period_to", "generated_at", "content", "sha256"),
    (
        Rule(
            "reports",
            "documents_are_unaltered",
            "error",
            True,
            "The stored document is not the one that was generated: restore it from a backup; see audit_log for who",
            sql="""
            select b.report_id, b.tenant, b.name, b.sha256 from batch b
            where b.sha256 not in (select d.sha256 from report_documents d where d.report_id = b.report_id)
        """,
        ),
        Rule(
            "reports",
            "contents_match_their_row",
            "error",
            True,
            "A report would be served under another name, tenant or period than its own: generate it again",
            broken="""
            (coalesce(content -> 'framework' ->> 'id', content ->> 'name'),
             coalesce(content -> 'scope' ->> 'tenant', content ->> 'tenant'),
             content -> 'period' ->> 'from', content -> 'period' ->> 'to')
                    is distinct from (name, tenant, period_from::text, period_to::text)
        """,
            shows=names("name period_from period_to"),
        ),
        Rule(
            "reports",
            "periods_are_ordered",
            "error",
            False,
            "A report covers at least one day, [from, to): generate it again for the period that was meant",
            broken="""
            period_from >= period_to
        """,
            shows=names("name period_from period_to"),
        ),
    ),
    keys=names("report_id tenant"),
)
