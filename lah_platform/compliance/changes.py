"""What a later revision of a report says otherwise, and which of its sources moved in between.

Figures are published: status, number, figures, groups and exceptions of each control, and what the control is. Sources,
watermarks and statements of SQL explain them; a change of those alone is no new revision.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["MAX_CHANGES", "changes_between", "with_revision"]

MAX_CHANGES: Final = 200
"""Changes listed of one revision; what is beyond is counted in the last of them."""

_ABSENT: Final = None
_OF_A_CONTROL: Final = (
    "reference",
    "title",
    "criterion",
    "owner",
    "status",
    "number",
    "unit",
    "rule",
    "remediation",
    "not_covered",
)


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What of two contents of the same report differs: control, figure, old, new and the sources that moved.

    Empty when nothing published does. A control of None is of the report as a whole.
    """
    old, new = dict(_published(before)), dict(_published(after))
    tables = {control["id"]: control["tables"] for content in (before, after) for control in content["controls"]}
    changes: list[dict[str, Any]] = []
    for place in sorted(old.keys() | new.keys(), key=str):
        if old.get(place) != new.get(place):
            control, figure = place
            moved = _moved(before, after, tables.get(control, ()))
            difference = {"control": control or None, "figure": figure, "old": old.get(place, _ABSENT)}
            changes.append({**difference, "new": new.get(place, _ABSENT), "moved": moved})
    if len(changes) > MAX_CHANGES:
        rest = len(changes) - MAX_CHANGES + 1
        more: dict[str, Any] = {"control": None, "figure": "further differences", "old": None, "new": rest, "moved": []}
        changes = [*changes[: MAX_CHANGES - 1], more]
    return changes


def with_revision(
    content: Mapping[str, Any], revision: int, supersedes: str | None, changes: list[dict[str, Any]]
) -> dict[str, Any]:
    """The content as that revision; `supersedes` is the SHA-256 of the JSON document before it."""
    return {**content, "revision": revision, "supersedes": supersedes, "changes": changes}


def _published(content: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    yield ("", "title"), content["framework"]["title"]
    yield ("", "standard"), content["framework"]["standard"]
    yield ("", "scope"), content["scope"]["text"]
    for outcome in content["frameworks"]:
        for name, count in outcome["summary"].items():
            yield ("", f"{outcome['id']}: {name}"), count
        for control in outcome["open"]:
            for name in ("status", "number", "rule"):
                yield ("", f"{control['id']}: {name}"), control[name]
    for control in content["controls"]:
        whose = control["id"]
        for name in _OF_A_CONTROL:
            yield (whose, name), control[name]
        for name, value in control["minimum_evidence"].items():
            yield (whose, f"minimum evidence: {name}"), value
        for name, value in control["figures"].items():
            yield (whose, name.replace("_", " ")), value
        yield from _groups(whose, control["groups"])
        yield from _exceptions(whose, control["exceptions"])


def _groups(whose: str, groups: Mapping[str, Any] | None) -> Iterator[tuple[tuple[str, str], Any]]:
    if groups is None:
        return
    for row in groups["rows"]:
        values = dict(zip(groups["columns"], row, strict=True))
        group = ", ".join(f"{values[key]}" for key in groups["keys"])
        for name, value in values.items():
            if name not in groups["keys"]:
                yield (whose, f"{name.replace('_', ' ')} of {group}"), value


def _exceptions(whose: str, exceptions: Mapping[str, Any] | None) -> Iterator[tuple[tuple[str, str], Any]]:
    if exceptions is None:
        return
    yield (whose, "exceptions"), exceptions["total"]
    for row in exceptions["rows"]:
        yield (whose, f"exception {row['kind']} {row['id']} of {row['at']}, {row['detail']}"), row["detail"]


def _moved(before: Mapping[str, Any], after: Mapping[str, Any], tables: Any) -> list[dict[str, Any]]:
    old, new = ({source["table"]: source for source in content["sources"]} for content in (before, after))
    facts = ("rows", "watermark", "revision", "suspect_windows")
    moved = []
    for table in tables:
        was, now = (
            {name: sources[table][name] for name in facts} if table in sources else None for sources in (old, new)
        )
        if was != now:
            moved.append({"table": table, "from": was, "to": now})
    return moved
