-- Two landing processes that need the same new day at once: the second one waited for the first and then failed with
-- "relation already exists", because to_regclass answers from a cache that waiting for an advisory lock does not renew.
-- After the wait the catalog itself is asked. Found by tests/faults with two consumers (seed 1).
-- Locks: none; one function is replaced.

create or replace function ensure_event_partition(day date) returns void language plpgsql as $$
declare
    child constant text := 'events_' || to_char(day, 'YYYYMMDD');
begin
    if (select relkind from pg_class where oid = 'lah.events'::regclass) <> 'p' then
        return;  -- chunks make themselves
    end if;
    if to_regclass('lah.' || child) is not null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('lah.events.partitions', 0));
    if exists (select from pg_class where relnamespace = 'lah'::regnamespace and relname = child) then
        return;
    end if;
    -- create and attach, not "partition of": that would lock every reader of events out
    execute format('create table lah.%I (like lah.events including all)', child);
    execute format('alter table lah.events attach partition lah.%I for values from (%L) to (%L)', child,
                   day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
end
$$;
