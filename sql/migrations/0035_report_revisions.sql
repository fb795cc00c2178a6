-- Reports are revisions with documents of bytes: what was published once comes back as it was.
-- Locks: access exclusive on reports for a moment; its rows are few.

alter table reports
    add column environment text not null default '*',
    add column revision integer not null default 1 check (revision >= 1),
    add column supersedes uuid references reports (report_id),
    add column changes jsonb not null default '[]';

create table report_documents (
    report_id   uuid not null references reports (report_id) on delete cascade,
    format      text not null check (format in ('html', 'pdf', 'json', 'csv', 'signature')),
    media_type  text not null,
    body        bytea not null,
    sha256      text not null,
    primary key (report_id, format),
    check (sha256 = encode(sha256(body), 'hex'))
);

insert into report_documents (report_id, format, media_type, body, sha256)
select report_id, kept.format, kept.media_type, convert_to(kept.text, 'UTF8'), encode(sha256(convert_to(kept.text, 'UTF8')), 'hex')
from reports cross join lateral (values ('html', 'text/html', html), ('json', 'application/json', content::text))
    as kept (format, media_type, text);

update reports r set revision = numbered.revision, supersedes = numbered.before
from (select report_id, row_number() over same as revision, lag(report_id) over same as before
      from reports window same as (partition by name, tenant, period_from, period_to order by generated_at, report_id)) as numbered
where r.report_id = numbered.report_id;

alter table reports alter column html drop not null;
create index report_documents_sha256 on report_documents (sha256);

comment on column reports.name is 'The framework, such as soc2.';
comment on column reports.period_to is 'First UTC day after it.';
comment on column reports.environment is 'Whose environment''s events it counts; *: of all.';
comment on column reports.revision is 'Of this framework, tenant, environment and period, from 1.';
comment on column reports.supersedes is 'The revision before; null: this is the first.';
comment on column reports.changes is 'Each published figure that differs from the revision before, with what moved.';
comment on column reports.content is 'What the documents say, for queries; the bytes are in report_documents.';
comment on column reports.sha256 is 'SHA-256 of the JSON document; of a report older than migration 35, of its HTML.';
comment on table report_documents is 'The documents of each report as they were published, byte for byte.';
comment on column report_documents.report_id is 'Of which report.';
comment on column report_documents.format is 'html, pdf, json, csv; signature: the detached JSON with generation time, hashes, chain head and signature.';
comment on column report_documents.media_type is 'Its media type.';
comment on column report_documents.body is 'Its bytes.';
comment on column report_documents.sha256 is 'SHA-256 of the bytes, hexadecimal; the database holds it to them.';
