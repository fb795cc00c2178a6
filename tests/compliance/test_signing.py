"""What the hub hands out as evidence can be checked by whoever has its public key."""

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lah_platform.compliance.signing import Signer, is_signed_by
from lah_platform.errors import ConfigurationError
from lah_platform.settings import Settings
from lah_platform.stores.signing_key import hub_signer

_SEED = base64.b64encode(bytes(range(32))).decode()


@given(message=st.binary(min_size=1, max_size=200), data=st.data())
def test_one_flipped_bit_of_the_message_is_noticed(message: bytes, data: st.DataObject) -> None:
    signature = Signer(_SEED).sign(message)
    bit = data.draw(st.integers(0, 8 * len(message) - 1))
    altered = bytearray(message)
    altered[bit // 8] ^= 1 << bit % 8
    assert is_signed_by(signature, message)
    assert not is_signed_by(signature, bytes(altered))


def test_another_keys_signature_is_not_this_keys() -> None:
    other = Signer(base64.b64encode(bytes(32)).decode())
    mixed = replace(other.sign(b"evidence"), public_key=Signer(_SEED).public_key)
    assert not is_signed_by(mixed, b"evidence")
    assert not is_signed_by(replace(mixed, signature="no base64"), b"evidence")


def test_a_hub_keeps_its_key_in_a_file_only_its_owner_reads(tmp_path: Path) -> None:
    first, again = hub_signer(Settings(home=tmp_path)), hub_signer(Settings(home=tmp_path))
    assert first.key_id == again.key_id
    assert (tmp_path / "signing.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("seed", ["", "short", base64.b64encode(bytes(31)).decode(), "=" * 44])
def test_an_unusable_key_is_refused_without_repeating_it(seed: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Signer(seed)
    assert not seed or seed not in str(caught.value).replace("base64", "")
