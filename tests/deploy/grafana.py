"""Grafana's files as data, and its macros as the data sources document them.

Belongs here: reading deploy/grafana and expanding. Does not: what the dashboards must promise.
PostgreSQL: `$__interval_ms`, `$__timeFrom()` and `$__timeTo()` (RFC 3339, quoted), and variables: several values are
quoted and joined, quotes in a single value are doubled, and an All with a value of its own is put in as that stands.
Infinity: `${__timeFrom:date:<moment.js format>}`, the same of `__timeTo`, and `$__customInterval(range, value, ...,
otherwise)`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import yaml

from tests.deploy.files import DEPLOY

GRAFANA = DEPLOY / "grafana"
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_MOMENT = {"YYYY": "%Y", "MM": "%m", "DD": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}


@dataclass(frozen=True)
class Asked:
    """One query of a dashboard: of a panel, a variable or an annotation. `needs` is what shows it."""

    dashboard: str
    name: str
    needs: str
    target: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.name}"


@cache
def dashboards() -> dict[str, dict[str, Any]]:
    """Every dashboard by its file's name."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((GRAFANA / "dashboards").iterdir())
    }


def provisioned(kind: str) -> dict[str, Any]:
    """provisioning/<kind>/lah.yaml."""
    content: dict[str, Any] = yaml.safe_load((GRAFANA / "provisioning" / kind / "lah.yaml").read_text(encoding="utf-8"))
    return content


def asked() -> Iterator[Asked]:
    """Every query of every dashboard."""
    for file, board in dashboards().items():
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield Asked(file, panel["title"], panel["type"], target)
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                target = {"datasource": variable["datasource"], "rawSql": variable["query"], "format": "table"}
                yield Asked(file, f"variable {variable['name']}", "variable", target)
        for note in board["annotations"]["list"]:
            yield Asked(file, f"annotation {note['name']}", "annotation", note["target"])


def defaults(dashboard: str) -> dict[str, str]:
    """Each variable as it is put in when the dashboard is opened; query variables of one value are not there."""
    found = {}
    for variable in dashboards()[dashboard]["templating"]["list"]:
        if variable.get("includeAll"):
            found[variable["name"]] = variable["allValue"]
        elif variable["type"] != "query":
            found[variable["name"]] = variable["current"]["value"]
    return found


def several(*values: str) -> str:
    """A variable of several values as Grafana's SQL data sources put it in."""
    return ",".join("'" + value.replace("'", "''") + "'" for value in values)


def with_variables(text: str, values: Mapping[str, str]) -> str:
    """`text` with `$name` and `${name}` put in; names of the macros stay."""
    return re.sub(
        r"\$(?:(\w+)|\{(\w+)\})", lambda found: values.get(found[1] or found[2] or "", found[0]), text, flags=re.ASCII
    )


def expanded_sql(text: str, start: datetime, end: datetime, interval: timedelta) -> str:
    """`text` as PostgreSQL gets it. Raises ValueError for a macro that is not among those above."""
    text = text.replace("$__interval_ms", str(interval // timedelta(milliseconds=1)))
    for name, at in (("From", start), ("To", end)):
        text = text.replace(f"$__time{name}()", f"'{at:%Y-%m-%dT%H:%M:%S.%f}Z'")
    return _complete(text)


def expanded_rest(text: str, start: datetime, end: datetime) -> str:
    """`text` as the API gets it. Raises ValueError for a macro that is not among those above."""
    for name, at in (("From", start), ("To", end)):
        text = re.sub(rf"\$\{{__time{name}:date:([^}}]+)\}}", lambda found, at=at: _moment(found[1], at), text)
    return _complete(
        re.sub(r"\$__customInterval\(([^)]*)\)", lambda found: _by_range(found[1].split(","), end - start), text)
    )


def _moment(pattern: str, at: datetime) -> str:
    for token, directive in _MOMENT.items():
        pattern = pattern.replace(token, directive)
    return at.strftime(pattern)


def _by_range(choices: list[str], span: timedelta) -> str:
    for most, value in zip(choices[:-1:2], choices[1::2], strict=True):
        if span <= timedelta(**{_UNITS[most[-1]]: int(most[:-1])}):
            return value
    return choices[-1]


def _complete(text: str) -> str:
    if "$" in text:
        raise ValueError(f"nothing is known of {re.findall(r'[$][^ ,)]*', text)}")
    return text
