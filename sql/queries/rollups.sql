-- Statements of the rollup tick and of recomputation. Both hold the rollups' session lock before they begin.

-- name: lock
-- Session lock, taken before `begin`: a snapshot taken before the lock would be stale.
select pg_advisory_lock(hashtextextended('lah.rollups', 0))

-- name: unlock
-- Give the session lock back.
select pg_advisory_unlock(hashtextextended('lah.rollups', 0))

-- name: take_partials
-- Claim the oldest sets that hold so many partials together, at least one, and remove them. Of the sums those that are there.
delete from rollup_partial_sets where set_id in (
    select set_id from (select set_id, sum(group_count) over (order by set_id) - group_count as before from rollup_partial_sets) s
    where before < %(limit)s)
returning in_minutes, series_ids, metrics, minutes, counts, array_remove(sums, null), array_remove(exact_sums, null)::text[], minima, maxima, means, m2s, hist_sizes, hist_keys, hist_counts

-- name: take_minutes
-- The same of those that the minutes lack; they stay for the longer windows.
update rollup_partial_sets set in_minutes = true where set_id in (
    select set_id from (select set_id, sum(group_count) over (order by set_id) - group_count as before
                        from rollup_partial_sets where not in_minutes) s
    where before < %(limit)s)
returning false, series_ids, metrics, minutes, counts, array_remove(sums, null), array_remove(exact_sums, null)::text[], minima, maxima, means, m2s, hist_sizes, hist_keys, hist_counts

-- name: take_partials_of_days
-- The same of whole UTC days, all of them.
delete from rollup_partial_sets
where day >= (%(start)s::timestamptz at time zone 'UTC')::date and day < (%(end)s::timestamptz at time zone 'UTC')::date
returning in_minutes, series_ids, metrics, minutes, counts, array_remove(sums, null), array_remove(exact_sums, null)::text[], minima, maxima, means, m2s, hist_sizes, hist_keys, hist_counts

-- name: drop_pending_partials
-- A recomputation of whole UTC days reads the events themselves, so their partials must not be merged again.
delete from rollup_partial_sets
where day >= (%(start)s::timestamptz at time zone 'UTC')::date and day < (%(end)s::timestamptz at time zone 'UTC')::date

-- name: event_days
-- The UTC days that have events in a range.
select distinct (ts at time zone 'UTC')::date as day from events where ts >= %(start)s and ts < %(end)s order by day

-- name: read_in_place
-- Until the transaction ends or this is said anew.
select set_config('enable_indexscan', (%(may_use_index)s::boolean)::text, true)

-- name: event_after_so_many
-- When the first event is that has so many of the range before it.
select ts from events where ts >= %(start)s and ts < %(end)s order by ts offset %(rows)s limit 1

-- name: outlives_its_events
-- Whether a UTC day has rollups of events that are kept no longer: it has no partition or chunk, or retention took some out.
select (event_day_table(%(day)s) is null
        or exists (select from retention_drops d where d.day = %(day)s and d.class = 'events' and d.rows_dropped > 0))
   and exists (select from rollup_1d where bucket_start = %(start)s and metric = 'events')

-- name: event_rows
-- The measures of one range's events.
select series_id, ts, subtype, latency_ms, ttft_ms, tokens_per_second, requests_per_second, total_requests, failed_requests, input_tokens, output_tokens, total_tokens, cost_usd, score
from events where ts >= %(start)s and ts < %(end)s

-- name: make_keys
-- Which rows of which windows are meant; made once a connection, emptied by each transaction.
create temporary table if not exists rollup_keys (window_number smallint not null, bucket_start timestamptz not null, series_id bigint not null, metric text not null) on commit delete rows

-- name: make_stage
-- Rows to update.
create temporary table if not exists rollup_stage (like rollup_1m, window_number smallint not null) with (toast_tuple_target = 8160) on commit delete rows

-- name: plan_by_key
-- Temporary tables have no statistics: what joins them finds its rows by their key.
select set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)

-- name: read_rows
-- Rows of a rollup table by column; of the sums those that are there, of histograms the binary arrays one behind another.
select {number}::smallint, array_agg(series_id), array_agg(metric), array_agg(bucket_start), array_agg(count),
    array_agg(sum) filter (where sum is not null), array_agg(sum_exact::text) filter (where sum_exact is not null),
    array_agg(min), array_agg(max), array_agg(mean), array_agg(m2),
    array_agg(cardinality(hist_keys)), string_agg(array_send(hist_keys), ''), string_agg(array_send(hist_counts), '')
from ({source}) r having count(*) > 0

-- name: rows_of_keys
-- The rows of a window that rollup_keys names.
select r.* from rollup_keys k join {table} r using (bucket_start, series_id, metric) where k.window_number = {number}

-- name: rows_of_period
-- The rows of some metrics whose buckets start in a period.
select * from {table} where bucket_start >= {start} and bucket_start < {end} and metric = any (%(metrics)s)

-- name: update_rows
-- A window's staged rows take the place of those they are called after, as their next revision.
update {table} r set count = s.count, sum = s.sum, sum_exact = s.sum_exact, min = s.min, max = s.max, mean = s.mean, m2 = s.m2,
    p50 = s.p50, p95 = s.p95, p99 = s.p99, hist_keys = s.hist_keys, hist_counts = s.hist_counts,
    revision = r.revision + 1, computed_at = s.computed_at
from rollup_stage s
where s.window_number = {number} and (r.bucket_start, r.series_id, r.metric) = (s.bucket_start, s.series_id, s.metric)

-- name: delete_rows
-- Rows of a window that rollup_keys names.
delete from {table} r using rollup_keys k
where k.window_number = {number} and (r.bucket_start, r.series_id, r.metric) = (k.bucket_start, k.series_id, k.metric)

-- name: watermark
-- The moment before which windows are final, for whoever moves it; null: none is.
select nullif(final_before, '-infinity') from rollup_state for update

-- name: advance_watermark
-- Final is what ends before: now and what every partition of the topic's newest incarnation has landed to its end
-- (least() ignores the null of a hub without a broker), less the allowed lateness; and no partial older than that waits.
with landed as (
    select min(coalesce(o.caught_up_at, '-infinity')) as through from landing_offsets o
    where o.topic = %(topic)s and o.topic_id = (
        select n.topic_id from landing_offsets n where n.topic = %(topic)s order by n.updated_at desc limit 1)
), watermark as (
    select least(%(now)s::timestamptz, landed.through) - %(allowed_lateness)s::interval as final_before from landed
)
update rollup_state s set ticked_at = %(now)s, final_before = greatest(s.final_before, w.final_before)
from watermark w
where not exists (select from rollup_partial_sets p where p.first_minute < w.final_before)
returning nullif(s.final_before, '-infinity')

-- name: waiting
-- How many partials are not in all windows yet, and whether some are not in the minutes, and some only there.
select coalesce(sum(group_count), 0)::bigint, coalesce(bool_or(not in_minutes), false), coalesce(bool_or(in_minutes), false)
from rollup_partial_sets
