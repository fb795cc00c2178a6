-- What strict deduplication remembers, an index on arrival times, and views of whatever does not balance.
-- Locks: `create index` holds events in share mode (no landing, reading goes on) while it reads every partition once:
-- 0.5 to 0.75 s per million events. Stop landing first, or let it wait: nothing is lost. The rest is new objects.

-- The first timestamp of each identity, for a window after it was first claimed. Two pairs of tables take turns: claims
-- go into the current pair and look into both, and each turn truncates the older pair: no delete, no bloat, nothing to
-- vacuum. The key is 8 bytes made from tenant and id, which halves the index; an identity whose key another one holds in
-- the same table is in the pair's second one, under itself (docs/decisions/0004).
create table identities_0 (
    key         bigint primary key,
    first_ts    timestamptz not null,
    claimed_at  timestamptz not null,
    event_id    uuid not null,
    tenant      text collate "C" not null
) with (autovacuum_enabled = false);
create table identity_collisions_0 (
    event_id    uuid not null,
    tenant      text collate "C" not null,
    first_ts    timestamptz not null,
    claimed_at  timestamptz not null,
    primary key (event_id, tenant)
) with (autovacuum_enabled = false);
create table identities_1 (like identities_0 including all) with (autovacuum_enabled = false);
create table identity_collisions_1 (like identity_collisions_0 including all) with (autovacuum_enabled = false);
comment on table identities_0 is 'Strict deduplication: the timestamp under which an identity was first landed, and when. Takes turns with identities_1; empty in exact mode.';
comment on table identities_1 is 'Strict deduplication: see identities_0.';
comment on table identity_collisions_0 is 'Strict deduplication: identities whose key another identity holds in identities_0.';
comment on table identity_collisions_1 is 'Strict deduplication: see identity_collisions_0.';

create table identity_state (
    singleton      boolean primary key default true check (singleton),
    current_table  smallint not null check (current_table in (0, 1)),
    since          timestamptz not null
);
comment on table identity_state is 'Which pair of tables takes new claims, and since when. Changed only under the advisory lock lah.identities.';
insert into identity_state (current_table, since) values (0, 'epoch');

-- Checks ask for what arrived in a period; a partition's rows lie in the order of their arrival. New partitions take
-- the index from their parent; TimescaleDB keeps minimum and maximum per compressed batch for it too.
create index events_received on events using brin (received_at);

create view ledger_imbalance with (security_invoker = true) as
select l.topic, l.partition, l.minute, l.tenant, l.received, l.stored, l.duplicate, l.dead_lettered, sum.unaccounted
from ledger l cross join lateral (select l.received - l.stored - l.duplicate - l.dead_lettered as unaccounted) sum
where sum.unaccounted <> 0;
comment on view ledger_imbalance is 'Ledger rows whose sum does not hold; empty in health. unaccounted: received and booked nowhere (negative: booked more often than received).';

create view ledger_against_batches with (security_invoker = true) as
select topic, partition, minute, coalesce(l.received, 0) as ledger_received, coalesce(b.received, 0) as batches_received
from (
    select topic, partition, minute, sum(received)::bigint as received from ledger group by topic, partition, minute
) l full join (
    select topic, partition, date_trunc('minute', landed_at) as minute, sum(received)::bigint as received
    from landing_batches group by topic, partition, date_trunc('minute', landed_at)
) b using (topic, partition, minute)
where coalesce(l.received, 0) <> coalesce(b.received, 0);
comment on view ledger_against_batches is 'Minutes of a partition in which the ledger and the offset ranges disagree on how much was received; empty in health.';

create view offset_breaks with (security_invoker = true) as
select topic, topic_id, partition, case when from_offset > expected_offset then 'gap' else 'overlap' end as kind,
       expected_offset, from_offset as found_offset, landed_at as at
from (
    select *, lag(to_offset) over (partition by topic, topic_id, partition order by from_offset) as expected_offset
    from landing_batches
) b
where from_offset <> expected_offset
union all
select o.topic, o.topic_id, o.partition, 'next_offset', last.to_offset, o.next_offset, o.updated_at
from landing_offsets o
join lateral (
    select b.to_offset from landing_batches b
    where b.topic = o.topic and b.topic_id = o.topic_id and b.partition = o.partition
    order by b.from_offset desc limit 1
) last on last.to_offset <> o.next_offset;
comment on view offset_breaks is 'Where offset ranges do not join: a gap (offsets skipped), an overlap (read twice), or a next offset that is not the end of the last batch; empty in health.';
