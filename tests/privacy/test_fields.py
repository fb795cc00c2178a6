"""Every text that an event can carry is declared: personal, or looked at and found not to be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lah_platform.events.json_schema import wire_schema
from lah_platform.events.payloads import STRUCTS
from lah_platform.privacy.fields import NOT_PERSONAL, PERSONAL_FIELDS, Sort, text_fields
from lah_platform.privacy.names import sort_of_field

_TEXTS = {
    (subtype, path): sort
    for structs in STRUCTS.values()
    for subtype, struct in structs.items()
    for path, sort in text_fields(struct).items()
}


@pytest.mark.parametrize(("subtype", "path"), list(_TEXTS))
def test_every_text_of_the_catalog_is_declared_personal_or_not(subtype: str, path: str) -> None:
    is_personal, is_not = _TEXTS[subtype, path] is not None, path in NOT_PERSONAL
    assert is_personal != is_not, (
        f"{subtype}.{path}: give it a type of events/payloads/quantities.py with x-personal, or name it in NOT_PERSONAL"
    )


def test_what_is_declared_not_personal_exists() -> None:
    assert set(NOT_PERSONAL) <= {path for _, path in _TEXTS}


def test_the_issue_s_own_list_is_personal() -> None:
    personal = {path: sort for fields in PERSONAL_FIELDS.values() for path, sort in fields.items()}
    assert {path for path, sort in personal.items() if sort is Sort.IDENTIFIER} == {
        "user_id",
        "actor",
        "data_subjects[]",
    }
    assert {path for path, sort in personal.items() if sort is Sort.ADDRESS} == {
        "source_ip",
        "ip_address",
        "user_agent",
    }


def test_the_published_schema_says_what_is_personal() -> None:
    auth = wire_schema()["$defs"]["Auth"]["properties"]
    assert auth["user_id"]["x-personal"] == "identifier"
    assert "x-personal" not in auth["resource"]


@pytest.mark.parametrize(
    ("name", "text", "sort"),
    [
        ("user.id", "u-1", Sort.IDENTIFIER),
        ("User-Id", "u-1", Sort.IDENTIFIER),
        ("langfuse.user.id", "u-1", Sort.IDENTIFIER),
        ("gen_ai.prompt.0.content", "hi", Sort.CONTENT),
        ("llm.input_messages.3.message.content", "hi", Sort.CONTENT),
        ("gen_ai.input.messages", None, Sort.CONTENT),
        ("prompt_tokens", None, None),
        ("llm.token_count.prompt", None, None),
        ("gen_ai.operation.name", "chat", None),
        ("gen_ai.request.model", "gpt-4o-2024-08-06", None),
        ("whatever", "192.0.2.7", Sort.TEXT),
        ("whatever", "2001:db8::7", Sort.TEXT),
        ("whatever", "v1.2.3", None),
        ("whatever", "ann@example.org", Sort.TEXT),
        ("whatever", "a sentence of somebody", Sort.TEXT),
        ("whatever", "Zoë", Sort.TEXT),
        ("x" * 300, "word", None),
    ],
)
def test_names_and_texts_that_the_contract_does_not_know_go_by_rule(name: str, text: str, sort: Sort | None) -> None:
    assert sort_of_field(name, text) is sort


@given(st.text())
def test_a_text_without_a_declaration_stays_only_when_it_looks_like_a_word(text: str) -> None:
    if sort_of_field("x", text) is None:
        assert len(text) <= 64
        assert text.isascii()
        assert not set(text) & set(" \t\n@\"'")
