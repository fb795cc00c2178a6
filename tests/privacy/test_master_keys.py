"""Where the master key is makes no difference to what opens; a hub with another one adds nothing to a database."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from lah_platform.errors import ConfigurationError, StoreUnavailable, Unreadable
from lah_platform.privacy.cipher import new_key, open_bytes, seal_bytes
from lah_platform.privacy.master_key import HeldKeys
from lah_platform.privacy.subjects import Person
from lah_platform.settings import Settings
from lah_platform.stack.encryption import encryption_finding
from lah_platform.stores import subjects
from lah_platform.stores.content_policies import policies, set_policy
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.master_keys import hub_key_ring, master_key
from lah_platform.stores.postgres import Connection
from lah_platform.stores.rotation import rotate_master, rotate_tenant

_TOKEN = "s.marked-token"


class _Vault(BaseHTTPRequestHandler):
    """What HashiCorp documents of the transit engine: keys, encrypt and decrypt with associated data."""

    keys: list[bytes]
    sealed = False

    def do_GET(self) -> None:
        self._answer("GET", {"latest_version": len(self.keys)})

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        bound_to = base64.b64decode(sent["associated_data"])
        try:
            if self.path.startswith("/v1/transit/encrypt/"):
                body = seal_bytes(self.keys[-1], base64.b64decode(sent["plaintext"]), bound_to)
                self._answer("POST", {"ciphertext": f"vault:v{len(self.keys)}:{base64.b64encode(body).decode()}"})
            else:
                _, version, body = sent["ciphertext"].split(":")
                plain = open_bytes(self.keys[int(version[1:]) - 1], base64.b64decode(body), bound_to)
                self._answer("POST", {"plaintext": base64.b64encode(plain).decode()})
        except Unreadable:
            self._answer("POST", {}, 400)

    def _answer(self, _method: str, data: dict[str, Any], status: int = 200) -> None:
        status = 503 if type(self).sealed else 403 if self.headers["X-Vault-Token"] != _TOKEN else status
        body = json.dumps({"data": data} if status == 200 else {"errors": []}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def vault() -> Iterator[tuple[str, type[_Vault]]]:
    handler = type("Vault", (_Vault,), {"keys": [new_key()]})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    thread.join()
    server.server_close()


def _with_vault(url: str, token: str = _TOKEN) -> Settings:
    return Settings(master_key_provider="vault", vault_url=url, vault_token=SecretStr(token))


def test_a_key_in_vault_wraps_is_turned_there_and_opens_what_its_older_versions_wrapped(
    vault: tuple[str, type[_Vault]], connection: Connection
) -> None:
    url, server = vault
    ring = hub_key_ring(_with_vault(url))
    assert ring is not None
    before = subjects.resolve_subjects(connection, ring, {Person("acme", "ann")})
    server.keys = [*server.keys, new_key()]
    assert rotate_master(connection, ring, actor="x") == 2
    assert {row[0] for row in connection.execute("select wrapped_by from encryption_keys")} == {"vault:lah:2"}
    server.keys = [b"", server.keys[1]]  # the old version is gone
    again = hub_key_ring(_with_vault(url))
    assert again is not None
    assert subjects.resolve_subjects(connection, again, {Person("acme", "ann")}) == before


def test_vault_away_sealed_forbidding_or_of_another_key_is_told_apart(vault: tuple[str, type[_Vault]]) -> None:
    url, server = vault
    key = master_key(_with_vault(url))
    wrapped, by = key.wrap(b"x" * 32, "acme:content"), key.current
    with pytest.raises(Unreadable):
        key.unwrap(wrapped, by, "globex:content")
    with pytest.raises(ConfigurationError, match="403") as refused:
        master_key(_with_vault(url, "s.another")).unwrap(wrapped, by, "acme:content")
    assert "s.another" not in str(refused.value)
    server.sealed = True
    with pytest.raises(StoreUnavailable):
        key.unwrap(wrapped, by, "acme:content")
    with pytest.raises(StoreUnavailable):
        master_key(_with_vault(f"http://127.0.0.1:{unused_port()}")).wrap(b"x" * 32, "acme:content")


def test_a_token_that_an_agent_renews_in_a_file_is_read_each_time(
    vault: tuple[str, type[_Vault]], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("old", encoding="ascii")
    key = master_key(Settings(master_key_provider="vault", vault_url=vault[0], vault_token_file=file))
    with pytest.raises(ConfigurationError):
        key.wrap(b"x" * 32, "c")
    file.write_text(f"{_TOKEN}\n", encoding="ascii")
    assert key.unwrap(key.wrap(b"x" * 32, "c"), key.current, "c") == b"x" * 32


def test_a_key_in_aws_kms_wraps_bound_to_its_context(monkeypatch: pytest.MonkeyPatch) -> None:
    moto = pytest.importorskip("moto", reason="moto, which stands for AWS KMS, is not installed")
    boto3 = pytest.importorskip("boto3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with moto.mock_aws():
        made = boto3.client("kms", region_name="eu-central-1").create_key()["KeyMetadata"]["KeyId"]
        key = master_key(Settings(master_key_provider="aws-kms", kms_key=made, kms_region="eu-central-1"))
        wrapped = key.wrap(b"x" * 32, "acme:content")
        assert key.unwrap(wrapped, key.current, "acme:content") == b"x" * 32
        with pytest.raises(Unreadable):
            key.unwrap(wrapped, key.current, "globex:content")


def test_the_embedded_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first, second = (master_key(Settings(home=tmp_path)) for _ in range(2))
    assert second.unwrap(first.wrap(b"x" * 32, "c"), first.current, "c") == b"x" * 32
    assert (tmp_path / "master.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("provider", ["environment", "vault", "aws-kms"])
def test_a_provider_without_what_it_needs_is_refused_by_name(provider: str) -> None:
    with pytest.raises(ValidationError, match="LAH_MASTER_KEY_PROVIDER"):
        Settings(master_key_provider=provider)  # type: ignore[arg-type]


def test_a_hub_with_another_master_key_adds_nothing(connection: Connection, tmp_path: Path) -> None:
    mine, other = Settings(home=tmp_path / "mine"), Settings(home=tmp_path / "other")
    ring, stranger = hub_key_ring(mine), hub_key_ring(other)
    assert ring is not None
    assert stranger is not None
    subjects.resolve_subjects(connection, ring, {Person("acme", "ann")})
    with pytest.raises(Unreadable):
        stranger.current(connection, "globex", "content")
    assert {row[0] for row in connection.execute("select tenant from encryption_keys")} == {"acme"}
    assert encryption_finding(connection, mine).is_healthy
    assert not encryption_finding(connection, other).is_healthy
    off = encryption_finding(connection, Settings(field_encryption="off"))
    assert off.is_healthy
    assert "OFF" in off.observed


def test_a_tenant_s_new_keys_open_the_same_subjects_and_what_the_old_ones_encrypted_still_opens(
    connection: Connection,
) -> None:
    ring = KeyRing(HeldKeys("file", {1: new_key()}))
    people = {Person("acme", f"person-{number}") for number in range(5)} | {Person("globex", "ann")}
    before = subjects.resolve_subjects(connection, ring, people)
    old = ring.current(connection, "acme", "content")
    epoch = connection.execute("select epoch from privacy_epoch").fetchone()
    told: list[tuple[int, int]] = []
    done = rotate_tenant(connection, ring, "acme", actor="x", on_progress=lambda *step: told.append(step))
    assert (done, told) == (5, [(5, 5)])
    fresh = KeyRing(ring.master)
    assert subjects.resolve_subjects(connection, fresh, people) == before
    assert fresh.current(connection, "acme", "content") != old
    assert fresh.by_id(connection, old.key_id) == old.key
    used = "select count(*) from subjects s join encryption_keys k using (key_id) where k.retired_at is not null"
    assert connection.execute(used).fetchone() == (0,)
    assert connection.execute("select epoch from privacy_epoch").fetchone() != epoch  # landing looks again


def test_a_content_policy_is_audited_and_redact_is_refused_without_its_extra(connection: Connection) -> None:
    set_policy(connection, "acme", "drop", actor="officer")
    set_policy(connection, "acme", "hash", actor="officer")
    assert [(row.tenant, row.policy) for row in policies(connection)] == [("acme", "hash")]
    log = connection.execute("select actor, details from audit_log where object_type = 'content_policy' order by 1")
    assert [details for _, details in log.fetchall()] == [
        {"before": "keep", "after": "drop"},
        {"before": "drop", "after": "hash"},
    ]
    for tenant, policy in (("acme", "burn"), ("*", "drop"), ("", "drop")):
        with pytest.raises(ConfigurationError):
            set_policy(connection, tenant, policy, actor="officer")
    try:
        import presidio_analyzer  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigurationError, match="Presidio"):
            set_policy(connection, "acme", "redact", actor="officer")
