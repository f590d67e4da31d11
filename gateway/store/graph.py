"""Hosted nodes, their edges, links to blobs, and pointers: the rows behind images.

Knowing a digest grants nothing: every read goes through a package. A link keeps its blob's bytes; it may go when no
node of its package names it and no client was told of it for a while (`gateway.store.graph_care`). One transaction
decides that, and one whether a new node finds everything that it names: so a collection never takes a blob from under
a push, and a push never names one that is gone.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, update
from sqlalchemy.dialects.sqlite import insert as upsert

from gateway.errors import FileUnknown, MethodNotAllowed, NameTaken, StoreTrouble, VersionUnknown
from gateway.model import Digest, OwnerMode
from gateway.store import schema
from gateway.store.database import Database, bump, from_json
from gateway.store.graph_rows import LinkRow, Move, NewNode, NodeRow, PointerRow
from gateway.store.publishing import change_package, find_package, insert_package, keep_hosted_blob
from gateway.store.rows import PackageRow

IsStored = Callable[[Digest], bool]
Judge = Callable[[Move], None]
"""Raises where a tag may not move."""

NODE_COLUMNS = "node.digest, sha256, size, media_type, subject, node.facts, pushed_at, pushed_by, pulled_at"
_IN_PACKAGE = "JOIN package ON package.id = package_id WHERE repository_id = ? AND package.name = ?"
_NODE = f"SELECT {NODE_COLUMNS} FROM node {_IN_PACKAGE} AND node.digest = ?"
_TAGGED = (
    f"SELECT {NODE_COLUMNS} FROM package JOIN pointer ON pointer.package_id = package.id"
    " JOIN node ON node.package_id = package.id AND node.digest = pointer.digest"
    " WHERE repository_id = ? AND package.name = ? AND pointer.name = ?"
)
_LINK = f"SELECT link.digest, sha256, size, seen_at FROM link {_IN_PACKAGE} AND link.digest = ?"
_ATTACHED = f"SELECT {NODE_COLUMNS} FROM node {_IN_PACKAGE} AND subject = ? ORDER BY node.id"
_POINTERS = f"SELECT pointer.name FROM pointer {_IN_PACKAGE} AND pointer.name > ? ORDER BY pointer.name LIMIT ?"
_LINKED_IN = (
    "SELECT repository_id, package.name, link.digest, sha256, size, seen_at FROM link"
    " JOIN package ON package.id = package_id WHERE link.digest = ? LIMIT 100"
)


class GraphRows:
    """Rows of `node`, `edge`, `link` and `pointer`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ── point reads ──────────────────────────────────────────────────────────────────────────────────────────────
    def node(self, repository_id: int, package: str, digest: str) -> NodeRow | None:
        """The node of that digest in a package."""
        rows = self._database.point(_NODE, (repository_id, package, digest))
        return node_row(rows[0]) if rows else None

    def tagged(self, repository_id: int, package: str, tag: str) -> NodeRow | None:
        """The node that a tag points to."""
        rows = self._database.point(_TAGGED, (repository_id, package, tag))
        return node_row(rows[0]) if rows else None

    def link(self, repository_id: int, package: str, digest: str) -> LinkRow | None:
        """The blob of that digest in a package."""
        rows = self._database.point(_LINK, (repository_id, package, digest))
        return _link(rows[0]) if rows else None

    def linked_in(self, digest: str) -> list[tuple[int, str, LinkRow]]:
        """Some packages (repository, name) that link a blob; who may read them is the caller's question."""
        return [(row[0], row[1], _link(row[2:])) for row in self._database.point(_LINKED_IN, (digest,))]

    # ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────
    async def tags(self, repository_id: int, package: str, after: str, count: int) -> list[str]:
        """The names of at most `count` tags behind `after`, in ASCII order."""
        parameters = (repository_id, package, after, count)
        return await self._database.read(lambda c: list(c.exec_driver_sql(_POINTERS, parameters).scalars()))

    async def attached(self, repository_id: int, package: str, subject: str) -> list[NodeRow]:
        """The nodes whose subject is this digest, in the order of pushing."""
        parameters = (repository_id, package, subject)
        return await self._database.read(lambda c: [node_row(row) for row in c.exec_driver_sql(_ATTACHED, parameters)])

    # ── changes ──────────────────────────────────────────────────────────────────────────────────────────────────
    async def add_link(
        self, repository_id: int, package: str, row: LinkRow, is_stored: IsStored, *, is_merged: bool = False
    ) -> None:
        """Let a blob be read through a hosted package, made where it is not there.

        is_stored: asked while the write lock is held. Raises StoreTrouble when it says no, NameTaken for a name that an
        upstream owns.
        """
        now = time.time()

        def change(connection: Connection) -> None:
            owner = _own(connection, repository_id, package, is_merged=is_merged, now=now)
            if not is_stored(row.sha256):
                raise StoreTrouble(f"{row.digest} was swept while it was being pushed: try again", retry_after=1.0)
            keep_hosted_blob(connection, row.sha256, row.size, now)
            _put_link(connection, owner.id, row, now)

        await self._database.write(change)

    async def seen(self, repository_id: int, package: str, digest: str) -> bool:
        """Note that a client was told of a blob; whether it is still linked."""
        now = time.time()

        def change(connection: Connection) -> bool:
            owner = find_package(connection, repository_id, package)
            if owner is None:
                return False
            table = schema.link.c
            statement = update(schema.link).where(table.package_id == owner.id, table.digest == digest)
            return connection.execute(statement.values(seen_at=now)).rowcount > 0

        return await self._database.write(change)

    async def put(
        self,
        repository_id: int,
        package: str,
        new: NewNode,
        is_stored: IsStored,
        judge: Judge,
        *,
        is_merged: bool = False,
        is_complete: bool = True,
    ) -> dict[str, str]:
        """Publish a node and point tags at it; returns the tags that moved, with the digests they left (or empty).

        is_complete: everything that it names must be here, else FileUnknown (its detail `digest` says which is not).
        Raises what `judge` raises, StoreTrouble and NameTaken.
        """
        now = time.time()

        def change(connection: Connection) -> dict[str, str]:
            owner = _own(connection, repository_id, package, is_merged=is_merged, now=now)
            if is_complete:
                _require_all(connection, owner.id, new)
            if not is_stored(new.row.sha256):
                raise StoreTrouble(f"{new.row.digest} was swept while it was being pushed: try again", retry_after=1.0)
            keep_hosted_blob(connection, new.row.sha256, new.row.size, now)
            _ask_kind(connection, owner.id, new, judge, now)
            _put_node(connection, owner.id, new, now)
            moved = _point(connection, owner.id, new, judge, now)
            change_package(connection, owner)
            return moved

        return await self._database.write(change)

    async def delete_tag(self, repository_id: int, package: str, tag: str, judge: Judge) -> str:
        """Delete a tag; returns the digest it pointed to. Raises VersionUnknown, and what `judge` raises."""

        def change(connection: Connection) -> str:
            owner = _found(connection, repository_id, package)
            pointer = _pointer(connection, owner.id, tag)
            if pointer is None:
                raise VersionUnknown(f"{package} has no tag {tag}")
            _ask(connection, owner.id, pointer, judge)
            table = schema.pointer.c
            connection.execute(delete(schema.pointer).where(table.package_id == owner.id, table.name == tag))
            change_package(connection, owner)
            return pointer.digest

        return await self._database.write(change)

    async def delete_node(self, repository_id: int, package: str, digest: str, judge: Judge) -> list[str]:
        """Delete a node with every tag that points to it; returns those. Raises VersionUnknown, what `judge` raises."""

        def change(connection: Connection) -> list[str]:
            owner = _found(connection, repository_id, package)
            pointers = _pointers(connection, owner.id, digest)
            for pointer in pointers:
                _ask(connection, owner.id, pointer, judge)
            table = schema.node.c
            statement = delete(schema.node).where(table.package_id == owner.id, table.digest == digest)
            if connection.execute(statement).rowcount == 0:
                raise VersionUnknown(f"{package} has no {digest}")
            tags = schema.pointer.c
            connection.execute(delete(schema.pointer).where(tags.package_id == owner.id, tags.digest == digest))
            change_package(connection, owner)
            return [pointer.name for pointer in pointers]

        return await self._database.write(change)

    async def delete_link(self, repository_id: int, package: str, digest: str) -> None:
        """Unlink a blob that no node of the package names; raises FileUnknown, MethodNotAllowed for one that is."""

        def change(connection: Connection) -> None:
            owner = find_package(connection, repository_id, package)
            if owner is None or _find_link(connection, owner.id, digest) is None:
                raise FileUnknown(f"{package} has no {digest}")
            sql = "SELECT 1 FROM edge JOIN node ON node.id = node_id WHERE edge.digest = ? AND package_id = ? LIMIT 1"
            if connection.exec_driver_sql(sql, (digest, owner.id)).first() is not None:
                raise MethodNotAllowed("GET, HEAD", f"{digest} belongs to something that is published here")
            table = schema.link.c
            connection.execute(delete(schema.link).where(table.package_id == owner.id, table.digest == digest))
            bump(connection, f"repository:{repository_id}")

        await self._database.write(change)

    async def pulled(self, pulls: dict[tuple[int, str, str], float]) -> None:
        """Note when nodes, named by repository, package and digest, were last pulled."""
        sql = (
            "UPDATE node SET pulled_at = ? WHERE digest = ? AND package_id IN"
            " (SELECT id FROM package WHERE repository_id = ? AND name = ?)"
        )
        rows = [(at, digest, id_, name) for (id_, name, digest), at in pulls.items()]
        if rows:
            await self._database.write(lambda connection: connection.exec_driver_sql(sql, rows))


