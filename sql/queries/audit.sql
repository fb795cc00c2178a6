-- name: record
-- One further row of the audit log; rows are never changed.
insert into audit_log (actor, action, object_type, object_id, tenant, details)
values (%(actor)s, %(action)s, %(object_type)s, %(object_id)s, %(tenant)s, %(details)s)
returning audit_id
