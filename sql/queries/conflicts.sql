-- What strict deduplication asks. {current} and {previous} are identities_0 and identities_1 by turn, {current_more} and
-- {previous_more} their identity_collisions.

-- name: share_turn
-- No turn while this transaction lasts; waits for one that is being made.
select pg_advisory_xact_lock_shared(hashtextextended('lah.identities', 0))

-- name: state
-- The tables that take new claims, and since when.
select current_table, since from identity_state

-- name: claim
-- Remember every identity whose key is in neither table; the keys that are remembered now, as bigints one after another.
-- The subquery is a probe for each row whatever the planner guesses; as a join it may read all of the previous table.
with claimed as (
    insert into {current} (key, first_ts, claimed_at, event_id, tenant)
    select i.key, i.first_ts, %(now)s, i.event_id, i.tenant
    from unnest(%(keys)s, %(timestamps)s, %(event_ids)s, %(tenants)s) as i (key, first_ts, event_id, tenant)
    where (select p.key from {previous} p where p.key = i.key) is null
    on conflict do nothing
    returning key
)
select coalesce(string_agg(int8send(key), ''::bytea), ''::bytea) from claimed

-- name: renew
-- A turn that is overdue leaves claims older than the window in the current table: these start anew.
update {current} c set first_ts = i.first_ts, claimed_at = %(now)s
from unnest(%(keys)s, %(timestamps)s, %(event_ids)s, %(tenants)s) as i (key, first_ts, event_id, tenant)
where c.key = i.key and c.event_id = i.event_id and c.tenant = i.tenant and c.claimed_at <= %(expired)s

-- name: renew_more
-- The same for identities whose key another one holds.
update {current_more} c set first_ts = i.first_ts, claimed_at = %(now)s
from unnest(%(timestamps)s, %(event_ids)s, %(tenants)s) as i (first_ts, event_id, tenant)
where c.event_id = i.event_id and c.tenant = i.tenant and c.claimed_at <= %(expired)s

-- name: claim_known_keys
-- Of those whose key is in the previous table, remember the identities that are not, or no longer.
insert into {current} (key, first_ts, claimed_at, event_id, tenant)
select i.key, i.first_ts, %(now)s, i.event_id, i.tenant
from unnest(%(keys)s, %(timestamps)s, %(event_ids)s, %(tenants)s) as i (key, first_ts, event_id, tenant)
where (select c.event_id from {current_more} c where c.event_id = i.event_id and c.tenant = i.tenant) is null
  and (select p.key from {previous} p where p.key = i.key and p.event_id = i.event_id and p.tenant = i.tenant
           and p.claimed_at > %(expired)s) is null
  and (select p.event_id from {previous_more} p where p.event_id = i.event_id and p.tenant = i.tenant
           and p.claimed_at > %(expired)s) is null
on conflict do nothing

-- name: claim_more
-- Remember those that are not remembered still: another identity holds their key in the current table.
insert into {current_more} (event_id, tenant, first_ts, claimed_at)
select i.event_id, i.tenant, i.first_ts, %(now)s
from unnest(%(keys)s, %(timestamps)s, %(event_ids)s, %(tenants)s) as i (key, first_ts, event_id, tenant)
where (select c.event_id from {current_more} c where c.event_id = i.event_id and c.tenant = i.tenant) is null
  and (select p.key from {previous} p where p.key = i.key and p.event_id = i.event_id and p.tenant = i.tenant
           and p.claimed_at > %(expired)s) is null
  and (select p.event_id from {previous_more} p where p.event_id = i.event_id and p.tenant = i.tenant
           and p.claimed_at > %(expired)s) is null
  and (select c.key from {current} c where c.key = i.key and c.event_id = i.event_id and c.tenant = i.tenant) is null
on conflict do nothing

-- name: conflicts
-- Positions (from 1) whose identity is remembered under another timestamp, and that timestamp in µs since 1970. Whatever
-- is not in the current tables by now is younger than the window in the previous ones.
select found.position, (extract(epoch from found.first_ts) * 1000000)::bigint
from (
    select i.position, i.first_ts as asked_ts, coalesce(
        (select c.first_ts from {current} c
         where c.key = i.key and c.event_id = i.event_id and c.tenant = i.tenant),
        (select c.first_ts from {current_more} c where c.event_id = i.event_id and c.tenant = i.tenant),
        (select p.first_ts from {previous} p
         where p.key = i.key and p.event_id = i.event_id and p.tenant = i.tenant),
        (select p.first_ts from {previous_more} p where p.event_id = i.event_id and p.tenant = i.tenant)) as first_ts
    from unnest(%(keys)s, %(timestamps)s, %(event_ids)s, %(tenants)s)
        with ordinality as i (key, first_ts, event_id, tenant, position)
) found
where found.first_ts <> found.asked_ts

-- name: wait_briefly
-- A turn that cannot be made at once is made later: landing must not wait behind it.
set local lock_timeout = '500ms'

-- name: own_turn
-- One process makes a turn, while no claim is under way.
select pg_advisory_xact_lock(hashtextextended('lah.identities', 0))

-- name: forget
-- Everything in them is older than the window.
truncate {previous}, {previous_more}

-- name: turn
-- The emptied tables take the claims from now on.
update identity_state set current_table = 1 - current_table, since = %(now)s
