"""A later revision says each figure that differs, what it was and is, and which source moved in between."""

import pytest

from lah_platform.compliance.changes import MAX_CHANGES, changes_between, with_revision
from tests.compliance.contents import FRAMEWORK, content


def test_the_same_numbers_of_sources_that_grew_are_no_new_revision() -> None:
    assert changes_between(content(), content()) == []
    assert changes_between(content(rows=7, sql="select 1"), content(rows=8, sql="select 2")) == []
    assert changes_between(with_revision(content(), 3, "ab", [{"figure": "x"}]), content()) == []


def test_a_figure_that_differs_is_told_with_what_moved() -> None:
    changes = changes_between(content(failed=1, rows=7), content(failed=0, rows=9))
    by_figure = {change["figure"]: change for change in changes}
    assert (by_figure["failed"]["control"], by_figure["failed"]["old"], by_figure["failed"]["new"]) == ("T-1", 1, 0)
    assert (by_figure["status"]["old"], by_figure["status"]["new"]) == ("fail", "pass")
    assert (by_figure["exceptions"]["old"], by_figure["exceptions"]["new"]) == (1, 0)
    assert (by_figure["failed of login"]["old"], by_figure["failed of login"]["new"]) == (1, 0)
    (moved,) = by_figure["failed"]["moved"]
    assert (moved["table"], moved["from"]["rows"], moved["to"]["rows"]) == ("events", 7, 9)


def test_figures_that_differ_though_no_source_moved_say_so_by_an_empty_list() -> None:
    assert all(change["moved"] == [] for change in changes_between(content(failed=1), content(failed=2)))


@pytest.mark.parametrize(
    ("old", "new", "figure"),
    [
        ("value: 0", "value: 1", "rule"),
        ("value: 0", "value: 1", "status"),
        ("It works.", "It works well.", "criterion"),
        ("{measure: events}", "{measure: events, at_least: 2}", "minimum evidence: at_least"),
        ("owner: Ann", "owner: Bob", "owner"),
        ("title: Tiny report", "title: Small report", "title"),
        ("id: T-1", "id: T-2", "number"),
    ],
)
def test_a_control_that_was_rewritten_is_a_new_revision_too(old: str, new: str, figure: str) -> None:
    changes = changes_between(content(), content(FRAMEWORK.replace(old, new)))
    assert figure in {change["figure"] for change in changes}


def test_an_exception_that_was_exchanged_for_another_is_told() -> None:
    before, after = content(), content()
    after["controls"][0]["exceptions"]["rows"][0]["id"] = "another"
    changes = changes_between(before, after)
    assert [(change["old"], change["new"]) for change in changes] == [("login", None), (None, "login")] or [
        (change["old"], change["new"]) for change in changes
    ] == [(None, "login"), ("login", None)]


def test_the_list_of_changes_has_an_end_and_says_how_many_are_left_out() -> None:
    before, after = content(), content()
    after["controls"][0]["figures"] = {f"figure_{n}": n for n in range(3 * MAX_CHANGES)}
    changes = changes_between(before, after)
    assert len(changes) == MAX_CHANGES
    assert changes[-1]["figure"] == "further differences"
    assert changes[-1]["new"] + MAX_CHANGES - 1 == 3 * MAX_CHANGES + len(before["controls"][0]["figures"])
