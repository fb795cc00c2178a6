-- Tenants' days whose shares miss 1 by more than the rounding of each share to its twelfth decimal.
select day, tenant, sum(share_of_tenant_day) as shares
from {{ ref('cost_by_team_day') }}
group by day, tenant
having abs(sum(share_of_tenant_day) - 1) > count(*) * 0.0000000000005
