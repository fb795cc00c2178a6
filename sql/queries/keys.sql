-- name: create_key
-- A new API key; its HMAC only.
insert into api_keys (key_id, tenant, role, label, key_hmac, is_demo)
values (%(key_id)s, %(tenant)s, %(role)s, %(label)s, %(key_hmac)s, %(is_demo)s)
returning key_id, tenant, role, label, is_demo, created_at, revoked_at

-- name: find_key
-- The stored HMAC first, then what is known of the key.
select key_hmac, key_id, tenant, role, label, is_demo, created_at, revoked_at
from api_keys where key_id = %(key_id)s

-- name: revoke_key
-- Revoke once; returns the tenant, or nothing when there was nothing to revoke.
update api_keys set revoked_at = now() where key_id = %(key_id)s and revoked_at is null returning tenant

-- name: list_keys
-- Every key, oldest first; never the HMAC.
select key_id, tenant, role, label, is_demo, created_at, revoked_at from api_keys order by created_at, key_id
