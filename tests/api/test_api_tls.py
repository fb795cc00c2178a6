"""A server with a certificate speaks TLS and nothing else."""

import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError
from server_support import running_server

from api.headers import TLS_HEADERS
from lah_platform.settings import PROJECT_ROOT, Settings


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a hub of the tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "certificate.pem", tmp_path / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def test_with_a_certificate_the_api_answers_over_tls_only(
    database: str, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    path, key = certificate
    told = {"LAH_API_CERTIFICATE": str(path), "LAH_API_CERTIFICATE_KEY": str(key)}
    trust = ssl.create_default_context(cafile=str(path))
    with running_server(database, tmp_path, told) as url:
        assert url.startswith("https://")
        answer = httpx.get(f"{url}/health", verify=trust)
        assert answer.json()["status"] == "alive"
        assert TLS_HEADERS.items() <= {name.title(): value for name, value in answer.headers.items()}.items()
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{url}/health")
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{url}/health".replace("https", "http"))
        offer = ssl.create_default_context(cafile=str(path))
        offer.set_ciphers("ALL:@SECLEVEL=0")
        offer.maximum_version = ssl.TLSVersion.TLSv1_2
        assert httpx.get(f"{url}/health", verify=offer).is_success
        with pytest.deprecated_call():
            offer.minimum_version = ssl.TLSVersion.TLSv1
            offer.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/health", verify=offer)


def test_a_certificate_without_its_key_is_refused_by_name(certificate: tuple[Path, Path]) -> None:
    with pytest.raises(ValidationError, match="LAH_API_CERTIFICATE and LAH_API_CERTIFICATE_KEY belong together"):
        Settings(api_certificate=certificate[0])


def test_a_certificate_that_is_not_there_ends_the_server_with_its_name(database: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from api.main import main; main()"]
    told = {
        "LAH_HOME": str(tmp_path),
        "LAH_DATABASE_URL": database,
        "LAH_KAFKA_BOOTSTRAP": "none",
        "LAH_API_CERTIFICATE": str(tmp_path / "absent.pem"),
        "LAH_API_CERTIFICATE_KEY": str(tmp_path / "absent-key.pem"),
    }
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=told, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "LAH_API_CERTIFICATE: " in done.stderr
    assert "absent.pem" in done.stderr
