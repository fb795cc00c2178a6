"""What the rollup tables promise: each row is whole, and each level says the same as what it was made of."""

from collections.abc import Mapping
from datetime import timedelta

from lah_platform.quality.rules import Asset, Rule, at_least, filled, names, not_below
from lah_platform.rollups.metrics import METRICS, Metric
from lah_platform.rollups.windows import WINDOWS, Window

__all__ = ["ROLLUPS"]

_COLUMNS = names("bucket_start series_id metric count sum sum_exact min max mean m2 p50 p95 p99 hist_keys hist_counts")
_MINUTE = timedelta(minutes=1)

# Float sums depend on the order of adding; this is far above rounding and far below any one lost event
_DIFFERS = """
    r.count is distinct from s.count or r.sum_exact is distinct from s.sum_exact
    or r.min is distinct from s.min or r.max is distinct from s.max
    or (r.sum is null) <> (s.sum is null)
    or abs(r.sum - s.sum) > 1e-9 * s.count * greatest(abs(s.min), abs(s.max))
"""
_LEVEL_EQUALS = """
    with source as (
        select {bucket} as bucket_start, series_id, metric, sum(count)::bigint as count, sum(sum) as sum,
               sum(sum_exact) as sum_exact, min(min) as min, max(max) as max
        from {table} where bucket_start >= {period_from} and bucket_start < {period_to}
        group by 1, series_id, metric
    ), held as (
        select bucket_start, series_id, metric, count, sum, sum_exact, min, max from batch
        {waiting}
    ), merged as (
        select bucket_start, series_id, metric, sum(count)::bigint as count, sum(sum) as sum,
               sum(sum_exact) as sum_exact, min(min) as min, max(max) as max
        from held group by bucket_start, series_id, metric
    )
    select bucket_start, series_id, metric, r.count as count, s.count as source_count
    from merged r full join source s using (bucket_start, series_id, metric)
    where {differs}
"""
# Minutes are merged first: what the longer windows lack of them
_WAITING = """
    union all
    select {bucket}, w.series_id, w.metric, w.count, w.sum, w.sum_exact, w.min, w.max
    from rollup_partial_sets p
    cross join lateral unnest(p.series_ids, p.metrics, p.minutes, p.counts, p.sums, p.exact_sums, p.minima, p.maxima)
        as w (series_id, metric, minute, count, sum, sum_exact, min, max)
    where p.in_minutes and w.minute >= {period_from} and w.minute < {period_to}
"""
# Of a day whose events are in the archive, the number is compared: what has landed since may repeat them. In halves,
# because PostgreSQL then expects few groups and adds up in parallel; else it sorts 5 million, and takes 9 s for 3.
_MINUTES_EQUAL_EVENTS = """
    with cold as (
        select day, day::timestamp at time zone 'UTC' as starts, (day + 1)::timestamp at time zone 'UTC' as ends,
               sum(row_count)::bigint as archived
        from archive_files where dropped_at is not null group by day
    ), measured as (
        select bucket_start, series_id, {aggregates} from (
            select {bucket} as bucket_start, {read} from events
            where ts >= {period_from} and ts < {period_to} and ts < {middle} and {is_hot}
            union all
            select {bucket}, {read} from events
            where ts >= {period_from} and ts < {period_to} and ts >= {middle} and {is_hot}
        ) halves group by bucket_start, series_id
    ), source as (
        select bucket_start, series_id, metric, count, sum, sum_exact, min, max from measured
        cross join lateral (values {rows}) of_metric (metric, count, sum, sum_exact, min, max)
        where count > 0
    ), held as (
        select bucket_start, series_id, metric, count, sum, sum_exact, min, max from batch
        union all
        select bucket_start, series_id, metric, count, sum, sum_exact, min, max from rollup_partials
        where bucket_start >= {period_from} and bucket_start < {period_to}
    ), merged as (
        select bucket_start, series_id, metric, sum(count)::bigint as count, sum(sum) as sum,
               sum(sum_exact) as sum_exact, min(min) as min, max(max) as max
        from held where (bucket_start at time zone 'UTC')::date not in (select day from cold)
        group by bucket_start, series_id, metric
    )
    select bucket_start, series_id, metric, r.count as count, s.count as events
    from merged r full join source s using (bucket_start, series_id, metric)
    where {differs}
    union all
    select c.starts, null, 'events', counted.count, c.archived
    from cold c
    cross join lateral (
        select coalesce(sum(count), 0)::bigint as count from held
        where metric = 'events' and bucket_start >= c.starts and bucket_start < c.ends) counted
    cross join lateral (select count(*) as count from events where ts >= c.starts and ts < c.ends) late
    where c.starts >= {period_from} and c.ends <= {period_to}
      and counted.count not between c.archived and c.archived + late.count
"""