def _own(connection: Connection, repository_id: int, name: str, *, is_merged: bool, now: float) -> PackageRow:
    """The row of a name that is hosted by now; raises NameTaken."""
    row = find_package(connection, repository_id, name)
    if row is None:
        return insert_package(connection, repository_id, name, OwnerMode.HOSTED, "", now)
    if row.owner_mode is not OwnerMode.UPSTREAM:
        return row
    if row.origin and not is_merged:
        raise NameTaken(f"{name} belongs to the upstream {row.origin}: an admin has to claim it first")
    change_package(connection, row, owner_mode=str(OwnerMode.HOSTED), origin="")
    return find_package(connection, repository_id, name) or row


def _found(connection: Connection, repository_id: int, name: str) -> PackageRow:
    row = find_package(connection, repository_id, name)
    if row is None:
        raise VersionUnknown(f"nothing is published here as {name}")
    return row


def _put_link(connection: Connection, package_id: int, row: LinkRow, now: float) -> None:
    values = {
        "package_id": package_id,
        "digest": row.digest,
        "sha256": row.sha256.hex,
        "size": row.size,
        "seen_at": now,
    }
    statement = upsert(schema.link).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=["package_id", "digest"], set_={"seen_at": now}))


def _require_all(connection: Connection, package_id: int, new: NewNode) -> None:
    for digest in new.blobs:
        if _find_link(connection, package_id, digest) is None:
            raise FileUnknown(f"it names {digest}, which was not pushed here", digest=digest)
    for digest in new.nodes:
        if _find_node(connection, package_id, digest) is None and _find_link(connection, package_id, digest) is None:
            raise FileUnknown(f"it names {digest}, which was not pushed here", digest=digest)


