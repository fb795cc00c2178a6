-- name: create_key
-- A new API key; its HMAC only.
insert into api_keys (key_id, tenant, role, label, key_hmac, is_demo, expires_at, replaces)
values (%(key_id)s, %(tenant)s, %(role)s, %(label)s, %(key_hmac)s, %(is_demo)s, now() + %(life)s::interval, %(replaces)s)
returning key_id, tenant, role, label, is_demo, created_at, revoked_at, expires_at, replaces, last_used_at

-- name: find_key
-- The stored HMAC and whether it is valid now first, then what is known of the key.
select key_hmac, revoked_at is null and (expires_at is null or expires_at > now()),
       key_id, tenant, role, label, is_demo, created_at, revoked_at, expires_at, replaces, last_used_at
from api_keys where key_id = %(key_id)s

-- name: valid_key
-- A key that can be rotated now, locked, if it belongs to the tenant ('*': any).
select key_id, tenant, role, label, is_demo, created_at, revoked_at, expires_at, replaces, last_used_at
from api_keys
where key_id = %(key_id)s and revoked_at is null and (expires_at is null or expires_at > now())
  and (%(tenant)s = '*' or tenant = %(tenant)s)
for update

-- name: expire_key
-- Let a key end so soon, or earlier if it does already.
update api_keys set expires_at = least(expires_at, now() + %(grace)s::interval) where key_id = %(key_id)s returning expires_at

-- name: revoke_key
-- Revoke once, if it belongs to the tenant ('*': any); returns the tenant, or nothing when there was nothing to revoke.
update api_keys set revoked_at = now()
where key_id = %(key_id)s and revoked_at is null and (%(tenant)s = '*' or tenant = %(tenant)s)
returning tenant

-- name: note_use
-- When a key was last used, written at most once a minute whoever notices.
update api_keys set last_used_at = now()
where key_id = %(key_id)s and (last_used_at is null or last_used_at < now() - interval '1 minute')

-- name: list_keys
-- Every key of the tenant ('*': of all), oldest first; never the HMAC.
select key_id, tenant, role, label, is_demo, created_at, revoked_at, expires_at, replaces, last_used_at
from api_keys where %(tenant)s = '*' or tenant = %(tenant)s order by created_at, key_id
