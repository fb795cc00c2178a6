"""What the content policy `redact` finds: precision and recall by kind, in sentences made from Presidio's templates.

Needs `pip install 'llm-analytics-hub[redact]' faker` and `pip install --no-deps presidio-evaluator`, which has 209
templates. Faker (en_US, seeded) fills in persons and numbers, and what a placeholder was filled with is labelled with
its kind. A finding counts when it overlaps a label by at least half of both.
"""

import argparse
import json
import re
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["main"]

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_KINDS = {
    "credit_card_number": "CREDIT_CARD", "phone_number": "PHONE_NUMBER", "email": "EMAIL_ADDRESS", "iban": "IBAN_CODE",
    "ssn": "US_SSN", "ip_address": "IP_ADDRESS", "url": "URL",
}  # fmt: skip
_NAMES = {
    "person", "name", "first_name", "last_name", "name_male", "name_female", "first_name_male", "first_name_female",
    "last_name_male", "last_name_female", "first_name_nonbinary",
}  # fmt: skip
_ADDRESSES = {"address", "street_name", "building_number", "secondary_address", "postcode", "zipcode"}
_FAKER_NAME = {
    "person": "name", "ip_address": "ipv4", "organization": "company", "zipcode": "postcode", "nationality": "country",
    "us_driver_license": "bothify", "nation_woman": "country", "nation_plural": "country",
    "age": "random_digit_not_null", "date_of_birth": "date",
}  # fmt: skip


class Label(NamedTuple):
    start: int
    end: int
    kind: str


def labelled(count: int, seed: int) -> list[tuple[str, list[Label]]]:
    """`count` sentences with what was filled in."""
    from faker import Faker

    Faker.seed(seed)
    fake: Any = Faker("en_US")
    spec = find_spec("presidio_evaluator")  # read, not imported: it imports pandas and spaCy's models
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("presidio-evaluator", name="presidio-evaluator")
    templates = (Path(spec.origin).parent / "data_generator/raw_data/templates.txt").read_text("utf-8")
    lines = [line.replace("\\n", "\n") for line in templates.splitlines() if line.strip()]
    return [_filled(lines[number % len(lines)], fake) for number in range(count)]


def _filled(template: str, fake: Any) -> tuple[str, list[Label]]:
    text, labels, end = "", [], 0
    for match in _PLACEHOLDER.finditer(template):
        text += template[end : match.start()]
        name = match[1]
        value = str(getattr(fake, _FAKER_NAME.get(name, name))())
        kind = _KINDS.get(name, "NAME" if name in _NAMES else "ADDRESS" if name in _ADDRESSES else "")
        if kind:
            labels.append(Label(len(text), len(text) + len(value), kind))
        text, end = text + value, match.end()
    return text + template[end:], labels


def _overlap(one: Any, other: Label) -> bool:
    common = min(one.end, other.end) - max(one.start, other.start)
    return common * 2 >= max(one.end - one.start, other.end - other.start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=2090)
    parser.add_argument("--quick", action="store_true", help="418 sentences")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    try:
        from lah_platform.privacy.presidio import found

        sentences = labelled(418 if chosen.quick else chosen.sentences, seed=7)
    except ImportError as error:
        raise SystemExit(f"skipped: {error.name} is not installed; see --help") from error
    labels, right, reported, covered = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    started = time.perf_counter()
    for text, truth in sentences:
        results = found(text)
        for each in results:
            reported[each.entity_type] += 1
            right[each.entity_type] += any(_overlap(each, label) and label.kind == each.entity_type for label in truth)
        for label in truth:
            labels[label.kind] += 1
            covered[label.kind] += any(_overlap(each, label) for each in results)
    milliseconds = (time.perf_counter() - started) / len(sentences) * 1e3
    print(f"redaction: {len(sentences)} sentences, {milliseconds:.1f} ms each; covered: found as whatever kind")
    print(f"  {'kind':<14} {'labels':>7} {'covered':>8} {'recall':>7} {'precision':>10}")
    scores = {"milliseconds_per_text": milliseconds}
    for kind in sorted(labels.keys() | reported.keys()):
        share = covered[kind] / labels[kind] if labels[kind] else float("nan")
        recall = right[kind] / labels[kind] if labels[kind] else float("nan")
        precision = right[kind] / reported[kind] if reported[kind] else float("nan")
        print(f"  {kind:<14} {labels[kind]:>7} {share:>8.2f} {recall:>7.2f} {precision:>10.2f}")
        if kind in _KINDS.values():
            scores |= {f"recall_{kind.lower()}": recall, f"precision_{kind.lower()}": precision}
    formed = [kind for kind in labels if kind in _KINDS.values()]
    scores["covered_of_what_has_a_form"] = sum(covered[k] for k in formed) / sum(labels[k] for k in formed)
    formed_share = scores["covered_of_what_has_a_form"]
    print(f"  {formed_share:.2f} of what has a form is covered; names and addresses are not looked for")
    if chosen.json:
        print(json.dumps({"name": "redaction", "ours": formed_share, "references": {}, "ratios": {}, "scores": scores}))


if __name__ == "__main__":
    main()
