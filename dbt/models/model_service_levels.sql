with model_day as (

    select
        (rollup.bucket_start at time zone 'UTC')::date as day,
        rollup.bucket_start,
        series.tenant,
        series.model,
        rollup.metric,
        sum(rollup.count) as count,
        sum(rollup.sum_exact) as sum_exact,
        min(rollup.min) as min,
        max(rollup.max) as max,
        lah.lah_hist_merge_agg(rollup.hist_keys, rollup.hist_counts)
            filter (where rollup.metric in ('latency_ms', 'ttft_ms')) as hist,
        max(rollup.computed_at) as computed_at
    from {{ source('lah', 'rollup_1d') }} as rollup
    inner join {{ source('lah', 'series') }} as series using (series_id)
    where rollup.metric in ('total_requests', 'failed_requests', 'latency_ms', 'ttft_ms')
    group by rollup.bucket_start, series.tenant, series.model, rollup.metric

),

measured as (

    -- merging histograms keeps percentiles right; averaging the series' percentiles would not
    select
        *,
        lah.lah_hist_quantile((hist).keys, (hist).counts, 0.50, min, max) as p50,
        lah.lah_hist_quantile((hist).keys, (hist).counts, 0.95, min, max) as p95,
        lah.lah_hist_quantile((hist).keys, (hist).counts, 0.99, min, max) as p99
    from model_day

),

service as (

    select
        day,
        tenant,
        model,
        coalesce(max(sum_exact) filter (where metric = 'total_requests'), 0) as total_requests,
        coalesce(max(sum_exact) filter (where metric = 'failed_requests'), 0) as failed_requests,
        {%- for metric in ['latency', 'ttft'] %}
        coalesce(max(count) filter (where metric = '{{ metric }}_ms'), 0) as {{ metric }}_count,
        {%- for percentile in ['p50', 'p95', 'p99'] %}
        max({{ percentile }}) filter (where metric = '{{ metric }}_ms') as {{ metric }}_{{ percentile }}_ms,
        {%- endfor %}
        {%- endfor %}
        bool_and(bucket_start + interval '24 hours' <= (select final_before from {{ source('lah', 'rollup_state') }}))
            as is_final,
        max(computed_at) as computed_at
    from measured
    group by day, tenant, model

),

targets as (select {{ var('availability_target') }}::numeric as availability_target)

select
    day,
    tenant,
    model,
    total_requests,
    failed_requests,
    failed_requests / nullif(total_requests, 0) as error_rate,
    1 - failed_requests / nullif(total_requests, 0) as availability,
    availability_target,
    -- multiplied out: a rounded quotient could land on the wrong side of the target
    case when total_requests > 0 then total_requests - failed_requests >= availability_target * total_requests end
        as is_availability_met,
    failed_requests / nullif((1 - availability_target) * total_requests, 0) as error_budget_used,
    latency_count::bigint as latency_count,
    latency_p50_ms,
    latency_p95_ms,
    latency_p99_ms,
    ttft_count::bigint as ttft_count,
    ttft_p50_ms,
    ttft_p95_ms,
    ttft_p99_ms,
    is_final,
    computed_at
from service
cross join targets
