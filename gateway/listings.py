"""What an upstream offers of one package, however many documents it takes to know it.

Most ecosystems have one document for a package. Some say in a directory where their documents are, some spread a long
listing over several, and some keep the hashes of a file elsewhere; each of these documents is fetched, kept and
revalidated by `gateway.documents` like any other, and here they become one listing.
"""

import asyncio
from collections.abc import Callable
from functools import cache

from msgspec import Struct

from gateway.documents import Documents, Held, Parse
from gateway.errors import FileUnknown, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Ask, Document, Format, Located, Paged, Promising
from gateway.model import File, Listing
from gateway.upstream.registry import Upstream

_MOST_PARTS = 1000
_AT_ONCE = 8
_WORST_FIRST = ("trouble", "stale", "miss", "revalidated", "fresh")


class HeldListing(Struct, frozen=True):
    """The documents of one package, in order: the one that leads, then those that it names."""

    parts: tuple[Held, ...]
    asks: tuple[Ask, ...]

    @property
    def upstream(self) -> Upstream:
        """Who offers it."""
        return self.parts[0].upstream

    @property
    def identity(self) -> tuple[object, ...]:
        """Differs whenever the content may."""
        return (self.upstream.name, *(held.row.digest for held in self.parts))

    @property
    def size(self) -> int:
        """Bytes of all documents."""
        return sum(held.row.size for held in self.parts)

    @property
    def fetched_at(self) -> float:
        """When the least recently confirmed one was confirmed, POSIX seconds."""
        return min(held.row.fetched_at for held in self.parts)

    @property
    def freshness(self) -> str:
        """That of the worst document."""
        return min((held.freshness for held in self.parts), key=_WORST_FIRST.index)

    @property
    def remaining(self) -> float:
        """Seconds for which all of them stay fresh."""
        return min(held.remaining for held in self.parts)


async def hold(
    documents: Documents, format_: Format, upstream: Upstream, package: str, since: float = 0.0
) -> HeldListing | None:
    """All documents of a canonical name, None where the upstream says there is no such package.

    since: the one that leads must have been confirmed then or later (POSIX seconds), unless the upstream is in trouble.
    Raises Blocked, UpstreamTrouble or UpstreamCorrupt when one of them cannot be had, fresh or stale.
    """
    parse = _parser(format_, upstream, package)
    ask = await _ask(documents, format_, upstream, package)
    head = await documents.get(upstream, ask, parse, since)
    if head is None:
        return None
    if not _is_paged(type(format_)) or not isinstance(format_, Paged):
        return HeldListing((head,), (ask,))
    rest = format_.ask_rest(await _read(documents, head, ask, parse))
    if len(rest) > _MOST_PARTS:
        raise UpstreamCorrupt(f"{upstream.name} spreads {package} over more than {_MOST_PARTS} documents")
    gate = asyncio.Semaphore(_AT_ONCE)

    async def part(ask: Ask) -> Held:
        async with gate:
            held = await documents.get(upstream, ask, parse)
        if held is None:
            raise UpstreamTrouble(f"{upstream.name} lacks a part of its listing of {package}")
        return held

    return HeldListing((head, *await asyncio.gather(*map(part, rest))), (ask, *rest))


async def proven(
    documents: Documents, format_: Format, upstream: Upstream, package: str, is_right: Callable[[bytes], bool]
) -> HeldListing | None:
    """The one document of a canonical name that we hold, however old, if `is_right` says so of its bytes."""
    ask = format_.ask_listing(upstream.named(package))
    held = documents.kept(upstream, ask)
    try:
        is_proven = held is not None and is_right((await documents.load(held)).body)
    except FileUnknown:  # evicted, or spoilt on our disk
        return None
    return HeldListing((held,), (ask,)) if held is not None and is_proven else None


async def read(documents: Documents, format_: Format, held: HeldListing, package: str) -> Listing:
    """The listing that these documents make; raises UpstreamTrouble, UpstreamCorrupt or Blocked."""
    parse = _parser(format_, held.upstream, package)
    listings = [await _read(documents, one, ask, parse) for one, ask in zip(held.parts, held.asks, strict=True)]
    if len(listings) == 1 or not isinstance(format_, Paged):
        return listings[0]
    return format_.join(listings[0], listings[1:])


async def directory(documents: Documents, format_: Format, upstream: Upstream) -> Listing | None:
    """What the upstream says of where its documents are; None in an ecosystem that has no such thing."""
    if not _is_located(type(format_)) or not isinstance(format_, Located):
        return None
    ask, parse = format_.ask_directory(), format_.parse_directory
    held = await documents.get(upstream, ask, parse)
    if held is None:
        raise UpstreamTrouble(f"{upstream.name} has no {ask.path}: is its address right?", upstream=upstream.name)
    return await _read(documents, held, ask, parse)


async def promised(documents: Documents, format_: Format, upstream: Upstream, file: File) -> File:
    """The file with every hash that the upstream promises of it, wherever it does; raises as `hold`."""
    if not isinstance(format_, Promising) or (ask := format_.ask_promise(file)) is None:
        return file
    return format_.read_promise(file, await document(documents, upstream, ask))


async def document(documents: Documents, upstream: Upstream, ask: Ask) -> Document | None:
    """One document as it came, fetched again where our cache lost it; None where the upstream says it is absent."""
    held = await documents.get(upstream, ask)
    if held is None:
        return None
    try:
        return await documents.load(held)
    except FileUnknown:  # evicted, or spoilt on our disk
        await documents.forget(held)
    held = await documents.get(upstream, ask)
    return None if held is None else await documents.load(held)


async def parsed(documents: Documents, upstream: Upstream, ask: Ask, parse: Parse) -> Listing | None:
    """One document as `parse` reads it; None where the upstream says it is absent."""
    held = await documents.get(upstream, ask, parse)
    return None if held is None else await _read(documents, held, ask, parse)


async def _ask(documents: Documents, format_: Format, upstream: Upstream, package: str) -> Ask:
    found = await directory(documents, format_, upstream)
    if found is None or not isinstance(format_, Located):
        return format_.ask_listing(upstream.named(package))
    return format_.locate(package, found)


async def _read(documents: Documents, held: Held, ask: Ask, parse: Parse) -> Listing:
    try:
        return await documents.read(held, parse)
    except FileUnknown:  # evicted, or spoilt on our disk
        await documents.forget(held)
    again = await documents.get(held.upstream, ask, parse)
    if again is None:
        raise UpstreamTrouble(f"{held.upstream.name} took back a document that we are reading", retry_after=1.0)
    return await documents.read(again, parse)


def _parser(format_: Format, upstream: Upstream, package: str) -> Parse:
    return lambda document: format_.parse_listing(package, document, upstream.name, upstream.hosts)


@cache
def _is_located(kind: type) -> bool:
    """Whether formats of this class have a directory; `isinstance` with a protocol is too slow for every request."""
    return issubclass(kind, Located)


@cache
def _is_paged(kind: type) -> bool:
    return issubclass(kind, Paged)
