-- name: versions
-- What runs: the server, TimescaleDB when it is made here, the newest migration.
select 'PostgreSQL' as part, current_setting('server_version') as version
union all select 'TimescaleDB', extversion from pg_extension where extname = 'timescaledb'
union all (select 'schema lah', lpad(version::text, 4, '0') || ' ' || name || ', applied ' || to_char(applied_at, 'YYYY-MM-DD')
           from schema_migrations order by version desc limit 1)

-- name: database_transport
-- Whether this very connection to PostgreSQL is encrypted, and what the server offers.
select s.ssl as connection_encrypted, s.version as protocol, s.cipher, current_setting('ssl') as server_offers_tls,
       current_setting('password_encryption') as password_encryption
from pg_stat_ssl s where s.pid = pg_backend_pid()

-- name: tenants
-- Every tenant that ever sent anything or has a key, with its records by the ledger.
with sent as (
    select tenant, sum(received)::bigint as received, sum(stored)::bigint as stored,
           sum(dead_lettered)::bigint as dead_lettered, min(minute) as first_minute, max(minute) as last_minute
    from ledger group by tenant
), held as (
    select tenant, count(*) filter (where revoked_at is null and (expires_at is null or expires_at > now())) as valid_keys
    from api_keys group by tenant
)
select tenant, coalesce(received, 0)::bigint as received, coalesce(stored, 0)::bigint as stored,
       coalesce(dead_lettered, 0)::bigint as dead_lettered, first_minute, last_minute,
       coalesce(valid_keys, 0) as valid_keys
from sent full join held using (tenant) order by tenant

-- name: topics
-- What is read from where, and how far.
select topic, count(*) as partitions, sum(next_offset)::bigint as next_offsets_summed, max(caught_up_at) as last_at_the_end
from landing_offsets group by topic order by topic

-- name: flow
-- Records from each topic and what became of them.
select topic as source, sum(received)::bigint as received, sum(stored)::bigint as to_events,
       sum(duplicate)::bigint as counted_as_duplicate, sum(dead_lettered)::bigint as to_dead_letters
from ledger group by topic order by topic

-- name: relations
-- Tables of schema lah with their partitions: bytes, and the planner's estimate of rows (null: never analysed).
select c.relname::text as table_name, coalesce(sum(pg_total_relation_size(t.relid)), 0)::bigint as bytes,
       case when bool_or(t.isleaf and l.reltuples >= 0) then sum(greatest(l.reltuples, 0)) filter (where t.isleaf) end::bigint
           as estimated_rows,
       obj_description(c.oid, 'pg_class') as holds
from pg_class c
cross join lateral (select relid, isleaf from pg_partition_tree(c.oid) union select c.oid, true where c.relkind = 'r') t
join pg_class l on l.oid = t.relid
where c.relnamespace = 'lah'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
group by c.oid, c.relname order by c.relname

-- name: archive
-- What the archive holds.
select count(*) as files, count(distinct day) as days, min(day)::text as first_day, max(day)::text as last_day,
       coalesce(sum(row_count), 0)::bigint as rows, coalesce(sum(file_bytes), 0)::bigint as bytes,
       count(distinct day) filter (where dropped_at is not null) as days_no_longer_in_postgresql
from archive_files

-- name: has_instigators
-- Whether Dagster's daemon has kept its schedules in this database.
select to_regclass('dagster.instigators') is not null

-- name: instigators
-- Schedules and sensors as Dagster's daemon keeps them.
select lower(instigator_type) as kind, body #>> '{origin,job_name}' as name,
       body #>> '{job_specific_data,cron_schedule}' as cron_utc, lower(status) as status
from (select instigator_type, status, instigator_body::jsonb as body from dagster.instigators) i order by 1, 2

-- name: has_assets
-- Whether Dagster keeps its assets in this database.
select to_regclass('dagster.asset_keys') is not null

-- name: assets
-- Assets that were made, and when last.
select (select string_agg(part, '/') from jsonb_array_elements_text(asset_key::jsonb) part) as asset,
       last_materialization_timestamp at time zone 'UTC' as last_made
from dagster.asset_keys where last_materialization_timestamp is not null order by 1

-- name: retention_rules
-- Rules of retention that people set; what none of them names follows the settings.
select rule_id, tenant, class, table_name, event_type, keep_days, set_by, set_at from retention_rules order by tenant, class, table_name, event_type

-- name: legal_holds
-- Holds in force: what they cover is not dropped, whatever its age.
select hold_id, tenant, class, event_type, case when isfinite(from_at) then from_at end as events_from,
       case when isfinite(to_at) then to_at end as events_to, reason, placed_by, placed_at
from legal_holds where released_at is null order by tenant, hold_id

-- name: encryption_keys
-- Keys in force by tenant and purpose, and the master key that wraps them; never a key.
select tenant, purpose, wrapped_by, count(*) as keys_in_use, min(created_at) as oldest_made, max(rewrapped_at) as last_rewrapped
from encryption_keys where retired_at is null group by tenant, purpose, wrapped_by order by tenant, purpose

-- name: subjects
-- Persons whose fields have a key of their own, and persons that were erased, by tenant.
select tenant, coalesce(s.subjects, 0) as subjects, coalesce(t.erased, 0) as erased
from (select tenant, count(*) as subjects from subjects group by tenant) s
full join (select tenant, count(*) as erased from subject_tombstones group by tenant) t using (tenant) order by tenant

-- name: audit
-- The head of the audit log's hash chain.
select position, encode(row_hash, 'hex') as row_hash, nullif(at, '-infinity') as at from audit_chain
