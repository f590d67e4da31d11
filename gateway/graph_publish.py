"""Writing graphs: uploads over several requests, links to blobs, nodes, tags, and their deletion.

The order is that of `gateway.publish`: may this actor, does the name belong here, keep the bytes durably, then the rows
in one transaction, then audit.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from msgspec.structs import replace

from gateway.errors import DigestMismatch, FileUnknown, GatewayError, UploadUnknown
from gateway.model import Digest, RepositoryKey, Scope
from gateway.permit import Permit
from gateway.publish import Publish
from gateway.store.graph import Judge
from gateway.store.graph_rows import LinkRow, NewNode
from gateway.store.resumable import Resumable


class GraphPublish(Publish):
    """Writes of one actor in one repository."""

    __slots__ = ()

    # ── blobs ────────────────────────────────────────────────────────────────────────────────────────────────────
    async def begin_upload(self, package: str, algorithms: Iterable[str] = ()) -> str:
        """Begin the upload of a blob, hashed by these algorithms too; returns its name. Raises as `begin` does."""
        await self._begin(package)
        return self._services.resumables.begin(self._owner(package), algorithms)

    @asynccontextmanager
    async def resume(self, package: str, id_: str) -> AsyncIterator[Resumable]:
        """Go on with an upload of this actor to this package; raises UploadUnknown for every other, and Conflict."""
        self.offset(package, id_)
        async with self._services.resumables.resume(id_, self._services.config.server.max_upload_size) as upload:
            yield upload

    def offset(self, package: str, id_: str) -> int:
        """How many bytes an upload has; raises UploadUnknown unless it is this actor's to this package."""
        self.require(Scope.WRITE, package)
        facts, offset = self._services.resumables.facts(id_)
        if facts != self._owner(package):
            raise UploadUnknown("no such upload")
        return offset

    async def finish(self, package: str, upload: Resumable, expected: Digest) -> None:
        """Keep the uploaded bytes and link them; raises DigestMismatch, and then nothing of the upload stays."""
        try:
            sha256 = await upload.keep(expected)
        except DigestMismatch:
            await upload.drop()
            raise
        await self._link(package, LinkRow(str(expected), sha256, upload.offset))

    async def mount(self, package: str, digest: Digest, source: tuple[RepositoryKey, str] | None) -> bool:
        """Link a blob of another package (None: of any) that the actor may read; whether there was one.

        A pass need not have been asked for the source: what counts is what its token may read.
        """
        await self._begin(package)
        token = self.actor.token
        reader = self.actor if token is None else replace(self.actor, token=replace(token, asked=None))
        by_id = {one.id: one for one in self._services.known().values()}
        for repository_id, name, link in self._services.graph.linked_in(str(digest)):
            repository = by_id.get(repository_id)
            if repository is None or (source is not None and source != (repository.key, name)):
                continue
            row = self._services.packages.get(repository_id, name)
            permit = Permit(self._services, repository, reader)
            if not permit.allows(Scope.READ, name, is_restricted=row is not None and row.is_restricted):
                continue
            try:
                await self._link(package, link)
            except GatewayError:
                return False
            return True
        return False

    async def unlink(self, package: str, digest: str) -> None:
        """Delete a blob from the package; raises FileUnknown, MethodNotAllowed while something there names it."""
        self.require(Scope.DELETE, package)
        await self._services.graph.delete_link(self.repository.id, package, digest)
        await self.note("delete", package, digest=digest)

    # ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────
    async def put(self, package: str, new: NewNode, body: bytes, judge: Judge, *, is_complete: bool = True) -> None:
        """Publish a node and its tags. Raises FileUnknown (it names what is not here), what `judge` raises, NameTaken.

        is_complete: everything that it names must be here.
        """
        await self._begin(package)
        sha256 = await asyncio.to_thread(self._services.hosted.put, body)
        row = replace(new.row, sha256=sha256, pushed_by=self.pusher)
        moved = await self._services.graph.put(
            self.repository.id,
            package,
            replace(new, row=row),
            self._is_stored,
            judge,
            is_merged=self.repository.is_merged(package),
            is_complete=is_complete,
        )
        await self.note("publish", package, digest=row.digest, tags=dict(sorted(moved.items())))

    async def untag(self, package: str, tag: str, judge: Judge) -> None:
        """Delete a tag; raises VersionUnknown, and what `judge` raises."""
        self.require(Scope.DELETE, package)
        digest = await self._services.graph.delete_tag(self.repository.id, package, tag, judge)
        await self.note("delete", package, tags={tag: digest})

    async def delete_node(self, package: str, digest: str, judge: Judge) -> None:
        """Delete a node and every tag that points to it; raises VersionUnknown, and what `judge` raises."""
        self.require(Scope.DELETE, package)
        tags = await self._services.graph.delete_node(self.repository.id, package, digest, judge)
        await self.note("delete", package, digest=digest, tags=dict.fromkeys(tags, digest))

    async def peek(self, package: str, digest: str, limit: int) -> bytes | None:
        """A blob that is linked here, for what the adapter must know of it; None if it is longer, or lost."""
        self.require(Scope.WRITE, package)
        link = self._services.graph.link(self.repository.id, package, digest)
        if link is None or link.size > limit:
            return None
        try:
            return await asyncio.to_thread(self._services.hosted.read, link.sha256)
        except FileUnknown:
            return None

    @property
    def pusher(self) -> str:
        """Who pushes, with which token."""
        token = self.actor.token
        return f"{self.actor.name}#{token.id if token is not None else 0}"

    async def _begin(self, package: str) -> None:
        """As `begin`; a name that an upstream knows is refused, unless the repository's `allow_shadow` lets it be."""
        await self.begin(package, refuse_known_upstream=self.repository.settings.get("allow_shadow") is not True)

    async def _link(self, package: str, row: LinkRow) -> None:
        await self._services.graph.add_link(
            self.repository.id, package, row, self._is_stored, is_merged=self.repository.is_merged(package)
        )

    def _is_stored(self, digest: Digest) -> bool:
        return self._services.hosted.touch(digest)

    def _owner(self, package: str) -> dict[str, object]:
        actor = self.actor
        return {"repository": self.repository.id, "package": package, "actor": f"{actor.kind}:{actor.id}"}
