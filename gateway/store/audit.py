"""The audit trail: rows are appended and read, and go only when they are older than they need to be kept."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from gateway.store import schema
from gateway.store.database import Database
from gateway.store.rows import AuditEntry

_FILTERS = ("actor", "action", "repository", "package")


class Audit:
    """Rows of `audit`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Write entries in one transaction, in this order; their `id` is ignored."""
        if not entries:
            return
        rows = [
            {
                "at": entry.at,
                "actor": entry.actor,
                "action": entry.action,
                "repository": entry.repository,
                "package": entry.package,
                "detail": dict(entry.detail),
                "address": entry.address,
                "request_id": entry.request_id,
            }
            for entry in entries
        ]
        await self._database.write(lambda connection: connection.execute(insert(schema.audit), rows))

    async def expire(self, before: float) -> int:
        """Delete what is older than `before` (POSIX seconds); how many entries there were."""
        statement = delete(schema.audit).where(schema.audit.c.at < before)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)

    async def list(
        self,
        limit: int = 100,
        before: int | None = None,
        *,
        actor: str | None = None,
        action: str | None = None,
        repository: str | None = None,
        package: str | None = None,
    ) -> Sequence[AuditEntry]:
        """The newest entries first, at most `limit`, of ids below `before`; each filter must be equal."""
        table = schema.audit.c
        question = select(
            table.at,
            table.actor,
            table.action,
            table.repository,
            table.package,
            table.detail,
            table.address,
            table.request_id,
            table.id,
        )
        if before is not None:
            question = question.where(table.id < before)
        for column, value in zip(_FILTERS, (actor, action, repository, package), strict=True):
            if value is not None:
                question = question.where(table[column] == value)
        question = question.order_by(table.id.desc()).limit(limit)

        def ask(connection: Connection) -> list[AuditEntry]:
            return [AuditEntry(*row) for row in connection.execute(question)]

        return await self._database.read(ask)
