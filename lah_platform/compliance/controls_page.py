"""The table of controls for people: what the hub evidences of each, and what remains the organisation's duty."""

from collections.abc import Iterable

from lah_platform.compliance.framework import Control, Framework

__all__ = ["controls_markdown"]


def controls_markdown(frameworks: Iterable[Framework]) -> str:
    """One section a framework, one row a control, in the order of the files, as Markdown."""
    return "\n".join(_section(framework) for framework in frameworks)


def _section(framework: Framework) -> str:
    rows = "\n".join(
        f"| {_cell(control.id)} | {_cell(control.reference)} | {_cell(control.title)} | {_rule(control)} |"
        f" {_cell(control.not_covered)} |"
        for control in framework.controls
    )
    return (
        f"### {framework.title} (`{framework.id}`)\n\n{_line(framework.standard)}. {_line(framework.scope)}\n\n"
        "| control | reference | what the hub evidences | passes when | remains your duty |\n"
        f"|---|---|---|---|---|\n{rows}\n"
    )


def _rule(control: Control) -> str:
    bound = "at most" if control.threshold.direction == "at_most" else "at least"
    unit = f"% of {control.share_of}" if control.share_of else control.unit
    return _cell(f"{control.measure}: {bound} {control.threshold.value} {unit}")


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")


def _line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
