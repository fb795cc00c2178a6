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

-- name: planted_episodes
-- What a replay planted, by its own word, each with the greatest anomaly of its kind that peaks within it, if any.
select p.name, p.anomaly_type, p.tenant, p.service, p.metric, p.started_at, p.ended_at, a.anomaly_id::text,
       a.started_at, a.ended_at
from (
    select e.tenant, d ->> 'episode' as name, d ->> 'anomaly_type' as anomaly_type, d ->> 'service' as service,
           d ->> 'metric' as metric, (d ->> 'started_at')::timestamptz as started_at,
           (d ->> 'ended_at')::timestamptz as ended_at
    from replays r
    join events e on e.ts > r.end_at - interval '11 days' and e.ts <= r.end_at and e.subtype = 'planted_episode'
    cross join lateral (select e.payload -> 'data') as fields (d)
    where r.run_key = %(run)s and d ->> 'run' = %(run)s
) p
left join lateral (
    select a.anomaly_id, a.started_at, a.ended_at
    from anomalies a join series s using (series_id)
    where a.tenant = p.tenant and s.service = p.service and a.metric = p.metric and a.anomaly_type = p.anomaly_type
      and a.peak_at >= p.started_at and a.peak_at < p.ended_at
    order by a.score desc, a.started_at limit 1
) a on true
order by p.started_at, p.name

-- name: planted_incidents
-- What a replay planted as incidents, each with the incident that tells most of its services' anomalies, if any.
select p.tenant, p.services, p.root_cause, p.started_at, p.ended_at, i.incident_id::text, i.root_cause,
       i.root_cause_confidence, i.started_at, i.ended_at, i.cost_usd
from (
    select e.tenant, array(select jsonb_array_elements_text(d -> 'services')) as services, replace(d ->> 'root_cause', ':', ' ') as root_cause,
           (d ->> 'started_at')::timestamptz as started_at, (d ->> 'ended_at')::timestamptz as ended_at
    from replays r
    join events e on e.ts > r.end_at - interval '11 days' and e.ts <= r.end_at and e.subtype = 'planted_incident'
    cross join lateral (select e.payload -> 'data') as fields (d)
    where r.run_key = %(run)s and d ->> 'run' = %(run)s
) p
left join lateral (
    select i.incident_id, i.root_cause, i.root_cause_confidence, i.started_at, i.ended_at, i.cost_usd
    from incidents i
    join incident_members m on m.incident_id = i.incident_id and m.member_type = 'anomaly'
    join anomalies a on a.anomaly_id::text = m.member_id
    join series s using (series_id)
    where i.tenant = p.tenant and s.service = any(p.services) and a.peak_at >= p.started_at and a.peak_at < p.ended_at
    group by i.incident_id
    order by count(*) desc, i.started_at limit 1
) i on true
order by p.started_at

-- name: replays_beneath
-- Other replays of everything whose ten days meet this one's: their traffic is in the same series.
select o.run_key from replays r join replays o
  on o.run_key <> r.run_key and o.source = 'all' and o.finished_at is not null
 and abs(extract(epoch from o.end_at - r.end_at)) < 11 * 86400
 and (o.events is null or o.events >= %(least)s)
where r.run_key = %(run)s order by o.end_at
