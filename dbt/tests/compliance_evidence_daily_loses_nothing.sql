-- Days, tenants and kinds with fewer records than the sources had when the mart was built, or more than they have
-- now. A record counts as having been there when it is five minutes older than the build: far longer than a landing
-- transaction stays open.
{{ config(meta={'dagster': {'ref': {'name': 'compliance_evidence_daily'}}}) }}

with built as (
    select coalesce(min(built_at), now()) - interval '5 minutes' as settled_before
    from {{ ref('compliance_evidence_daily') }}
),

source as (
    select
        (ts at time zone 'UTC')::date as day, tenant, subtype as evidence_kind,
        count(*) filter (where received_at < settled_before) as settled, count(*) as present
    from {{ source('lah', 'events') }}
    cross join built
    where payload_type in ('security', 'governance')
    group by 1, 2, 3
    union all
    select
        (minute at time zone 'UTC')::date, tenant, 'landing',
        coalesce(sum(received) filter (where minute + interval '1 minute' < settled_before), 0), sum(received)
    from {{ source('lah', 'ledger') }}
    cross join built
    group by 1, 2
    union all
    select
        (dead_lettered_at at time zone 'UTC')::date, tenant, 'dead_letter',
        count(*) filter (where dead_lettered_at < settled_before), count(*)
    from {{ source('lah', 'dead_letters') }}
    cross join built
    group by 1, 2
    union all
    select
        (checked_at at time zone 'UTC')::date, '*', 'quality_check',
        count(*) filter (where checked_at < settled_before), count(*)
    from {{ source('lah', 'checks') }}
    cross join built
    group by 1
    union all
    select
        (at at time zone 'UTC')::date, tenant, 'hub_audit',
        count(*) filter (where at < settled_before), count(*)
    from {{ source('lah', 'audit_log') }}
    cross join built
    group by 1, 2
)

select day, tenant, evidence_kind, source.settled, mart.records, source.present
from source
full join {{ ref('compliance_evidence_daily') }} as mart using (day, tenant, evidence_kind)
where
    coalesce(mart.records, 0) < coalesce(source.settled, 0)
    or coalesce(mart.records, 0) > coalesce(source.present, 0)
