"""Whatever JSON a custom payload holds, however spelt: opened again it is what was sent, and nothing free is left."""

import json
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from lah_platform.events.payloads.custom import Custom
from lah_platform.privacy.fields import Sort
from lah_platform.privacy.names import sort_of_field
from lah_platform.privacy.opening import opened
from lah_platform.privacy.plans import PLANS
from lah_platform.privacy.seal import members_of, seal_object
from lah_platform.privacy.subjects import Person, Subject
from lah_platform.privacy.writers import EventWriter, Looking, TenantSeal

_EVENT = UUID(int=9)
_SEAL = TenantSeal("t1", b"k" * 32, b"i" * 32, "keep")
_names = st.sampled_from(["prompt", "user_id", "description", "ip", "x", "n", "a.b", "messages"]) | st.text(max_size=5)
_words = st.sampled_from(["", "word", "two words", "ann@example.org", "192.0.2.7", "Zo\u00eb", "enc:v1:t1:x"])
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=12,
)


@given(_values, st.sampled_from([None, 2]))
def test_opened_again_it_is_what_was_sent(data: Any, indent: int | None) -> None:
    sent = {"custom_type": "chat", "data": data}
    document = json.dumps(sent, indent=indent).encode()
    looking = Looking()
    seal_object(members_of(document), PLANS[Custom], looking)
    persons = {
        name: Subject(UUID(int=n + 100), bytes([n]) * 32) for n, name in enumerate((*looking.single, *looking.many))
    }
    writer = EventWriter({Person("acme", name): subject for name, subject in persons.items()}, None)
    writer.begin("acme", _SEAL, _EVENT.bytes, None)
    sealed = seal_object(members_of(document), PLANS[Custom], writer)
    tree = json.loads(document if sealed is None else sealed)
    if "enc:v1:t1:x" not in json.dumps(sent):  # a producer's own text that only looks encrypted is refused when opened
        identifiers = {subject.subject_id: name for name, subject in persons.items()}
        again = opened(
            tree, tenant="acme", event_id=_EVENT, path="", key_of=lambda _: _SEAL.content_key, identifiers=identifiers
        )
        assert _with_texts(again, set(persons)) == _with_texts(sent, set(persons))
    _assert_nothing_free(tree["data"], "data")


def _with_texts(tree: Any, persons: set[str]) -> Any:
    """Numbers that name a person are texts afterwards."""
    if isinstance(tree, dict):
        return {name: _with_texts(each, persons) for name, each in tree.items()}
    if isinstance(tree, list):
        return [_with_texts(each, persons) for each in tree]
    is_number = isinstance(tree, int | float) and not isinstance(tree, bool)
    return json.dumps(tree) if is_number and json.dumps(tree) in persons else tree


def _assert_nothing_free(tree: Any, name: str) -> None:
    if isinstance(tree, dict):
        for each, value in tree.items():
            _assert_nothing_free(value, each)
    elif isinstance(tree, list):
        for each in tree:
            _assert_nothing_free(each, name)
    elif isinstance(tree, str) and tree and not tree.startswith("enc:v1:"):
        assert " " not in tree
        assert "@" not in tree
        assert sort_of_field(name, tree) in (None, Sort.IDENTIFIER)


@given(st.sampled_from(["1e400", "0.1234567890123456789012345", "123456789012345678901234567890", "-0.0"]))
def test_numbers_stay_as_they_were_written(number: str) -> None:
    document = f'{{"custom_type": "c", "data": {{"amount": {number}, "prompt": "a b"}}}}'.encode()
    writer = EventWriter({}, None)
    writer.begin("acme", _SEAL, _EVENT.bytes, None)
    sealed = seal_object(members_of(document), PLANS[Custom], writer)
    assert sealed is not None
    assert f'"amount":{number}'.encode() in sealed
