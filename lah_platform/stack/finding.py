"""What `lah doctor` found of one thing."""

from dataclasses import dataclass

__all__ = ["Finding"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    subject: str
    is_healthy: bool
    observed: str
    advice: str = ""
