"""What a list of names should say by now: the names that are hosted, those of upstreams, and the merged ones."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from msgspec import Struct, field

from gateway.documents import Held
from gateway.errors import Blocked, FileUnknown, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Document
from gateway.layers import Layer, members, ownership
from gateway.model import Listing, OwnerMode, Repository
from gateway.roster.claims import Claims, read_claims
from gateway.roster.format import Entry, RosterFormat
from gateway.services import Services
from gateway.store.ledgers import Edition
from gateway.store.rows import PackageRow

TROUBLE = (UpstreamTrouble, UpstreamCorrupt, Blocked)
_log = structlog.stdlib.get_logger("roster")

Lists = Mapping[str, Held | str]
"""Upstream → its list as held, or the digest of the one that was used last where the upstream is in trouble."""


class Wanted(Struct):
    """What the list should say. hosted: of hosted names that changed. upstream: of all names of upstreams, None where
    nothing changed there. is_signed: their lists came with digests. rows: every hosted name.
    """

    marks: dict[str, Any]
    hosted: dict[str, Entry] = field(default_factory=dict)
    upstream: dict[str, Entry] | None = None
    is_signed: bool = True
    rows: frozenset[str] = frozenset()


class Contents:
    """The names of a repository, as those see them who see these layers."""

    def __init__(
        self, services: Services, repository: Repository, layers: Sequence[Layer], format_: RosterFormat
    ) -> None:
        self._services = services
        self._repository = repository
        self._layers = layers
        self._format = format_
        self._listings = services.formats[repository.key.type]

    def marks(self, held: Lists) -> dict[str, Any]:
        """What a list is made of: generations of repositories, the configuration, digests of upstreams' lists."""
        database = self._services.database
        return {
            "config": database.epoch("repositories"),
            "since": {str(i): database.epoch(f"repository:{i}") for i in sorted(self._within())},
            "upstreams": {name: value if isinstance(value, str) else _digest(value) for name, value in held.items()},
        }

    async def wanted(self, edition: Edition | None, marks: dict[str, Any], held: Lists) -> Wanted | None:
        """What has changed since an edition; None where an upstream's list is gone that was there a moment ago."""
        before = edition.marks if edition is not None else {}
        since = before.get("since", {})
        is_whole = before.get("config") != marks["config"] or before.get("upstreams") != marks["upstreams"]
        wanted = Wanted(marks)
        merged: dict[str, None] = {}
        for repository_id, repository in self._within().items():
            for row in await self._services.packages.changed(repository_id, since.get(str(repository_id), 0)):
                if repository.is_merged(row.name):
                    merged[row.name] = None
                elif row.owner_mode is OwnerMode.HOSTED:
                    wanted.hosted[row.name] = await self._hosted(row)
        if is_whole:
            upstream = await self._upstream(edition, held, wanted)
            if upstream is None:
                return None
            merged |= dict.fromkeys(name for name in upstream if self._repository.is_merged(name))
            wanted.upstream = upstream
            wanted.rows = frozenset(await self._hosted_names())
        for name in merged:
            if (entry := await self._merged(name)) is not None:
                wanted.hosted[name] = entry
        return wanted

    def _within(self) -> dict[int, Repository]:
        """All repositories of the group, seen or not: what is hosted in any of them is no upstream's."""
        return members(self._services, self._repository)

    # ── hosted ───────────────────────────────────────────────────────────────────────────────────────────────────
    async def _hosted_names(self) -> set[str]:
        found: set[str] = set()
        for repository_id in self._within():
            found |= set(await self._services.packages.names(repository_id, OwnerMode.HOSTED))
        return found

    async def _hosted(self, row: PackageRow) -> Entry:
        """What to say of a hosted name: of the first layer that has it, as a read of it would."""
        for layer in self._layers:
            if layer.upstream is None and (listing := await self._hosted_listing(layer, row.name)) is not None:
                return self._format.entry(listing, layer.repository.settings)
        return self._format.entry(Listing(row.name, ()), {})

    async def _hosted_listing(self, layer: Layer, name: str) -> Listing | None:
        hosted = await self._services.packages.hosted(layer.repository.id, name)
        if hosted is None or not (hosted.files or hosted.tombstones):
            return None
        return Listing(name, hosted.files, hosted.row.facts)

    # ── merged ───────────────────────────────────────────────────────────────────────────────────────────────────
    async def _merged(self, name: str) -> Entry | None:
        """What to say of a name whose versions are shown together; None while its upstream is in trouble."""
        owned = ownership(self._services, self._repository, name)
        listings: list[Listing] = []
        settings: Mapping[str, Any] = {}
        for layer in (x for x in owned.hosted() if x in self._layers):
            if (listing := await self._hosted_listing(layer, name)) is not None:
                listings.append(listing)
                settings = layer.repository.settings
                break
        for layer in (x for x in owned.upstreams() if x in self._layers):
            try:
                found = await self._upstream_listing(layer, name)
            except (*TROUBLE, FileUnknown):
                return None
            if found is not None:
                listings.append(found)
                break
        if not listings:
            return None
        listing = listings[0] if len(listings) == 1 else self._listings.merge(*listings)
        return self._format.entry(listing, settings)

    async def _upstream_listing(self, layer: Layer, name: str) -> Listing | None:
        upstream = layer.upstream
        assert upstream is not None

        def parse(document: Document) -> Listing:
            return self._listings.parse_listing(name, document, upstream.name, upstream.hosts)

        held = await self._services.documents.get(upstream, self._listings.ask_listing(name), parse)
        return None if held is None else await self._services.documents.read(held, parse)

    # ── upstreams ────────────────────────────────────────────────────────────────────────────────────────────────
    async def _upstream(self, edition: Edition | None, held: Lists, wanted: Wanted) -> dict[str, Entry] | None:
        """What upstreams' lists say of the names that are theirs; None where a list is gone that was used last.

        While an upstream is in trouble: what the ledger says of every name that is not hosted.
        """
        lists: dict[str, dict[str, Entry]] = {}
        for name, value in held.items():
            if isinstance(value, str):
                _log.warning("the list of names is kept as it was", upstream=name)
                return None if edition is None else await self._as_before(edition)
            try:
                document = await self._services.documents.load(value)
            except FileUnknown:
                await self._services.documents.forget(value)
                return None
            wanted.is_signed &= self._format.check(document)
            lists[name] = await asyncio.to_thread(self._format.read, document.body)
        claims = await self._claims()
        return await asyncio.to_thread(claims.owned, lists)

    async def _as_before(self, edition: Edition) -> dict[str, Entry]:
        claims = await self._claims()
        return await asyncio.to_thread(lambda: claims.foreign(self._format.read(edition.read())))

    async def _claims(self) -> Claims:
        return await read_claims(self._services, self._within().values(), self._format)


def _digest(held: Held) -> str:
    return "" if held.row.digest is None else held.row.digest.hex
