-- Rules of retention and legal holds, as rows.

-- name: set_rule
-- A rule; the earlier one of the same tenant, class, table and type is replaced. Returns what it was.
with old as (
    select keep_days from retention_rules
    where tenant = %(tenant)s and class = %(class)s and table_name = %(table_name)s and event_type = %(event_type)s
), new as (
    insert into retention_rules (tenant, class, table_name, event_type, keep_days, set_by)
    values (%(tenant)s, %(class)s, %(table_name)s, %(event_type)s, %(keep_days)s, %(actor)s)
    on conflict (tenant, class, table_name, event_type)
    do update set keep_days = excluded.keep_days, set_by = excluded.set_by, set_at = now()
    returning rule_id, tenant, class, table_name, event_type, keep_days, set_by, set_at
)
select new.*, old.keep_days as replaced_days from new left join old on true

-- name: rules
-- The rules that concern a tenant, or all of them.
select rule_id, tenant, class, table_name, event_type, keep_days, set_by, set_at from retention_rules
where %(tenant)s::text = '*' or tenant in ('*', %(tenant)s) order by class, tenant, table_name, event_type

-- name: remove_rule
-- A rule of the tenant taken back.
delete from retention_rules where rule_id = %(rule_id)s and (%(tenant)s::text = '*' or tenant = %(tenant)s)
returning rule_id, tenant, class, table_name, event_type, keep_days

-- name: place_hold
-- A legal hold.
insert into legal_holds (tenant, class, event_type, subject_id, from_at, to_at, reason, placed_by)
values (%(tenant)s, %(class)s, %(event_type)s, %(subject_id)s, coalesce(%(from_at)s::timestamptz, '-infinity'), coalesce(%(to_at)s::timestamptz, 'infinity'),
        %(reason)s, %(actor)s)
returning hold_id

-- name: holds
-- Holds that concern a tenant, or all of them; the open side of a period is null.
select hold_id, tenant, class, event_type, subject_id::text, nullif(from_at, '-infinity') as from_at, nullif(to_at, 'infinity') as to_at,
       reason, placed_by, placed_at, released_by, released_at
from legal_holds
where (%(tenant)s::text = '*' or tenant in ('*', %(tenant)s)) and (not %(active)s or released_at is null)
  and (%(hold_id)s::bigint is null or hold_id = %(hold_id)s)
order by hold_id

-- name: release_hold
-- A hold that held until now.
update legal_holds set released_by = %(actor)s, released_at = now()
where hold_id = %(hold_id)s and released_at is null and (%(tenant)s::text = '*' or tenant = %(tenant)s)
returning tenant, reason

-- name: units
-- The tenants and event types there are.
select distinct tenant, event_type from series order by 1, 2

-- name: tenants
-- Every tenant that any table with rules has rows of.
select tenant from series union select tenant from dead_letters union select tenant from cost_daily
union select tenant from reports union select tenant from anomalies order by 1
