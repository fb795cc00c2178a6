-- How often closed windows of a tenant changed: what an answer about them can be believed by, without reading it again.
-- Locks: live_inbox, for a moment.

create table corrections (
    tenant        text collate "C" primary key,
    corrections   bigint not null,
    corrected_at  timestamptz not null
);
comment on table corrections is 'How often something about closed windows changed, in the transaction of the change.';
comment on column corrections.tenant is 'Whose windows; *: everyone''s.';
comment on column corrections.corrections is 'Transactions that changed some of them; the same number, the same answers.';
comment on column corrections.corrected_at is 'When the last of them wrote (UTC).';
select lah_add_tenant_view('corrections', 't.tenant = any ((select lah.lah_my_tenants() || ''*''::text)::text[])');

-- live_inbox hears of every change already. An upsert waits for a concurrent one of the same tenant to end, so no two
-- changes share a number.
create function lah_count_corrections() returns trigger language plpgsql
    set search_path = lah, pg_temp as $$
begin
    insert into corrections as c (tenant, corrections, corrected_at)
    select tenant, 1, clock_timestamp() from noted
    where change = 'corrected' or kind = 'recomputed'
    group by tenant order by tenant
    on conflict (tenant) do update set corrections = c.corrections + 1, corrected_at = excluded.corrected_at;
    return null;
end
$$;
comment on function lah_count_corrections() is 'Counts changes of closed windows that live_inbox hears of.';
create trigger count_corrections after insert on live_inbox
    referencing new table as noted for each statement execute function lah_count_corrections();
