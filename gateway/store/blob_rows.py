"""Rows about blobs: which cached file has which bytes, what each store holds, and what still refers to it.

Stores are `hosted` (never evicted) and `cache` (re-fetchable). Knowing a digest grants nothing: a cached file is only
found through its repository and package.
"""

import time
from collections.abc import Callable, Iterable, Mapping

from sqlalchemy import Connection, bindparam, delete, update
from sqlalchemy.dialects.sqlite import insert as upsert

from gateway.model import HOSTED_LAYER, Digest
from gateway.store import schema
from gateway.store.database import Database, bump, from_json, to_json
from gateway.store.file_care import FileCare
from gateway.store.first_use import FirstUse, first_uses, forget, settle
from gateway.store.graph_care import PRUNABLE, GraphCare
from gateway.store.rows import CachedFile

CACHE = "cache"
_SMALL = 64 * 1024
_HEAD_START = 30 * 86400  # seconds: how much longer what is small stays in the cache than what is large

_CACHED = (
    "SELECT digest, size, hashes, upstream, fetched_at FROM cached_file"
    " WHERE repository_id = ? AND package = ? AND filename = ?"
)
_CACHED_LATEST = f"{_CACHED} ORDER BY fetched_at DESC LIMIT 1"
_CACHED_DIGEST = f"{_CACHED} AND digest = ?"
_REFERENCED = {
    HOSTED_LAYER: (
        "SELECT digest FROM file WHERE deleted_at IS NULL"
        " UNION SELECT digest FROM attachment UNION SELECT digest FROM staged"
        " UNION SELECT sha256 FROM node UNION SELECT sha256 FROM link"
    ),
    CACHE: "SELECT digest FROM cached_file UNION SELECT digest FROM document WHERE digest <> ''",
}
_REMAINING = (
    "SELECT digest FROM file WHERE deleted_at IS NULL"  # noqa: S608 put together of constants
    " AND id NOT IN (SELECT value FROM json_each(:gone))"
    " UNION SELECT digest FROM attachment WHERE file_id NOT IN (SELECT value FROM json_each(:gone))"
    " UNION SELECT digest FROM staged UNION SELECT sha256 FROM node"
    f" UNION SELECT sha256 FROM link WHERE NOT ({PRUNABLE})"
)
# Whether one digest is referenced; each SELECT goes through the index on `digest`.
_IS_REFERENCED = (
    "SELECT EXISTS (SELECT 1 FROM file WHERE digest = :hex AND deleted_at IS NULL)"
    " OR EXISTS (SELECT 1 FROM attachment WHERE digest = :hex)"
    " OR EXISTS (SELECT 1 FROM staged WHERE digest = :hex)"
    " OR EXISTS (SELECT 1 FROM node WHERE sha256 = :hex) OR EXISTS (SELECT 1 FROM link WHERE sha256 = :hex)"
)


def keep_cached_blob(connection: Connection, digest: Digest, size: int, now: float) -> None:
    """Note that the cache store holds these bytes and used them now."""
    statement = upsert(schema.blob).values(store=CACHE, digest=digest.hex, size=size, created_at=now, last_used_at=now)
    connection.execute(statement.on_conflict_do_update(index_elements=["store", "digest"], set_={"last_used_at": now}))


