-- Models whose requests, failures or measurements of a day differ from rollup_1d's. Rows that a tick has changed
-- after the mart was built (their computed_at is newer) are left to the next build.
{{ config(meta={'dagster': {'ref': {'name': 'model_service_levels'}}}) }}

with source as (
    select
        (rollup.bucket_start at time zone 'UTC')::date as day, series.tenant, series.model,
        max(rollup.computed_at) as computed_at,
        coalesce(sum(rollup.sum_exact) filter (where rollup.metric = 'total_requests'), 0) as total_requests,
        coalesce(sum(rollup.sum_exact) filter (where rollup.metric = 'failed_requests'), 0) as failed_requests,
        coalesce(sum(rollup.count) filter (where rollup.metric = 'latency_ms'), 0) as latency_count,
        coalesce(sum(rollup.count) filter (where rollup.metric = 'ttft_ms'), 0) as ttft_count
    from {{ source('lah', 'rollup_1d') }} as rollup
    inner join {{ source('lah', 'series') }} as series using (series_id)
    where rollup.metric in ('total_requests', 'failed_requests', 'latency_ms', 'ttft_ms')
    group by 1, 2, 3
)

select day, tenant, model, source.computed_at as source_computed_at, mart.computed_at as mart_computed_at
from source
full join {{ ref('model_service_levels') }} as mart using (day, tenant, model)
where
    (source.total_requests, source.failed_requests, source.latency_count, source.ttft_count)
        is distinct from (mart.total_requests, mart.failed_requests, mart.latency_count, mart.ttft_count)
    and coalesce(
        source.computed_at
            <= coalesce(mart.computed_at, (select max(computed_at) from {{ ref('model_service_levels') }}), 'infinity'),
        true
    )
