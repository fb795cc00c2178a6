-- name: keys
-- Every API key of the tenant ('*': of all), oldest first; never the HMAC.
select key_id, tenant, role, label, is_demo, created_at, expires_at, revoked_at, last_used_at, replaces
from api_keys where %(tenant)s::text = '*' or tenant = %(tenant)s::text order by created_at, key_id

-- name: readers
-- Who was granted whose rows, and whether the server has that login and it may read the tenants' views.
with recursive memberships (member, roleid) as (
    select member, roleid from pg_auth_members
    union select m.member, a.roleid from memberships m join pg_auth_members a on a.member = m.roleid
)
select s.role_name::text, s.tenant, s.granted_at, coalesce(r.rolcanlogin, false),
       exists (select from memberships m join pg_roles g on g.oid = m.roleid
               where m.member = r.oid and g.rolname = 'lah_tenant_reader')
from sql_readers s left join pg_roles r on r.rolname = s.role_name
where %(tenant)s::text = '*' or s.tenant = %(tenant)s::text
order by s.role_name, s.tenant

-- name: logins
-- Every role of the server but PostgreSQL's own, and what it may do in schemas lah and lah_tenant by whatever way.
with recursive memberships (member, roleid) as (
    select member, roleid from pg_auth_members
    union select m.member, a.roleid from memberships m join pg_auth_members a on a.member = m.roleid
), relations as (
    select c.oid, c.relnamespace, c.relkind in ('r', 'p') or pg_relation_is_updatable(c.oid, true) & 28 <> 0 as is_writable
    from pg_class c
    where c.relnamespace in ('lah'::regnamespace, 'lah_tenant'::regnamespace) and c.relkind in ('r', 'p', 'v', 'm')
)
select r.rolname::text, r.rolcanlogin, r.rolsuper, r.rolbypassrls, r.rolcreaterole,
       r.oid = (select nspowner from pg_namespace where nspname = 'lah'),
       coalesce((select array_agg(distinct g.rolname::text order by g.rolname::text) from memberships m
                 join pg_roles g on g.oid = m.roleid where m.member = r.oid), '{}'),
       count(*) filter (where e.relnamespace = 'lah'::regnamespace and has_schema_privilege(r.oid, e.relnamespace, 'usage')
                        and has_any_column_privilege(r.oid, e.oid, 'select')),
       count(*) filter (where e.relnamespace = 'lah'::regnamespace and has_schema_privilege(r.oid, e.relnamespace, 'usage')
                        and e.is_writable
                        and (has_any_column_privilege(r.oid, e.oid, 'insert, update')
                             or has_table_privilege(r.oid, e.oid, 'delete, truncate'))),
       count(*) filter (where e.relnamespace = 'lah_tenant'::regnamespace
                        and has_schema_privilege(r.oid, e.relnamespace, 'usage')
                        and has_any_column_privilege(r.oid, e.oid, 'select')),
       case when isfinite(r.rolvaliduntil) then r.rolvaliduntil end
from pg_roles r cross join relations e
where r.rolname !~ '^pg_'
group by r.oid, r.rolname, r.rolcanlogin, r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolvaliduntil
order by r.rolcanlogin desc, r.rolname

-- name: public_readable
-- Relations of schema lah that are granted to everybody.
select c.relname::text from pg_class c
where c.relnamespace = 'lah'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
  and has_any_column_privilege('public', c.oid, 'select')
order by 1
