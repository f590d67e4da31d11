"""Reading graphs: documents that are named by their digest, the tags that point to them, and the blobs they name.

The same gate as for every read stands before each of these: access, then who owns the name, then hosted rows, and only
for a name that an upstream owns that upstream (`gateway.graph_upstream`). A digest is looked up through the package, so
that knowing one opens nothing.
"""

import asyncio
import time

from msgspec import Struct

from gateway.errors import FileUnknown, PackageUnknown, VersionUnknown
from gateway.graph_upstream import Remotes
from gateway.layers import Layer
from gateway.model import HOSTED_LAYER, Digest, Scope
from gateway.opened import OpenFile
from gateway.pull import Pull
from gateway.store.graph_rows import LinkRow, NodeRow

_BIG = 256 * 1024
_SEEN_SECONDS = 600.0  # a grace of collection is hours, so a link's date may lag by this


class Node(Struct, frozen=True):
    """A document as it is served. remaining: seconds for which the same reference may be answered with it.

    warning: what the client should be told, or empty.
    """

    digest: str
    media_type: str
    size: int
    body: bytes
    layer: str = HOSTED_LAYER
    freshness: str = "hosted"
    remaining: float = 1e9
    warning: str = ""


class Graph(Pull):
    """Reads of one actor in one repository."""

    __slots__ = ()

    async def node(self, package: str, reference: str) -> Node:
        """The node that a tag points to, or of that digest. Raises VersionUnknown, or as `Pull.page` does."""
        owned = self._authorise(package)
        for layer in self._readable(owned.hosted(), package, owned):
            row = self._row(layer, package, reference)
            if row is not None:
                return await self._hosted_node(layer, package, row)
        remotes = self._remotes(self._readable(owned.upstreams(), package, owned), package)
        found = await remotes.node(reference)
        if found is None:
            refused = ", ".join(remotes.refused_by)
            note = f"; {refused} may have it and not show it to us with the credentials that we have" if refused else ""
            raise VersionUnknown(f"{package} has no {reference}{note}")
        remote, body = found
        return Node(
            remote.digest,
            remote.media_type,
            len(body),
            body,
            remote.layer,
            remote.freshness,
            remote.remaining,
            remote.warning,
        )

    async def blob(self, package: str, digest: Digest, *, needs_size: bool = False) -> OpenFile:
        """The blob of that digest, with its size if that is needed; raises FileUnknown, or as `Pull.page` does."""
        owned = self._authorise(package)
        for layer in self._readable(owned.hosted(), package, owned):
            link = self._services.graph.link(layer.repository.id, package, str(digest))
            if link is not None and self._services.hosted.has(link.sha256) is not None:
                if not await self._saw(layer, package, link):
                    continue
                return self._blob(str(digest), link.sha256, link.size, {digest.algorithm: digest.hex})
        remotes = self._remotes(self._readable(owned.upstreams(), package, owned), package)
        found = await remotes.blob(digest, needs_size=needs_size)
        if found is None:
            raise FileUnknown(f"{package} has no {digest}")
        return found

    async def tags(self, package: str, after: str, count: int) -> list[str]:
        """At most `count` tags behind `after`, in ASCII order; raises PackageUnknown, or as `Pull.page` does."""
        owned = self._authorise(package)
        found: set[str] = set()
        is_known = False
        for layer in self._readable(owned.hosted(), package, owned):
            if layer.repository.id in owned.rows:
                is_known = True
                found |= set(await self._services.graph.tags(layer.repository.id, package, after, count))
        remotes = self._remotes(self._readable(owned.upstreams(), package, owned), package)
        listed = await remotes.tags()
        if listed is not None:
            is_known = True
            found |= {tag for tag in listed if tag > after}
        if not is_known:
            raise PackageUnknown(f"no package {package} in {self.repository.key}")
        return sorted(found)[:count]

    async def attached(self, package: str, subject: str) -> list[NodeRow]:
        """The hosted nodes that are attached to a digest, of every layer that the actor may read."""
        owned = self._authorise(package)
        found: list[NodeRow] = []
        for layer in self._readable(list(owned.layers), package, owned):
            if layer.upstream is None and layer.repository.id in owned.rows:
                found += await self._services.graph.attached(layer.repository.id, package, subject)
        return found

    async def attached_upstream(self, package: str, subject: str) -> list[bytes]:
        """What upstreams say is attached to a digest, as they wrote it."""
        owned = self._authorise(package)
        remotes = self._remotes(self._readable(owned.upstreams(), package, owned), package)
        return await remotes.attached(subject)

    def _remotes(self, layers: list[Layer], package: str) -> Remotes:
        return Remotes(self._services, self.repository, layers, package)

    def _row(self, layer: Layer, package: str, reference: str) -> NodeRow | None:
        graph = self._services.graph
        if ":" in reference:
            return graph.node(layer.repository.id, package, reference)
        return graph.tagged(layer.repository.id, package, reference)

    async def _hosted_node(self, layer: Layer, package: str, row: NodeRow) -> Node:
        read = self._services.hosted.read
        try:
            body = read(row.sha256) if row.size <= _BIG else await asyncio.to_thread(read, row.sha256)
        except FileUnknown as error:
            raise VersionUnknown(f"{package} has no {row.digest}: its bytes are lost") from error
        self._services.pulls[layer.repository.id, package, row.digest] = time.time()
        return Node(row.digest, row.media_type, row.size, body)

    async def _saw(self, layer: Layer, package: str, link: LinkRow) -> bool:
        """Keep the link for a client that may push, and will not push what it is told is here.

        False where a collection was faster: then it is not here.
        """
        if link.seen_at < time.time() - _SEEN_SECONDS and self.may(package, Scope.WRITE):
            return await self._services.graph.seen(layer.repository.id, package, link.digest)
        return True
