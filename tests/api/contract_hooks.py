"""What schemathesis cannot know of this API: which valid requests may be refused, and which key it works with."""

import os
import re
from typing import Any, Final

import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

# What no schema can say, so that a request in its form may be refused: by field, what `detail` says
_BEYOND_SCHEMAS: Final = {
    "body": r"give identifier or subject_id, one of both",
    "class": r"This rule cannot be",
    "cursor": r"cursor is not one",
    "from": r"is later than|is not before|no longer kept",
    "kind": r"does not add up over time",
    "label": r"No key can have this label",
    "live": r"ask with window=1m",
    "measures": r"means nothing for",
    "metrics": r"not computed metric by metric",
    "policy": r"needs Presidio",
    "tenant": r"No key can belong|belongs to one tenant|tenant's name|has to be said whose rows",
    "to": r"outside the calendar|has not (begun|ended)|not after the start|at most a day long|ends before it begins",
}
# Two languages, whose sentences no schema knows: the event contract's `decode` and the time series' `make_query`
_LANGUAGES: Final = ("/api/v1/events", "/api/v1/timeseries/query")


@schemathesis.check
def valid_requests_are_taken(ctx: Any, response: Any, case: Any) -> bool | None:
    """A request in the documented form is answered, or refused for what a form cannot say."""
    if response.status_code == 422:
        problem = response.json()
        expected = _BEYOND_SCHEMAS.get(problem.get("field"))
        if (case.path in _LANGUAGES and case.method == "POST") or (expected and re.search(expected, problem["detail"])):
            return None
    return positive_data_acceptance(ctx, response, case)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:  # noqa: ARG001 - the names are schemathesis's
    """The run's own key is neither rotated nor revoked."""
    if (case.path_parameters or {}).get("key_id") == os.environ["CONTRACT_KEY_ID"]:
        case.path_parameters["key_id"] = "0" * 12
