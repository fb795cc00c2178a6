-- What reports read, they read as a role that may only select; and one document store instead of a column of HTML.
-- Locks: access exclusive on reports for a moment; on a plain table the index of each existing partition of events is built
-- under its share lock: landing into that day waits, about a second per ten million rows, few of which the index holds.

alter table reports drop column html;
create unique index reports_revision on reports (name, tenant, environment, period_from, period_to, revision);

-- The few events that controls are about, so that a month of them is not a month of traffic read.
create index events_evidence on events (ts)
    where payload_type in ('security', 'governance') or subtype = 'model_performance';

-- Stable, so that the statement can change nothing; security definer, so that it cannot take another role or give one back;
-- as a subquery, so that it is one select.
create function lah_report_rows(statement text) returns setof json language plpgsql stable security definer
    set search_path = lah, public, pg_temp set timezone = 'UTC' as $$
begin
    return query execute format(E'select row_to_json(q) from (%s\n) q', rtrim(statement, E'; \n\t'));
end
$$;
comment on function lah_report_rows(text) is 'The rows of one select, as lah_reporter sees them.';
revoke execute on function lah_report_rows(text) from public;

do $$
declare
    relation text;
begin
    begin
        if not exists (select from pg_roles where rolname = 'lah_reporter') then
            create role lah_reporter nologin;
        end if;
    exception
        when insufficient_privilege then
            raise notice 'the role lah_reporter was not made: have a role with CREATEROLE make it, then grant as docs/controls.md says';
        when duplicate_object or unique_violation then
            null;  -- another database of the server made it at this moment
    end;
    if not exists (select from pg_roles where rolname = 'lah_reporter') then
        return;
    end if;
    grant usage on schema lah to lah_reporter;
    for relation in
        select c.relname from pg_class c
        where c.relnamespace = 'lah'::regnamespace and c.relkind in ('r', 'p', 'v')
          and c.relname !~ '^(events_\d{8}|identities_\d|identity_collisions_\d)$'
          and c.relname not in ('api_keys', 'dead_letters', 'encryption_keys', 'subjects', 'subject_tombstones', 'report_documents', 'erasure_receipts')
    loop
        execute format('grant select on lah.%I to lah_reporter', relation);
    end loop;
    grant select (key_id, tenant, role, label, is_demo, created_at, revoked_at, expires_at, replaces, last_used_at)
        on api_keys to lah_reporter;
    grant select (dead_letter_id, tenant, topic, topic_id, partition, record_offset, dead_lettered_at, code, replayed_at, replayed_as)
        on dead_letters to lah_reporter;
    grant execute on function audit_field(text),
        audit_content_hash(bigint, timestamptz, text, text, text, text, text, jsonb, uuid) to lah_reporter;
    grant select (receipt_id, tenant, subject_id, erased_at, erased_by, signature) on erasure_receipts to lah_reporter;
    begin
        if current_setting('is_superuser') <> 'on' then
            grant lah_reporter to current_user;
            grant create on schema lah to lah_reporter;  -- whoever owns a function must be able to make one; taken back below
        end if;
        alter function lah_report_rows(text) owner to lah_reporter;
        grant execute on function lah_report_rows(text) to current_user;
        revoke create on schema lah from lah_reporter;
    exception
        when insufficient_privilege then
            raise notice 'lah_report_rows stays this role''s: controls with SQL of their own are refused, see docs/controls.md';
    end;
end
$$;
