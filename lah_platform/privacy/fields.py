"""The catalog of personal fields: what of an event tells of a person, by payload type.

Declared where the contract is (`x-personal` in `events/payloads`, and so in the public JSON Schema); here are the texts
that were looked at and found not to be personal. Fields that the contract does not know go by the rules of `names.py`.
Does not belong here: what becomes of a personal field (`seal.py`).
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from lah_platform.events.payloads import STRUCTS
from lah_platform.events.payloads.custom import Custom

__all__ = ["NOT_PERSONAL", "PERSONAL_FIELDS", "Sort", "personal_fields", "text_fields"]


class Sort(StrEnum):
    """What kind of personal data a field holds."""

    IDENTIFIER = "identifier"
    """Names one person: replaced by that person's subject_id."""
    PSEUDONYM = "pseudonym"
    """A session or a device: replaced by an HMAC, because being the same is all that it says."""
    ADDRESS = "address"
    """Leads to one person's device or connection: encrypted."""
    CONTENT = "content"
    """A prompt or a completion: encrypted, or what the tenant's content policy says."""
    TEXT = "text"
    """Written freely, so that it may name anybody: encrypted."""


NOT_PERSONAL: Mapping[str, str] = MappingProxyType(
    {
        "model_id": "a model",
        "request_id": "a request; who made it is in tags.user_id",
        "threat_id": "an object of a producer's",
        "threat_type.other": "a word for a kind of threat",
        "target_resource": "a resource",
        "vulnerability_id": "an object of a producer's",
        "cve_id": "a public number",
        "affected_component": "a component",
        "violation_id": "an object of a producer's",
        "regulation": "a law's name",
        "requirement": "a law's article",
        "affected_data_types[]": "kinds of data",
        "resource": "a resource",
        "data_type": "a kind of data",
        "purpose": "the declared purpose of processing, which reports count by",
        "currency": "a currency",
        "provider": "a company",
        "api_endpoint": "an address of a provider's",
        "billing_period": "a month",
        "resource_type.other": "a kind of resource",
        "resource_id": "a resource",
        "unit": "a unit",
        "budget_id": "an object of a producer's",
        "budget_name": "a budget",
        "policy_id": "an object of a producer's",
        "policy_name": "a policy",
        "violated_rules[]": "rules of a policy",
        "action": "a verb",
        "resource_type": "a kind of resource",
        "check_id": "an object of a producer's",
        "framework": "a framework's name",
        "controls_checked[]": "controls of a framework",
        "findings[].control_id": "a control of a framework",
        "data_asset_id": "a data set",
        "source": "a data set",
        "destination": "a data set",
        "transformation": "a job's name",
        "lineage_path[]": "data sets",
    }
)
"""Texts of the catalog that stay as they are, by path, each with what it names instead of a person."""


def personal_fields(struct: type[msgspec.Struct]) -> Mapping[str, Sort]:
    """The declared personal fields of a payload, by path: `user_id`, `data_subjects[]`, `findings[].evidence`."""
    return {path: sort for path, sort in text_fields(struct).items() if sort is not None}


def text_fields(struct: type[msgspec.Struct]) -> Mapping[str, Sort | None]:
    """Every field of a payload that can hold text of a producer's choice, by path; None: not declared personal.

    Fields that take one of a list of words are not among them, nor are names of members of an object of numbers.
    """
    found: dict[str, Sort | None] = {}
    for name, hint in get_type_hints(struct, include_extras=True).items():
        _walk(hint, name, found)
    return found


def _walk(hint: Any, path: str, found: dict[str, Sort | None]) -> None:
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *extras = get_args(hint)
        declared = [sort for extra in extras if (sort := _declared(extra)) is not None]
        if declared:
            found[path] = declared[0]
        else:
            _walk(inner, path, found)
    elif origin in (Union, UnionType):
        for option in get_args(hint):
            _walk(option, path, found)
    elif origin is list:
        _walk(get_args(hint)[0], f"{path}[]", found)
    elif origin is dict:
        _walk(get_args(hint)[1], f"{path}.*", found)
    elif isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        for name, member in get_type_hints(hint, include_extras=True).items():
            _walk(member, f"{path}.{name}", found)
    elif hint in (str, Any) and origin is not Literal:
        found.setdefault(path, None)


def _declared(extra: Any) -> Sort | None:
    said = (getattr(extra, "extra_json_schema", None) or {}).get("x-personal")
    return None if said is None else Sort(said)


PERSONAL_FIELDS: Mapping[type[msgspec.Struct], Mapping[str, Sort]] = MappingProxyType(
    {struct: personal_fields(struct) for structs in STRUCTS.values() for struct in structs.values()} | {Custom: {}}
)
"""The declared personal fields of every payload; a custom one goes by the rules for names and texts alone."""
