"""Prompt and completion tokens split into buckets that can be added and priced: each token is in one bucket only."""

from typing import NamedTuple

from lah_platform.events.payloads.cost import TokenCost
from lah_platform.events.payloads.telemetry import TokenDerivation, TokenUsage


class TokenBuckets(NamedTuple):
    """Tokens by bucket; None is "not said". `derivation` is how the fresh and visible ones came about."""

    input_fresh: int | None
    input_cache_read: int | None
    input_cache_write: int | None
    output_visible: int | None
    output_reasoning: int | None
    derivation: TokenDerivation


def token_buckets(payload: TokenUsage | TokenCost) -> TokenBuckets:
    """The disjoint buckets of one request's tokens.

    `inclusive`: the prompt holds cache reads and writes, the completion holds reasoning (OpenTelemetry GenAI
    semantic conventions from v1.37); also assumed when one of those is sent and nothing is said. `exclusive`: prompt
    and completion are sent without them (Anthropic's usage). `unknown`: nothing is said about either, so fresh and
    visible stay None. A part larger than its whole is never clamped: that bucket is None and all is `unknown`.
    """
    read = payload.input_cache_read_tokens
    write = payload.input_cache_write_tokens
    reasoning = payload.output_reasoning_tokens
    derivation = payload.token_derivation
    if derivation is None:
        if read is None and write is None and reasoning is None:
            return _NOTHING_SAID
        derivation = "inclusive"
    if derivation == "unknown":
        return TokenBuckets(None, read, write, None, reasoning, "unknown")
    fresh: int | None = payload.prompt_tokens
    visible: int | None = payload.completion_tokens
    if derivation == "inclusive":
        fresh = _rest(payload.prompt_tokens, (read or 0) + (write or 0))
        visible = _rest(payload.completion_tokens, reasoning or 0)
        if fresh is None or visible is None:
            derivation = "unknown"
    return TokenBuckets(fresh, read, write, visible, reasoning, derivation)


_NOTHING_SAID = TokenBuckets(None, None, None, None, None, "unknown")


def _rest(whole: int, parts: int) -> int | None:
    return whole - parts if parts <= whole else None
