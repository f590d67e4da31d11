"""Versions that wait for approval: their bytes are kept in the hosted store, but no listing shows them."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert
from sqlalchemy.exc import IntegrityError

from gateway.errors import AlreadyExists
from gateway.model import Digest
from gateway.store import schema
from gateway.store.database import Database, from_json
from gateway.store.publishing import keep_hosted_blob
from gateway.store.rows import StagedRow

_SELECT = "SELECT id, repository_id, package, version, digest, size, facts, actor, created_at FROM staged"


class Staging:
    """Rows of `staged`; publishing one is a commit followed by `stage_remove`."""

    _database: Database

    async def stage_put(self, row: StagedRow) -> None:
        """Keep a version aside; raises AlreadyExists for an id that is in use."""

        def change(connection: Connection) -> None:
            keep_hosted_blob(connection, row.digest, row.size, time.time())
            values = {
                "id": row.id,
                "repository_id": row.repository_id,
                "package": row.package,
                "version": row.version,
                "digest": row.digest.hex,
                "size": row.size,
                "facts": dict(row.facts),
                "actor": row.actor,
                "created_at": row.created_at,
            }
            connection.execute(insert(schema.staged).values(values))

        try:
            await self._database.write(change)
        except IntegrityError as error:
            raise AlreadyExists(f"there is a staged version {row.id} already, or no such repository") from error

    async def stage_list(self, repository_id: int) -> list[StagedRow]:
        """What waits in a repository, oldest first."""
        sql = f"{_SELECT} WHERE repository_id = ? ORDER BY created_at, id"
        return await self._database.read(
            lambda connection: [_staged(row) for row in connection.exec_driver_sql(sql, (repository_id,))]
        )

    async def stage_remove(self, id_: str) -> bool:
        """Forget a staged version; whether there was one."""
        statement = delete(schema.staged).where(schema.staged.c.id == id_)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount > 0)


def _staged(row: Sequence[Any]) -> StagedRow:
    id_, repository_id, package, version, digest, size, facts, actor, created_at = row
    return StagedRow(
        id_, repository_id, package, version, Digest("sha256", digest), size, from_json(facts), actor, created_at
    )
