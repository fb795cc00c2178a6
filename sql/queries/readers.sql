-- name: grant
-- Let a login read a tenant's rows; nothing when it could before.
insert into sql_readers (role_name, tenant) values (%(role_name)s, %(tenant)s) on conflict do nothing returning tenant

-- name: revoke
-- Let it no longer; nothing when it could not.
delete from sql_readers where role_name = %(role_name)s and (%(tenant)s::text is null or tenant = %(tenant)s)
returning tenant

-- name: list
-- Who reads whose rows.
select role_name::text, tenant, granted_at from sql_readers order by role_name, tenant

-- name: login
-- Whether the role is there, and whether it passes every check.
select rolsuper or rolbypassrls or pg_has_role(oid, 'pg_read_all_data', 'member') from pg_roles where rolname = %(role_name)s
