"""The API answers as its document says; a part of `make contract`, the same every time."""

from pathlib import Path

from api_support import Api
from contract import examine, listening, unlimited

_PART = ("--phases", "examples,fuzzing", "--max-examples", "1", "--generation-deterministic")


def test_no_answer_is_other_than_the_document_says(seeded: Api, tmp_path: Path) -> None:
    with listening(unlimited(seeded).app) as address:
        examined = examine(address, seeded.keys["*", "admin"], tmp_path, _PART)
    assert examined.is_complete, examined.printed
    documented = sum(map(len, seeded.app.openapi()["paths"].values()))
    assert examined.operations == documented - 1  # /openapi.json is where it reads the document
    assert examined.cases > 100
