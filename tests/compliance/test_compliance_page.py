"""What docs/compliance.md says is so: its table is the controls, its plan is taken, its code verifies signatures."""

import base64
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from lah_platform.compliance.controls_page import controls_markdown
from lah_platform.compliance.delivery import Parcel, webhook_headers
from lah_platform.compliance.detached import ReportKey, detached_record
from lah_platform.compliance.schedules import read_plan
from lah_platform.compliance.signing import Signer
from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.control_files import load_frameworks
from lah_platform.stores.facts_reports import FACTS

_PAGE = (PROJECT_ROOT / "docs" / "compliance.md").read_text(encoding="utf-8")
_SIGNER = Signer(base64.b64encode(bytes(range(32))).decode())
_OTHER = Signer(base64.b64encode(bytes(32)).decode())


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", _PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_table_is_what_the_controls_say() -> None:
    begin, end = "<!-- controls: begin -->\n", "<!-- controls: end -->"
    shown = _PAGE.partition(begin)[2].partition(end)[0]
    assert shown.strip() == controls_markdown(load_frameworks().values()).strip(), "run `lah report controls`"
    for framework in load_frameworks().values():
        assert all(f"| {control.id} |" in shown for control in framework.controls)


def test_the_plan_on_the_page_is_taken() -> None:
    (text,) = _blocks("yaml")
    plan = read_plan(text, "page", known_reports=[*load_frameworks(), *FACTS])
    assert set(plan.schedules) == {"board", "acme_weekly"}


def test_the_receiver_on_the_page_takes_what_the_hub_signed_and_nothing_else() -> None:
    code = next(block for block in _blocks("python") if "is_from_the_hub" in block)
    names: dict[str, Callable[..., bool]] = {}
    exec(compile(code, "docs/compliance.md", "exec"), names)
    takes = names["is_from_the_hub"]
    parcel = Parcel(UUID(int=1), UUID(int=2), "a.pdf", "application/pdf", b"body", "")
    headers = webhook_headers(parcel, _SIGNER, now=datetime.fromtimestamp(time.time(), UTC))
    assert takes(_SIGNER.public_key, headers, b"body")
    assert not takes(_SIGNER.public_key, headers, b"another")
    assert not takes(_OTHER.public_key, headers, b"body")
    assert not takes(_SIGNER.public_key, {**headers, "webhook-id": "x"}, b"body")
    old = webhook_headers(parcel, _SIGNER, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert not takes(_SIGNER.public_key, old, b"body")


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path]:
    """A document and its detached record."""
    body = "Bericht über alles".encode()
    record = detached_record(
        ReportKey("soc2", "ümläut", "*", "2026-02-01", "2026-03-01"),
        1,
        {"pdf": body},
        generated_at=datetime(2026, 3, 1, 6, tzinfo=UTC),
        requested_by="test",
        chain_head={"position": 7, "row_hash": "ab"},
        signer=_SIGNER,
    )
    paths = tmp_path / "report.pdf", tmp_path / "report.signature.json"
    paths[0].write_bytes(body)
    paths[1].write_bytes(record)
    return paths


def test_the_script_on_the_page_verifies_a_report_and_finds_a_changed_one(signed: tuple[Path, Path]) -> None:
    document, record = signed
    script = document.with_name("verify.py")
    script.write_text(next(block for block in _blocks("python") if "sys.argv" in block))

    def holds(key: str = _SIGNER.public_key) -> bool:
        told = subprocess.run(
            [sys.executable, "-I", script, document, record, key], capture_output=True, text=True, check=False
        )
        return told.returncode == 0 and told.stdout == "holds\n"

    assert holds()
    assert not holds(_OTHER.public_key)
    document.write_bytes(document.read_bytes() + b" ")
    assert not holds()
    document.write_bytes(document.read_bytes()[:-1])
    record.write_text(record.read_text().replace('"requested_by": "test"', '"requested_by": "nobody"'))
    assert not holds()


@pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("xxd")), reason="openssl and xxd are not here")
def test_the_openssl_commands_on_the_page_verify_a_report_and_find_a_changed_one(signed: tuple[Path, Path]) -> None:
    document, record = signed
    (script,) = _blocks("sh")

    def told() -> str:
        environment = {"PATH": "/usr/bin:/bin", "RECORD": f"{record}", "DOCUMENT": f"{document}"}
        environment |= {"PUBLIC_KEY": _SIGNER.public_key}
        run = subprocess.run(
            ["sh", "-c", script], cwd=document.parent, env=environment, capture_output=True, text=True, check=False
        )
        return run.stdout + run.stderr

    assert "Signature Verified Successfully" in told()
    record.write_text(record.read_text().replace('"revision": 1', '"revision": 2'))
    assert "Signature Verified Successfully" not in told()
