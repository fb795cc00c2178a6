"""The four documents say the same, are the same bytes each time, and cannot be made to say anything else."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.compliance.changes import changes_between, with_revision
from lah_platform.compliance.content import build_content
from lah_platform.compliance.detached import verify
from lah_platform.compliance.documents import documents_of
from lah_platform.compliance.documents.as_csv import COLUMNS, as_csv
from lah_platform.compliance.documents.as_html import as_html
from lah_platform.compliance.documents.as_pdf import as_pdf, png_pages
from tests.compliance.contents import FRAMEWORK, KEY, content, framework, reading
from tests.compliance.sample import NAME, SAMPLES

_HOSTILE = '</td></pre><script>alert(1)</script><img src=x onerror=alert(2)>" onmouseover="alert(3)\' & {{ 7 * 7 }} #x'
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


class _Page(HTMLParser):
    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _rows(found: dict[str, Any]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(as_csv(found).decode(), newline="")))


def test_the_same_content_gives_the_same_bytes_in_all_four() -> None:
    assert documents_of(content()) == documents_of(content())
    again = documents_of(json.loads(documents_of(content())["json"]))
    assert again == documents_of(content())  # also when it has been through the database as JSON


def test_the_json_is_the_content_and_every_number_of_it_is_in_the_other_documents() -> None:
    found = content()
    documents = documents_of(found)
    assert json.loads(documents["json"]) == found
    page = "".join(_Page(documents["html"]).text)
    figures = {row["name"]: row["value"] for row in _rows(found) if row["record"] == "figure"}
    for name, value in found["controls"][0]["figures"].items():
        assert figures[name] == str(value)
        assert f"{value}" in page
    assert [row["value"] for row in _rows(found) if row["record"] == "control"] == ["1"]
    assert [row["link"] for row in _rows(found) if row["record"] == "exception"] == ["/api/v1/events/000"]
    assert ("href", "/api/v1/events/000") in _Page(documents["html"]).attributes


@settings(max_examples=8, deadline=None)
@given(text=_TEXT)
def test_any_text_from_a_producer_is_shown_as_text_in_html_and_never_stops_the_pdf(text: str) -> None:
    plain, found = _Page(as_html(content())), content(words=text + _HOSTILE, sql=f"select '{text}{_HOSTILE}'")
    page = _Page(as_html(found))
    assert page.tags == plain.tags
    assert {name for name, _ in page.attributes} == {name for name, _ in plain.attributes}
    assert "".join(page.text).count(_HOSTILE) >= 4  # the group, the exception, the verdict and the statement
    assert as_pdf(found).startswith(b"%PDF-1.7")


@settings(max_examples=40, deadline=None)
@given(text=_TEXT)
def test_no_cell_of_the_table_is_a_formula(text: str) -> None:
    for row in _rows(content(words=text)):
        assert set(row) == set(COLUMNS)
        for cell in row.values():
            assert not cell.startswith(("=", "+", "@", "\t", "\r"))
            assert not re.match(r"-[^0-9]", cell)


def test_the_page_needs_nothing_from_anywhere_else_and_says_how_it_is_printed() -> None:
    html = as_html(content())
    page = _Page(html)
    links = [value or "" for name, value in page.attributes if name in ("href", "src", "srcset", "action")]
    assert all(link.startswith(("#", "/api/v1/")) for link in links)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert b"@import" not in html
    assert b"url(" not in html
    assert b'counter(page) " of " counter(pages)' in html
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)


def test_the_pdf_is_tagged_for_readers_and_archives_and_carries_its_fonts() -> None:
    pdf = as_pdf(content())
    assert b"/MarkInfo" in pdf
    assert b"/StructTreeRoot" in pdf
    assert b"pdfuaid" in pdf  # PDF/UA-1, ISO 14289-1
    assert b"pdfaid" in pdf  # PDF/A-2a, ISO 19005-2
    assert b"/Lang" in pdf
    assert b"/FontFile" in pdf


def test_a_control_has_a_page_of_its_own_and_a_long_list_breaks_over_pages() -> None:
    short, long = content(), content()
    rows = long["controls"][0]["exceptions"]["rows"]
    long["controls"][0]["exceptions"] |= {"rows": rows * 100, "total": 100, "shown": 100}
    two = content(FRAMEWORK + FRAMEWORK.split("controls:\n")[1].replace("&control", "").replace("T-1", "T-2"))
    pages = len(png_pages(short, dots_per_inch=20))
    assert len(png_pages(long, dots_per_inch=20)) >= pages + 2
    assert len(png_pages(two, dots_per_inch=20)) == pages + 1


def test_a_later_revision_shows_what_changed_and_what_it_supersedes() -> None:
    before, after = content(failed=1), content(failed=0, rows=9)
    revised = with_revision(after, 2, "ab" * 32, changes_between(before, after))
    page = "".join(_Page(as_html(revised)).text)
    assert "Changes since revision 1" in page
    assert "ab" * 32 in page
    assert "events: 7 rows" in page
    assert as_pdf(revised) != as_pdf(after)
    assert [row["name"] for row in _rows(revised) if row["record"] == "change"]


def test_a_report_of_no_day_is_refused() -> None:
    with pytest.raises(ValueError, match="has no day"):
        build_content(framework(), reading(), type(KEY)("tiny", "*", "*", "2026-03-01", "2026-03-01"))


def test_the_sample_of_the_docs_comes_out_of_its_content_on_this_machine_to_the_byte() -> None:
    content_of_demo = json.loads((SAMPLES / f"{NAME}.json").read_text(encoding="utf-8"))
    record = (SAMPLES / f"{NAME}.signature.json").read_bytes()
    documents = documents_of(content_of_demo)
    for body in documents.values():
        assert all(verdict.holds for verdict in verify(body, record)), "python -m tests.compliance.sample renews it"
    assert documents["pdf"] == (SAMPLES / f"{NAME}.pdf").read_bytes()
    assert len(documents["pdf"]) < 300_000