def _put_node(connection: Connection, package_id: int, new: NewNode, now: float) -> None:
    row = new.row
    if _find_node(connection, package_id, row.digest) is not None:
        table = schema.node.c
        statement = update(schema.node).where(table.package_id == package_id, table.digest == row.digest)
        connection.execute(statement.values(media_type=row.media_type, facts=dict(row.facts), pushed_at=now))
        return
    values = {
        "package_id": package_id,
        "digest": row.digest,
        "sha256": row.sha256.hex,
        "size": row.size,
        "media_type": row.media_type,
        "subject": row.subject,
        "facts": dict(row.facts),
        "pushed_at": now,
        "pushed_by": row.pushed_by,
    }
    id_ = connection.execute(insert(schema.node).values(values).returning(schema.node.c.id)).scalar_one()
    kinds = dict.fromkeys((*new.loose, *new.nodes), "node") | dict.fromkeys(new.blobs, "blob")
    edges = [{"node_id": id_, "digest": digest, "kind": kind} for digest, kind in kinds.items()]
    if edges:
        connection.execute(insert(schema.edge), edges)


def _point(connection: Connection, package_id: int, new: NewNode, judge: Judge, now: float) -> dict[str, str]:
    moved: dict[str, str] = {}
    named = frozenset((*new.blobs, *new.nodes, *new.loose))
    for tag in new.tags:
        pointer = _pointer(connection, package_id, tag)
        if pointer is not None and pointer.digest == new.row.digest:
            continue
        old = _find_node(connection, package_id, pointer.digest) if pointer is not None else None
        if pointer is not None and old is not None:
            judge(Move(pointer, old, new.row, named, now))
        values = {"digest": new.row.digest, "moved_at": now, "moved_by": new.row.pushed_by}
        statement = upsert(schema.pointer).values(package_id=package_id, name=tag, **values)
        connection.execute(statement.on_conflict_do_update(index_elements=["package_id", "name"], set_=values))
        moved[tag] = pointer.digest if pointer is not None else ""
    return moved


