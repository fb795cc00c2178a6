"""Controls as data: what a framework's YAML file may say, and reading it with errors that name file, control and field.

Belongs here: the shape of the file and what must hold inside one. Does not: where the files are
(`stores/control_files.py`), which named queries exist, what a control comes to (`judgement.py`).
"""

import json
import re
import sys
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta

from lah_platform.errors import ConfigurationError

__all__ = ["Control", "Framework", "MinimumEvidence", "Threshold", "controls_schema_text", "read_framework"]

_Id = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
_ControlId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.()-]{0,59}$")]
_Text = Annotated[str, Meta(min_length=1, max_length=4000)]
_Column = Annotated[str, Meta(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
_PLACE = re.compile(r" - at `\$\.?(.*)`$")
_FIELD = re.compile(r"^Object (?:contains unknown|missing required) field `(.+?)`")
_CONTROL_PLACE = re.compile(r"^controls\[(\d+)\]\.?(.*)$")
_SCHEMA_ID = "urn:lah:controls:1"


class _Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    pass


class Threshold(_Data, frozen=True, kw_only=True):
    """Passed when the number is at most, or at least, `value`. Of a share, `value` is in percent."""

    direction: Literal["at_most", "at_least"]
    value: Decimal


class MinimumEvidence(_Data, frozen=True, kw_only=True):
    """Below `at_least` of the column `measure` the control is not evidenced, whatever its number."""

    measure: _Column
    at_least: Annotated[int, Meta(ge=1)] = 1


class Control(_Data, frozen=True, kw_only=True):
    """One control: a criterion, the query that speaks to it, and the rule that its number is held to.

    `query` names a query of sql/queries/evidence.sql; `sql` is a select of its own. Either has the parameters from, to
    (UTC instants, half-open), tenant and environment ('*': all) and retention_days, written %(from)s, and returns one
    row of figures. `measure` is the column that is judged; with `share_of` it is the percentage of that column.
    `exceptions` and `exceptions_sql` list what failed: at, kind, id, tenant, detail and, in every row, total.
    """

    id: _ControlId
    reference: _Text
    title: _Text
    criterion: _Text
    owner: _Text
    measure: _Column
    threshold: Threshold
    minimum_evidence: MinimumEvidence
    tables: Annotated[list[_Column], Meta(min_length=1)]
    remediation: _Text
    not_covered: _Text
    query: _Column | None = None
    sql: _Text | None = None
    share_of: _Column | None = None
    unit: _Text = "events"
    exceptions: _Column | None = None
    exceptions_sql: _Text | None = None


class Framework(_Data, frozen=True, kw_only=True):
    """One report: what it is about, what it leaves out, and its controls.

    `summarizes` names other frameworks whose outcomes this one sums up.
    """

    id: _Id
    title: _Text
    standard: _Text
    scope: _Text
    limits: list[_Text]
    controls: Annotated[list[Control], Meta(min_length=1)]
    summarizes: list[_Id] = []


def read_framework(text: str, file: str) -> Framework:
    """The framework that a YAML file says; `file` is its name, for errors.

    Raises ConfigurationError naming file, control and field for anything it must not say.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(
            f"{file}{where} is not YAML: {getattr(error, 'problem', error)}",
            "Mend the file; docs/controls.md shows one",
        ) from error
    try:
        framework = msgspec.convert(data, Framework)
    except msgspec.ValidationError as error:
        raise _fault(file, data, str(error)) from error
    _check(framework, file)
    return framework


def _fault(file: str, data: Any, message: str) -> ConfigurationError:
    found = _PLACE.search(message)
    place = found[1] if found else ""
    said = _PLACE.sub("", message)
    if named := _FIELD.match(said):
        place = f"{place}.{named[1]}" if place else named[1]
    if control := _CONTROL_PLACE.match(place):
        return _error(file, _name_of(data, int(control[1])), control[2], said)
    return _error(file, None, place, said)


def _name_of(data: Any, index: int) -> str:
    control = data["controls"][index]
    known = isinstance(control, dict) and isinstance(control.get("id"), str)
    return str(control["id"]) if known else f"number {index + 1}"


def _error(file: str, control: str | None, field: str, said: str) -> ConfigurationError:
    whose = f", control {control}" if control else ""
    which = f", field {field}" if field else ""
    return ConfigurationError(f"{file}{whose}{which}: {said}", "docs/controls.md says what each field holds")


def _check(framework: Framework, file: str) -> None:
    seen: set[str] = set()
    for control in framework.controls:
        if control.id in seen:
            raise _error(file, control.id, "id", "comes twice in this file")
        seen.add(control.id)
        if (control.query is None) == (control.sql is None):
            raise _error(file, control.id, "query", "give either query, by name, or sql")
        if control.exceptions is not None and control.exceptions_sql is not None:
            raise _error(file, control.id, "exceptions", "give either exceptions, by name, or exceptions_sql")
        if not control.threshold.value.is_finite():
            raise _error(file, control.id, "threshold.value", "is not a number")


def controls_schema_text() -> str:
    """JSON Schema (draft 2020-12) of such a file, as `docs/controls-schema.json` publishes it."""
    ((reference,), definitions) = msgspec.json.schema_components([Framework], ref_template="#/$defs/{name}")
    threshold = definitions["Threshold"]["properties"]["value"]
    threshold.pop("format", None)
    threshold["type"] = ["number", "string"]
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": _SCHEMA_ID,
        "title": "Framework",
        **reference,
        "$defs": definitions,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(controls_schema_text())
