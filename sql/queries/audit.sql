-- name: record
-- One further row of the audit log, chained by the database; rows are never changed.
insert into audit_log (actor, action, object_type, object_id, tenant, details)
values (%(actor)s, %(action)s, %(object_type)s, %(object_id)s, %(tenant)s, %(details)s)
returning position

-- name: is_news_of_retention
-- Whether the retention that a hub keeps to is not what was noted last.
select coalesce((select details from audit_log where object_type = 'retention_setting' order by position desc limit 1)
                is distinct from %(details)s::jsonb, true)

-- name: chain_head
-- The newest row of the chain; position 0: there is none.
select position, encode(row_hash, 'hex'), nullif(at, '-infinity') from audit_chain

-- name: entries
-- The newest entries of [from, to), newest first; of some types of object or actions, and not of others, where given.
select position, at, actor, action, object_type, object_id, tenant, details
from audit_log
where (%(from)s::timestamptz is null or at >= %(from)s::timestamptz)
  and (%(to)s::timestamptz is null or at < %(to)s::timestamptz)
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(types)s::text[] is null or object_type = any(%(types)s::text[]) or action = any(%(actions)s::text[]))
  and (%(other_types)s::text[] is null
       or not (object_type = any(%(other_types)s::text[]) or action = any(%(other_actions)s::text[])))
order by position desc limit %(limit)s

-- name: rows
-- The log in order, with what its hashes are made of; both bounds null: whatever is there, also without a position.
select position, case when isfinite(at) then (extract(epoch from at) * 1000000)::bigint end as at_us, actor, action,
       object_type, object_id, tenant, details::text, salt::text, previous_hash, row_hash
from audit_log
where (%(after)s::bigint is null or position > %(after)s::bigint)
  and (%(until)s::bigint is null or position <= %(until)s::bigint)
order by position

-- name: point
-- The hash of the row at a position.
select row_hash from audit_log where position = %(position)s

-- name: period
-- First and last position of the rows of [from, to); null: there is none.
select min(position), max(position) from audit_log
where (%(from)s::timestamptz is null or at >= %(from)s::timestamptz)
  and (%(to)s::timestamptz is null or at < %(to)s::timestamptz)

-- name: guards
-- What keeps the log from being changed and is not in force: triggers by name, always enabled, on plain tables.
select g.relation || ': ' || g.trigger
from (values ('audit_log', 'audit_log_append_only', 'audit_log_is_append_only'),
             ('audit_log', 'audit_log_chained', 'audit_log_is_chained'),
             ('audit_heads', 'audit_heads_append_only', 'audit_log_is_append_only'),
             ('audit_chain', 'audit_chain_follows_the_log', 'audit_chain_follows_the_log')) as g (relation, trigger, function)
where not exists (
    select from pg_trigger t
    join pg_class c on c.oid = t.tgrelid
    join pg_proc p on p.oid = t.tgfoid
    where c.relnamespace = 'lah'::regnamespace and c.relname = g.relation and c.relkind = 'r' and t.tgname = g.trigger
      and t.tgenabled = 'A' and p.pronamespace = 'lah'::regnamespace and p.proname = g.function)
order by 1

-- name: heads
-- Signed heads in order; after a position, up to another, where they are given.
select position, encode(row_hash, 'hex'), signed_at, public_key, signature from audit_heads
where (%(after)s::bigint is null or position > %(after)s::bigint)
  and (%(until)s::bigint is null or position <= %(until)s::bigint)
order by position

-- name: last_head
-- The newest signed head.
select position, encode(row_hash, 'hex'), signed_at, public_key, signature from audit_heads order by position desc limit 1

-- name: add_head
-- A signed head; another process may have signed the same one.
insert into audit_heads (position, row_hash, signed_at, public_key, signature)
values (%(position)s, decode(%(row_hash)s, 'hex'), %(signed_at)s, %(public_key)s, %(signature)s)
on conflict (position) do nothing

-- name: waiting_heads
-- Signed heads that have not arrived at an anchor, oldest first.
select h.position, encode(h.row_hash, 'hex'), h.signed_at, h.public_key, h.signature from audit_heads h
where not exists (select from audit_anchored a where a.anchor = %(anchor)s and a.position = h.position)
order by h.position limit %(limit)s

-- name: note_anchored
-- A head has arrived at an anchor.
insert into audit_anchored (anchor, position, anchored_at) values (%(anchor)s, %(position)s, %(anchored_at)s)
on conflict do nothing

-- name: anchors
-- How many signed heads each anchor has, and up to which position.
select anchor, count(*), max(position), max(anchored_at) from audit_anchored group by anchor order by anchor

-- name: audit_entries
-- Entries of a tenant ('*': of all) in [from, to), newest first, after the cursor.
select position, at, actor, action, object_type, object_id, tenant, details, encode(previous_hash, 'hex') as previous_hash,
       encode(row_hash, 'hex') as row_hash
from audit_log
where position < %(after_0)s::bigint
  and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)
  and (%(from)s::timestamptz is null or at >= %(from)s::timestamptz)
  and (%(to)s::timestamptz is null or at < %(to)s::timestamptz)
  and (%(actor)s::text is null or actor = %(actor)s::text)
  and (%(action)s::text is null or action = %(action)s::text)
  and (%(object_id)s::text is null or object_id = %(object_id)s::text)
  and (%(types)s::text[] is null or object_type = any(%(types)s::text[]) or action = any(%(actions)s::text[]))
  and (%(other_types)s::text[] is null
       or not (object_type = any(%(other_types)s::text[]) or action = any(%(other_actions)s::text[])))
order by position desc
limit %(limit)s

-- name: audit_signed_heads
-- Signed heads, newest first, after the cursor.
select 'lah-audit-head-1' as kind, position, encode(row_hash, 'hex') as row_hash, signed_at, public_key, signature
from audit_heads
where position < %(after_0)s::bigint and %(tenant)s::text is not null
order by position desc
limit %(limit)s
