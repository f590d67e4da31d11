"""Reading files whose address at an upstream follows from their name, where no listing promises hashes beforehand.

Access and ownership are as for every other read (`gateway.pull`); what differs is how a file is found and proved. It is
asked for where the adapter says that it lies (`gateway.shelf`). Its hash is promised by the answer's headers or by a
document beside it, and its bytes are kept, and reach a client whole, only once they agree. All files of a version come
from one origin: the first hosted layer that has any of them, else the upstream that gave the first one.

Listings of such packages unite all hosted layers, so that one repository for releases and one for snapshots are one.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable
from urllib.parse import unquote

from msgspec.structs import replace
from yarl import URL

from gateway import listings
from gateway.cold import Cold, counted
from gateway.errors import Blocked, FileUnknown, PackageUnknown, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Ask, Document
from gateway.layers import Layer, flatten
from gateway.model import Digest, Listing, OwnerMode, Page, Visibility
from gateway.opened import OpenFile
from gateway.pull import Pull
from gateway.rendered import Rendered
from gateway.shelf import FileProof, Shelf
from gateway.sources import Source, held_source
from gateway.store.first_use import is_strong
from gateway.store.rows import CachedFile, DocumentRow
from gateway.store.spool import Expected, Follower
from gateway.upstream.addresses import is_same_origin
from gateway.upstream.client import Stream
from gateway.upstream.registry import Upstream
from gateway.upstream.sending import Elsewhere

_WHOLE = 16 * 1024**2  # bytes up to which a client waits for the verified whole, and its answer has every hash


@runtime_checkable
class Prefixed(Protocol):
    """A format whose upstreams may say in a document of their own with what the paths of their packages begin."""

    def ask_prefixes(self) -> Ask:
        """How to ask for it."""
        ...

    def parse_prefixes(self, document: Document) -> Listing:
        """A listing of nothing, whose facts say what it says; what is unreadable says nothing."""
        ...

    def has_prefix(self, package: str, prefixes: Listing) -> bool:
        """Whether such an upstream may have the package."""
        ...


class Addressed(Pull):
    """Reads of one actor in one repository."""

    async def shelved(self, package: str, version: str, filename: str, shelf: Shelf) -> OpenFile:
        """A file of a version of a canonical name; raises FileUnknown or as `page` does."""
        owned = self._authorise(package)
        for layer in self._readable(owned.hosted(), package, owned):
            hosted = await self._services.packages.hosted(layer.repository.id, package)
            if hosted is not None and any(file.version == version for file in hosted.files):
                found = await self._hosted_file(layer, package, filename, None)
                if found is None:
                    why = f"{package} {version} has no {filename} here, and no version is taken from two places"
                    raise FileUnknown(why, decision="hosted")
                return found
        layers = self._readable(owned.upstreams(), package, owned)
        for layer in layers:
            cached = self._services.blob_rows.cached(layer.repository.id, package, filename, None)
            if cached is not None and (warm := self._dated(filename, cached)) is not None:
                return warm
        for layer in self._origins(layers, package, version):
            if not await self._may_have(layer, package):
                continue
            if (found := await self._fetched(layer, package, filename, shelf)) is not None:
                return found
        if owned.mode is OwnerMode.HOSTED and any(layer.upstream is not None for layer in owned.layers):
            decision = "shadowed" if owned.rows else "namespace"
            why = f"{package} has no {filename} here; no upstream is asked, since the name is {owned.why}"
            raise FileUnknown(f"{why}; an owner can have both merged", decision=decision)
        raise FileUnknown(f"{package} has no {filename}")

    async def whole(self, package: str, version: str, filename: str, shelf: Shelf) -> OpenFile:
        """The same, once it has come as a whole, so that every hash of it is known."""
        opened = await self.shelved(package, version, filename, shelf)
        if opened.digest is not None:
            return opened
        source = await opened.open()
        try:
            if isinstance(source, Follower):
                await source.finished()
        finally:
            source.close()
        return await self.shelved(package, version, filename, shelf)

    async def page(self, package: str, variant: str, render: Callable[[Listing], Rendered], since: float = 0.0) -> Page:
        """As in `Pull`; a page that lacks what a member in trouble may have says so, and is not kept."""
        page = await super().page(package, variant, render, since)
        if not self._lacking:
            return page
        note = ("Warning", f'199 - "{self._lacking} cannot be asked, its versions are missing"')
        return replace(page, headers=(*page.headers, note), remaining=0.0)

    # ── listings ─────────────────────────────────────────────────────────────────────────────────────────────────
    _lacking: str = ""

    async def _sources(self, package: str, since: float = 0.0) -> list[Source]:
        """All hosted layers that know the name, and the upstream that owns it, or every one for a merged name."""
        owned = self._authorise(package)
        sources: list[Source] = []
        for layer in self._readable(owned.hosted(), package, owned):
            if layer.repository.id not in owned.rows:
                continue
            hosted = await self._services.packages.hosted(layer.repository.id, package)
            if hosted is not None and (hosted.files or hosted.tombstones):
                sources.append(Source(layer, hosted=hosted))
        for layer in self._readable(owned.upstreams(), package, owned):
            assert layer.upstream is not None
            if not await self._may_have(layer, package):
                continue
            try:
                held = await listings.hold(self._services.documents, self._format, layer.upstream, package, since)
            except (UpstreamTrouble, UpstreamCorrupt):
                if not any(source.hosted is not None and source.hosted.files for source in sources):
                    raise
                self._lacking = layer.name
                continue
            if held is not None:
                sources.append(held_source(owned, layer, held))
                if owned.mode is not OwnerMode.MERGED:
                    break
        if not sources:
            raise PackageUnknown(f"no package {package} in {self.repository.key}")
        return sources

    async def _listing(self, package: str, sources: list[Source]) -> Listing:
        first, *others = [await self._one_listing(package, source) for source in sources]
        for other in others:
            first = self._format.merge(first, other)
        return first

    def facts_below(self, prefix: str) -> dict[str, Mapping[str, object]]:
        """Facts of the hosted packages whose name begins so and that the actor may read, by name."""
        found: dict[str, Mapping[str, object]] = {}
        for layer in self._visible():
            for row in self._services.packages.below(layer.repository.id, prefix) if layer.upstream is None else ():
                if self._allows(layer.repository, row.name, is_restricted=row.is_restricted):
                    found.setdefault(row.name, row.facts)
        return found

    async def document(self, package: str, ask: Ask) -> tuple[Document, str] | None:
        """Another document that belongs to a canonical name, and who gave it: from an upstream that may be asked."""
        owned = self._authorise(package)
        for layer in self._readable(owned.upstreams(), package, owned):
            assert layer.upstream is not None
            if not await self._may_have(layer, package):
                continue
            found = await listings.document(self._services.documents, layer.upstream, ask)
            if found is not None:
                return found, layer.name
        return None

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────────
    def _origins(self, layers: list[Layer], package: str, version: str) -> list[Layer]:
        """The upstreams that may give a file of this version: the one that gave the others, else all."""
        for layer in layers:
            origin = self._services.blob_rows.origin(layer.repository.id, package, f"{version}/")
            known = [other for other in layers if other.name == origin]
            if known:
                return known
        return layers

    def _dated(self, filename: str, cached: CachedFile) -> OpenFile | None:
        warm = self._warm(filename, cached)
        moment = datetime.fromtimestamp(int(cached.fetched_at), UTC).isoformat()
        return None if warm is None else replace(warm, uploaded_at=moment)

    async def _fetched(self, layer: Layer, package: str, filename: str, shelf: Shelf) -> OpenFile | None:
        """The file from this upstream; None where it says that it does not have it."""
        upstream = layer.upstream
        assert upstream is not None
        if self._is_known_absent(upstream, shelf.path):
            return None
        try:
            follower = await self._follow(layer, package, filename, shelf)
        except FileUnknown:
            await self._note_absent(upstream, shelf.path)
            return None
        with follower:
            size = follower.size
            if size is not None and size > _WHOLE:
                return self._growing(layer, package, filename, shelf, size)
            await follower.finished()
        cached = self._services.blob_rows.cached(layer.repository.id, package, filename, None)
        warm = None if cached is None else self._dated(filename, cached)
        if warm is None:
            raise UpstreamTrouble(f"{filename} was evicted as it came", retry_after=1.0)
        return warm

    def _growing(self, layer: Layer, package: str, filename: str, shelf: Shelf, size: int) -> OpenFile:
        assert layer.upstream is not None
        return OpenFile(
            filename,
            size,
            "",
            layer.upstream.name,
            lambda: self._follow(layer, package, filename, shelf),
            is_private=self.repository.visibility is not Visibility.PUBLIC,
        )

    async def _follow(self, layer: Layer, package: str, filename: str, shelf: Shelf) -> Follower:
        services, upstream, repository = self._services, layer.upstream, layer.repository
        assert upstream is not None
        proof = FileProof(services, upstream, shelf)
        cold = Cold(services, repository, self.repository, package, filename)

        @asynccontextmanager
        async def fetch(offset: int) -> AsyncIterator[Stream]:
            async with AsyncExitStack() as stack:
                stream = await self._streamed(stack, proof, shelf, offset)
                proof.begin(stream.headers)
                yield counted(services, repository, stream)

        async def done(digest: Digest, length: int, hexes: Mapping[str, str]) -> None:
            is_first = not shelf.is_movable and not is_strong(proof.agreed)
            await cold.link(cold.cached(digest, length, hexes, proof.upstream.name), is_first=is_first)

        def refused(error: UpstreamCorrupt) -> UpstreamCorrupt:
            return cold.refused(proof.upstream.name, error)

        key = f"{repository.id} {upstream.name} {package} {filename}"
        expected = Expected(algorithms=shelf.algorithms)
        return await services.spools.open(
            key, expected, fetch, done, known=cold.known, judge=proof.judge, refused=refused
        )

    async def _streamed(self, stack: AsyncExitStack, proof: FileProof, shelf: Shelf, offset: int) -> Stream:
        """The file's bytes from who has it, which is another upstream of ours where a redirect leads there."""

        def whose(url: URL) -> Upstream | None:
            return self._whose(url, proof.upstream, shelf)

        client, upstream = self._services.client, proof.upstream
        try:
            stream = client.stream(upstream, upstream.url + shelf.path, offset, whose=whose)
            return await stack.enter_async_context(stream)
        except Elsewhere as elsewhere:
            proof.upstream = upstream = elsewhere.upstream
        return await stack.enter_async_context(client.stream(upstream, upstream.url + shelf.path, offset))

    def _whose(self, url: URL, asked: Upstream, shelf: Shelf) -> Upstream | None:
        """The other upstream that keeps this very file at `url`; one with credentials only if it is a layer here."""
        within = {layer.name for layer in flatten(self._services, self.repository)}
        for other in self._services.upstreams.values():
            if other.name == asked.name or other.type != asked.type:
                continue
            if is_same_origin(url, other.base) and unquote(url.raw_path) == unquote(other.base.raw_path + shelf.path):
                return other if other.name in within or other.authorization() is None else None
        return None

    async def _may_have(self, layer: Layer, package: str) -> bool:
        """Whether the upstream, by its own word where it gives one, may have this name: no other learns of it."""
        upstream, format_, documents = layer.upstream, self._format, self._services.documents
        if upstream is None or not upstream.is_prefixed or not isinstance(format_, Prefixed):
            return True
        ask = format_.ask_prefixes()
        if self._is_known_absent(upstream, ask.path):
            return True
        try:
            held = await documents.get(upstream, ask, format_.parse_prefixes)
            return held is None or format_.has_prefix(package, await documents.read(held, format_.parse_prefixes))
        except (UpstreamTrouble, UpstreamCorrupt, Blocked, FileUnknown):
            await self._note_absent(upstream, ask.path)  # so that a refusal is not met again with every file
            return True

    # ── what upstreams do not have ───────────────────────────────────────────────────────────────────────────────
    def _is_known_absent(self, upstream: Upstream, path: str) -> bool:
        row = self._services.document_rows.get(upstream.name, f"file {path}")
        return row is not None and time.time() < row.fetched_at + row.max_age

    async def _note_absent(self, upstream: Upstream, path: str) -> None:
        ttl = upstream.config.negative_ttl
        row = DocumentRow(upstream.name, f"file {path}", 404, None, 0, "", "", "", "", {}, time.time(), ttl)
        await self._services.document_rows.put(row)