def _bucket(of: Window, column: str) -> str:
    if of.length is None:
        return f"date_trunc('month', {column}, 'UTC')"
    # a Monday, so that it starts a bucket of every window
    return f"date_bin('{of.length // _MINUTE} minutes', {column}, timestamptz '1970-01-05 00:00:00+00:00')"


def _aggregates(metric: Metric) -> str:
    """The metric's count, sum, min and max over the events that carry it."""
    value = metric.column or "1"
    only = f" filter (where subtype = '{metric.subtype}')" if metric.subtype else ""
    parts = (f"{function}({value}){only} as {metric.name}_{function}" for function in ("count", "sum", "min", "max"))
    return ", ".join(parts)


def _row(metric: Metric) -> str:
    name = metric.name
    total = f"null::double precision, {name}_sum::numeric" if metric.is_exact else f"{name}_sum, null::numeric"
    return f"('{name}', {name}_count, {total}, {name}_min::double precision, {name}_max::double precision)"


def _source_rules(of: Window) -> tuple[Rule, ...]:
    if of.source is None:
        minutes = filled(
            _MINUTES_EQUAL_EVENTS,
            differs=_DIFFERS,
            bucket=_bucket(of, "ts"),
            read=", ".join(dict.fromkeys(["series_id", "subtype", *(m.column for m in METRICS if m.column)])),
            middle="(select {period_from} + ({period_to} - {period_from}) / 2)",
            is_hot="(ts at time zone 'UTC')::date"
            " <> all (array(select day from archive_files where dropped_at is not null))",
            aggregates=", ".join(map(_aggregates, METRICS)),
            rows=", ".join(map(_row, METRICS)),
        )
        advice = (
            "Recompute the days named: `lah backfill rollups`; events erased since count as missing, and of a day in "
            "the archive only the number is compared"
        )
        return (Rule(of.table, "equals_events", "error", True, advice, sql=minutes),)
    sources = [("equals_its_source", of.source)]
    if of.name == "1d":
        sources.append(("equals_its_minutes", WINDOWS[0]))
    return tuple(
        Rule(
            of.table,
            name,
            "error",
            True,
            f"{of.table} and {source.table} were not written together: recompute the days named with "
            "`lah backfill rollups`",
            sql=filled(
                _LEVEL_EQUALS,
                differs=_DIFFERS,
                bucket=_bucket(of, "bucket_start"),
                table=source.table,
                waiting=filled(_WAITING, bucket=_bucket(of, "w.minute")) if source is WINDOWS[0] else "",
            ),
        )
        for name, source in sources
    )


