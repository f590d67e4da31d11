"""Trust on first use: which bytes a file of an upstream has for good, where no strong hash was promised of it.

A row outlives the bytes: they may be evicted and fetched again, but never be others. It is written in the transaction
that links the first bytes, and raises the package's revision, so that listings show the hash that we now know.
"""

from collections.abc import Mapping

from msgspec import Struct
from sqlalchemy import Connection, delete, insert

from gateway.errors import UpstreamCorrupt
from gateway.model import Digest
from gateway.store import schema
from gateway.store.database import Database
from gateway.store.publishing import change_package, find_package
from gateway.store.rows import CachedFile

_STRONG = frozenset({"sha256", "sha384", "sha512", "blake2b_256"})
_ONE = "SELECT digest FROM first_use WHERE repository_id = ? AND package = ? AND upstream = ? AND filename = ?"
_ALL = "SELECT filename, digest, size, seen_at FROM first_use WHERE repository_id = ? AND package = ? AND upstream = ?"


class FirstUse(Struct, frozen=True):
    """The bytes that a name has for good. seen_at: when they first came, POSIX seconds."""

    digest: Digest
    size: int
    seen_at: float


def is_strong(hashes: Mapping[str, str]) -> bool:
    """Whether these hashes alone say which bytes are meant."""
    return not _STRONG.isdisjoint(hashes)


def first_uses(database: Database, repository_id: int, package: str, upstream: str) -> dict[str, FirstUse]:
    """By file name, all that was first seen of a package; a point read."""
    rows = database.point(_ALL, (repository_id, package, upstream))
    return {name: FirstUse(Digest("sha256", digest), size, seen_at) for name, digest, size, seen_at in rows}


def settle(
    connection: Connection, repository_id: int, package: str, filename: str, file: CachedFile, *, is_first: bool
) -> None:
    """Raise UpstreamCorrupt for other bytes than were first seen; is_first: note these, if there were none."""
    key = (repository_id, package, file.upstream, filename)
    known = connection.exec_driver_sql(_ONE, key).first()
    if known is not None:
        if known[0] != file.digest.hex:
            raise UpstreamCorrupt(f"expected sha256:{known[0]}, got {file.digest}")
        return
    if not is_first:
        return
    values = dict(zip(("repository_id", "package", "upstream", "filename"), key, strict=True))
    values |= {"digest": file.digest.hex, "size": file.size, "seen_at": file.fetched_at}
    connection.execute(insert(schema.first_use).values(values))
    row = find_package(connection, repository_id, package)
    if row is not None:
        change_package(connection, row)


def forget(connection: Connection, repository_id: int, package: str) -> None:
    """Believe the upstreams anew in what a package's files are."""
    table = schema.first_use.c
    connection.execute(delete(schema.first_use).where(table.repository_id == repository_id, table.package == package))
    row = find_package(connection, repository_id, package)
    if row is not None:
        change_package(connection, row)
