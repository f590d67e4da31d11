"""Rows of upstream documents. Their bytes are in the cache store; whether one is fresh is decided elsewhere.

Putting or touching a document raises no generation: every read is a point read of the row as it is now.
"""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, update
from sqlalchemy.dialects.sqlite import insert as upsert

from gateway.model import Digest
from gateway.store import schema
from gateway.store.blob_rows import keep_cached_blob
from gateway.store.database import Database, bump, from_json
from gateway.store.rows import DocumentRow, DocumentsSummary

_SELECT = (
    "SELECT upstream, key, status, digest, size, content_type, url, etag, last_modified, headers, fetched_at, max_age"
    " FROM document WHERE upstream = ? AND key = ?"
)


class DocumentRows:
    """One row for each `(upstream, key)`, negative entries included."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, upstream: str, key: str) -> DocumentRow | None:
        """What is kept under this key; a point read."""
        rows = self._database.point(_SELECT, (upstream, key))
        return _document(rows[0]) if rows else None

    async def put(self, row: DocumentRow) -> None:
        """Keep a document, whose bytes are already in the cache store, in place of the one before."""
        values = {
            "upstream": row.upstream,
            "key": row.key,
            "status": row.status,
            "digest": "" if row.digest is None else row.digest.hex,
            "size": row.size,
            "content_type": row.content_type,
            "url": row.url,
            "etag": row.etag,
            "last_modified": row.last_modified,
            "headers": dict(row.headers),
            "fetched_at": row.fetched_at,
            "max_age": row.max_age,
        }
        statement = upsert(schema.document).values(values)
        statement = statement.on_conflict_do_update(index_elements=["upstream", "key"], set_=values)

        def change(connection: Connection) -> None:
            if row.digest is not None:
                keep_cached_blob(connection, row.digest, row.size, row.fetched_at)
            connection.execute(statement)

        await self._database.write(change)

    async def touch(self, upstream: str, key: str, fetched_at: float, max_age: float) -> None:
        """The upstream confirmed these bytes at `fetched_at`; they are fresh for another `max_age` seconds."""
        table = schema.document.c
        statement = update(schema.document).where(table.upstream == upstream, table.key == key)
        statement = statement.values(fetched_at=fetched_at, max_age=max_age)
        await self._database.write(lambda connection: connection.execute(statement))

    async def purge(self, upstream: str | None = None, key: str | None = None) -> int:
        """Forget documents: all, an upstream's, or one; how many there were. Raises the generation `documents`.

        The bytes stay in the cache store until a sweep finds them without a reference.
        """
        statement = delete(schema.document)
        if upstream is not None:
            statement = statement.where(schema.document.c.upstream == upstream)
        if key is not None:
            statement = statement.where(schema.document.c.key == key)

        def change(connection: Connection) -> int:
            bump(connection, "documents")
            return connection.execute(statement).rowcount

        return await self._database.write(change)

    async def summary(self, now: float | None = None) -> list[DocumentsSummary]:
        """What is kept of each upstream, sorted by its name; `stale` counts documents past their max age at `now`."""
        moment = time.time() if now is None else now
        sql = (
            "SELECT upstream, count(*) FILTER (WHERE digest <> ''),"
            " count(*) FILTER (WHERE digest <> '' AND fetched_at + max_age < ?),"
            " coalesce(sum(size), 0), min(fetched_at) FILTER (WHERE digest <> '')"
            " FROM document GROUP BY upstream ORDER BY upstream"
        )
        return await self._database.read(
            lambda connection: [DocumentsSummary(*row) for row in connection.exec_driver_sql(sql, (moment,))]
        )


def _document(row: Sequence[Any]) -> DocumentRow:
    upstream, key, status, digest, size, content_type, url, etag, last_modified, headers, fetched_at, max_age = row
    return DocumentRow(
        upstream=upstream,
        key=key,
        status=status,
        digest=Digest("sha256", digest) if digest else None,
        size=size,
        content_type=content_type,
        url=url,
        etag=etag,
        last_modified=last_modified,
        headers=from_json(headers),
        fetched_at=fetched_at,
        max_age=max_age,
    )
