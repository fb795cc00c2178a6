"""The report as PDF/A-2a and PDF/UA-1: tagged, with the fonts of the typesetter's wheel and no others.

Why Typst, and what was measured: docs/decisions/0013-reports-by-typst.md.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

import typst

from lah_platform.compliance.documents import wording

__all__ = ["as_pdf", "png_pages"]

_TEMPLATE: Final = Path(__file__).parents[1] / "templates" / "report.typ"
# What the embedded fonts have glyphs for; PDF/A refuses a document with any other
_SHOWN: Final = (
    (0x20, 0x7E),
    (0xA0, 0xAC),
    (0xAE, 0x17F),
    (0x391, 0x3A1),
    (0x3A3, 0x3C9),
    (0x410, 0x44F),
    (0x2013, 0x2014),
    (0x2018, 0x201A),
    (0x201C, 0x201E),
    (0x2026, 0x2026),
    (0x20AC, 0x20AC),
)


def as_pdf(content: Mapping[str, Any]) -> bytes:
    """The document. A character without a glyph, such as one of Chinese, stands as \\u{4E2D}."""
    return typst.compile(
        _source(),
        format="pdf",
        sys_inputs=_inputs(content),
        ignore_system_fonts=True,
        pdf_standards=["a-2a", "ua-1"],
        timestamp=0,
    )


def png_pages(content: Mapping[str, Any], *, dots_per_inch: float = 80) -> list[bytes]:
    """Every page as a picture, to be looked at."""
    made: Any = typst.compile(
        _source(), format="png", sys_inputs=_inputs(content), ignore_system_fonts=True, ppi=dots_per_inch
    )
    return list(made) if isinstance(made, list) else [made]


def _inputs(content: Mapping[str, Any]) -> dict[str, str]:
    return {"report": json.dumps(_shown(_worded(content)))}


@cache
def _source() -> bytes:
    return _TEMPLATE.read_bytes()


def _worded(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with its values as they read; the template only places them."""
    after = date.fromisoformat(content["period"]["to"])
    controls = [_control(control) for control in content["controls"]]
    return {
        **content,
        "days": wording.days_of(dict(content["period"])),
        "dated": [after.year, after.month, after.day],
        "tenant": wording.who(content["scope"]["tenant"]),
        "environment": wording.who(content["scope"]["environment"]),
        "controls": controls,
        "sources": [_source_row(source) for source in content["sources"]],
        "changes": [_change(change) for change in content["changes"]],
        "frameworks": [
            {**outcome, "open": [_brief(control) for control in outcome["open"]]} for outcome in content["frameworks"]
        ],
    }


def _brief(control: Mapping[str, Any]) -> dict[str, Any]:
    return {**control, "status": wording.STATUS[control["status"]], "number": wording.number(control["number"])}


def _control(control: Mapping[str, Any]) -> dict[str, Any]:
    groups, exceptions = control["groups"], control["exceptions"]
    minimum = control["minimum_evidence"]
    return {
        **_brief(control),
        "minimum": f"{wording.words(minimum['measure'])}, at least {wording.number(minimum['at_least'])}",
        "figures": [[wording.words(name), wording.value(value)] for name, value in control["figures"].items()],
        "watermark": wording.moment(control["watermark"]),
        "counted": wording.number(control["counted_rows"]),
        "groups": groups
        and {
            "columns": [wording.words(name) for name in groups["columns"]],
            "keys": len(groups["keys"]),
            "rows": [[wording.value(value) for value in row] for row in groups["rows"]],
            "is_cut": groups["is_cut"],
        },
        "exceptions": exceptions
        and {
            **exceptions,
            "total": wording.number(exceptions["total"]),
            "count": exceptions["total"],
            "rest": _rest(exceptions["rows"]),
            "rows": [
                [
                    wording.moment(row["at"]).removesuffix(" UTC"),
                    row["kind"].replace("_", " "),
                    row["id"],
                    row["tenant"],
                    row["detail"] or "",
                ]
                for row in exceptions["rows"]
            ],
        },
    }


def _rest(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Where the exceptions are over REST; all of a control are of one kind."""
    links = {(row["link"] or "").replace(row["id"], "<id>") for row in rows} - {""}
    return f"GET {' or '.join(sorted(links))}" if links else None


def _source_row(source: Mapping[str, Any]) -> dict[str, Any]:
    failing = [verdict["check_name"] for verdict in source["verdicts"] if not verdict["passed"]]
    return {
        "table": source["table"],
        "rows": wording.number(source["rows"]),
        "watermark": wording.moment(source["watermark"]),
        "revision": source["revision"] or "\N{EN DASH}",
        "suspect": wording.number(source["suspect_windows"]),
        "verdicts": f"{len(source['verdicts']) - len(failing)} of {len(source['verdicts'])} rules pass"
        if source["verdicts"]
        else "no verdict",
        "failing": failing,
    }


def _change(change: Mapping[str, Any]) -> list[str]:
    moved = [f"{each['table']}: {_state(each['from'])} to {_state(each['to'])}" for each in change["moved"]]
    return [
        change["control"] or "report",
        change["figure"],
        wording.value(change["old"]),
        wording.value(change["new"]),
        "; ".join(moved) or "no source moved: rows were corrected in place, or the control was changed",
    ]


def _state(state: Mapping[str, Any] | None) -> str:
    if state is None:
        return "not read"
    return f"{wording.number(state['rows'])} rows until {wording.moment(state['watermark'])}"


def _shown(value: Any) -> Any:
    """Every text with what has no glyph spelled out; a zero-width space lets long names break."""
    if isinstance(value, str):
        return "".join(_glyph(character) for character in value)
    if isinstance(value, dict):
        return {name: _shown(each) for name, each in value.items()}
    return [_shown(each) for each in value] if isinstance(value, list) else value


def _glyph(character: str) -> str:
    code = ord(character)
    if character == "\n" or any(first <= code <= last for first, last in _SHOWN):
        return character
    return f"\\u{{{code:X}}}"
