"""Tokens of a real OpenID provider: signed, addressed to us, alive, and naming a tenant and a role."""

import hmac
import json
import re
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import jwt
import pytest
from api_support import Api
from cryptography.hazmat.primitives.asymmetric import rsa

from api.tokens import TokenVerifier
from lah_platform.errors import ConfigurationError
from lah_platform.settings import Settings
from lah_platform.stores.embedded.ports import unused_port

_CLIENT = "lah"
_ANY = "/api/v1/costs"
_ALGORITHM = "RS256"


@dataclass
class Issuer:
    """An OpenID provider on this machine."""

    url: str

    def token(self, sub: str, audience: str = _CLIENT, **claims: Any) -> str:
        """An id token for `audience` by the authorization code flow, with these claims."""
        httpx.put(f"{self.url}/users/{sub}", json=claims).raise_for_status()
        back = "http://localhost/back"
        asked = {"client_id": audience, "response_type": "code", "scope": "openid", "redirect_uri": back}
        sent = httpx.post(f"{self.url}/oauth2/authorize", params=asked, data={"sub": sub})
        code = urllib.parse.parse_qs(urllib.parse.urlsplit(sent.headers["location"]).query)["code"][0]
        given = {"grant_type": "authorization_code", "code": code, "redirect_uri": back}
        answer = httpx.post(f"{self.url}/oauth2/token", data=given, auth=(audience, "secret"))
        return str(answer.raise_for_status().json()["id_token"])


@contextmanager
def _issuer(port: int) -> Iterator[Issuer]:
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://localhost:{port}"
    try:
        _until(lambda: httpx.get(f"{url}/.well-known/openid-configuration").is_success)
        yield Issuer(url)
    finally:
        process.terminate()
        process.wait(10)


def _until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("the issuer did not come up")


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with _issuer(unused_port()) as found:
        yield found


def _api(api: Api, issuer: Issuer) -> Api:
    return api.changed(settings=Settings(oidc_issuer=issuer.url, oidc_audience=_CLIENT))


def _ask(api: Api, token: str, path: str = _ANY) -> Any:
    return api.client(None).get(path, headers={"Authorization": f"Bearer {token}"})


def test_a_token_does_what_its_role_may_within_its_tenant(seeded: Api, issuer: Issuer) -> None:
    api = _api(seeded, issuer)
    token = issuer.token("ann", lah_tenant="acme", lah_role="viewer")
    answer = _ask(api, token)
    assert {item["tenant"] for item in answer.json()["items"]} == {"acme"}
    assert _ask(api, token, "/api/v1/events").status_code == 403
    assert _ask(api, issuer.token("bea", lah_tenant="acme", lah_role=["analyst"]), "/api/v1/events").is_success
    assert api.client("acme", "viewer").get(_ANY).is_success, "keys are taken beside tokens"


@pytest.mark.parametrize(
    "claims",
    [{}, {"lah_tenant": "acme"}, {"lah_role": "viewer"}, {"lah_tenant": "acme", "lah_role": "root"},
     {"lah_tenant": ["acme"], "lah_role": "viewer"}, {"lah_tenant": "unknown", "lah_role": "viewer"},
     {"lah_tenant": "acme", "lah_role": ["viewer", "admin"]}],
)  # fmt: skip
def test_a_token_that_names_no_tenant_and_role_may_nothing(served: Api, issuer: Issuer, claims: dict[str, Any]) -> None:
    answer = _ask(_api(served, issuer), issuer.token("carl", **claims))
    assert (answer.status_code, "do not name a tenant and a role" in answer.json()["detail"]) == (403, True)


