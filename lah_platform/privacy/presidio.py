"""Presidio's recognizers of what has a form, called one by one: its engine would load a language model as well.

Imported only where the extra `redact` is installed.
"""

import tldextract
from presidio_analyzer import EntityRecognizer, RecognizerResult
from presidio_analyzer import predefined_recognizers as predefined

__all__ = ["ENTITIES", "found", "redact"]

_LANGUAGE = "en"
_LEAST_SCORE = 0.4  # what Presidio gives a pattern that needs no word beside it; below lie bare runs of digits
_SUFFIXES = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())  # the wheel's own list: nothing is fetched


class _Email(predefined.EmailRecognizer):  # type: ignore[misc]  # untyped
    def validate_result(self, pattern_text: str) -> bool:
        return bool(_SUFFIXES(pattern_text).suffix)


_RECOGNIZERS: tuple[EntityRecognizer, ...] = (
    _Email(),
    predefined.IpRecognizer(),
    predefined.PhoneRecognizer(),
    predefined.CreditCardRecognizer(),
    predefined.IbanRecognizer(),
    predefined.UsSsnRecognizer(),
    predefined.CryptoRecognizer(),
    predefined.UrlRecognizer(),
)
ENTITIES = tuple(entity for recognizer in _RECOGNIZERS for entity in recognizer.supported_entities)
"""The kinds of personal data that are found."""


def found(text: str) -> list[RecognizerResult]:
    """Where and what, best first where several lie over each other; none overlap."""
    results = [
        each
        for recognizer in _RECOGNIZERS
        for each in recognizer.analyze(text, recognizer.supported_entities, None) or ()
        if each.score >= _LEAST_SCORE
    ]
    kept: list[RecognizerResult] = []
    for each in sorted(results, key=lambda each: (-each.score, each.start - each.end, each.start)):
        if all(each.end <= other.start or other.end <= each.start for other in kept):
            kept.append(each)
    return kept


def redact(text: str) -> str:
    """The text with `<KIND>` in the place of whatever was found."""
    for each in sorted(found(text), key=lambda each: each.start, reverse=True):
        text = f"{text[: each.start]}<{each.entity_type}>{text[each.end :]}"
    return text
