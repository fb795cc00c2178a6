-- The audit log is a hash chain that no role can change: gapless positions, each row's hash over the one before, signed heads.
-- How it is computed, and how to check it by hand: docs/audit.md.
-- Locks: audit_log, exclusively, while the rows it has are chained (a minute for a million).

drop trigger audit_log_append_only on audit_log;
alter table audit_log add column position bigint, add column salt uuid, add column previous_hash bytea, add column row_hash bytea;

-- Every field is its length in bytes (32 bits, big-endian) and its bytes, so that no two rows have one encoding.
create function audit_field(value text) returns bytea language sql stable strict parallel safe
    return int4send(octet_length(convert_to(value, 'UTF8'))) || convert_to(value, 'UTF8');

create function audit_content_hash(place bigint, at timestamptz, actor text, action text, object_type text,
                                   object_id text, tenant text, details jsonb, salt uuid)
returns bytea language sql stable strict parallel safe
    return sha256(lah.audit_field('lah-audit-1') || lah.audit_field(place::text)
                  || lah.audit_field((extract(epoch from at) * 1000000)::bigint::text)
                  || lah.audit_field(actor) || lah.audit_field(action) || lah.audit_field(object_type)
                  || lah.audit_field(object_id) || lah.audit_field(tenant) || lah.audit_field(details::text)
                  || lah.audit_field(salt::text));

create table audit_chain (
    is_head   boolean primary key default true check (is_head),
    position  bigint not null,
    row_hash  bytea not null check (octet_length(row_hash) = 32),
    at        timestamptz not null
) with (fillfactor = 10);

do $$
declare
    entry record;
    place bigint := 0;
    before bytea := decode(repeat('00', 32), 'hex');
    hash bytea;
    latest timestamptz := '-infinity';
    mark uuid;
begin
    for entry in select ctid as tid, * from audit_log order by audit_id loop
        place := place + 1;
        mark := gen_random_uuid();
        hash := sha256(before || audit_content_hash(place, entry.at, entry.actor, entry.action, entry.object_type,
                                                    entry.object_id, entry.tenant, entry.details, mark));
        update audit_log set position = place, salt = mark, previous_hash = before, row_hash = hash where ctid = entry.tid;
        before := hash;
        latest := greatest(latest, entry.at);
    end loop;
    insert into audit_chain (position, row_hash, at) values (place, before, latest);
end
$$;

alter table audit_log
    drop column audit_id,
    alter column position set not null,
    alter column salt set not null,
    alter column previous_hash set not null,
    alter column row_hash set not null,
    add primary key (position),
    add check (octet_length(previous_hash) = 32),
    add check (octet_length(row_hash) = 32);
create index audit_log_at on audit_log (at);

create table audit_heads (
    position    bigint primary key,
    row_hash    bytea not null check (octet_length(row_hash) = 32),
    signed_at   timestamptz not null,
    public_key  text not null,
    signature   text not null
);

create table audit_anchored (
    anchor       text not null,
    position     bigint not null,
    anchored_at  timestamptz not null,
    primary key (anchor, position)
);

-- The place, the time and the hashes are the database's own: whoever inserts cannot give them. The row of audit_chain is
-- held until the transaction ends, so one transaction at a time records, and one that is rolled back leaves no gap.
create function audit_log_is_chained() returns trigger language plpgsql security definer
    set search_path = pg_catalog, pg_temp as $$
declare
    head record;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'the audit log is written in a transaction that is read committed, not %',
            current_setting('transaction_isolation')
            using hint = 'Record in a transaction of its own, after the snapshot.';
    end if;
    select c.position, c.row_hash, c.at into strict head from lah.audit_chain c for update;
    new.position := head.position + 1;
    new.at := greatest(clock_timestamp(), head.at);
    new.salt := gen_random_uuid();
    new.previous_hash := head.row_hash;
    new.row_hash := sha256(head.row_hash || lah.audit_content_hash(
        new.position, new.at, new.actor, new.action, new.object_type, new.object_id, new.tenant, new.details, new.salt));
    update lah.audit_chain set position = new.position, row_hash = new.row_hash, at = new.at;
    return new;
end
$$;

create function audit_chain_follows_the_log() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op <> 'UPDATE' or pg_trigger_depth() < 2
       or current_user <> (select pg_get_userbyid(relowner) from pg_class where oid = tg_relid) then
        raise exception 'audit_chain moves with audit_log only: % is not allowed', lower(tg_op);
    end if;
    return null;
end
$$;

create or replace function audit_log_is_append_only() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp as $$
begin
    raise exception '% is append-only: % is not allowed', tg_table_name, lower(tg_op)
        using hint = 'Write a further row that corrects the earlier one.';
end
$$;

create trigger audit_log_append_only before update or delete or truncate on audit_log
    for each statement execute function audit_log_is_append_only();
create trigger audit_log_chained before insert on audit_log
    for each row execute function audit_log_is_chained();
create trigger audit_heads_append_only before update or delete or truncate on audit_heads
    for each statement execute function audit_log_is_append_only();
create trigger audit_chain_follows_the_log before insert or update or delete or truncate on audit_chain
    for each statement execute function audit_chain_follows_the_log();
-- Always: also in a session whose session_replication_role is replica.
alter table audit_log enable always trigger audit_log_append_only, enable always trigger audit_log_chained;
alter table audit_heads enable always trigger audit_heads_append_only;
alter table audit_chain enable always trigger audit_chain_follows_the_log;

