-- Verdicts by tenant, rollup windows that failed a check, what fields payloads had, and a score of each tenant's day.
-- Locks: access exclusive on the views metrics_* for a moment; everything else is new.

create table tenant_verdicts (
    check_id      bigint not null references checks on delete cascade,
    tenant        text collate "C" not null,
    passed        boolean not null,
    checked_rows  bigint not null,
    failed_rows   bigint not null,
    primary key (check_id, tenant)
);
comment on table tenant_verdicts is 'What a verdict of `checks` says about each tenant''s rows; none of a verdict that is about all of them.';
comment on column tenant_verdicts.check_id is 'The verdict.';
comment on column tenant_verdicts.tenant is 'Whose rows.';
comment on column tenant_verdicts.passed is 'Whether none of them failed.';
comment on column tenant_verdicts.checked_rows is 'Rows of the tenant in the period.';
comment on column tenant_verdicts.failed_rows is 'Rows of the tenant that failed, or what the rule returned of them.';
create index tenant_verdicts_tenant on tenant_verdicts (tenant, check_id);
create index checks_period on checks (period_from, period_to);

-- A row of the same or a larger window that overlaps an open one is suspect: what it was made of is.
create table suspect_windows (
    suspect_id   bigint generated always as identity primary key,
    tenant       text collate "C" not null,
    series_id    bigint not null,
    metric       text not null,
    window_name  text not null,
    window_rank  smallint not null check (window_rank between 1 and 8),
    period_from  timestamptz not null,
    period_to    timestamptz not null,
    asset        text not null,
    check_name   text not null,
    advice       text not null,
    since        timestamptz not null,
    cleared_at   timestamptz,
    check (period_from < period_to)
);
comment on table suspect_windows is 'Rollup windows that failed a check. They stay visible, marked is_suspect in metrics_*, until a later check of them passes.';
comment on column suspect_windows.suspect_id is 'Key.';
comment on column suspect_windows.tenant is 'Whose series.';
comment on column suspect_windows.series_id is 'The series.';
comment on column suspect_windows.metric is 'The metric.';
comment on column suspect_windows.window_name is 'Size of the windows that failed, as in rollup_*.';
comment on column suspect_windows.window_rank is 'Order of the sizes: 1 is 1m, 8 is 1mo. What overlaps and is as large or larger is suspect too.';
comment on column suspect_windows.period_from is 'Start of the windows that failed (UTC).';
comment on column suspect_windows.period_to is 'Their end (UTC).';
comment on column suspect_windows.asset is 'Table that was checked.';
comment on column suspect_windows.check_name is 'The check that they failed.';
comment on column suspect_windows.advice is 'What to do.';
comment on column suspect_windows.since is 'When they failed first (UTC).';
comment on column suspect_windows.cleared_at is 'When a later check passed them (UTC); null: they are suspect.';
create unique index suspect_windows_open on suspect_windows (series_id, metric, period_from, window_rank, asset, check_name)
    where cleared_at is null;

create view suspects as
select s.tenant, s.series_id, s.metric, s.window_name, s.window_rank, s.period_from, s.period_to, s.asset, s.check_name,
       s.advice, s.since
from suspect_windows s where s.cleared_at is null;
comment on view suspects is 'Rollup windows that are suspect now. Reports leave out what overlaps one of the same series and metric and is as large or larger.';

create table payload_shapes (
    day           date not null,
    tenant        text collate "C" not null,
    source_module text not null,
    event_type    text not null,
    subtype       text not null,
    field         text not null,
    json_type     text not null,
    events        bigint not null,
    present       bigint not null,
    primary key (day, tenant, source_module, event_type, subtype, field, json_type)
);
comment on table payload_shapes is 'Fields that a producer''s payloads had, by day and kind of event, from a sample: schema drift is judged against it. Kept 90 days.';
comment on column payload_shapes.day is 'UTC day of the events.';
comment on column payload_shapes.tenant is 'Tenant.';
comment on column payload_shapes.source_module is 'Which producer.';
comment on column payload_shapes.event_type is 'Kind of event.';
comment on column payload_shapes.subtype is 'Kind of event within it.';
comment on column payload_shapes.field is 'Name of a field at the payload''s top; no value of it is kept.';
comment on column payload_shapes.json_type is 'string, number, boolean, object or array; encrypted: a text that the hub encrypted.';
comment on column payload_shapes.events is 'Events of the kind in the sample.';
comment on column payload_shapes.present is 'Those of them that had the field with this type.';

