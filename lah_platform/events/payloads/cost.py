"""Cost payloads. Money is exact Decimal as sent; rounding to the column's scale is in `money.py`."""

from typing import Literal

import msgspec

from lah_platform.events.payloads.quantities import Count, Money, Name, NonNegative, Percent
from lah_platform.events.payloads.telemetry import TokenDerivation


class Cost(msgspec.Struct, tag_field="cost_type", frozen=True, kw_only=True, gc=False):
    pass


class TokenCost(Cost, tag="token_cost", frozen=True, kw_only=True):
    """The last four fields are the hub's extension, as in `TokenUsage`."""

    model_id: Name
    request_id: str
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    cost_per_prompt_token: Money
    cost_per_completion_token: Money
    total_cost_usd: Money
    currency: str
    input_cache_read_tokens: Count | None = None
    input_cache_write_tokens: Count | None = None
    output_reasoning_tokens: Count | None = None
    token_derivation: TokenDerivation | None = None


class ApiCost(Cost, tag="api_cost", frozen=True, kw_only=True):
    provider: Name
    api_endpoint: str
    request_count: Count
    cost_per_request: Money
    total_cost_usd: Money
    billing_period: str


class OtherResource(msgspec.Struct, frozen=True, gc=False):
    other: str


class ResourceConsumption(Cost, tag="resource_consumption", frozen=True, kw_only=True):
    resource_type: Literal["compute", "storage", "network", "memory", "gpu"] | OtherResource
    resource_id: str
    quantity: NonNegative
    unit: str
    cost_usd: Money
    utilization_percent: Percent


class BudgetAlert(Cost, tag="budget_alert", frozen=True, kw_only=True):
    budget_id: str
    budget_name: str
    budget_limit_usd: Money
    current_spend_usd: Money
    threshold_percent: Percent
    alert_type: Literal["warning", "critical", "exceeded"]


CostData = TokenCost | ApiCost | ResourceConsumption | BudgetAlert

MONEY_FIELDS: dict[type[Cost], tuple[str, ...]] = {
    TokenCost: ("cost_per_prompt_token", "cost_per_completion_token", "total_cost_usd"),
    ApiCost: ("cost_per_request", "total_cost_usd"),
    ResourceConsumption: ("cost_usd",),
    BudgetAlert: ("budget_limit_usd", "current_spend_usd"),
}
