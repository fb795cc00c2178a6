"""The exceptions a user can meet.

LahError
├── ConfigurationError     a setting, port, path or version is not usable
├── SchemaError            the database's schema is not what this version expects
├── SourceError            the broker's log does not hold what the stored offsets say
├── Fenced                 another landing process owns the partition now
├── StoreUnavailable       the database is away for the moment: try again
├── Unstorable             the database refuses the content of a record: trying again is no use
├── AuditError             the audit log, a signed head or an anchor is not what it should be
├── ArchiveError           a file of the archive is not what was verified
├── Unreadable             an encrypted value does not open: erased, moved, changed, or another master key
└── StackError             a process of the stack did not start or did not stay
"""

__all__ = [
    "ArchiveError",
    "AuditError",
    "ConfigurationError",
    "Fenced",
    "LahError",
    "SchemaError",
    "SourceError",
    "StackError",
    "StoreUnavailable",
    "Unreadable",
    "Unstorable",
]


class LahError(Exception):
    """Something a user can act on: `message` says what happened, `advice` what to do next."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(f"{message}. {advice}")
        self.message = message
        self.advice = advice


class ConfigurationError(LahError):
    """A setting, port, path or version is not usable."""


class SchemaError(LahError):
    """The database's schema is not what this version expects."""


class SourceError(LahError):
    """The broker's log does not hold what the stored offsets say."""


class Fenced(LahError):
    """Another landing process committed to the partition since this one read its offset."""

    def __init__(self, topic: str, partition: int, expected_offset: int) -> None:
        super().__init__(
            f"{topic}[{partition}] is no longer at offset {expected_offset}: another landing process owns it",
            "Nothing was written twice; this process reads the stored offsets again and goes on",
        )


class StoreUnavailable(LahError):
    """The database is away for the moment: try again."""


class Unstorable(LahError):
    """The database refuses the content of a record: trying again is no use."""


class AuditError(LahError):
    """The audit log's chain is broken, a signed head does not fit, or an anchor cannot be reached or read."""


class ArchiveError(LahError):
    """A file of the archive is missing, or is not what was verified."""


class Unreadable(LahError):
    """An encrypted value does not open: its key was erased, it was moved or changed, or the master key is another."""


class StackError(LahError):
    """A process of the stack did not start or did not stay."""
