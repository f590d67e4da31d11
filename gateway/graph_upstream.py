"""Graphs of upstreams: nodes and tags as documents, blobs through the spool, for the names that an upstream owns.

A tag is a document that may change: its digest is asked for first (HEAD), the bytes only when it is new, by that
digest. A node by digest never changes. What was fetched with an upstream's credentials is found only through
repositories that have this upstream as a layer, and a blob only through a package that the upstream itself has it in:
that another package's bytes lie in the cache is no answer.
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from gateway import listings
from gateway.cold import Cold, counted
from gateway.documents import Held
from gateway.errors import FileUnknown, UpstreamCorrupt, UpstreamTrouble, VersionUnknown
from gateway.format import Ask, GraphFormat
from gateway.layers import Layer
from gateway.model import Digest, OwnerMode, Repository, Visibility
from gateway.opened import OpenFile, etag_of, warm_file
from gateway.services import Services
from gateway.store.rows import CachedFile
from gateway.store.spool import Expected, Follower
from gateway.upstream.client import Stream
from gateway.upstream.registry import Upstream

GONE_SECONDS = 7 * 86400.0  # a tag that the upstream no longer has is served so long, unless `keep_deleted`
_EVER = 100 * 365 * 86400.0
_MOST_PAGES = 100


class Remote(Struct, frozen=True):
    """A node of an upstream; see `gateway.graph.Node`."""

    digest: str
    media_type: str
    layer: str
    freshness: str
    remaining: float
    warning: str = ""


class Remotes:
    """The upstreams that may be asked for a package, in order."""

    def __init__(self, services: Services, repository: Repository, layers: list[Layer], package: str) -> None:
        """`repository`: the one that was asked; `layers`: upstream layers of it and of its members."""
        self._services = services
        self._repository = repository
        self._layers = [(layer, layer.upstream) for layer in layers if layer.upstream is not None]
        self._package = package
        self._format = cast("GraphFormat", services.formats[repository.key.type])
        self.refused_by: list[str] = []

    async def node(self, reference: str) -> tuple[Remote, bytes] | None:
        """The node of the first upstream that has it; None where all say that they do not.

        Then `refused_by` names those that may only not have shown it to us.
        """
        for layer, upstream in self._layers:
            ask = self._ask_node(upstream, reference)
            found = await self._held(layer, upstream, ask, reference)
            if found is not None:
                await self._adopt(layer, upstream)
                held, body = found
                return _remote(held), body
            if self._services.documents.is_refused(upstream, ask):
                self.refused_by.append(upstream.name)
        return None

    async def tags(self) -> list[str] | None:
        """The tags of the first upstream that knows the name, all pages of them; None where nobody does."""
        for _, upstream in self._layers:
            found = await self._tags_of(upstream)
            if found is not None:
                return found
        return None

    async def attached(self, digest: str) -> list[bytes]:
        """What the first upstream that has such a list says is attached to a node."""
        for _, upstream in self._layers:
            for ask in self._format.ask_attached(upstream.named(self._package), digest):
                found = await listings.document(self._services.documents, upstream, ask)
                if found is not None:
                    return [found.body]
        return []

    async def blob(self, digest: Digest, *, needs_size: bool) -> OpenFile | None:
        """The blob, warm or on its way; None where no upstream has it, or none may be asked.

        An upstream is asked whether it has the blob only where that matters: for its size, to choose between several,
        and before bytes that lie in the cache for another package are shared.
        """
        here = self._services.cache.has(digest) if digest.algorithm == "sha256" else None
        is_asked = needs_size or here is not None or len(self._layers) > 1
        for layer, _ in self._layers:
            warm = self._warm(layer, digest)
            if warm is not None:
                return warm
        for layer, upstream in self._layers:
            ask = self._format.ask_blob(upstream.named(self._package), str(digest))
            size = await self._size(upstream, ask) if is_asked else -1
            if size is None:
                continue
            if here is not None and here == size:
                await self._link(layer, upstream, digest, digest, size)
                return self._warm(layer, digest)
            return self._cold(layer, upstream, ask, digest, size if size >= 0 else None)
        return None

    # ── how ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _ask_node(self, upstream: Upstream, reference: str) -> Ask:
        settings = self._repository.settings
        outlives = _EVER if settings.get("keep_deleted") is True else GONE_SECONDS
        ask = self._format.ask_node(upstream.named(self._package), reference, outlives)
        return replace(ask, max_age=_tag_seconds(settings, reference)) if ask.digest_header else ask

    async def _held(self, layer: Layer, upstream: Upstream, ask: Ask, tag: str) -> tuple[Held, bytes] | None:
        documents = self._services.documents

        def moved(old: str, new: str) -> None:
            names = {"upstream": upstream.name, "repository": str(layer.repository.key), "package": self._package}
            self._services.denials.note_moved(**names, tag=tag, old=old, new=new)

        held = await documents.get(upstream, ask, moved=moved if ask.digest_header else None)
        if held is None:
            return None
        try:
            return held, (await documents.load(held)).body
        except FileUnknown:  # evicted, or spoilt on our disk
            await documents.forget(held)
        held = await documents.get(upstream, ask)
        return None if held is None else (held, (await documents.load(held)).body)

    async def _tags_of(self, upstream: Upstream) -> list[str] | None:
        package, found = upstream.named(self._package), list[str]()
        ask = self._format.ask_tags(package, "")
        for page in range(_MOST_PAGES):
            document = None if ask is None else await listings.document(self._services.documents, upstream, ask)
            if document is None:
                return found if page else None
            found += self._format.parse_tags(document)
            link = document.headers.get("link", "")
            ask = self._format.ask_tags(package, link) if link else None
            if ask is None:
                break
        return found

    async def _size(self, upstream: Upstream, ask: Ask) -> int | None:
        """The bytes of a blob as the upstream says (-1: it does not), or None where it has none of that name here."""
        try:
            head = await self._services.client.head(upstream, ask)
        except UpstreamTrouble as trouble:
            if trouble.detail.get("answered") not in {405, 501}:
                raise
            return -1
        return None if head.document is None else head.size if head.size is not None else -1

    async def _adopt(self, layer: Layer, upstream: Upstream) -> None:
        """The first upstream to serve a name owns it from then on."""
        packages, id_ = self._services.packages, layer.repository.id
        row = packages.get(id_, self._package)
        if row is None or (row.owner_mode is OwnerMode.UPSTREAM and not row.origin):
            row = await packages.adopt(id_, self._package, upstream.name)
        if row.owner_mode is OwnerMode.HOSTED and not self._repository.is_merged(self._package):
            raise VersionUnknown(f"{self._package} was published here meanwhile")

    def _warm(self, layer: Layer, digest: Digest) -> OpenFile | None:
        """The cached blob, unless its bytes were evicted meanwhile."""
        cached = self._services.blob_rows.cached(layer.repository.id, self._package, str(digest))
        store = self._services.cache
        if cached is None or store.has(cached.digest) is None:
            return None
        return warm_file(
            store,
            str(digest),
            cached.digest,
            cached.size,
            {digest.algorithm: digest.hex},
            layer=cached.upstream,
            is_private=self._repository.visibility is not Visibility.PUBLIC,
        )

    async def _link(self, layer: Layer, upstream: Upstream, named: Digest, digest: Digest, size: int) -> None:
        await self._adopt(layer, upstream)
        row = CachedFile(digest, size, {named.algorithm: named.hex}, upstream.name, time.time())
        await self._services.blob_rows.add_cached(layer.repository.id, self._package, str(named), row)

    def _cold(self, layer: Layer, upstream: Upstream, ask: Ask, digest: Digest, size: int | None) -> OpenFile:
        services, repository = self._services, layer.repository
        hashes = {digest.algorithm: digest.hex}

        @asynccontextmanager
        async def fetch(offset: int) -> AsyncIterator[Stream]:
            url = upstream.url + ask.path
            async with services.client.stream(upstream, url, offset, ask.scope) as stream:
                yield counted(services, repository, stream)

        async def done(found: Digest, length: int, _: Mapping[str, str]) -> None:
            await self._link(layer, upstream, digest, found, length)

        def known() -> Digest | None:
            cached = services.blob_rows.cached(repository.id, self._package, str(digest))
            return None if cached is None else cached.digest

        async def judge(hexes: Mapping[str, str]) -> None:
            if hexes.get(digest.algorithm) != digest.hex:
                raise UpstreamCorrupt(f"{upstream.name} sent other bytes than {digest}")

        def refused(error: UpstreamCorrupt) -> UpstreamCorrupt:
            cold = Cold(services, repository, self._repository, self._package, str(digest))
            return cold.refused(upstream.name, error)

        async def opened() -> Follower:
            # No hash is promised: the client named it, which must not find the bytes of another package.
            expected = Expected(size=size, algorithms=(digest.algorithm,))
            key = f"{repository.id} {self._package} {digest}"
            return await services.spools.open(key, expected, fetch, done, known=known, judge=judge, refused=refused)

        is_private = self._repository.visibility is not Visibility.PUBLIC
        return OpenFile(str(digest), size, etag_of(hashes), upstream.name, opened, is_private=is_private, hashes=hashes)


def _tag_seconds(settings: Mapping[str, Any], tag: str) -> float | None:
    """How long a tag is believed, by the first pattern of the repository's `tag_seconds` that fits it."""
    patterns = settings.get("tag_seconds")
    if not isinstance(patterns, Mapping):
        return None
    return next((float(seconds) for pattern, seconds in patterns.items() if fnmatchcase(tag, pattern)), None)


def _remote(held: Held) -> Remote:
    is_in_trouble = held.freshness == "trouble"
    seconds = max(0, int(time.time() - held.row.fetched_at))
    return Remote(
        held.row.etag,
        held.row.content_type.partition(";")[0].strip(),
        held.upstream.name,
        held.freshness,
        0.0 if is_in_trouble or held.freshness == "stale" else held.remaining,
        f"stale: {held.upstream.name} cannot say whether this is current; it was {seconds} seconds ago"
        if is_in_trouble
        else "",
    )
