"""Notes: what was said of a name that is not there (yet), kept for some minutes and shared by all workers.

Nobody is told that a note is kept, so the oldest ones of a repository go when there are too many.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, delete
from sqlalchemy.dialects.sqlite import insert as upsert

from gateway.store import schema
from gateway.store.database import Database, from_json

MOST_NOTES = 10_000  # of one repository
_SELECT = "SELECT value FROM note WHERE repository_id = ? AND package = ? AND name = ? AND expires_at > ?"
_SURPLUS = (
    "DELETE FROM note WHERE repository_id = ? AND rowid NOT IN"
    " (SELECT rowid FROM note WHERE repository_id = ? ORDER BY expires_at DESC LIMIT ?)"
)


class Notes:
    """Rows of `note`; values are JSON-compatible."""

    _database: Database

    def noted(self, repository_id: int, package: str, name: str, now: float | None = None) -> dict[str, Any]:
        """What is noted of a name, empty where nothing is; a point read."""
        moment = time.time() if now is None else now
        rows = self._database.point(_SELECT, (repository_id, package, name, moment))
        return from_json(rows[0][0]) if rows else {}

    async def note(
        self,
        repository_id: int,
        package: str,
        name: str,
        change: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        seconds: float,
        *,
        most: int = MOST_NOTES,
        now: float | None = None,
    ) -> None:
        """Change what is noted of a name, for `seconds` from now; nothing left means no note."""
        moment = time.time() if now is None else now
        key = {"repository_id": repository_id, "package": package, "name": name}

        def write(connection: Connection) -> None:
            connection.execute(delete(schema.note).where(schema.note.c.expires_at <= moment))
            old = connection.exec_driver_sql(_SELECT, (*key.values(), moment)).scalar()
            value = dict(change({} if old is None else from_json(old)))
            if not value:
                connection.execute(delete(schema.note).filter_by(**key))
                return
            kept = {"value": value, "expires_at": moment + seconds}
            statement = upsert(schema.note).values(**key, **kept)
            connection.execute(
                statement.on_conflict_do_update(index_elements=["repository_id", "package", "name"], set_=kept)
            )
            connection.exec_driver_sql(_SURPLUS, (repository_id, repository_id, most))

        await self._database.write(write)
