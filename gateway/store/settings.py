"""Small facts about this data folder: the cluster's secret, the first-start claim, notes of housekeeping."""

from typing import Any

from sqlalchemy import Connection, delete
from sqlalchemy.dialects.sqlite import insert as upsert

from gateway.store import schema
from gateway.store.database import Database, from_json

_SELECT = "SELECT value FROM setting WHERE key = ?"


class Settings:
    """Rows of `setting`; values are JSON-compatible."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str) -> Any:
        """The value, or None; a point read."""
        rows = self._database.point(_SELECT, (key,))
        return from_json(rows[0][0]) if rows else None

    async def put(self, key: str, value: Any) -> None:
        """Set a value; None deletes it."""
        if value is None:
            await self._database.write(lambda connection: connection.execute(delete(schema.setting).filter_by(key=key)))
            return
        statement = upsert(schema.setting).values(key=key, value=value)
        statement = statement.on_conflict_do_update(index_elements=["key"], set_={"value": value})
        await self._database.write(lambda connection: connection.execute(statement))

    async def put_if_absent(self, key: str, value: Any) -> Any:
        """Set a value unless there is one; returns the one that holds, the same for all who race."""

        def change(connection: Connection) -> Any:
            statement = upsert(schema.setting).values(key=key, value=value)
            connection.execute(statement.on_conflict_do_nothing())
            return from_json(connection.exec_driver_sql(_SELECT, (key,)).scalar_one())

        return await self._database.write(change)
