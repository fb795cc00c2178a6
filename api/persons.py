"""A connection and the parts for requests about persons, and what their errors are on the wire."""

from collections.abc import Iterator
from contextlib import contextmanager

from api.problems import Problem
from api.services import Services
from lah_platform.errors import ArchiveError, ConfigurationError
from lah_platform.stack.endpoints import running_broker
from lah_platform.stores.erasure import Held, UnknownSubject
from lah_platform.stores.postgres import Connection
from lah_platform.stores.rights import Rights, rights_of

__all__ = ["told_of_persons"]

_UNHURRIED = b"set statement_timeout = '10min'"  # a person may have millions of rows


@contextmanager
def told_of_persons(services: Services) -> Iterator[tuple[Connection, Rights]]:
    """A connection without the usual limit of time. Raises Problem for what can be wrong with a person's data."""
    try:
        parts = rights_of(services.settings, services.keys, running_broker(services.settings))
    except ConfigurationError as error:
        raise Problem("conflict", error.message, advice=error.advice) from error
    with services.pool.connection() as connection:
        connection.execute(_UNHURRIED)
        try:
            yield connection, parts
        except UnknownSubject as error:
            raise Problem("not-found", error.message, field="identifier", advice=error.advice) from error
        except Held as error:
            raise Problem("conflict", error.message, advice=error.advice) from error
        except ArchiveError as error:
            raise Problem("unavailable", error.message, advice=error.advice) from error
        finally:
            if not connection.closed:
                connection.execute(b"reset statement_timeout")
