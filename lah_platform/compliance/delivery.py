"""Delivering a document: what is handed over, how often it is tried, and how a webhook's message is signed.

Belongs here: parcels, the waits between attempts, the headers. Does not: sending (`stores/delivery_targets.py`), what
waits (`stores/deliveries.py`).
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol
from urllib.parse import quote
from uuid import NAMESPACE_URL, UUID, uuid5

from lah_platform.compliance.signing import Signature, Signer, is_signed_by

__all__ = [
    "LEASE",
    "MOST_ATTEMPTS",
    "DeliveryFailed",
    "Parcel",
    "Target",
    "delivery_id",
    "document_name",
    "is_webhook_signed",
    "wait_after",
    "webhook_headers",
]

LEASE: Final = timedelta(minutes=10)
"""An attempt that neither succeeded nor failed for so long is taken for lost, and made again."""

_WAITS: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 4 * 60, 12 * 60, 24 * 60, 24 * 60))
MOST_ATTEMPTS: Final = len(_WAITS) + 1
_LONGEST_PART: Final = 80
_LONGEST_ASKED: Final = timedelta(days=1)
_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:lah:delivery")


@dataclass(frozen=True)
class Parcel:
    """One document on its way: exactly the stored bytes, and a name that tells what it is."""

    delivery_id: UUID
    report_id: UUID
    name: str
    media_type: str
    body: bytes
    sha256: str


class DeliveryFailed(Exception):
    """The target did not take it. The text says why and has no address and no secret in it."""

    def __init__(self, why: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class Target(Protocol):
    """Somewhere that documents go."""

    def send(self, parcel: Parcel, *, now: datetime) -> None:
        """Hand it over; returns when the target has it. Raises DeliveryFailed. The same parcel may come again."""


def delivery_id(report_id: UUID, document: str, target: str) -> UUID:
    """The same for the same document and target, at any time."""
    return uuid5(_NAMESPACE, f"{report_id}/{document}/{target}")


def document_name(report: str, tenant: str, first: str, last: str, revision: int, document: str) -> str:
    """A file name of printable ASCII that holds no separator, whatever the tenant is called."""
    whose = "" if tenant == "*" else f"-{_short(tenant)}"
    ending = "signature.json" if document == "signature" else document
    return f"{_short(report)}{whose}-{first}-{last}-r{revision}.{ending}"


def wait_after(attempts: int, asked: timedelta | None = None) -> timedelta | None:
    """How long to wait after so many failed attempts, at least as long as the target asked; None: no more attempts.

    Raises ValueError before the first attempt.
    """
    if attempts < 1:
        raise ValueError("nothing was tried")
    if attempts > len(_WAITS):
        return None
    return max(_WAITS[attempts - 1], min(asked or timedelta(0), _LONGEST_ASKED))


def webhook_headers(parcel: Parcel, signer: Signer, *, now: datetime) -> dict[str, str]:
    """Headers of a message that carries the parcel as its body, signed as Standard Webhooks 1.0 says (`v1a`, Ed25519).

    What is signed is `<webhook-id>.<webhook-timestamp>.<body>`.
    """
    stamp = str(int(now.timestamp()))
    signature = signer.sign(_signed(str(parcel.delivery_id), stamp, parcel.body))
    return {
        "Content-Type": parcel.media_type,
        "Idempotency-Key": str(parcel.delivery_id),
        "webhook-id": str(parcel.delivery_id),
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1a,{signature.signature}",
        "Lah-Public-Key": f"whpk_{signature.public_key}",
        "Lah-Report-Id": str(parcel.report_id),
        "Lah-Document": parcel.name,
        "Lah-Document-Sha256": parcel.sha256,
    }


def is_webhook_signed(public_key: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether a received message is signed by `public_key` (base64). `headers`: names in small letters."""
    message = _signed(headers["webhook-id"], headers["webhook-timestamp"], body)
    given = [each.partition(",") for each in headers["webhook-signature"].split()]
    return any(kind == "v1a" and is_signed_by(Signature(public_key, text), message) for kind, _, text in given)


def _short(text: str) -> str:
    quoted = quote(text, safe="")
    return quoted if len(quoted) <= _LONGEST_PART else hashlib.sha256(text.encode()).hexdigest()


def _signed(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode() + body
