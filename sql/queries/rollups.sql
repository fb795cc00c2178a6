-- Statements of the rollup tick and of recomputation. Both hold the rollups' session lock before they begin.

-- name: lock
-- Session lock, taken before `begin`: a snapshot taken before the lock would be stale.
select pg_advisory_lock(hashtextextended('lah.rollups', 0))

-- name: unlock
-- Give the session lock back.
select pg_advisory_unlock(hashtextextended('lah.rollups', 0))

-- name: take_partials
-- Claim the oldest sets that hold so many partials together, at least one, and remove them.
delete from rollup_partial_sets where set_id in (
    select set_id from (select set_id, sum(group_count) over (order by set_id) - group_count as before from rollup_partial_sets) s
    where before < %(limit)s)
returning series_ids, metrics, minutes, counts, sums, exact_sums, minima, maxima, means, m2s, hist_sizes, hist_keys, hist_counts

-- name: drop_pending_partials
-- A recomputation of whole UTC days reads the events themselves, so their partials must not be merged again.
delete from rollup_partial_sets
where day >= (%(start)s::timestamptz at time zone 'UTC')::date and day < (%(end)s::timestamptz at time zone 'UTC')::date

-- name: event_days
-- The UTC days that have events in a range.
select distinct (ts at time zone 'UTC')::date as day from events where ts >= %(start)s and ts < %(end)s order by day

-- name: event_rows
-- The measures of one range's events.
select series_id, ts, subtype, latency_ms, ttft_ms, tokens_per_second, requests_per_second, total_requests, failed_requests, input_tokens, output_tokens, total_tokens, cost_usd, score
from events where ts >= %(start)s and ts < %(end)s

-- name: stage
-- The tick's scratch table: rows to merge or to write.
create temporary table if not exists rollup_stage (like rollup_1m including defaults) on commit delete rows

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

-- name: pending
-- How many partials wait for a tick.
select coalesce(sum(group_count), 0)::bigint from rollup_partial_sets
