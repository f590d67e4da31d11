"""Traffic in sums per minute. Each worker adds what it counted; rows of the same minute and repository add up."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Connection, delete
from sqlalchemy.dialects.sqlite import insert as upsert

from gateway.store import schema
from gateway.store.database import Database, from_json
from gateway.store.rows import TrafficRow

_KEY = ("minute", "type", "repository")
_SUMS = ("requests", "errors", "hits", "misses", "bytes_sent", "bytes_fetched", "milliseconds")
_SELECT = (
    "SELECT minute, type, repository, requests, errors, hits, misses, bytes_sent, bytes_fetched, milliseconds, buckets"
    " FROM traffic"
)


class Traffic:
    """Rows of `traffic`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, rows: Sequence[TrafficRow]) -> None:
        """Add sums to what is known of their minutes, in one transaction."""
        if not rows:
            return

        def change(connection: Connection) -> None:
            for row in rows:
                _add(connection, row)

        await self._database.write(change)

    async def window(self, since_minute: int) -> list[TrafficRow]:
        """Every row from that minute on, oldest first."""
        sql = f"{_SELECT} WHERE minute >= ? ORDER BY minute, type, repository"
        return await self._database.read(
            lambda connection: [_traffic(row) for row in connection.exec_driver_sql(sql, (since_minute,))]
        )

    async def expire(self, before_minute: int) -> int:
        """Delete the rows of earlier minutes; how many there were."""
        statement = delete(schema.traffic).where(schema.traffic.c.minute < before_minute)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)


def _traffic(row: Sequence[Any]) -> TrafficRow:
    *sums, buckets = row
    fields = dict(zip((*_KEY, *_SUMS), sums, strict=True))
    return TrafficRow(**fields, buckets=from_json(buckets))


def _add(connection: Connection, row: TrafficRow) -> None:
    known = connection.exec_driver_sql(
        "SELECT buckets FROM traffic WHERE minute = ? AND type = ? AND repository = ?",
        (row.minute, row.type, row.repository),
    ).scalar()
    buckets: dict[str, int] = {} if known is None else from_json(known)
    for bound, count in row.buckets.items():
        buckets[bound] = buckets.get(bound, 0) + count
    statement = upsert(schema.traffic).values({**asdict(row), "buckets": buckets})
    sums = {name: schema.traffic.c[name] + getattr(row, name) for name in _SUMS}
    connection.execute(statement.on_conflict_do_update(index_elements=list(_KEY), set_={**sums, "buckets": buckets}))
