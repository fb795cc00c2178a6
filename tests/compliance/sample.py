"""docs/samples from its own JSON: `python -m tests.compliance.sample` after a change of the layout."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lah_platform.compliance.detached import ReportKey, detached_record
from lah_platform.compliance.documents import documents_of
from lah_platform.compliance.documents.as_pdf import png_pages
from lah_platform.compliance.signing import Signer

SAMPLES: Final = Path(__file__).parents[2] / "docs" / "samples"
NAME: Final = "eu_ai_act"


def main() -> None:
    """Write PDF, record and the picture of the summary; the record is signed by a key that nobody keeps."""
    content = json.loads((SAMPLES / f"{NAME}.json").read_text(encoding="utf-8"))
    documents = documents_of(content)
    before = json.loads((SAMPLES / f"{NAME}.signature.json").read_text(encoding="utf-8"))
    period = content["period"]
    record = detached_record(
        ReportKey(NAME, content["scope"]["tenant"], content["scope"]["environment"], period["from"], period["to"]),
        content["revision"],
        documents,
        generated_at=datetime.fromisoformat(before["generated_at"]).astimezone(UTC),
        requested_by="lah demo",
        chain_head=before["audit_chain_head"],
        signer=Signer("A" * 43 + "="),
    )
    (SAMPLES / f"{NAME}.pdf").write_bytes(documents["pdf"])
    (SAMPLES / f"{NAME}.signature.json").write_bytes(record)
    (SAMPLES / f"{NAME}-summary.png").write_bytes(png_pages(content, dots_per_inch=90)[2])


if __name__ == "__main__":
    main()
