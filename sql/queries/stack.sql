-- What the commands read and write around the main job.

-- name: begin_replay
-- Remember a replay, or find the one that was interrupted: same times, same ids.
insert into replays as r (run_key, source, events, end_at) values (%(run_key)s, %(source)s, %(events)s, %(end_at)s)
on conflict (run_key) do update set source = r.source
returning source, events, end_at, finished_at

-- name: finish_replay
-- Everything of the replay was acknowledged by the broker.
update replays set finished_at = now() where run_key = %(run_key)s

-- name: ledger_totals
-- What was received and what became of it, over everything.
select coalesce(sum(received), 0)::bigint, coalesce(sum(stored), 0)::bigint, coalesce(sum(duplicate), 0)::bigint,
       coalesce(sum(dead_lettered), 0)::bigint
from ledger

-- name: imbalance
-- How much the views of what does not balance list; all of them are empty in health.
select (select count(*) from ledger_imbalance), (select count(*) from offset_breaks),
       (select count(*) from ledger_against_batches)

-- name: event_span
-- First and last UTC day with events.
select (min(ts) at time zone 'UTC')::date, (max(ts) at time zone 'UTC')::date from events

-- name: served_rows
-- Row counts of what is served besides the rollups.
select (select count(*) from anomalies), (select count(*) from forecasts), (select count(*) from correlations),
       (select count(*) from cost_daily), (select coalesce(sum(priced_usd), 0) from cost_daily)

-- name: latest_checks
-- The newest verdict of each check.
select distinct on (asset, check_name) asset, check_name, passed, severity, advice from checks
order by asset, check_name, checked_at desc, check_id desc

-- name: newest_report
-- The report made last.
select name, period_from, period_to, report_id from reports order by generated_at desc limit 1

-- name: request_backfill
-- Ask for a table's days to be computed again; the sensor backfill_requests starts the run.
insert into backfill_requests (request_id, table_name, from_day, to_day, requested_by, metrics)
values (%(request_id)s, %(table_name)s, %(from_day)s, %(to_day)s, %(requested_by)s, %(metrics)s)

-- name: backfill_state
-- How a requested backfill stands.
select state, run_id, table_name from backfill_requests where request_id = %(request_id)s

-- name: backfill_progress
-- How far a requested backfill is.
select state, run_id, days_done, to_day - from_day + 1 from backfill_requests where request_id = %(request_id)s

-- name: backfill_day_done
-- One more day of the range is computed.
update backfill_requests set days_done = days_done + 1 where request_id = %(request_id)s and days_done <= to_day - from_day
returning state

-- name: open_backfills
-- Requests that no run has finished yet, oldest first.
select request_id, table_name, from_day, to_day, requested_by, state, run_id, metrics from backfill_requests
where state in ('requested', 'started', 'cancelling') order by requested_at

-- name: cancel_backfill
-- Have a request that has not ended cancelled; of a table only, where one is named.
update backfill_requests set state = 'cancelling'
where request_id = %(request_id)s and state in ('requested', 'started')
  and (%(table)s::text is null or table_name = %(table)s::text)
returning table_name

-- name: set_backfill_state
-- Note a request's progress; what has ended stays, and what is to be cancelled does not start.
update backfill_requests set state = %(state)s, run_id = %(run_id)s,
       days_done = case when %(state)s = 'succeeded' then to_day - from_day + 1 else days_done end,
       finished_at = case when %(state)s in ('succeeded', 'failed', 'cancelled') then now() end
where request_id = %(request_id)s and (state in ('requested', 'started') or (state = 'cancelling' and %(state)s <> 'started'))
  and (state, run_id) is distinct from (%(state)s, %(run_id)s)
returning requested_by, table_name

-- name: late_days
-- Days before today whose rollups are newer than their costs: late events landed after the day was computed.
select r.day, r.computed_at from (
    select (bucket_start at time zone 'UTC')::date as day, max(computed_at) as computed_at
    from rollup_1d where bucket_start >= %(since)s group by 1) r
join (select day, min(computed_at) as computed_at from cost_daily where day >= %(since)s group by 1) c using (day)
where r.computed_at > c.computed_at and r.day < %(today)s
order by r.day

-- name: landing_figures
-- What landing has done, for the lineage view.
select (select coalesce(sum(stored), 0)::bigint from ledger) as events_rows,
       (select count(*) from dead_letters) as dead_letters_rows,
       (select count(*) from ledger) as ledger_rows,
       (select coalesce(sum(group_count), 0)::bigint from rollup_partial_sets) as rollup_partials_rows,
       (select max(updated_at) from landing_offsets) as landed_at,
       (select nullif(final_before, '-infinity') from rollup_state) as final_before

-- name: wait_for_locks_at_most
-- How long this session waits for a lock, advisory ones included, before it gives up with 55P03.
select set_config('lock_timeout', %(lock_timeout)s, false)
