"""Series and their ids: the table `series`, remembered by a process."""

from collections.abc import Mapping

from lah_platform.rollups.series import SeriesKey, overflow_key
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["SeriesBook"]

_Q = queries("landing")
_MOST_REMEMBERED = 200_000  # past a tenant's limit new combinations have no end


class SeriesBook:
    """The ids of series, remembered; new ones are added in a transaction of their own, before the batch's.

    A series whose batch then fails stays: it has an id and no events, and the next batch uses it.
    """

    def __init__(self, limit_per_tenant: int) -> None:
        self._limit = limit_per_tenant
        self._ids: dict[SeriesKey, int] = {}

    def ids(self, connection: Connection, keys: set[SeriesKey]) -> Mapping[SeriesKey, int]:
        """The id of every key; past the tenant's limit the id of its overflow series."""
        if len(self._ids) > _MOST_REMEMBERED:
            self._ids = {}
        if missing := sorted(keys - self._ids.keys()):
            dimensions = dict(zip(SeriesKey._fields, map(list, zip(*missing, strict=True)), strict=True))
            found = connection.execute(_Q["find_all_series"], dimensions).fetchall()
            self._ids.update((missing[position - 1], series_id) for position, series_id in found)
        for key in sorted(keys - self._ids.keys()):
            self._ids[key] = self._assign(connection, key)
        return self._ids

    def forget(self) -> None:
        """Ask the database again: it may be another one now, restored or failed over to."""
        self._ids = {}

    def _assign(self, connection: Connection, key: SeriesKey) -> int:
        dimensions = key._asdict()
        with connection.transaction():
            connection.execute(_Q["lock_tenant_series"], dimensions)
            found = connection.execute(_Q["find_series"], dimensions).fetchone()
            if found is None:
                (known,) = connection.execute(_Q["count_series"], dimensions).fetchone() or (0,)
                if known >= self._limit and key != overflow_key(key.tenant):
                    dimensions = overflow_key(key.tenant)._asdict()
                    found = connection.execute(_Q["find_series"], dimensions).fetchone()
                found = found or connection.execute(_Q["add_series"], dimensions).fetchone()
        assert found is not None
        return int(found[0])
