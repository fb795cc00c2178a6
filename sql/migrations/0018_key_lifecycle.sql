-- Keys end, are rotated, and say when they were last used.
-- Locks: api_keys, exclusively, for a moment.

alter table api_keys add column expires_at timestamptz;
alter table api_keys add column replaces text references api_keys (key_id);
alter table api_keys add column last_used_at timestamptz;
comment on column api_keys.expires_at is 'From when it is no longer valid (UTC); null: it is until it is revoked.';
comment on column api_keys.replaces is 'The key whose rotation made it; null: none.';
comment on column api_keys.last_used_at is 'When it last let somebody in (UTC), to the minute; null: not yet.';