-- What a price is, is evidence: whoever changes the price book, by whatever way, is in the audit log.
create function prices_are_audited() returns trigger language plpgsql security definer
    set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' as $$
declare
    said jsonb := '{}';
    book text;
begin
    if tg_op <> 'TRUNCATE' then
        select jsonb_build_object('rows', count(*), 'models', jsonb_agg(distinct r.model),
                                  'sources', jsonb_agg(distinct r.source)) into said from changed_rows r;
        if (said ->> 'rows')::bigint = 0 then
            return null;
        end if;
    end if;
    select encode(sha256(convert_to(coalesce(string_agg(p::text, e'\n' order by p.model, p.valid_from), ''), 'UTF8')), 'hex')
    into book from lah.prices p;
    insert into lah.audit_log (actor, action, object_type, object_id, tenant, details)
    values (coalesce(nullif(current_setting('lah.actor', true), ''), 'sql:' || session_user), lower(tg_op), 'price_book',
            'prices', '*', said || jsonb_build_object('book_sha256', book));
    return null;
end
$$;
create trigger prices_inserted after insert on prices referencing new table as changed_rows
    for each statement execute function prices_are_audited();
create trigger prices_updated after update on prices referencing new table as changed_rows
    for each statement execute function prices_are_audited();
create trigger prices_deleted after delete on prices referencing old table as changed_rows
    for each statement execute function prices_are_audited();
create trigger prices_truncated after truncate on prices
    for each statement execute function prices_are_audited();

do $$
declare
    relation text;
    grantee text;
begin
    revoke execute on function audit_field(text), audit_log_is_chained(), audit_chain_follows_the_log(),
        audit_log_is_append_only(), prices_are_audited(),
        audit_content_hash(bigint, timestamptz, text, text, text, text, text, jsonb, uuid) from public;
    foreach relation in array array['audit_log', 'audit_chain', 'audit_heads', 'audit_anchored'] loop
        execute format('revoke all on %I from public', relation);
        for grantee in
            select distinct acl.grantee::regrole::text from pg_class c cross join lateral aclexplode(c.relacl) acl
            where c.oid = relation::regclass and acl.grantee not in (0, c.relowner)
        loop
            execute format('revoke all on %I from %s', relation, grantee);
        end loop;
    end loop;
    begin
        if not exists (select from pg_roles where rolname = 'lah_auditor') then
            create role lah_auditor nologin;
        end if;
    exception
        when insufficient_privilege then
            raise notice 'the role lah_auditor was not made: have a role with CREATEROLE make it, then grant as docs/audit.md says';
        when duplicate_object or unique_violation then
            null;  -- another database of the server made it at this moment
    end;
    if exists (select from pg_roles where rolname = 'lah_auditor') then
        grant usage on schema lah to lah_auditor;
        grant select on audit_log, audit_chain, audit_heads, audit_anchored to lah_auditor;
    end if;
end
$$;

comment on column audit_log.position is 'Place in the chain: 1, 2, 3, ... without a gap.';
comment on column audit_log.salt is 'Random, so that a hash shown to somebody else does not tell what the row says.';
comment on column audit_log.previous_hash is 'row_hash of the row before; 32 zero bytes at position 1.';
comment on column audit_log.row_hash is 'SHA-256 of previous_hash and of the hash of this row''s columns (docs/audit.md).';
comment on column audit_log.at is 'When it was recorded (UTC); never before the row before.';
comment on table audit_log is 'Who did what to what: a hash chain; rows are only ever added.';
comment on table audit_chain is 'The head of the audit log''s chain: its one row is held by whoever records.';
comment on column audit_chain.is_head is 'True: there is one row.';
comment on column audit_chain.position is 'Position of the newest row of audit_log; 0: there is none.';
comment on column audit_chain.row_hash is 'Its row_hash; 32 zero bytes: there is none.';
comment on column audit_chain.at is 'Its time (UTC); -infinity: there is none.';
comment on table audit_heads is 'Signed heads of the audit log: what it was at a time, under Ed25519.';
comment on column audit_heads.position is 'Position of the row that was the newest.';
comment on column audit_heads.row_hash is 'Its row_hash.';
comment on column audit_heads.signed_at is 'When it was signed (UTC).';
comment on column audit_heads.public_key is 'The key that signed, base64 of 32 bytes.';
comment on column audit_heads.signature is 'Ed25519 signature, base64 of 64 bytes, over the canonical JSON of the head (docs/audit.md).';
comment on table audit_anchored is 'Which signed heads have arrived at which place outside (LAH_AUDIT_ANCHORS).';
comment on column audit_anchored.anchor is 'The place, without credentials.';
comment on column audit_anchored.position is 'The head''s position.';
comment on column audit_anchored.anchored_at is 'When it arrived (UTC).';
comment on function audit_field(text) is 'One field of the audit log''s canonical encoding: length in bytes, 32 bits big-endian, then UTF-8.';
comment on function audit_content_hash(bigint, timestamptz, text, text, text, text, text, jsonb, uuid)
    is 'SHA-256 of the canonical encoding of an audit_log row without its hashes.';
comment on function audit_log_is_chained() is 'Gives a new row of audit_log its position, time, salt and hashes.';
comment on function audit_chain_follows_the_log() is 'Lets audit_chain move with audit_log only.';
comment on function audit_log_is_append_only() is 'Refuses every change but an added row.';
comment on function prices_are_audited() is 'Notes each change of the price book in the audit log, whoever makes it.';
