"""Payloads as the fast lane reads them: the contract's own structs, but money as doubles, and twice.

First without any field that the contract does not know, which nearly all have; what holds one is read by the second.

A double is several times cheaper than a Decimal, and in an ordinary amount it loses nothing of what the column keeps
(`money.units_of_doubles` says for which). Money as text is not read here at all.
"""

from collections.abc import Sequence
from operator import attrgetter
from types import GenericAlias, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from lah_platform.events.payloads import CUSTOM, DATA_TYPE, STRUCTS
from lah_platform.events.payloads.cost import MONEY_FIELDS, ApiCost
from lah_platform.events.payloads.custom import Custom
from lah_platform.landing.amounts import units_of_doubles

__all__ = ["PLAIN_DATA_TYPE", "STRICT_DATA_TYPE", "WITHOUT_UNKNOWN_FIELDS", "names", "surely_exact"]


_Usd = Annotated[float, Meta(gt=-1e15, lt=1e15)]  # surely fits the column


def _with_doubles(struct: type[msgspec.Struct], money: Sequence[str]) -> type[msgspec.Struct]:
    config = struct.__struct_config__
    fields: list[Any] = []
    for each in msgspec.structs.fields(struct):
        hint = _Usd if each.name in money else each.type
        fields.append((each.name, hint) if each.required else (each.name, hint, each.default))
    return msgspec.defstruct(
        f"Plain{struct.__name__}", fields, tag_field=config.tag_field, tag=config.tag, kw_only=True, gc=False
    )


def _strict(hint: Any) -> Any:
    """The same type, whose objects have no fields but the declared ones, at any depth."""
    arguments = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return Union[tuple(map(_strict, arguments))]
    if get_origin(hint) is list:
        return GenericAlias(list, (_strict(arguments[0]),))
    if not (isinstance(hint, type) and issubclass(hint, msgspec.Struct)) or hint is Custom:
        return hint
    config = hint.__struct_config__
    fields: list[Any] = []
    for each in msgspec.structs.fields(hint):
        inner = _strict(each.type)
        fields.append((each.name, inner) if each.required else (each.name, inner, each.default))
    return msgspec.defstruct(
        f"Strict{hint.__name__}", fields, tag_field=config.tag_field, tag=config.tag, kw_only=True, gc=False,
        forbid_unknown_fields=True,
    )  # fmt: skip


_PLAIN: dict[type[msgspec.Struct], type[msgspec.Struct]] = {
    struct: _with_doubles(struct, money) for struct, money in MONEY_FIELDS.items()
}
_STRICT: dict[type[msgspec.Struct], type[msgspec.Struct]] = {
    struct: _strict(_PLAIN.get(struct, struct)) for structs in STRUCTS.values() for struct in structs.values()
}
_MONEY = {read: money for struct, money in MONEY_FIELDS.items() for read in (_PLAIN[struct], _STRICT[struct])}
_KEPT = frozenset({"total_cost_usd", "cost_usd"})  # the fields that fill the column
PLAIN_DATA_TYPE: dict[str, Any] = DATA_TYPE | {"cost": Union[tuple(_PLAIN.values())]}
"""What `payload.data` of the fast lane decodes to, by payload_type."""
STRICT_DATA_TYPE: dict[str, Any] = {
    payload_type: Union[tuple(_STRICT[struct] for struct in structs.values())]
    for payload_type, structs in STRUCTS.items()
} | {CUSTOM: Custom}
"""The same when it holds no field that the contract does not know."""
WITHOUT_UNKNOWN_FIELDS: frozenset[type[Any]] = frozenset(_STRICT.values())
"""Types of payloads that surely hold declared fields only."""

_NAME_FIELD: dict[type[Any], str] = {
    read: name_field
    for struct, strict in _STRICT.items()
    for name_field in ["provider" if struct is ApiCost else "model_id"]
    if name_field in struct.__struct_fields__
    for read in (_PLAIN.get(struct, struct), strict)
} | {Custom: "custom_type"}
_KEPT_FIELD = {
    plain: next(field for field in money if field in _KEPT)
    for plain, money in _MONEY.items()
    if not _KEPT.isdisjoint(money)
}


def names(payloads: Sequence[Any], classes: Sequence[type[Any]]) -> list[str | None]:
    """What besides its class each payload brings to its event's shape."""
    fields = set(map(_NAME_FIELD.get, set(classes)))
    if len(fields) == 1 and (field := fields.pop()) is not None:
        return list(map(attrgetter(field), payloads))
    return [
        None if (field := _NAME_FIELD.get(payload_class)) is None else getattr(payload, field)
        for payload, payload_class in zip(payloads, classes, strict=True)
    ]


def surely_exact(payloads: Sequence[Any], classes: Sequence[type[Any]]) -> npt.NDArray[np.bool_]:
    """Which payloads hold no amount of money that a double may change in the column."""
    is_exact = np.ones(len(payloads), np.bool_)
    for payload_class in set(classes) & _KEPT_FIELD.keys():
        places = [at for at, each in enumerate(classes) if each is payload_class]
        amounts = list(map(attrgetter(_KEPT_FIELD[payload_class]), [payloads[at] for at in places]))
        is_exact[places] = units_of_doubles(np.array(amounts, np.float64))[1]
    return is_exact
