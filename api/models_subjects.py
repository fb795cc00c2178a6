"""Questions and answers about persons: what is asked of them is in bodies, never in addresses, which are logged.

The conventions are those of `api/models.py`.
"""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.parameters import Instant, Text

__all__ = ["Consent", "ConsentRequest", "Consents", "ErasureReceipts", "PersonRequest", "ReceiptDocument",
           "Verification", "VerifyRequest", "WithdrawalRequest"]  # fmt: skip


class PersonRequest(BaseModel):
    """Whom it is about: by identifier as producers send it, or by subject_id."""

    model_config = ConfigDict(extra="forbid")

    identifier: Text | None = Field(None, min_length=1, description="The person's identifier as producers send it...")
    subject_id: UUID | None = Field(None, description="...or what stands for it in events.")
    tenant: Text | None = Field(None, max_length=256, description="Whose data; your own when left out.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.identifier is None) == (self.subject_id is None):
            raise ValueError("give identifier or subject_id, one of both")
        return self

    @property
    def asked(self) -> str:
        return self.identifier if self.identifier is not None else f"{self.subject_id}"


class ConsentRequest(PersonRequest):
    """What a person agreed to."""

    purpose: Text = Field(min_length=1, max_length=200, description="What the content may be used for.")
    source: Text = Field("rest", min_length=1, max_length=200, description="Where it was said, such as signup-form.")
    given_at: Instant | None = Field(None, description="When the person said so (UTC); now when left out.")


class WithdrawalRequest(PersonRequest):
    """What a person withdraws: everything in one call, or one purpose."""

    purpose: Text | None = Field(None, max_length=200, description="This purpose only; every one when left out.")


class Consent(BaseModel):
    """What a person said about one purpose; the latest word counts."""

    consent_id: int
    subject_id: str
    tenant: str
    purpose: str
    is_granted: bool = Field(description="False: refused or withdrawn.")
    given_at: datetime
    source: str = Field(description="`event`: a privacy event said so.")
    event_id: str | None
    recorded_by: str
    recorded_at: datetime


class Consents(BaseModel):
    """Consents, oldest first."""

    items: list[Consent]


class ReceiptDocument(BaseModel):
    """A receipt with its signature; keep it as it is, any change makes it void."""

    receipt: dict[str, Any] | None = Field(description="Null: erased, and its rows are not counted yet: ask again.")
    public_key: str | None = Field(description="Ed25519, base64.")
    signature: str | None = Field(description="Of the receipt's canonical JSON, base64.")


class ErasureReceipt(BaseModel):
    """An erasure that was done."""

    receipt_id: str
    tenant: str
    subject_id: str
    erased_at: datetime
    erased_by: str
    document: ReceiptDocument


class ErasureReceipts(BaseModel):
    """Erasures, newest first."""

    items: list[ErasureReceipt]


class VerifyRequest(BaseModel):
    """A receipt, and the person's identifier when it is known."""

    model_config = ConfigDict(extra="forbid")

    document: dict[str, Any] = Field(description="The receipt as it was handed out.")
    identifier: Text | None = Field(None, description="The person's: its HMAC has to be the receipt's.")


class ReceiptFinding(BaseModel):
    """One thing that was checked."""

    check: str
    passed: bool
    detail: str


class Verification(BaseModel):
    """Whether what a receipt says is true now."""

    is_proved: bool
    findings: list[ReceiptFinding]
