-- name: record
-- One further row of the audit log, chained by the database; rows are never changed.
insert into audit_log (actor, action, object_type, object_id, tenant, details)
values (%(actor)s, %(action)s, %(object_type)s, %(object_id)s, %(tenant)s, %(details)s)
returning position

-- name: chain_head
-- The newest row of the chain; position 0: there is none.
select position, encode(row_hash, 'hex'), nullif(at, '-infinity') from audit_chain