create table quality_scores (
    day            date not null,
    tenant         text collate "C" not null,
    score          numeric(7, 4) not null check (score between 0 and 100),
    checks         integer not null,
    failed_checks  integer not null,
    checked_rows   bigint not null,
    failed_rows    bigint not null,
    computed_at    timestamptz not null,
    primary key (day, tenant)
);
comment on table quality_scores is 'How far a tenant''s day can be believed, 0 to 100: the weighted share of what passed (docs/quality.md).';
comment on column quality_scores.day is 'UTC day of the rows.';
comment on column quality_scores.tenant is 'Whose rows.';
comment on column quality_scores.score is '100 times the weighted mean over checks: 1 for passed, 0 for a failed blocking one, else the share of rows that passed.';
comment on column quality_scores.checks is 'Checks with rows of the tenant to judge.';
comment on column quality_scores.failed_checks is 'Those of them that failed.';
comment on column quality_scores.checked_rows is 'Rows that they looked at, each as often as it was looked at.';
comment on column quality_scores.failed_rows is 'Those of them that failed.';
comment on column quality_scores.computed_at is 'When (UTC).';

do $$
declare
    own constant text := 't.tenant = any ((select lah.lah_my_tenants())::text[])';
    relation text;
begin
    foreach relation in array array['suspect_windows', 'suspects', 'quality_scores', 'payload_shapes', 'tenant_verdicts'] loop
        perform lah_add_tenant_view(relation::name, own);
    end loop;
    if exists (select from pg_roles where rolname = 'lah_reader') then
        grant select on suspect_windows, suspects, quality_scores, payload_shapes, tenant_verdicts to lah_reader;
    end if;
end
$$;

-- The first condition is asked once a statement, so that marking costs nothing while nothing is suspect.
do $$
declare
    size record;
begin
    for size in
        select * from (values
            ('1m', 1, $e$r.bucket_start + interval '1 minute'$e$),
            ('5m', 2, $e$r.bucket_start + interval '5 minutes'$e$),
            ('15m', 3, $e$r.bucket_start + interval '15 minutes'$e$),
            ('1h', 4, $e$r.bucket_start + interval '1 hour'$e$),
            ('6h', 5, $e$r.bucket_start + interval '6 hours'$e$),
            ('1d', 6, $e$r.bucket_start + interval '24 hours'$e$),
            ('1w', 7, $e$r.bucket_start + interval '168 hours'$e$),
            ('1mo', 8, $e$(r.bucket_start at time zone 'UTC' + interval '1 month') at time zone 'UTC'$e$)
        ) as sizes (name, rank, bucket_end)
    loop
        execute format($view$
            create or replace view metrics_%1$s as
            select
                r.bucket_start,
                %2$s as bucket_end,
                s.tenant, s.event_type, s.subtype, s.model, s.environment, s.service, s.region, s.team,
                r.series_id,
                r.metric,
                r.count,
                coalesce(r.sum_exact, r.sum::numeric) as sum,
                r.mean as avg,
                r.min,
                r.max,
                case when r.count > 1 then sqrt(r.m2) / sqrt((r.count - 1)::double precision) end as stddev,
                r.p50,
                r.p95,
                r.p99,
                r.revision,
                r.computed_at,
                %2$s <= (select final_before from rollup_state) as is_final,
                r.m2,
                r.hist_keys,
                r.hist_counts,
                false as is_live,
                s.source_module, s.provider, s.tags,
                case when (select exists (select from suspect_windows where cleared_at is null)) then exists (
                    select from suspect_windows w
                    where w.cleared_at is null and w.series_id = r.series_id and w.metric = r.metric
                      and w.window_rank <= %3$s and w.period_from < %2$s and w.period_to > r.bucket_start)
                else false end as is_suspect
            from rollup_%1$s r
            join series s using (series_id)
        $view$, size.name, size.bucket_end, size.rank);
        execute format('comment on column metrics_%s.is_suspect is %L', size.name,
            'Whether it, or what it was made of, failed a check: see suspects.');
        perform lah_add_tenant_view(('metrics_' || size.name)::name,
            't.tenant = any ((select lah.lah_my_tenants())::text[])');
    end loop;
