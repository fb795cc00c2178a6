with controls (evidence_kind, control_area) as (

    values
        ('threat', 'threat_protection'),
        ('vulnerability', 'threat_protection'),
        ('auth', 'access_control'),
        ('privacy', 'data_protection'),
        ('data_lineage', 'data_protection'),
        ('policy_violation', 'policy_enforcement'),
        ('compliance_violation', 'regulatory_compliance'),
        ('compliance_check', 'regulatory_compliance'),
        ('audit_trail', 'change_control'),
        ('hub_audit', 'change_control'),
        ('landing', 'data_integrity'),
        ('dead_letter', 'data_integrity'),
        ('quality_check', 'data_integrity')

),

reported as (

    select
        (ts at time zone 'UTC')::date as day,
        tenant,
        subtype as evidence_kind,
        count(*) as records,
        count(*) filter (where case subtype
            when 'threat' then payload ->> 'mitigation_status' in ('detected', 'investigating')
            when 'vulnerability' then payload ->> 'remediation_status' in ('identified', 'patch_available', 'patching')
            when 'auth' then payload -> 'success' = 'false'
            when 'privacy' then payload -> 'user_consent' = 'false'
            when 'compliance_check' then payload -> 'passed' = 'false'
            else subtype in ('policy_violation', 'compliance_violation')
        end) as adverse_records
    from {{ source('lah', 'events') }}
    where payload_type in ('security', 'governance')
    group by 1, 2, 3

),

landed as (

    select
        (minute at time zone 'UTC')::date as day,
        tenant,
        'landing' as evidence_kind,
        sum(received) as records,
        sum(abs(received - stored - duplicate - dead_lettered)) as adverse_records
    from {{ source('lah', 'ledger') }}
    group by 1, 2
    having sum(received) > 0 or sum(abs(received - stored - duplicate - dead_lettered)) > 0

),

refused as (

    select
        (dead_lettered_at at time zone 'UTC')::date as day,
        tenant,
        'dead_letter' as evidence_kind,
        count(*) as records,
        count(*) filter (where replayed_at is null) as adverse_records
    from {{ source('lah', 'dead_letters') }}
    group by 1, 2

),

checked as (

    select
        (checked_at at time zone 'UTC')::date as day,
        '*' as tenant,
        'quality_check' as evidence_kind,
        count(*) as records,
        count(*) filter (where not passed) as adverse_records
    from {{ source('lah', 'checks') }}
    group by 1

),

audited as (

    select
        (at at time zone 'UTC')::date as day,
        tenant,
        'hub_audit' as evidence_kind,
        count(*) as records,
        0 as adverse_records
    from {{ source('lah', 'audit_log') }}
    group by 1, 2

),

evidence as (

    select * from reported
    union all
    select * from landed
    union all
    select * from refused
    union all
    select * from checked
    union all
    select * from audited

)

select
    evidence.day,
    evidence.tenant,
    controls.control_area,
    evidence.evidence_kind,
    evidence.records::bigint as records,
    evidence.adverse_records::bigint as adverse_records,
    now() as built_at
from evidence
inner join controls using (evidence_kind)
