"""The report as one HTML page that needs nothing from elsewhere and prints well."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from lah_platform.compliance.documents import wording

__all__ = ["as_html"]


def as_html(content: Mapping[str, Any]) -> bytes:
    """The page in UTF-8; whatever a producer wrote is shown as text."""
    page: str = _template().render(report=content, days=wording.days_of(content["period"]))
    return page.encode("utf-8", "replace")


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=wording.number,
        value=wording.value,
        words=wording.words,
        moment=wording.moment,
        who=wording.who,
        breakable=_breakable,
        status=wording.STATUS.__getitem__,
    )
    return environment.get_template("report.html.j2")


def _breakable(text: Any) -> Markup:
    return escape(str(text)).replace("_", Markup("_<wbr>"))
