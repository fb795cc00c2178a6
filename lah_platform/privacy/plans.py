"""What to do with each member of a payload's JSON object, from the catalog: once a payload type, not once an event."""

from collections.abc import Mapping
from typing import Any, Union

import msgspec

from lah_platform.events.payloads import STRUCTS
from lah_platform.events.payloads.custom import Custom
from lah_platform.privacy.fields import PERSONAL_FIELDS, Sort

__all__ = ["KEEP", "PLANS", "Plan", "Step"]


class _Keep:
    """Declared, and not personal."""


KEEP = _Keep()
Step = Union[_Keep, Sort, "Plan"]
Plan = Mapping[str, Any]
"""A Step for each declared member; members that are absent go by the rules of `names.py`."""


def _plan(struct: type[msgspec.Struct]) -> Plan:
    """The struct's plan; objects within it have plans of their own."""
    config = struct.__struct_config__
    plan: dict[str, Any] = {field.encode_name: _within(field.type) for field in msgspec.structs.fields(struct)}
    if config.tag_field is not None:
        plan[config.tag_field] = KEEP
    for path, sort in PERSONAL_FIELDS.get(struct, {}).items():
        if "." not in path:
            plan[path.removesuffix("[]")] = sort
    return plan


def _within(hint: Any) -> Step:
    """The plan of the objects that a member holds, merged over a union's; KEEP when it holds none."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        declared = {name: _sort_within(extra) for name, extra in _hints(hint).items()}
        return {name: KEEP if step is None else step for name, step in declared.items()}
    merged: dict[str, Any] = {}
    for argument in getattr(hint, "__args__", ()):
        inner = _within(argument)
        if isinstance(inner, dict):
            merged |= inner
    return merged or KEEP


def _hints(struct: type[msgspec.Struct]) -> Mapping[str, Any]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(struct)}


def _sort_within(hint: Any) -> Sort | None:
    for option in (hint, *getattr(hint, "__args__", ())):
        for extra in getattr(option, "__metadata__", ()):
            said = (getattr(extra, "extra_json_schema", None) or {}).get("x-personal")
            if said is not None:
                return Sort(said)
    return None


PLANS: Mapping[type[msgspec.Struct], Plan] = {
    struct: _plan(struct) for structs in STRUCTS.values() for struct in structs.values()
} | {Custom: {"custom_type": KEEP}}
