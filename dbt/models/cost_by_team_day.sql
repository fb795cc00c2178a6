with team_day as (

    select
        day,
        tenant,
        team,
        sum(requests) as requests,
        sum(input_tokens) as input_tokens,
        sum(input_fresh_tokens) as input_fresh_tokens,
        sum(input_cache_read_tokens) as input_cache_read_tokens,
        sum(input_cache_write_tokens) as input_cache_write_tokens,
        sum(input_unknown_tokens) as input_unknown_tokens,
        sum(output_tokens) as output_tokens,
        sum(reported_usd) as reported_usd,
        sum(priced_usd) as priced_usd,
        sum(unpriced_requests) as unpriced_requests,
        sum(other_usd) as other_usd,
        sum(reported_usd + other_usd) as spend_usd,
        max(computed_at) as computed_at
    from {{ source('lah', 'cost_daily') }}
    group by day, tenant, team

)

select
    day,
    tenant,
    team,
    requests::bigint as requests,
    input_tokens,
    input_fresh_tokens,
    input_cache_read_tokens,
    input_cache_write_tokens,
    input_unknown_tokens,
    output_tokens,
    reported_usd,
    priced_usd,
    reported_usd - priced_usd as difference_usd,
    unpriced_requests::bigint as unpriced_requests,
    other_usd,
    spend_usd,
    -- of a sum with credits in it no part is a share
    case
        when min(spend_usd) over tenant_day >= 0 and sum(spend_usd) over tenant_day > 0
            then spend_usd / sum(spend_usd) over tenant_day
    end as share_of_tenant_day,
    sum(spend_usd) over seven_days / least(7, day - min(day) over (partition by tenant) + 1) as mean_7d_spend_usd,
    computed_at
from team_day
window
    tenant_day as (partition by day, tenant),
    -- days, not rows: a day on which the team spent nothing has no row and counts as zero
    seven_days as (partition by tenant, team order by day range between interval '6 days' preceding and current row)
