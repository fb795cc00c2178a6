"""The report as one flat table: a row for each control, figure, exception and source."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["COLUMNS", "as_csv"]

COLUMNS: Final = ("record", "control", "reference", "status", "name", "value", "at", "link", "detail")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def as_csv(content: Mapping[str, Any]) -> bytes:
    """RFC 4180, UTF-8, with a header. Text that a spreadsheet would take for a formula is preceded by an apostrophe."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS, restval="")
    table.writeheader()
    for row in _rows(content):
        table.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdigit()


def _rows(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    facts = {
        "framework": content["framework"]["id"],
        "tenant": content["scope"]["tenant"],
        "environment": content["scope"]["environment"],
        "period_from": content["period"]["from"],
        "period_to": content["period"]["to"],
        "revision": content["revision"],
    }
    yield from ({"record": "report", "name": name, "value": value} for name, value in facts.items())
    yield from ({"record": "summary", "name": name, "value": value} for name, value in content["summary"].items())
    for change in content["changes"]:
        what = f"from {change['old']} to {change['new']}"
        yield {"record": "change", "control": change["control"], "name": change["figure"], "detail": what}
    for outcome in content["frameworks"]:
        for name, value in outcome["summary"].items():
            yield {"record": "framework", "reference": outcome["id"], "name": name, "value": value}
    for control in content["controls"]:
        whose = {"control": control["id"], "reference": control["reference"], "status": control["status"]}
        judged = {"name": control["measure"], "value": control["number"], "at": control["watermark"]}
        yield {"record": "control", **whose, **judged, "detail": control["rule"]}
        for name, value in control["figures"].items():
            yield {"record": "figure", **whose, "name": name, "value": value}
        yield from _groups(whose, control["groups"])
        exceptions = control["exceptions"] or {"rows": []}
        if exceptions["rows"]:
            yield {"record": "exceptions", **whose, "name": "total", "value": exceptions["total"]}
        for row in exceptions["rows"]:
            named = {"name": row["kind"], "value": row["id"], "at": row["at"], "link": row["link"]}
            yield {"record": "exception", **whose, **named, "detail": row["detail"]}
    for source in content["sources"]:
        state = f"revision {source['revision']}" if source["revision"] else ""
        named = {"name": source["table"], "value": source["rows"], "at": source["watermark"]}
        yield {"record": "source", **named, "detail": state}


def _groups(whose: Mapping[str, Any], groups: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    if groups is None:
        return
    for row in groups["rows"]:
        values = dict(zip(groups["columns"], row, strict=True))
        group = ", ".join(f"{values[key]}" for key in groups["keys"])
        for name, value in values.items():
            if name not in groups["keys"]:
                yield {"record": "group", **whose, "name": name, "value": value, "detail": group}