def _ask(connection: Connection, package_id: int, pointer: PointerRow, judge: Judge) -> None:
    """Let the judge decide on a tag that is about to point nowhere."""
    old = _find_node(connection, package_id, pointer.digest)
    if old is not None:
        judge(Move(pointer, old, NodeRow("", old.sha256, 0, ""), frozenset(), time.time()))


def _ask_kind(connection: Connection, package_id: int, new: NewNode, judge: Judge, now: float) -> None:
    """Let the judge decide on all tags of a node that becomes another kind: clients read it as something else."""
    old = _find_node(connection, package_id, new.row.digest)
    if old is not None and old.media_type != new.row.media_type:
        for pointer in _pointers(connection, package_id, old.digest):
            judge(Move(pointer, old, new.row, frozenset(), now))


def _pointers(connection: Connection, package_id: int, digest: str) -> list[PointerRow]:
    sql = "SELECT name, digest, moved_at, moved_by FROM pointer WHERE package_id = ? AND digest = ?"
    return [PointerRow(*row) for row in connection.exec_driver_sql(sql, (package_id, digest))]


def _pointer(connection: Connection, package_id: int, tag: str) -> PointerRow | None:
    sql = "SELECT name, digest, moved_at, moved_by FROM pointer WHERE package_id = ? AND name = ?"
    row = connection.exec_driver_sql(sql, (package_id, tag)).first()
    return None if row is None else PointerRow(*row)


def _find_node(connection: Connection, package_id: int, digest: str) -> NodeRow | None:
    sql = f"SELECT {NODE_COLUMNS} FROM node WHERE package_id = ? AND digest = ?"
    row = connection.exec_driver_sql(sql, (package_id, digest)).first()
    return None if row is None else node_row(row)


def _find_link(connection: Connection, package_id: int, digest: str) -> LinkRow | None:
    sql = "SELECT digest, sha256, size, seen_at FROM link WHERE package_id = ? AND digest = ?"
    row = connection.exec_driver_sql(sql, (package_id, digest)).first()
    return None if row is None else _link(row)


def node_row(row: Sequence[Any]) -> NodeRow:
    """The value of one row of NODE_COLUMNS."""
    digest, sha256, size, media_type, subject, facts, pushed_at, pushed_by, pulled_at = row
    return NodeRow(
        digest,
        Digest("sha256", sha256),
        size,
        media_type,
        subject,
        from_json(facts),
        pushed_at,
        pushed_by,
        pulled_at,
    )


def _link(row: Sequence[Any]) -> LinkRow:
    digest, sha256, size, seen_at = row
    return LinkRow(digest, Digest("sha256", sha256), size, seen_at)
