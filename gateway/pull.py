"""Reading packages: the use case behind every GET of a listing, a file or a sidecar.

Each read checks access, asks `gateway.layers` who owns the name, and only then touches hosted state, the cache or an
upstream. Rendered pages are kept as ready bytes under everything that selects their content. Nothing here knows an
ecosystem; what must be parsed or rendered is handed in by the adapter.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from gateway import derived, listings
from gateway.asking import Asking
from gateway.cold import Cold, beside, counted
from gateway.documents import Parse
from gateway.errors import Blocked, FileUnknown, PackageUnknown, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Ask
from gateway.layers import Layer
from gateway.model import Digest, File, Listing, OwnerMode, Page, Scope, Visibility
from gateway.opened import OpenFile, etag_of, warm_file
from gateway.rendered import Rendered, finish
from gateway.sources import Source, held_source, hosted_listing
from gateway.store.first_use import FirstUse, is_strong
from gateway.store.rows import CachedFile
from gateway.store.spool import Expected, Follower
from gateway.upstream.client import Stream

T = TypeVar("T")
_BIG = 256 * 1024  # bytes of a document from which parsing and rendering leave the loop
_MOST_LISTED = 2000  # hosted packages that one search looks at
_FEW = 100  # listings that are read at a stretch


class Pull(Asking):
    """Reads of one actor in one repository."""

    __slots__ = ()

    # ── listings ─────────────────────────────────────────────────────────────────────────────────────────────────
    async def page(self, package: str, variant: str, render: Callable[[Listing], Rendered], since: float = 0.0) -> Page:
        """The rendered listing of a canonical name; `variant` names whatever else selects its content.

        since: an upstream is asked again for what it confirmed before (POSIX seconds), fresh or not.
        Raises Unauthenticated, Forbidden, PackageUnknown, Blocked, UpstreamTrouble or UpstreamCorrupt.
        """
        return await self._page(package, variant, render, await self._sources(package, since))

    async def proven_page(
        self, package: str, variant: str, render: Callable[[Listing], Rendered], is_right: Callable[[bytes], bool]
    ) -> Page | None:
        """The page of a copy that is too old to be served but for `is_right`, which knows its bytes; None without one.

        Raises Unauthenticated and Forbidden.
        """
        owned = self._authorise(package)
        if owned.mode is not OwnerMode.UPSTREAM:
            return None
        for layer in self._readable(owned.upstreams(), package, owned):
            assert layer.upstream is not None
            held = await listings.proven(self._services.documents, self._format, layer.upstream, package, is_right)
            if held is not None:
                return await self._page(package, variant, render, [held_source(owned, layer, held)])
        return None

    async def _page(
        self, package: str, variant: str, render: Callable[[Listing], Rendered], sources: list[Source]
    ) -> Page:
        key = (self.repository.id, package, variant, tuple(source.identity for source in sources))
        page = self._services.memos.pages.get(key)
        if page is None:

            async def build() -> Page:
                listing = await self._listing(package, sources)
                return await _off_loop(_weight(sources), lambda: finish(render(listing), variant))

            page = await asyncio.shield(self._services.flights.join(key, build, f"render {package}"))
            if len(page.body) < self._services.memos.pages.maxsize // 4:
                self._services.memos.pages[key] = page
        return self._with_freshness(page, sources)

    async def listing(self, package: str) -> Listing:
        """Everything this repository offers of a canonical name; raises as `page` does."""
        return await self._listing(package, await self._sources(package))

    async def names(self) -> list[str]:
        """Canonical names of hosted and already cached packages that the actor may read, sorted."""
        self._permit.require(Scope.READ)
        found: set[str] = set()
        for repository in {layer.repository.id: layer.repository for layer in self._visible()}.values():
            for name in await self._services.packages.names(repository.id):
                row = self._services.packages.get(repository.id, name)
                if row is not None and self._allows(repository, name, is_restricted=row.is_restricted):
                    found.add(name)
        return sorted(found)

    async def hosted_listings(self, is_wanted: Callable[[str], bool] | None = None) -> list[Listing]:
        """Listings of what is published here and the actor may read; of very many, those whose name is wanted first."""
        mine = [name for name in await self.names() if self.owner_mode(name) is not OwnerMode.UPSTREAM]
        if is_wanted is not None and len(mine) > _MOST_LISTED:
            mine.sort(key=lambda name: not is_wanted(name))
        found = []
        for number, name in enumerate(mine[:_MOST_LISTED], 1):
            if number % _FEW == 0:
                await asyncio.sleep(0)  # others get their turn
            try:
                listing = await self.listing(name)
            except (PackageUnknown, Blocked, UpstreamCorrupt, UpstreamTrouble):
                continue
            if "revision" in listing.facts and listing.files:
                found.append(listing)
        return found

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────────
    async def file(self, package: str, filename: str, sha256: str | None = None) -> OpenFile:
        """The file of that name, with that digest if one is given; raises FileUnknown or as `page` does."""
        owned = self._authorise(package)
        for layer in self._readable(owned.hosted(), package, owned):
            if (hosted := await self._hosted_file(layer, package, filename, sha256)) is not None:
                return hosted
        for layer in self._readable(owned.upstreams(), package, owned):
            cached = self._services.blob_rows.cached(layer.repository.id, package, filename, sha256)
            if cached is not None and (warm := self._warm(filename, cached)) is not None:
                return warm
        if not owned.upstreams():
            raise FileUnknown(f"{package} has no file {filename}")
        return await self._from_upstream(package, filename, sha256)

    async def hosted_files(self, prefix: str) -> list[tuple[str, str]]:
        """`(package, filename)` of what is published here under names that begin so, newest last, for this actor."""
        self._permit.require(Scope.READ)
        found: list[tuple[str, str]] = []
        for layer in self._visible():
            if layer.upstream is None:
                found += await self._services.packages.named(layer.repository.id, prefix)
        return [(package, filename) for package, filename in found if self.may(package, Scope.READ)]

    async def sidecar(self, package: str, filename: str, kind: str, sha256: str | None = None) -> OpenFile:
        """What belongs to a file: its `metadata`, signature or provenance. Raises FileUnknown or as `page` does.

        sha256: of the file that it must belong to, whatever else once had the same name.
        """
        owned = self._authorise(package)
        for layer in self._readable(owned.hosted(), package, owned):
            hosted = await self._services.packages.hosted(layer.repository.id, package)
            file = hosted.find(filename) if hosted is not None else None
            if hosted is None or file is None or sha256 not in {None, file.sha256}:
                continue
            attachment = hosted.attachments.get(filename, {}).get(kind)
            if attachment is None:
                raise FileUnknown(f"{package} has no {filename}.{kind}")  # an upstream's is of another file
            name, hashes = f"{filename}.{kind}", {"sha256": attachment.digest.hex}
            return replace(self._blob(name, attachment.digest, attachment.size, hashes), package=hosted.row)
        for layer in self._readable(owned.upstreams(), package, owned):
            if (warm := self._warm_sidecar(layer, package, filename, kind, sha256)) is not None:
                return warm
        if not owned.upstreams():
            raise FileUnknown(f"{package} has no {filename}.{kind}")
        return await self._sidecar_from_upstream(package, filename, kind, sha256)

    async def beside(self, package: str, filename: str, kind: str, parse: Parse) -> Listing | None:
        """A small document that lies beside a file at the upstream that owns the name, as `parse` reads it.

        parse: raises UpstreamCorrupt for one that must not be kept. None where there is none. Raises FileUnknown, or
        as `page` does.
        """
        for source in await self._sources(package):
            if source.held is None:
                continue
            file = (await self._one_listing(package, source)).find(filename)
            url = self._format.sidecar_url(file, kind) if file is not None else None
            if url is not None:
                return await listings.parsed(self._services.documents, source.held.upstream, Ask(url), parse)
        raise FileUnknown(f"{package} has no file {filename}")

    # ── how ──────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _sources(self, package: str, since: float = 0.0) -> list[Source]:
        owned = self._authorise(package)
        sources: list[Source] = []
        for layer in self._readable(owned.hosted(), package, owned):
            if layer.repository.id not in owned.rows:
                continue
            hosted = await self._services.packages.hosted(layer.repository.id, package)
            if hosted is not None and (hosted.files or hosted.tombstones):
                sources.append(Source(layer, hosted=hosted))
                break
        for layer in self._readable(owned.upstreams(), package, owned):
            assert layer.upstream is not None
            held = await listings.hold(self._services.documents, self._format, layer.upstream, package, since)
            if held is not None:
                sources.append(held_source(owned, layer, held))
                break
        if not sources:
            raise PackageUnknown(f"no package {package} in {self.repository.key}")
        return sources

    async def _listing(self, package: str, sources: list[Source]) -> Listing:
        listings = [await self._one_listing(package, source) for source in sources]
        if len(listings) == 1:
            return listings[0]
        return self._format.merge(listings[0], listings[1])

    async def _one_listing(self, package: str, source: Source) -> Listing:
        if source.hosted is not None:
            return hosted_listing(package, source.hosted)
        assert source.held is not None
        listing = await listings.read(self._services.documents, self._format, source.held, package)
        first = self._first_uses(package, source)
        if not first:
            return listing
        return replace(listing, files=tuple(self._as_known(file, first) for file in listing.files))

    def _first_uses(self, package: str, source: Source) -> Mapping[str, FirstUse]:
        """What is known of an upstream's files that no strong hash names."""
        assert source.held is not None
        return self._services.blob_rows.first_uses(source.layer.repository.id, package, source.held.upstream.name)

    def _as_known(self, file: File, first: Mapping[str, FirstUse]) -> File:
        """The file with the hash of the bytes that first came, which no promise changes, and what was found in them."""
        known = first.get(file.filename)
        if known is not None:
            file = replace(file, hashes={"sha256": known.digest.hex}, size=known.size)
        return derived.listed(self._format, file, first)

    def _with_freshness(self, page: Page, sources: list[Source]) -> Page:
        """The page with headers that depend on now: how long clients may keep it, and whether it is stale."""
        held = sources[-1].held
        share = () if self.repository.visibility is Visibility.PUBLIC else ("private",)
        if held is None or len(sources) > 1:
            control, freshness = ", ".join((*share, "no-cache")), "hosted" if held is None else held.freshness
        else:
            control, freshness = ", ".join((*share, f"max-age={int(min(600, held.remaining))}")), held.freshness
        headers = (*page.headers, ("Cache-Control", control))
        if freshness == "trouble":
            headers = (*headers, ("Warning", '110 - "response is stale"'))
        return replace(
            page,
            headers=headers,
            layer="+".join(source.layer.name for source in sources),
            freshness=freshness,
            remaining=0.0 if freshness in {"stale", "trouble"} else 1e9 if held is None else held.remaining,
        )

    async def _hosted_file(self, layer: Layer, package: str, filename: str, sha256: str | None) -> OpenFile | None:
        hosted = await self._services.packages.hosted(layer.repository.id, package)
        file = hosted.find(filename) if hosted is not None else None
        if hosted is None or file is None or file.sha256 is None or sha256 not in {None, file.sha256}:
            return None
        opened = self._blob(filename, Digest.sha256(file.sha256), file.size or 0, file.hashes)
        return replace(opened, uploaded_at=file.uploaded_at, package=hosted.row)

    def _blob(self, name: str, digest: Digest, size: int, hashes: Mapping[str, str]) -> OpenFile:
        is_private = self.repository.visibility is not Visibility.PUBLIC
        return warm_file(self._services.hosted, name, digest, size, hashes, is_private=is_private)

    def _warm(self, name: str, cached: CachedFile) -> OpenFile | None:
        """The cached file, unless its blob was evicted meanwhile."""
        store = self._services.cache
        if store.has(cached.digest) is None:
            return None
        is_private = self.repository.visibility is not Visibility.PUBLIC
        return warm_file(
            store, name, cached.digest, cached.size, cached.hashes, layer=cached.upstream, is_private=is_private
        )

    def _warm_sidecar(
        self, layer: Layer, package: str, filename: str, kind: str, sha256: str | None
    ) -> OpenFile | None:
        """The cached sidecar of the file with that digest; of the cached file of that name where none is given."""
        rows, id_ = self._services.blob_rows, layer.repository.id
        file = rows.cached(id_, package, filename) if sha256 is None else None
        of = [sha256] if sha256 is not None else [None] if file is None else [file.digest.hex, None]
        for one in of:
            cached = rows.cached(id_, package, beside(filename, kind, one))
            if cached is not None and (warm := self._warm(f"{filename}.{kind}", cached)) is not None:
                return warm
        return None

    async def _from_upstream(self, package: str, filename: str, sha256: str | None) -> OpenFile:
        for source in await self._sources(package):
            if source.held is None:
                continue
            listing = await self._one_listing(package, source)
            file = listing.find(filename)
            if file is not None and file.url is not None and sha256 in {None, file.sha256}:
                file = await listings.promised(self._services.documents, self._format, source.held.upstream, file)
                file = self._as_known(file, self._first_uses(package, source))
                assert file.url is not None
                return self._cold(
                    source.layer,
                    package,
                    filename,
                    file.url,
                    file.hashes,
                    file.size,
                    file,
                    is_first=not is_strong(file.hashes),
                )
        raise FileUnknown(f"{package} has no file {filename}")

    async def _sidecar_from_upstream(self, package: str, filename: str, kind: str, sha256: str | None) -> OpenFile:
        for source in await self._sources(package):
            if source.held is None:
                continue
            file = (await self._one_listing(package, source)).find(filename)
            if file is None or sha256 not in {None, file.sha256}:
                continue
            url = self._format.sidecar_url(file, kind)
            if url is None and derived.kind_of(self._format, file) == kind:
                return await self._derived(source.layer, package, file, kind)
            if url is not None:
                promised = file.facts.get(f"{kind}_sha256")
                hashes = {"sha256": promised} if isinstance(promised, str) else {}
                return self._cold(source.layer, package, beside(filename, kind, file.sha256), url, hashes, None, file)
        raise FileUnknown(f"{package} has no {filename}.{kind}")

    async def _derived(self, layer: Layer, package: str, file: File, kind: str) -> OpenFile:
        """The sidecar that lies within the file; raises FileUnknown for one that it was never listed with."""
        assert layer.upstream is not None
        first = self._services.blob_rows.first_uses(layer.repository.id, package, layer.upstream.name)
        if beside(file.filename, kind, file.sha256) in first:
            opened = await self.file(package, file.filename, file.sha256)
            source = await opened.open()
            try:
                digest = await source.finished() if isinstance(source, Follower) else source.digest
                cold = Cold(self._services, layer.repository, self.repository, package, file.filename)
                await derived.derive(cold, self._format, file, digest, layer.upstream.name)
            finally:
                source.close()
            if (warm := self._warm_sidecar(layer, package, file.filename, kind, file.sha256)) is not None:
                return warm
        raise FileUnknown(f"{package} has no {file.filename}.{kind}")

    def _cold(
        self,
        layer: Layer,
        package: str,
        name: str,
        url: str,
        hashes: Mapping[str, str],
        size: int | None,
        file: File,
        *,
        is_first: bool = False,
    ) -> OpenFile:
        """A file on its way. is_first: nobody says for sure which bytes it has, so those that come are kept to."""
        upstream = layer.upstream
        assert upstream is not None
        services, repository = self._services, layer.repository
        cold = Cold(services, repository, self.repository, package, name, hashes.get("sha256"))

        async def done(digest: Digest, length: int, _: Mapping[str, str]) -> None:
            known = {**hashes, "sha256": digest.hex} if is_first else hashes
            await cold.link(cold.cached(digest, length, known, upstream.name), is_first=is_first)
            if name == file.filename:
                await derived.derive(cold, self._format, replace(file, size=length), digest, upstream.name)

        @asynccontextmanager
        async def fetch(offset: int) -> AsyncIterator[Stream]:
            async with services.client.stream(upstream, url, offset) as stream:
                yield counted(services, repository, stream)

        async def opened() -> Follower:
            key = f"{repository.id} {package} {name} {sorted(hashes.items())}"
            expected = Expected(dict(hashes), size)
            refused = partial(cold.refused, upstream.name)
            return await services.spools.open(key, expected, fetch, done, known=cold.known, refused=refused)

        return OpenFile(
            name.rpartition("/")[2],
            size,
            etag_of(hashes),
            upstream.name,
            opened,
            uploaded_at=file.uploaded_at,
            is_private=self.repository.visibility is not Visibility.PUBLIC,
            hashes=hashes,
        )


def _weight(sources: list[Source]) -> int:
    return max((source.held.size if source.held is not None else 0) for source in sources)


async def _off_loop(weight: int, work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work) if weight > _BIG else work()
