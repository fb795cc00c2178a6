"""Finding one's way through a struct type and a document of it side by side, along the path of a decoder's error.

msgspec says `$.tags[...]` for a fault in a mapping's value; a producer needs the key. It also does not say which
values an enum takes. Both are in the types.
"""

import json
import re
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from lah_platform.events.jsonb import NumberText

_STEP = re.compile(r"\.([^.\[]+)|(\[\d+\])|(\[\.\.\.\])")


class Place(NamedTuple):
    """Path components (`tags`, `team`, `[0]`) and the type at their end, `Any` where the types say no more."""

    names: list[str]
    hint: Any


def locate(as_type: Any, tree: Any, path: str) -> Place:
    """The place that an error path such as `.findings[0].status` or `.tags[...]` points to."""
    names: list[str] = []
    hint = as_type
    for name, index, any_key in _STEP.findall(path):
        if name:
            names.append(name)
            hint = _member(hint, tree, name)
            tree = tree.get(name) if isinstance(tree, dict) else None
        elif index or isinstance(tree, list):
            position = int(index[1:-1]) if index else 0
            names.append(f"[{position}]")
            hint = _item(hint, list)
            tree = tree[position] if isinstance(tree, list) else None
        elif any_key:
            hint = _item(hint, dict)
            key = _refused_key(tree, hint)
            if key is None:
                break
            names.append(key)
            tree = tree[key]
    return Place(names, hint)


def literals(hint: Any) -> list[str]:
    """The texts that a type takes when it lists them."""
    return [str(value) for option in _options(hint) if get_origin(option) is Literal for value in get_args(option)]


def tags_of(hint: Any) -> list[str]:
    """The tags of a tagged union of structs."""
    return [str(option.__struct_config__.tag) for option in _options(hint) if _is_struct(option)]


def _options(hint: Any) -> list[Any]:
    if get_origin(hint) is Annotated:
        return _options(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [option for argument in get_args(hint) for option in _options(argument)]
    return [hint]


def _is_struct(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _member(hint: Any, tree: Any, name: str) -> Any:
    for option in filter(_is_struct, _options(hint)):
        config = option.__struct_config__
        if config.tag_field is not None and isinstance(tree, dict) and tree.get(config.tag_field) != config.tag:
            continue
        hints = get_type_hints(option, include_extras=True)
        if name in hints:
            return hints[name]
    return Any


def _item(hint: Any, container: type) -> Any:
    for option in _options(hint):
        if get_origin(option) is container:
            return get_args(option)[-1]
    return Any


def _refused_key(tree: Any, hint: Any) -> str | None:
    for key, value in tree.items() if isinstance(tree, dict) else ():
        try:
            msgspec.json.decode(_as_json(value), type=hint)
        except (msgspec.DecodeError, RecursionError):
            return str(key)
    return None


def _as_json(tree: Any) -> str:
    """The parsed document as JSON again, numbers as they were written."""
    if isinstance(tree, NumberText):
        return str(tree)
    if isinstance(tree, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_as_json(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(map(_as_json, tree)) + "]"
    return json.dumps(tree)
