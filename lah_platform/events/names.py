"""Limits on the texts that become series dimensions: an oversized one would fail the whole batch's transaction."""

from lah_platform.events.payloads.quantities import MAX_NAME_BYTES

DIMENSION_TAGS = ("service", "region", "team", "provider")
"""Tags that are dimensions of a series, besides `tenant`."""


def name_problem(name: str) -> str | None:
    """What is wrong with a dimension's text, or None."""
    if len(name) * 4 > MAX_NAME_BYTES and (size := len(name.encode())) > MAX_NAME_BYTES:
        return f"takes {size} bytes of UTF-8; at most {MAX_NAME_BYTES} are taken"
    return None


def tenant_problem(tenant: str) -> str | None:
    """What is wrong with a tenant's name, or None."""
    return name_problem(tenant) if tenant else "is empty; leave the tag out to mean the default tenant"
