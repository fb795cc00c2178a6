-- name: ask
-- One document to one target, once.
insert into deliveries (delivery_id, report_id, format, tenant, target, kind, requested_at, next_attempt_at)
select %(delivery_id)s, r.report_id, %(format)s, r.tenant, %(target)s, %(kind)s, %(now)s, %(now)s
from reports r where r.report_id = %(report_id)s
on conflict do nothing returning delivery_id

-- name: due
-- What may be tried now, the longest due first.
select delivery_id from deliveries where next_attempt_at <= %(now)s order by next_attempt_at, delivery_id limit %(limit)s

-- name: due_stamp
-- The same as one text, that changes with every attempt; null: nothing is due.
select md5(string_agg(delivery_id || '/' || attempts, ',' order by delivery_id)) from deliveries where next_attempt_at <= %(now)s

-- name: begin
-- Begin an attempt, if nobody else has; what is to be sent.
update deliveries d set state = 'sending', attempts = attempts + 1, next_attempt_at = %(lost_at)s
from report_documents f, reports r
where d.delivery_id = %(delivery_id)s and d.next_attempt_at <= %(now)s and f.report_id = d.report_id and f.format = d.format
  and r.report_id = d.report_id
returning d.attempts, d.target, d.report_id, d.format, f.media_type, f.body, f.sha256, r.name, r.tenant, r.period_from,
          r.period_to - 1, r.revision

-- name: delivered
-- The target has it; an attempt that was taken for lost and arrived all the same says so too.
update deliveries set state = 'delivered', delivered_at = %(now)s, sha256 = %(sha256)s, last_error = null, next_attempt_at = null
where delivery_id = %(delivery_id)s and state <> 'delivered'

-- name: failed
-- The attempt failed: again at the time given, or (null) never.
update deliveries set state = case when %(next_at)s::timestamptz is null then 'failed' else 'waiting' end,
       last_error = %(why)s, next_attempt_at = %(next_at)s
where delivery_id = %(delivery_id)s and state = 'sending' and attempts = %(attempts)s

-- name: again
-- Try one that was given up, or that waits, at once; its attempts are counted anew.
update deliveries set state = 'waiting', attempts = 0, next_attempt_at = %(now)s
where delivery_id = %(delivery_id)s and state in ('failed', 'waiting') returning tenant

-- name: summary
-- How many are in each state, and since when the oldest that has not arrived was asked for.
select count(*) filter (where state = 'delivered'), count(*) filter (where state in ('waiting', 'sending')),
       count(*) filter (where state in ('waiting', 'sending') and last_error is not null), count(*) filter (where state = 'failed'),
       min(requested_at) filter (where state <> 'delivered')
from deliveries

-- name: list
-- The newest, or only those that have not arrived.
select d.delivery_id, d.report_id, r.name as report, d.format as document, d.tenant, d.target, d.kind, d.state, d.attempts,
       d.last_error, d.requested_at, d.next_attempt_at, d.delivered_at, d.sha256
from deliveries d join reports r using (report_id)
where not %(only_missing)s or d.state <> 'delivered'
order by d.requested_at desc, d.delivery_id desc limit %(limit)s
