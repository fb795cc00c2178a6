"""Which schema versions are read: semver, of the supported major. Field changes of later minors are kept unread."""

import re
from functools import lru_cache

from lah_platform.events.envelope import SEMVER_PATTERN, SUPPORTED_MAJOR
from lah_platform.events.rejection import RejectionCode

_SEMVER = re.compile(SEMVER_PATTERN.replace("$", r"\Z"))


@lru_cache(maxsize=256)
def version_problem(version: str) -> tuple[RejectionCode, str] | None:
    """Why this `schema_version` cannot be read, or None."""
    match = _SEMVER.match(version)
    if match is None:
        return "invalid_field", f"{version!r} is not a semantic version such as 1.0.0"
    if match[1] != str(SUPPORTED_MAJOR):
        return "unsupported_schema_version", f"version {version} is of another major than {SUPPORTED_MAJOR}"
    return None
