"""What is encrypted opens with its key in its place, and nowhere else; the master key can be turned without loss."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lah_platform.errors import ConfigurationError, Unreadable
from lah_platform.privacy import cipher
from lah_platform.privacy.identifiers import hash_text, identifier_hmac
from lah_platform.privacy.master_key import HeldKeys, new_held_key, read_held_keys

_KEY = bytes(range(32))
places = st.builds(cipher.place, st.text(min_size=1, max_size=9), st.binary(min_size=16, max_size=16), st.text())


@given(st.binary(max_size=300), places)
def test_what_was_encrypted_opens_again_and_does_not_hold_the_plain_text(plain: bytes, place: bytes) -> None:
    text = cipher.seal_text(_KEY, "t1", plain, place)
    assert cipher.open_text(_KEY, text, place) == plain
    assert len(plain) < 8 or plain not in text.encode()


@given(places, places)
def test_a_ciphertext_in_another_place_is_refused(place: bytes, other: bytes) -> None:
    text = cipher.seal_text(_KEY, "t1", b"ann", place)
    if place != other:
        with pytest.raises(Unreadable):
            cipher.open_text(_KEY, text, other)


@given(st.integers(0, 8 * 31 - 1))
def test_a_single_changed_bit_is_refused(bit: int) -> None:
    sealed = bytearray(cipher.seal_bytes(_KEY, b"ann", b"place"))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Unreadable):
        cipher.open_bytes(_KEY, bytes(sealed), b"place")


def test_the_same_text_is_never_encrypted_to_the_same() -> None:
    assert len({cipher.seal_text(_KEY, "t1", b"ann", b"place") for _ in range(100)}) == 100
    assert len(set(cipher.nonces(100))) == 100


@given(st.text())
def test_any_text_is_read_as_encrypted_or_not_without_an_error(text: str) -> None:
    for each in (text, cipher.MARK + text):
        assert cipher.read(each) is None or each.startswith(cipher.MARK)


def test_an_identifier_has_one_hmac_a_tenant_whatever_its_normal_form() -> None:
    assert identifier_hmac(_KEY, "Zo\u00eb") == identifier_hmac(_KEY, "Zoe\u0308")
    assert identifier_hmac(_KEY, "u-1") != identifier_hmac(_KEY[::-1], "u-1")
    assert identifier_hmac(_KEY, "u-1").hex() not in hash_text(_KEY, "u-1")


def test_what_an_older_version_wrapped_opens_as_long_as_that_version_is_given() -> None:
    old = HeldKeys("file", read_held_keys(new_held_key(1), "LAH_MASTER_KEY"))
    wrapped = old.wrap(_KEY, "acme:content")
    both = read_held_keys(new_held_key(1), "x") | read_held_keys(new_held_key(2), "x")
    with pytest.raises(Unreadable):  # another key of the same version
        HeldKeys("file", both).unwrap(wrapped, old.current, "acme:content")
    both = {1: old._keys[1], 2: both[2]}
    turned = HeldKeys("file", both)
    assert turned.current == "file:2"
    assert turned.unwrap(wrapped, "file:1", "acme:content") == _KEY
    with pytest.raises(Unreadable):
        turned.unwrap(wrapped, "file:1", "globex:content")
    with pytest.raises(Unreadable, match="file:3"):
        turned.unwrap(wrapped, "file:3", "acme:content")


@pytest.mark.parametrize("text", ["", "secret", "1:c2hvcnQ=", "0:" + "A" * 43 + "=", ":" + "A" * 43 + "=", "1:x 1:x"])
def test_an_unusable_master_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError, match="LAH_MASTER_KEY") as refused:
        read_held_keys(text, "LAH_MASTER_KEY")
    assert not text or text not in str(refused.value)


def test_a_key_alone_is_version_1() -> None:
    assert read_held_keys("A" * 43 + "=", "x") == {1: bytes(32)}
