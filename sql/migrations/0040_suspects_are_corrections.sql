-- A closed window that becomes suspect, or is found well again, is answered differently: it counts as a correction.
-- Locks: suspect_windows, for a moment.

create function lah_count_suspects() returns trigger language plpgsql
    set search_path = lah, pg_temp as $$
begin
    insert into corrections as c (tenant, corrections, corrected_at)
    select tenant, 1, clock_timestamp() from changed group by tenant order by tenant
    on conflict (tenant) do update set corrections = c.corrections + 1, corrected_at = excluded.corrected_at;
    return null;
end
$$;
comment on function lah_count_suspects() is 'Counts windows that became suspect or were cleared among the corrections.';
create trigger count_suspects after insert on suspect_windows
    referencing new table as changed for each statement execute function lah_count_suspects();
create trigger count_cleared after update on suspect_windows
    referencing new table as changed for each statement execute function lah_count_suspects();
