"""One person's data: handed out, erased, and the erasure proved. Identifiers come in bodies only."""

import tempfile
import zipfile
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from api.access import Caller
from api.bodies import Body, read_json
from api.examples import PERSON, RECEIPT
from api.models_subjects import ErasureReceipts, PersonRequest, ReceiptDocument, Verification, VerifyRequest
from api.openapi import json_body
from api.persons import told_of_persons
from api.retention import tenant_asked
from api.services import Services, services_of
from lah_platform.stores.erasure import erase, erasures
from lah_platform.stores.erasure_verify import verify
from lah_platform.stores.subject_export import export_subject

__all__ = ["add_routes"]

_PATH: Final = "/api/v1/subjects"
_Services = Annotated[Services, Depends(services_of)]


def export(caller: Caller, services: _Services, body: Body) -> FileResponse:
    """Everything about a person as a ZIP of JSON and CSV files with a manifest, decrypted; an entry in the audit log.

    Of somebody who was never stored the files are empty; of an erased person there is the erasure alone.
    """
    asked = read_json(PersonRequest, body)
    tenant = tenant_asked(caller, asked.tenant)
    scratch = tempfile.TemporaryDirectory(prefix="lah-export-")
    try:
        with told_of_persons(services) as (connection, parts):
            done = export_subject(
                connection,
                parts.keys,
                tenant,
                asked.asked,
                Path(scratch.name) / "subject",
                now=services.clock(),
                actor=caller.actor,
                archive_dir=parts.archive_dir,
            )
        packed = Path(scratch.name) / "subject.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(done.folder.iterdir()):
                archive.write(file, file.name)
    except BaseException:
        scratch.cleanup()
        raise
    return FileResponse(
        packed,
        media_type="application/zip",
        filename="subject.zip",
        headers={"Cache-Control": "no-store"},
        background=BackgroundTask(scratch.cleanup),
    )


def erase_subject(caller: Caller, services: _Services, body: Body) -> dict[str, Any]:
    """Erase a person: key and link are destroyed, for good. Returns the signed receipt; asked again, the same one.

    Answered with 409 and the reason while a legal hold covers the person.
    """
    asked = read_json(PersonRequest, body)
    tenant, now = tenant_asked(caller, asked.tenant), services.clock()
    with told_of_persons(services) as (connection, parts):
        return erase(
            connection,
            parts.keys,
            tenant,
            asked.asked,
            now=now,
            actor=caller.actor,
            signer=parts.signer,
            archive_dir=parts.archive_dir,
            broker=parts.broker(now),
        )


def list_receipts(caller: Caller, services: _Services) -> dict[str, Any]:
    """Erasures of your tenant, newest first, each with its receipt; at most 100. They name nobody."""
    with services.pool.connection() as connection:
        return {"items": erasures(connection, caller.tenant)}


def verify_receipt(caller: Caller, services: _Services, body: Body) -> dict[str, Any]:
    """Whether what a receipt says is true now: signature, no key, no link, tombstone, and no text that opens."""
    asked = read_json(VerifyRequest, body)
    with told_of_persons(services) as (connection, parts):
        found = verify(
            connection,
            parts.keys,
            asked.document,
            signer=parts.signer,
            archive_dir=parts.archive_dir,
            identifier=asked.identifier,
            tenant=caller.tenant,
        )
    return {"is_proved": all(each.passed for each in found), "findings": [vars(each) for each in found]}


def add_routes(app: FastAPI) -> None:
    """Rights of one person."""
    whom = PersonRequest.model_json_schema()
    app.add_api_route(
        f"{_PATH}/export",
        export,
        methods=["POST"],
        tags=["rights"],
        response_class=FileResponse,
        responses={200: {"content": {"application/zip": {}}, "description": "A ZIP with manifest.json."}},
        openapi_extra=json_body("Whose.", whom, PERSON),
    )
    app.add_api_route(
        f"{_PATH}/erase",
        erase_subject,
        methods=["POST"],
        tags=["rights"],
        response_model=ReceiptDocument,
        openapi_extra=json_body("Who.", PersonRequest.model_json_schema(), PERSON),
    )
    app.add_api_route(
        f"{_PATH}/receipts", list_receipts, methods=["GET"], tags=["rights"], response_model=ErasureReceipts
    )
    app.add_api_route(
        f"{_PATH}/verify",
        verify_receipt,
        methods=["POST"],
        tags=["rights"],
        response_model=Verification,
        openapi_extra=json_body("The receipt.", VerifyRequest.model_json_schema(), RECEIPT),
    )
