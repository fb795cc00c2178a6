-- Logins that read one tenant's rows, or some tenants', with SQL: views in a schema of their own, which is all they may read.
-- The same on plain tables and on TimescaleDB, whose columnstore refuses row-level security.
-- Locks: access exclusive on the views metrics_*, rollup_watermarks and ledger_imbalance, for a moment.

create table sql_readers (
    role_name  name not null,
    tenant     text collate "C" not null,
    granted_at timestamptz not null default now(),
    primary key (role_name, tenant)
);
comment on table sql_readers is 'Which login reads which tenant''s rows in schema lah_tenant (`lah readers`).';
comment on column sql_readers.role_name is 'The login, as in session_user.';
comment on column sql_readers.tenant is 'The tenant; as many rows as tenants.';
comment on column sql_readers.granted_at is 'Since when (UTC).';

-- By session_user, which neither `set role` nor any setting changes.
create function lah_my_tenants() returns text[] language sql stable parallel restricted security definer
    set search_path = pg_catalog, pg_temp
    return array(select tenant from lah.sql_readers where role_name = session_user);
comment on function lah_my_tenants() is 'The tenants whose rows the login of this session reads in schema lah_tenant.';

create schema lah_tenant;
comment on schema lah_tenant is 'The tables of schema lah, held to the rows of the tenants that a login may read.';

-- A view's relations are read with its owner's rights, its functions with the reader's. A security barrier lets no function
-- of the reader's see a row before it is known to be the reader's.
create function lah_add_tenant_view(relation name, condition text) returns void
    language plpgsql as $$
begin
    execute format(
        'create or replace view lah_tenant.%1$I with (security_barrier) as select t.* from lah.%1$I t where %2$s',
        relation, condition);
    execute format('comment on view lah_tenant.%1$I is %2$L', relation,
        'Own rows of lah.' || relation || ': ' || coalesce(obj_description(format('lah.%I', relation)::regclass), ''));
    if exists (select from pg_roles where rolname = 'lah_tenant_reader') then
        execute format('grant select on lah_tenant.%I to lah_tenant_reader', relation);
    end if;
end
$$;
comment on function lah_add_tenant_view(name, text) is 'Show a relation of schema lah (alias t) in schema lah_tenant, held to a condition.';

do $$
begin
    begin
        if not exists (select from pg_roles where rolname = 'lah_tenant_reader') then
            create role lah_tenant_reader nologin;
        end if;
    exception
        when insufficient_privilege then
            raise notice 'the role lah_tenant_reader was not made: have a role with CREATEROLE make it, then grant as docs/operations.md says';
        when duplicate_object or unique_violation then
            null;  -- another database of the server made it at this moment
    end;
    if exists (select from pg_roles where rolname = 'lah_tenant_reader') then
        grant usage on schema lah, lah_tenant to lah_tenant_reader;  -- lah for its functions; of its tables they read none
    end if;
end
$$;

-- Everybody may call a function unless it is said otherwise; these are the owner's.
revoke execute on function drop_event_partitions(date), drop_event_day(date), ensure_event_partition(date),
    event_day_table(date), event_table_days(), rollup_pending_buckets(), lah_add_tenant_view(name, text) from public;
do $$
begin
    if exists (select from pg_roles where rolname = 'lah_reader') then
        grant execute on function rollup_pending_buckets() to lah_reader;  -- metrics_1m_live calls it
    end if;
end
$$;

do $$
declare
    relation text;
    own constant text := 't.tenant = any ((select lah.lah_my_tenants())::text[])';
begin
    foreach relation in array array['1m', '5m', '15m', '1h', '6h', '1d', '1w', '1mo'] loop
        execute format('alter view metrics_%s reset (security_invoker)', relation);
        perform lah_add_tenant_view(('metrics_' || relation)::name, own);
    end loop;
    alter view rollup_watermarks reset (security_invoker);
    alter view ledger_imbalance reset (security_invoker);
    foreach relation in array array['series', 'rollup_watermarks', 'cost_daily', 'anomalies', 'forecasts', 'correlations',
                                    'ledger', 'ledger_imbalance'] loop
        perform lah_add_tenant_view(relation::name, own);
    end loop;
    perform lah_add_tenant_view('correlation_members', 'exists (select from lah.correlations c where c.correlation_id = t.correlation_id
        and c.tenant = any ((select lah.lah_my_tenants())::text[]))');
    perform lah_add_tenant_view('metrics', 'true');
    perform lah_add_tenant_view('prices', 'true');
end
$$;