_EXPECTED: Mapping[str, tuple[Rule, ...]] = {
    "1m": (
        Rule(
            "rollup_1m",
            "ticks_keep_up_with_landing",
            "error",
            False,
            "Minutes wait to be merged though landing went on for an hour: see that the sensor landing_progress runs "
            "(`lah doctor`), and recompute the days named if it does not catch up",
            sql="""
                select p.day, min(p.first_minute) as oldest_waiting_minute, count(*) as waiting_sets,
                       (select ticked_at from rollup_state) as ticked_at
                from rollup_partial_sets p
                where p.first_minute >= {period_from} and p.first_minute < {period_to}
                  and (select ticked_at from rollup_state where isfinite(ticked_at))
                      < (select max(landed_at) from landing_batches) - interval '1 hour'
                group by p.day
            """,
            is_of_tenants=False,
        ),
    ),
    "1d": (
        Rule(
            "rollup_1d",
            "volumes_are_near_their_forecast",
            "warn",
            False,
            "The tenant's events of this day lie outside the range that was forecast for it, widened to double: see "
            "anomalies and incidents of the day, then ask its producers whether events are lost or sent twice",
            sql="""
                select f.day, f.tenant, coalesce(a.events, 0) as events, f.expected, f.lower, f.upper
                from (
                    select day, tenant, sum(value) as expected, sum(lower) as lower, sum(upper) as upper,
                           array_agg(series_id) as series_ids
                    from (
                        select distinct on (series_id, target_start) tenant, series_id, target_start as day, value,
                               lower, upper
                        from forecasts
                        where metric = 'events' and window_name = '1d' and trained_through <= target_start
                          and target_start >= {period_from} and target_start < {period_to}
                          and target_start + interval '24 hours' <= (select final_before from rollup_state)
                        order by series_id, target_start, trained_through desc
                    ) latest group by day, tenant
                ) f
                left join lateral (
                    select sum(b.count)::bigint as events from batch b
                    where b.metric = 'events' and b.bucket_start = f.day and b.series_id = any (f.series_ids)
                ) a on true
                where coalesce(a.events, 0) > upper + (upper - lower) / 2
                   or coalesce(a.events, 0) < lower - (upper - lower) / 2
            """,
        ),
        Rule(
            "rollup_1d",
            "tenants_do_not_fall_silent",
            "warn",
            False,
            "A tenant with events on each of the seven days before has none on this day: see that its producers run "
            "and reach the broker, and that landing follows (`lah doctor`)",
            sql="""
                select d.day, s.tenant, sum(r.count)::bigint as events_of_the_week_before
                from generate_series({period_from}, {period_to} - interval '1 second', interval '24 hours') as d (day)
                join rollup_1d r on r.metric = 'events' and r.bucket_start >= d.day - interval '168 hours'
                                and r.bucket_start < d.day
                join series s using (series_id)
                where d.day + interval '24 hours' <= (select final_before from rollup_state)
                group by d.day, s.tenant
                having count(distinct r.bucket_start) = 7 and not exists (
                    select from batch b join series o using (series_id)
                    where o.tenant = s.tenant and b.bucket_start = d.day)
            """,
        ),
    ),
}


def _rules(of: Window) -> tuple[Rule, ...]:
    return (
        Rule(
            of.table,
            "counts_are_positive",
            "error",
            True,
            "A bucket without values must have no row: recompute the days named with `lah backfill rollups`",
            at_least(1, "count"),
        ),
        Rule(
            of.table,
            "percentiles_are_ordered",
            "error",
            True,
            "min <= p50 <= p95 <= p99 <= max must hold: recompute these buckets, and report it if it comes back",
            not_below("p50", "min") + not_below("p95", "p50") + not_below("p99", "p95") + not_below("max", "p99"),
        ),
        Rule(
            of.table,
            "moments_are_possible",
            "error",
            True,
            "A mean outside [min, max] or a negative spread is wrong arithmetic: report the buckets",
            broken="""
            not (mean between min and max) or not (m2 between 0 and 1.7e308)
        """,
            shows=names("mean m2 min max"),
        ),
        Rule(
            of.table,
            "sums_are_exact_or_rounded",
            "error",
            True,
            "Money and counts have sum_exact, floats have sum, never both: recompute these buckets",
            broken="""
            num_nonnulls(sum, sum_exact) <> 1
        """,
        ),
        Rule(
            of.table,
            "histograms_sum_to_count",
            "error",
            True,
            "Percentiles of these buckets are wrong: recompute the days named with `lah backfill rollups`",
            broken="""
            cardinality(hist_keys) <> cardinality(hist_counts)
                   or count <> (select coalesce(sum(n), 0) from unnest(hist_counts) n)
        """,
            shows=names("count hist_counts"),
        ),
        *_source_rules(of),
        *_EXPECTED.get(of.name, ()),
    )


ROLLUPS: tuple[Asset, ...] = tuple(
    Asset(
        window.table,
        "bucket_start",
        _COLUMNS,
        _rules(window),
        keys=names("bucket_start series_id metric"),
        grain=window,
        tenant_by="series_id",
    )
    for window in WINDOWS
)
