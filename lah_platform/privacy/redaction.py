"""Redaction of prompts and completions: Presidio's pattern recognizers, without a language model.

They find what has a form: e-mail and IP addresses, phone, card, bank and social security numbers, URLs. Names of
persons have none, and stay: what is redacted is encrypted all the same. Needs the extra `redact`.
"""

from functools import cache
from importlib.util import find_spec

from lah_platform.privacy.writers import Redact

__all__ = ["is_installed", "redactor"]


def is_installed() -> bool:
    """Whether the extra `redact` is."""
    return find_spec("presidio_analyzer") is not None


@cache
def redactor() -> Redact | None:
    """What replaces personal data in a text by its kind, such as `<EMAIL_ADDRESS>`; None without the extra."""
    if not is_installed():
        return None
    from lah_platform.privacy.presidio import redact

    return redact
