-- Days of a tenant whose sums differ from cost_daily's. A day that was replaced after the mart was built (its
-- computed_at is newer) says nothing about the mart and is left to the next build.
{{ config(meta={'dagster': {'ref': {'name': 'cost_by_team_day'}}}) }}

{%- set sums = ['requests', 'input_tokens', 'input_fresh_tokens', 'input_cache_read_tokens',
                'input_cache_write_tokens', 'input_unknown_tokens', 'output_tokens', 'reported_usd', 'priced_usd',
                'unpriced_requests', 'other_usd'] %}

with source as (
    select
        day, tenant, max(computed_at) as computed_at,
        jsonb_build_array({% for column in sums %}sum({{ column }}){{ ', ' if not loop.last }}{% endfor %}) as sums
    from {{ source('lah', 'cost_daily') }}
    group by day, tenant
),

mart as (
    select
        day, tenant, max(computed_at) as computed_at,
        jsonb_build_array({% for column in sums %}sum({{ column }}){{ ', ' if not loop.last }}{% endfor %}) as sums
    from {{ ref('cost_by_team_day') }}
    group by day, tenant
)

select day, tenant, source.sums as source_sums, mart.sums as mart_sums
from source
full join mart using (day, tenant)
where
    source.sums is distinct from mart.sums
    and coalesce(
        source.computed_at
            <= coalesce(mart.computed_at, (select max(computed_at) from {{ ref('cost_by_team_day') }}), 'infinity'),
        true
    )