class BlobRows:
    """Cached files, and the accounts of both stores."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.graphs = GraphCare(database)
        self.files = FileCare(database)

    def cached(self, repository_id: int, package: str, filename: str, sha256: str | None = None) -> CachedFile | None:
        """The verified file of that name, of these bytes if `sha256` is given, else the latest; a point read."""
        if sha256 is None:
            rows = self._database.point(_CACHED_LATEST, (repository_id, package, filename))
        else:
            rows = self._database.point(_CACHED_DIGEST, (repository_id, package, filename, sha256))
        if not rows:
            return None
        digest, size, hashes, upstream, fetched_at = rows[0]
        return CachedFile(Digest("sha256", digest), size, from_json(hashes), upstream, fetched_at)

    def origin(self, repository_id: int, package: str, prefix: str) -> str | None:
        """The upstream that gave the first cached file of a package whose name begins so; a point read."""
        sql = (
            "SELECT upstream FROM cached_file WHERE repository_id = ? AND package = ?"
            " AND filename >= ? AND filename < ? ORDER BY id LIMIT 1"
        )
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        rows = self._database.point(sql, (repository_id, package, prefix, end))
        return rows[0][0] if rows else None

    def first_uses(self, repository_id: int, package: str, upstream: str) -> dict[str, FirstUse]:
        """By file name, which bytes it has for good where no strong hash was promised; a point read."""
        return first_uses(self._database, repository_id, package, upstream)

    async def add_cached(
        self, repository_id: int, package: str, filename: str, file: CachedFile, *, is_first: bool = False
    ) -> None:
        """Link verified bytes, already in the cache store, to a package; the same link again renews its date.

        is_first: no strong hash was promised, so these are the bytes that the name has for good. Raises UpstreamCorrupt
        where it has others.
        """
        values = {
            "repository_id": repository_id,
            "package": package,
            "filename": filename,
            "digest": file.digest.hex,
            "size": file.size,
            "upstream": file.upstream,
            "hashes": dict(file.hashes),
            "fetched_at": file.fetched_at,
        }
        renewed = {key: values[key] for key in ("upstream", "hashes", "fetched_at")}
        link = upsert(schema.cached_file).values(values)
        link = link.on_conflict_do_update(
            index_elements=["repository_id", "package", "filename", "digest"], set_=renewed
        )

        def change(connection: Connection) -> None:
            settle(connection, repository_id, package, filename, file, is_first=is_first)
            keep_cached_blob(connection, file.digest, file.size, file.fetched_at)
            connection.execute(link)

        await self._database.write(change)

    async def purge_cached(self, repository_id: int, package: str | None = None) -> int:
        """Unlink the cached files of a repository, or of one of its packages; how many there were.

        Of a package that is named, what was first fetched is forgotten too: upstreams are believed anew.
        """
        statement = delete(schema.cached_file).where(schema.cached_file.c.repository_id == repository_id)
        if package is not None:
            statement = statement.where(schema.cached_file.c.package == package)

        def change(connection: Connection) -> int:
            bump(connection, f"repository:{repository_id}")
            if package is not None:
                forget(connection, repository_id, package)
            return connection.execute(statement).rowcount

        return await self._database.write(change)

    async def touch(self, store: str, used: Mapping[str, float]) -> None:
        """Note when blobs were last used: hex → POSIX seconds. A time before the known one changes nothing."""
        if not used:
            return
        table = schema.blob.c
        statement = update(schema.blob).where(
            table.store == store, table.digest == bindparam("hex"), table.last_used_at < bindparam("at")
        )
        rows = [{"hex": hex_, "at": at} for hex_, at in used.items()]
        await self._database.write(
            lambda connection: connection.execute(statement.values(last_used_at=bindparam("at")), rows)
        )

    async def coldest(self, store: str, need_bytes: int) -> list[tuple[str, int]]:
        """The least recently used blobs, `(hex, size)`, until they make up `need_bytes`.

        What is small (manifests, configs, indexes) counts as used a month later than it was: it frees next to nothing,
        and without it the large ones that it names cannot be found.
        """

        def question(connection: Connection) -> list[tuple[str, int]]:
            found: list[tuple[str, int]] = []
            missing = need_bytes
            sql = "SELECT digest, size FROM blob WHERE store = ? ORDER BY last_used_at + (size <= ?) * ?"
            for hex_, size in connection.exec_driver_sql(sql, (store, _SMALL, _HEAD_START)):
                if missing <= 0:
                    break
                found.append((hex_, size))
                missing -= size
            return found

        return await self._database.read(question)

    async def total(self, store: str) -> int:
        """The bytes that a store holds."""
        sql = "SELECT coalesce(sum(size), 0) FROM blob WHERE store = ?"
        return await self._database.read(lambda connection: int(connection.exec_driver_sql(sql, (store,)).scalar_one()))

    async def known(self, store: str) -> dict[str, tuple[int, float]]:
        """Every blob that a store should hold: hex → (size, created_at)."""
        sql = "SELECT digest, size, created_at FROM blob WHERE store = ?"
        return await self._database.read(
            lambda connection: {row[0]: (row[1], row[2]) for row in connection.exec_driver_sql(sql, (store,))}
        )

    async def referenced(self, store: str) -> set[str]:
        """The hexes that something still refers to: live files, attachments, staged; or cached files, documents."""
        return await self._database.read(
            lambda connection: set(connection.exec_driver_sql(_REFERENCED[store]).scalars())
        )

    async def remaining(self, links_before: float, files: Iterable[int]) -> set[str]:
        """The hosted hexes that are still referred to when these files, and links that `prune` drops, are gone."""
        parameters = {"before": links_before, "gone": to_json(list(files))}
        return await self._database.read(
            lambda connection: set(connection.exec_driver_sql(_REMAINING, parameters).scalars())
        )

    async def drop(
        self, store: str, digests: Iterable[str], remove: Callable[[str], object] | None = None
    ) -> list[str]:
        """Forget blobs; returns the hexes that really went.

        cache: whatever links them is unlinked. hosted: a blob that something refers to by now is left alone.
        remove: called with each hex in the writer thread while the write lock is held, so that the bytes go before
        any commit could link them again (`Packages.commit` with `is_stored`).
        """
        wanted = list(digests)

        def change(connection: Connection) -> list[str]:
            dropped: list[str] = []
            scopes: set[str] = set()
            for hex_ in wanted:
                if store == CACHE:
                    scopes |= _unlink(connection, hex_)
                elif connection.exec_driver_sql(_IS_REFERENCED, {"hex": hex_}).scalar():
                    continue
                table = schema.blob.c
                connection.execute(delete(schema.blob).where(table.store == store, table.digest == hex_))
                if remove is not None:
                    remove(hex_)
                dropped.append(hex_)
            bump(connection, *scopes)
            return dropped

        return await self._database.write(change)

    async def cache_sizes(self) -> list[tuple[int, int, int]]:
        """`(repository_id, bytes, files)` of the cached files of each repository; shared bytes count for each."""
        sql = "SELECT repository_id, sum(size), count(*) FROM cached_file GROUP BY repository_id ORDER BY repository_id"
        return await self._database.read(
            lambda connection: [(row[0], row[1], row[2]) for row in connection.exec_driver_sql(sql)]
        )

    async def add(self, store: str, digest: Digest, size: int, now: float | None = None) -> None:
        """Note that a store holds these bytes, for a repair or a restore."""
        moment = time.time() if now is None else now
        statement = upsert(schema.blob).values(
            store=store, digest=digest.hex, size=size, created_at=moment, last_used_at=moment
        )
        await self._database.write(lambda connection: connection.execute(statement.on_conflict_do_nothing()))


def _unlink(connection: Connection, hex_: str) -> set[str]:
    """Remove cached files and documents with these bytes; the generations of their repositories."""
    sql = "SELECT DISTINCT repository_id FROM cached_file WHERE digest = ?"
    scopes = {f"repository:{id_}" for id_ in connection.exec_driver_sql(sql, (hex_,)).scalars()}
    connection.execute(delete(schema.cached_file).where(schema.cached_file.c.digest == hex_))
    connection.execute(delete(schema.document).where(schema.document.c.digest == hex_))
    return scopes
