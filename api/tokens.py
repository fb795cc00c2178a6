"""Bearer tokens of a configured issuer (OAuth 2.0, OpenID Connect): signed JWTs whose claims name a tenant and a role.

RFC 8725 is followed: asymmetric algorithms only, issuer, audience and end are required, keys come from the issuer's own
document and never from the token.
"""

import json
import threading
import time
import urllib.request
from http.client import HTTPException
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlsplit

import jwt

from api.credentials import Principal
from api.problems import Problem
from lah_platform.errors import ConfigurationError, StoreUnavailable
from lah_platform.settings import Settings
from lah_platform.stores.keys import ROLES, tenant_or_role_problem

__all__ = ["TokenVerifier"]

_ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_TIMEOUT_S: Final = 5.0
_MOST_BYTES: Final = 1024 * 1024
_RETRY_AFTER_S: Final = 10.0
_LEEWAY_S: Final = 30
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class TokenVerifier:
    """Verifies tokens of one issuer. Its keys are kept `keys_kept_s`; an unknown key id has them read again, at most
    every 30 s, so a rotated key is taken without a restart and made-up ids do not flood the issuer.
    """

    def __init__(
        self, issuer: str, audience: str, *, tenant_claim: str, role_claim: str, keys_kept_s: float = 300
    ) -> None:
        self._keys_kept_s = keys_kept_s
        self._issuer = issuer.rstrip("/")
        self._audience = audience
        self._tenant_claim = tenant_claim
        self._role_claim = role_claim
        self._keys: jwt.PyJWKClient | None = None
        self._tried_s = -_RETRY_AFTER_S
        self._lock = threading.Lock()

    @classmethod
    def configured(cls, settings: Settings) -> "TokenVerifier | None":
        """The verifier that LAH_OIDC_ISSUER asks for; None when it is unset.

        Raises ConfigurationError without an audience, or when the issuer is not reached by https nor on this machine.
        """
        if settings.oidc_issuer is None:
            return None
        if not settings.oidc_audience:
            raise ConfigurationError("LAH_OIDC_ISSUER needs LAH_OIDC_AUDIENCE", "Set it to what the tokens' `aud` says")
        _check_address("LAH_OIDC_ISSUER", settings.oidc_issuer)
        return cls(
            settings.oidc_issuer,
            settings.oidc_audience,
            tenant_claim=settings.oidc_tenant_claim,
            role_claim=settings.oidc_role_claim,
        )

    def principal(self, token: str) -> Principal:
        """Who the token speaks for.

        Raises Problem when it is not valid or names no tenant or role, StoreUnavailable when the issuer is away.
        """
        try:
            key = self._key(token)
            claims = jwt.decode(
                token,
                key.key,
                algorithms=_ALGORITHMS,
                audience=self._audience,
                issuer=[self._issuer, f"{self._issuer}/"],
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise StoreUnavailable("The issuer of tokens does not answer", "Send it again in a moment") from error
        except (jwt.PyJWTError, ValueError) as error:
            raise _refused(f"The token is not valid: {error}") from error
        return self._of(claims)

    def _key(self, token: str) -> jwt.PyJWK:
        client = self._client()
        if "kid" in jwt.get_unverified_header(token):
            return client.get_signing_key_from_jwt(token)
        keys = client.get_signing_keys()
        if len(keys) != 1:  # OpenID Connect Core 10.1: only a single key may go unnamed
            raise jwt.InvalidTokenError("it does not say which of the issuer's keys signed it")
        return keys[0]

    def _of(self, claims: dict[str, Any]) -> Principal:
        tenant, role = claims.get(self._tenant_claim), claims.get(self._role_claim)
        role = role[0] if isinstance(role, list) and len(role) == 1 else role
        if not isinstance(tenant, str) or role not in ROLES or tenant_or_role_problem(tenant, role):
            raise Problem(
                "not-permitted",
                f"The token's claims {self._tenant_claim!r} and {self._role_claim!r} do not name a tenant and a role",
                advice=f"Have the issuer set them; a role is one of {', '.join(ROLES)}",
            )
        return Principal(tenant, role, f"token:{claims['sub']}")

    def _client(self) -> jwt.PyJWKClient:
        with self._lock:
            if self._keys is None:
                if time.monotonic() - self._tried_s < _RETRY_AFTER_S:
                    raise StoreUnavailable("The issuer of tokens did not answer", "Send it again in a moment")
                self._tried_s = time.monotonic()
                self._keys = jwt.PyJWKClient(self._keys_address(), lifespan=self._keys_kept_s, timeout=_TIMEOUT_S)
            return self._keys

    def _keys_address(self) -> str:
        address = f"{self._issuer}/.well-known/openid-configuration"
        try:
            with urllib.request.build_opener(_NoRedirects).open(address, timeout=_TIMEOUT_S) as response:
                document = json.loads(response.read(_MOST_BYTES))
            found, issuer = str(document["jwks_uri"]), str(document["issuer"])
        except (URLError, TimeoutError, HTTPException, ValueError, KeyError, TypeError) as error:
            raise StoreUnavailable("The issuer of tokens does not answer", "Send it again in a moment") from error
        if issuer.rstrip("/") != self._issuer:
            raise StoreUnavailable("The issuer of tokens calls itself otherwise", "Correct LAH_OIDC_ISSUER")
        _check_address("The issuer's jwks_uri", found)
        return found


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Asks the configured address and no other, as PyJWT does for the keys."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _check_address(name: str, address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ConfigurationError(f"{name} is not reached by https", "Use the issuer's https address")


def _refused(detail: str) -> Problem:
    return Problem("key-refused", detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
