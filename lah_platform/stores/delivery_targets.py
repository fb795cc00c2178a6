"""Folders, object stores and webhooks that documents are delivered to, as the operator's file names them.

No address ever comes from a caller, none is followed elsewhere, and no error says one.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from lah_platform.compliance.delivery import DeliveryFailed, Parcel, Target, webhook_headers
from lah_platform.compliance.schedules import TargetSettings, webhook_problem
from lah_platform.compliance.signing import Signer

__all__ = ["FolderTarget", "StoreTarget", "WebhookTarget", "make_targets"]

_TIMEOUT = httpx.Timeout(30, connect=5)
_STORE_TIMEOUT = {"timeout": "30s", "connect_timeout": "5s"}
_STORE_RETRIES = {"max_retries": 2, "retry_timeout": timedelta(seconds=60)}
_LONGEST_RETRY_AFTER_DIGITS = 6


class FolderTarget:
    """Files in a folder: whole or not there, and read back before they count."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, parcel: Parcel, *, now: datetime) -> None:  # noqa: ARG002
        path = self._folder / parcel.name
        partial_path = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with partial_path.open("wb") as file:
                file.write(parcel.body)
                file.flush()
                os.fsync(file.fileno())
            partial_path.replace(path)
            written = path.read_bytes()
        except OSError as error:
            with suppress(OSError):
                partial_path.unlink()
            raise DeliveryFailed(f"the folder cannot be written: {error.strerror or type(error).__name__}") from error
        if hashlib.sha256(written).hexdigest() != parcel.sha256:
            raise DeliveryFailed("the file that was written holds other bytes")


class StoreTarget:
    """Objects below a prefix of an object store; a put is whole or not there."""

    def __init__(self, address: str, options: Mapping[str, str]) -> None:
        self._address = address
        self._options = dict(options)

    def send(self, parcel: Parcel, *, now: datetime) -> None:  # noqa: ARG002
        try:
            is_remote = urlsplit(self._address).scheme not in ("file", "memory")
            more = {"client_options": _STORE_TIMEOUT, "retry_config": _STORE_RETRIES} if is_remote else {}
            store = from_url(self._address, config=self._options or None, **more)  # type: ignore[call-overload]
            obstore.put(store, parcel.name, parcel.body)
            kept = bytes(obstore.get(store, parcel.name).bytes())
        except (BaseError, OSError, ValueError, TypeError) as error:  # its texts hold addresses
            raise DeliveryFailed(f"the object store did not take it: {type(error).__name__}") from error
        if hashlib.sha256(kept).hexdigest() != parcel.sha256:
            raise DeliveryFailed("the object that was written holds other bytes")


class WebhookTarget:
    """POST of the document as the body, signed; a 2xx is the receipt, a redirect is not followed."""

    def __init__(self, address: str, headers: Mapping[str, str], signer: Signer) -> None:
        self._address = address
        self._headers = dict(headers)
        self._signer = signer

    def send(self, parcel: Parcel, *, now: datetime) -> None:
        headers = {**self._headers, **webhook_headers(parcel, self._signer, now=now)}
        try:
            with (
                httpx.Client(timeout=_TIMEOUT, follow_redirects=False) as client,
                client.stream("POST", self._address, content=parcel.body, headers=headers) as answer,
            ):
                status, asked = answer.status_code, answer.headers.get("retry-after", "")
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # their texts hold addresses
            raise DeliveryFailed(f"no answer: {type(error).__name__}") from error
        if not 200 <= status < 300:
            is_number = asked.isdecimal() and len(asked) <= _LONGEST_RETRY_AFTER_DIGITS
            again = timedelta(seconds=int(asked)) if is_number else None
            raise DeliveryFailed(f"answered {status}", retry_after=again)


def make_targets(
    settings: Mapping[str, TargetSettings], signer: Signer, environment: Mapping[str, str]
) -> dict[str, Callable[[], Target]]:
    """How each target is made, by name. Making one raises DeliveryFailed while a variable of its secrets is not set."""
    return {name: cache(partial(_made, each, signer, environment)) for name, each in settings.items()}


def _made(settings: TargetSettings, signer: Signer, environment: Mapping[str, str]) -> Target:
    if missing := [name for name in settings.variables if not environment.get(name)]:
        raise DeliveryFailed(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set in the environment")
    if settings.folder is not None:
        return FolderTarget(Path(settings.folder))
    if settings.store is not None:
        secret = {name: environment[variable] for name, variable in settings.secrets.items()}
        return StoreTarget(settings.store, {**settings.settings, **secret})
    address = settings.webhook or environment[settings.webhook_from or ""]
    if problem := webhook_problem(address, plain_http=settings.plain_http):
        raise DeliveryFailed(f"the address {problem}")
    headers = {name: environment[variable] for name, variable in settings.secret_headers.items()}
    return WebhookTarget(address, headers, signer)
