"""Questions and answers about API keys.

The conventions are those of `api/models.py`.
"""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from lah_platform.stores.keys import Role

__all__ = ["Key", "KeyRequest", "MadeKey", "RotationRequest"]

_LONGEST_DAYS = 3660
_LONGEST_GRACE_MINUTES = 30 * 24 * 60


def _number(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("is not a number")
    return value


_Number = BeforeValidator(_number)


class KeyRequest(BaseModel):
    """Whose key, and what it may do."""

    model_config = ConfigDict(extra="forbid")

    role: Role = Field(description="What it may do.")
    tenant: str | None = Field(
        None, description="Whose it is; your own tenant when left out.", min_length=1, max_length=256
    )
    label: str = Field("", description="What it is for.", max_length=200)
    expires_in_days: Annotated[int, Field(ge=1, le=_LONGEST_DAYS), _Number] | None = Field(
        None, description="How long it is valid; until it is revoked when left out."
    )


class RotationRequest(BaseModel):
    """How the old key ends."""

    model_config = ConfigDict(extra="forbid")

    grace_minutes: Annotated[int, Field(ge=0, le=_LONGEST_GRACE_MINUTES), _Number] = Field(
        24 * 60,
        description="How long the old key is still taken; a day when left out.",
    )


class Key(BaseModel):
    """What is known of a key."""

    key_id: str
    prefix: str = Field(description="How the key begins.")
    tenant: str
    role: Role
    label: str
    is_demo: bool = Field(description="Whether it is the demo's, taken on the loopback address only.")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    replaces: str | None = Field(description="The key whose rotation made it.")
    last_used_at: datetime | None = Field(description="To the minute.")


class MadeKey(Key):
    """A key that was just made, and the only answer that holds it."""

    key: str = Field(description="Keep it now: it cannot be had again.")
