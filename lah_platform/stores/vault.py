"""A master key that never leaves HashiCorp Vault: its transit engine wraps and unwraps (API v1, `transit/encrypt`).

Vault 1.9 and newer (associated data). Rotating the key there makes a version, which `lah encryption rotate` moves to.
"""

import base64
from pathlib import Path
from typing import Any

import httpx

from lah_platform.errors import ConfigurationError, StoreUnavailable, Unreadable

__all__ = ["VaultTransit"]

_SECONDS = 10.0
_BAD_REQUEST, _FORBIDDEN, _NOT_FOUND, _SERVER_ERROR = 400, 403, 404, 500


class VaultTransit:
    """A MasterKey. The token is read anew from `token_file` at each request, for an agent renews it there."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None,
        token_file: Path | None,
        mount: str,
        key: str,
        namespace: str | None = None,
    ) -> None:
        self._http = httpx.Client(base_url=f"{url.rstrip('/')}/v1/{mount.strip('/')}/", timeout=_SECONDS)
        self._token = token
        self._token_file = token_file
        self._key = key
        self._namespace = namespace

    @property
    def current(self) -> str:
        return f"vault:{self._key}:{self._asked('GET', f'keys/{self._key}', None)['latest_version']}"

    def wrap(self, key: bytes, context: str) -> bytes:
        sent = {"plaintext": _base64(key), "associated_data": _base64(context.encode())}
        return str(self._asked("POST", f"encrypt/{self._key}", sent)["ciphertext"]).encode("ascii")

    def unwrap(self, wrapped: bytes, wrapped_by: str, context: str) -> bytes:
        name = wrapped_by.split(":")[1] if wrapped_by.startswith("vault:") else None
        if name is None:
            raise Unreadable(
                f"A key is wrapped by {wrapped_by}, not by Vault", "Set LAH_MASTER_KEY_PROVIDER to what it was then"
            )
        sent = {"ciphertext": wrapped.decode("ascii"), "associated_data": _base64(context.encode())}
        return base64.b64decode(self._asked("POST", f"decrypt/{name}", sent)["plaintext"])

    def _asked(self, method: str, path: str, sent: dict[str, str] | None) -> dict[str, Any]:
        token = self._token if self._token_file is None else self._token_file.read_text(encoding="ascii").strip()
        headers = {"X-Vault-Token": token or "", "X-Vault-Request": "true"}
        if self._namespace is not None:
            headers["X-Vault-Namespace"] = self._namespace
        try:
            answer = self._http.request(method, path, json=sent, headers=headers)
        except httpx.HTTPError as error:
            raise StoreUnavailable(f"Vault does not answer ({type(error).__name__})", "Landing waits for it") from error
        if answer.status_code >= _SERVER_ERROR:  # sealed, standby
            raise StoreUnavailable(f"Vault answers {answer.status_code}", "Unseal it, or wait for it") from None
        if answer.status_code in (_FORBIDDEN, _NOT_FOUND):
            raise ConfigurationError(
                f"Vault answers {answer.status_code} to {method} {path}",
                "Check LAH_VAULT_MOUNT and LAH_VAULT_KEY, and that the token may read keys/, and update encrypt/ and"
                " decrypt/ of that key",
            )
        if answer.status_code == _BAD_REQUEST and path.startswith("decrypt/"):
            raise Unreadable("Vault does not open a wrapped key", "Its key has another name or was destroyed there")
        if not answer.is_success:
            raise ConfigurationError(f"Vault answers {answer.status_code} to {method} {path}", "See Vault's audit log")
        data: dict[str, Any] = answer.json()["data"]
        return data


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
