"""The bare reference of the serving benchmark: the same server and framework answer a constant, and do nothing else."""

import os
from pathlib import Path

from fastapi import FastAPI, Response

__all__ = ["ANSWER", "PATH", "build"]

PATH = "/bare"
ANSWER = "LAH_BENCHMARK_ANSWER"
"""The variable that names the file with the constant."""


def build() -> FastAPI:
    """One POST route without access control, body or tables, for `uvicorn --factory`."""
    constant = Path(os.environ[ANSWER]).read_bytes()
    app = FastAPI(
        openapi_url=None,
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )

    async def bare() -> Response:
        return Response(constant, media_type="application/json")

    app.add_api_route(PATH, bare, methods=["POST"])
    return app
