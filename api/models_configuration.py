"""Answers about what is configured. The conventions are those of `api/models.py`."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

__all__ = ["Facts"]


class FactFinding(BaseModel):
    """Something for a person to decide."""

    severity: Literal["high", "medium", "low"]
    code: str
    subject: str
    text: str
    advice: str
    table: str = Field(description="The table where the fact stands.")


class FactRows(BaseModel):
    """Rows of one kind."""

    id: str
    title: str
    source: str = Field(description="The query, setting or catalog that the rows were read from.")
    note: str
    columns: list[str]
    rows: list[dict[str, Any]]


class Facts(BaseModel):
    """What is configured, as tables of facts."""

    name: str
    title: str
    tenant: str = Field(description="Whose; *: of the whole hub.")
    as_of: datetime
    statement: str
    findings: list[FactFinding]
    tables: list[FactRows]
