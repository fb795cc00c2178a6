-- Reports as they were published.

-- name: hold_report
-- One writer of a report's revisions at a time, to the end of the transaction.
select pg_advisory_xact_lock(hashtextextended('lah.report/' || %(key)s, 0))

-- name: write_report
-- One revision, without its documents.
insert into reports (report_id, name, tenant, environment, period_from, period_to, revision, generated_at, content, sha256,
                     requested_by, supersedes, changes)
values (%(report_id)s, %(name)s, %(tenant)s, %(environment)s, %(period_from)s, %(period_to)s, %(revision)s, %(generated_at)s,
        %(content)s, %(sha256)s, %(requested_by)s, %(supersedes)s, %(changes)s)

-- name: write_document
-- One document of a revision.
insert into report_documents (report_id, format, media_type, body, sha256)
values (%(report_id)s, %(format)s, %(media_type)s, %(body)s, %(sha256)s)

-- name: latest_report
-- The newest revision of one report.
select report_id from reports
where name = %(framework)s and tenant = %(tenant)s and environment = %(environment)s
  and period_from = %(period_from)s and period_to = %(period_to)s
order by revision desc limit 1

-- name: list_reports
-- Revisions without their documents, newest first.
select report_id, name, tenant, environment, period_from, period_to, revision, generated_at, sha256, requested_by, supersedes, changes
from reports
where (%(tenant)s::text = '*' or tenant = %(tenant)s::text) and (%(name)s::text is null or name = %(name)s::text)
order by generated_at desc, report_id limit %(limit)s

-- name: get_report
-- One revision without its documents.
select report_id, name, tenant, environment, period_from, period_to, revision, generated_at, sha256, requested_by, supersedes, changes
from reports where report_id = %(report_id)s and (%(tenant)s::text = '*' or tenant = %(tenant)s::text)

-- name: get_content
-- What a revision's documents say.
select content from reports where report_id = %(report_id)s

-- name: get_documents
-- The documents of one revision.
select format, body from report_documents where report_id = %(report_id)s order by format

-- name: find_document
-- Where a document of this hash is kept.
select report_id, format from report_documents where sha256 = %(sha256)s limit 1

-- name: reader_role
-- Whose rights the statements of reports run with.
select pg_get_userbyid(proowner)::text from pg_proc where oid = 'lah_report_rows(text)'::regprocedure