def test_a_token_for_somebody_else_or_signed_by_nobody_known_is_refused(served: Api, issuer: Issuer) -> None:
    api = _api(served, issuer)
    good = issuer.token("dora", lah_tenant="acme", lah_role="admin")
    header, payload, signature = good.split(".")
    headers = jwt.get_unverified_header(good)
    headers = {"kid": headers["kid"]} if "kid" in headers else {}
    claims = jwt.decode(good, options={"verify_signature": False})
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = urllib.request.urlopen(f"{issuer.url}/jwks").read()
    bad = {
        "for another audience": issuer.token("dora", "elsewhere", lah_tenant="acme", lah_role="admin"),
        "without a signature": jwt.encode(claims, None, "none", headers=headers),
        "signed by another key": jwt.encode(claims, own, _ALGORITHM, headers=headers),
        "signed with the public key as secret": _hs256(payload, public),
        "with a key of its own": jwt.encode(claims, own, _ALGORITHM, headers={"kid": "x", "jku": issuer.url + "/mine"}),
        "with an unknown key": jwt.encode(claims, own, _ALGORITHM, headers={"kid": "nobody"}),
        "changed": f"{header}.{_changed(payload)}.{signature}",
        "cut": good[: len(good) // 2],
        "empty": "..",
    }
    for name, token in bad.items():
        answer = _ask(api, token)
        assert (answer.status_code, answer.json()["type"]) == (401, "/docs#key-refused"), name
        assert token not in answer.text
    assert _ask(api, good).is_success


def _hs256(payload: str, secret: bytes) -> str:
    """Signed as whoever mistakes the issuer's public key for a secret would verify it."""
    header = jwt.utils.base64url_encode(b'{"alg":"HS256","typ":"JWT"}').decode()
    signed = f"{header}.{payload}"
    return f"{signed}.{jwt.utils.base64url_encode(hmac.digest(secret, signed.encode(), 'sha256')).decode()}"


def _changed(payload: str) -> str:
    claims = jwt.utils.base64url_decode(payload)
    return jwt.utils.base64url_encode(re.sub(b"acme", b"globex", claims)).decode()


def test_a_token_that_has_ended_is_refused() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    claims = {"iss": "https://issuer.test", "aud": _CLIENT, "sub": "e", "lah_tenant": "acme", "lah_role": "viewer"}
    verifier = TokenVerifier("https://issuer.test", _CLIENT, tenant_claim="lah_tenant", role_claim="lah_role")
    verifier._keys = _OneKey(key)  # type: ignore[assignment]
    assert verifier.principal(jwt.encode(claims | {"exp": int(time.time()) + 60}, key, _ALGORITHM)).tenant == "acme"
    for end in ({"exp": int(time.time()) - 60}, {}, {"exp": int(time.time()) + 60, "nbf": int(time.time()) + 120}):
        with pytest.raises(Exception, match="not valid"):
            verifier.principal(jwt.encode(claims | end, key, _ALGORITHM))


class _OneKey:
    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self.key = key.public_key()

    def get_signing_keys(self) -> list["_OneKey"]:
        return [self]


def test_a_rotated_key_of_the_issuer_is_taken_and_an_issuer_that_is_away_is_said_to_be(seeded: Api) -> None:
    port = unused_port()
    claims = {"lah_tenant": "acme", "lah_role": "viewer"}
    with _issuer(port) as first:
        verifier = TokenVerifier(first.url, _CLIENT, tenant_claim="lah_tenant", role_claim="lah_role", keys_kept_s=1e-6)
        assert verifier.principal(first.token("fay", **claims)).actor == "token:fay"
    with _issuer(port) as second:  # it has made itself another key
        token = second.token("fay", **claims)
        assert verifier.principal(token).tenant == "acme"
    away = _api(seeded, Issuer(f"http://localhost:{unused_port()}"))
    answer = _ask(away, token)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert seeded.client("acme", "viewer").get(_ANY).is_success


@pytest.mark.parametrize(
    "chosen", [{"oidc_issuer": "http://issuer.test", "oidc_audience": "lah"}, {"oidc_issuer": "https://issuer.test"}]
)
def test_an_issuer_that_cannot_be_trusted_is_not_configured(chosen: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        TokenVerifier.configured(Settings(**chosen))  # type: ignore[arg-type]


def test_an_issuer_that_sends_the_hub_elsewhere_is_not_followed(served: Api) -> None:
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", "/inside")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        answer = _ask(_api(served, Issuer(f"http://127.0.0.1:{server.server_port}")), "a.b.c")
        server.shutdown()
        thread.join()
    assert (answer.status_code, asked) == (503, ["/.well-known/openid-configuration"])


def test_tokens_are_not_taken_where_no_issuer_is_configured(served: Api, issuer: Issuer) -> None:
    assert _ask(served, issuer.token("gus", lah_tenant="acme", lah_role="admin")).status_code == 401
    assert json.loads(served.client(None).get("/health").text) == {"status": "alive"}