end
$$;

create or replace view metrics_1m_live with (security_invoker = true) as
with waiting as materialized (
    select series_id, metric, bucket_start, count, sum, sum_exact, min, max, mean, m2, hist_keys, hist_counts
    from rollup_partials
), parts as (
    select w.*, null::integer as revision from waiting w
    union all
    select r.series_id, r.metric, r.bucket_start, r.count, r.sum, r.sum_exact, r.min, r.max, r.mean, r.m2, r.hist_keys,
           r.hist_counts, r.revision
    from (select distinct series_id, metric, bucket_start from waiting) w
    join rollup_1m r using (bucket_start, series_id, metric)
), merged as (
    select series_id, metric, bucket_start, sum(count)::bigint as count, sum(sum) as sum, sum(sum_exact) as sum_exact,
           min(min) as min, max(max) as max, lah_m2_merge_agg(count, mean, m2) as moments,
           lah_hist_merge_agg(hist_keys, hist_counts) as hist, coalesce(max(revision), 0) + 1 as revision
    from parts group by series_id, metric, bucket_start
), of_minutes as (
    select r.bucket_start, r.series_id, r.metric, r.count, coalesce(r.sum_exact, r.sum::numeric) as sum, r.mean as avg,
           r.min, r.max, r.p50, r.p95, r.p99, r.revision, r.computed_at, r.m2, r.hist_keys, r.hist_counts, false as is_live
    from rollup_1m r
    where (r.bucket_start, r.series_id, r.metric) not in (
        select w.bucket_start, w.series_id, w.metric from rollup_pending_buckets() w)
    union all
    select m.bucket_start, m.series_id, m.metric, m.count, coalesce(m.sum_exact, m.sum::numeric), (m.moments).mean, m.min,
           m.max, lah_hist_quantile((m.hist).keys, (m.hist).counts, 0.5, m.min, m.max),
           lah_hist_quantile((m.hist).keys, (m.hist).counts, 0.95, m.min, m.max),
           lah_hist_quantile((m.hist).keys, (m.hist).counts, 0.99, m.min, m.max),
           m.revision, statement_timestamp(), (m.moments).m2, (m.hist).keys, (m.hist).counts, true
    from merged m
)
select o.bucket_start, o.bucket_start + interval '1 minute' as bucket_end, s.tenant, s.event_type, s.subtype, s.model,
       s.environment, s.service, s.region, s.team, o.series_id, o.metric, o.count, o.sum, o.avg, o.min, o.max,
       case when o.count > 1 then sqrt(o.m2) / sqrt((o.count - 1)::double precision) end as stddev,
       o.p50, o.p95, o.p99, o.revision, o.computed_at,
       o.bucket_start + interval '1 minute' <= (select final_before from rollup_state) as is_final,
       o.m2, o.hist_keys, o.hist_counts, o.is_live,
       s.source_module, s.provider, s.tags,
       case when (select exists (select from suspect_windows where cleared_at is null)) then exists (
           select from suspect_windows w
           where w.cleared_at is null and w.series_id = o.series_id and w.metric = o.metric and w.window_rank = 1
             and w.period_from < o.bucket_start + interval '1 minute' and w.period_to > o.bucket_start)
       else false end as is_suspect
from of_minutes o join series s using (series_id);
comment on column metrics_1m_live.is_suspect is 'Whether it failed a check: see suspects.';

do $$
declare
    said record;
begin
    for said in
        select a.attname, col_description('suspect_windows'::regclass, b.attnum) as text
        from pg_attribute a join pg_attribute b on b.attrelid = 'suspect_windows'::regclass and b.attname = a.attname
        where a.attrelid = 'suspects'::regclass and a.attnum > 0
    loop
        execute format('comment on column suspects.%I is %L', said.attname, said.text);
    end loop;
end
$$;
