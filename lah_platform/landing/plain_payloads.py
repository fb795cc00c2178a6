"""Payloads as the fast lane reads them: the contract's own structs, but money as doubles.

A double is several times cheaper than a Decimal, and in an ordinary amount it loses nothing of what the column keeps
(`money.units_of_doubles` says for which). Money as text is not read here at all.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any, Union

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from lah_platform.events.payloads import DATA_TYPE, STRUCTS
from lah_platform.events.payloads.cost import MONEY_FIELDS, ApiCost
from lah_platform.events.payloads.custom import Custom
from lah_platform.landing.amounts import units_of_doubles

__all__ = ["PLAIN_DATA_TYPE", "names", "surely_exact"]


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


_PLAIN: dict[type[msgspec.Struct], type[msgspec.Struct]] = {
    struct: _with_doubles(struct, money) for struct, money in MONEY_FIELDS.items()
}
_MONEY = {_PLAIN[struct]: money for struct, money in MONEY_FIELDS.items()}
_KEPT = frozenset({"total_cost_usd", "cost_usd"})  # the fields that fill the column
PLAIN_DATA_TYPE: dict[str, Any] = DATA_TYPE | {"cost": Union[tuple(_PLAIN.values())]}
"""What `payload.data` of the fast lane decodes to, by payload_type."""

_NAME_FIELD: dict[type[Any], str] = {
    **{
        _PLAIN.get(struct, struct): "model_id"
        for structs in STRUCTS.values()
        for struct in structs.values()
        if "model_id" in struct.__struct_fields__
    },
    _PLAIN[ApiCost]: "provider",
    Custom: "custom_type",
}
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
