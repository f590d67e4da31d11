"""Lists of all names of a repository that only grow: hosted names and those of upstreams, in one file that clients
follow by its tail.

What such a list says of a package changes with the package's listing, and every change is one more line at the end. The
file is a ledger that all workers share; each read first adds what the catalogue and the upstreams have changed since.
Which layer owns a name is decided as everywhere (`gateway.layers`): a name that is hosted, or reserved, has no line of
an upstream, whoever reads. What single actors may not see is left out of their copy line by line, so that it grows
just as well.
"""

import asyncio
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import structlog
from msgspec import Struct, field
from msgspec.structs import replace

from gateway.documents import Held
from gateway.errors import Blocked, FileUnknown, GatewayError, StoreTrouble, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Ask, Document
from gateway.layers import Layer, flatten, ownership
from gateway.model import Actor, Listing, OwnerMode, Page, Repository, Scope, Visibility
from gateway.permit import Permit
from gateway.pull import Rendered, finish
from gateway.services import Services
from gateway.store.ledgers import Edition, Ledger
from gateway.store.rows import PackageRow

_NO_NAME = "\0"  # what no pattern but `*` matches: whoever may read it may read every name that is not restricted
_LEAST_JOURNAL = 4 * 1024**2  # bytes of changes below which a list is not begun anew
_LONG_LIST = 1024**2  # bytes of a list from which one page of it is made at a time
_LEAST_SHARE = 0.95  # of its names that an upstream's unsigned list must keep to be believed
_ATTEMPTS = 5
_MOMENT, _LONG = 2.0, 1e9  # seconds for which an answer is right while the catalogue stands still
_TROUBLE = (UpstreamTrouble, UpstreamCorrupt, Blocked)
_log = structlog.stdlib.get_logger("roster")


class Entry(Struct, frozen=True):
    """What a list says of a package. labels: of its versions, joined as the list has them. mark: of its listing."""

    labels: str
    mark: str


class RosterFormat(Protocol):
    """How an ecosystem writes its list. Pure; raises only errors of `gateway.errors`."""

    name: str

    def ask(self) -> Ask:
        """How to ask an upstream for its list."""
        ...

    def check(self, document: Document) -> bool:
        """Raise UpstreamCorrupt for a list that is damaged; whether it is known to be whole, by a digest with it."""
        ...

    def begin(self, moment: float) -> bytes:
        """How a list begins that is made at `moment` (POSIX seconds)."""
        ...

    def read(self, body: bytes) -> dict[str, Entry]:
        """Name → what the list says last; lines that cannot be true are dropped."""
        ...

    def entry(self, listing: Listing, settings: Mapping[str, Any]) -> Entry:
        """What to say of a package with this listing."""
        ...

    def line(self, name: str, before: Entry | None, after: Entry) -> bytes:
        """The line, with its end, that turns one into the other."""
        ...

    def keep(self, body: bytes, may_see: Callable[[str], bool]) -> bytes:
        """The list without the lines of names that may not be seen."""
        ...

    def gate(self, name: str) -> str:
        """What names have in common that must not belong to different layers."""
        ...


class Book(Struct):
    """What a process knows of one ledger: entries of the names that change here, and hashes of all others, sorted,
    with those of their marks.
    """

    text: str
    size: int
    entries: dict[str, Entry]
    others: "array[int]"  # a subscript that only type checkers understand in Python 3.11
    marks: "array[int]"

    def may_have(self, name: str) -> bool:
        """Whether the ledger may have lines of a name without an entry here."""
        return self._place(name) is not None

    def mark(self, name: str) -> int | None:
        """The hash of the mark that the ledger has last of a name; None where it has no line."""
        if (entry := self.entries.get(name)) is not None:
            return hash(entry.mark)
        place = self._place(name)
        return None if place is None else self.marks[place]

    def after(self, size: int, said: Mapping[str, Entry]) -> "Book":
        """The book once it has taken in what was appended; another object, since other threads look at this one."""
        book = Book(self.text, size, dict(self.entries), self.others[:], self.marks[:])
        for name, entry in said.items():
            book.entries.pop(name, None)
            place = bisect_left(book.others, hash(name))
            if place == len(book.others) or book.others[place] != hash(name):
                book.others.insert(place, hash(name))
                book.marks.insert(place, 0)
            book.marks[place] = hash(entry.mark)
        return book

    def _place(self, name: str) -> int | None:
        wanted = hash(name)
        at = bisect_left(self.others, wanted)
        return at if at < len(self.others) and self.others[at] == wanted else None


class Promise(Struct, frozen=True):
    """What a list that somebody may have seen says of a name. since: when it came to be, POSIX seconds."""

    since: float
    _mark: int

    def is_kept_by(self, mark: str) -> bool:
        """Whether this is the mark of what is there."""
        return hash(mark) == self._mark


class _Wanted(Struct):
    """What the list should say. hosted: of hosted names that changed. upstream: of all names of upstreams, None where
    nothing changed there. is_signed: their lists came with digests. rows: every hosted name.
    """

    marks: dict[str, Any]
    hosted: dict[str, Entry] = field(default_factory=dict)
    upstream: dict[str, Entry] | None = None
    is_signed: bool = True
    rows: frozenset[str] = frozenset()


class View(Struct, frozen=True):
    """An edition as one actor sees it. `key` names its content; hides: None where nothing is left out."""

    edition: Edition
    key: tuple[object, ...]
    may_see: Callable[[str], bool] | None
    is_private: bool
    layer: str
    has_upstreams: bool

    @property
    def cache_control(self) -> tuple[str, str]:
        """How long the list may be kept without asking again."""
        return ("Cache-Control", "private, max-age=60" if self.is_private else "max-age=60")

    def body(self, format_: RosterFormat) -> bytes:
        """The bytes that the actor sees. Blocks."""
        whole = self.edition.read()
        return whole if self.may_see is None else format_.keep(whole, self.may_see)


class Roster:
    """The list of one repository's names, for one actor."""

    def __init__(self, services: Services, repository: Repository, actor: Actor, format_: RosterFormat) -> None:
        self._services = services
        self._permit = Permit(services, repository, actor)
        self._format = format_
        self._listings = services.formats[repository.key.type]
        self.repository = repository
        self.actor = actor
        self._layers: list[Layer] = []

    async def view(self) -> View:
        """The list as of now. Raises Unauthenticated, Forbidden, and UpstreamTrouble where there is none yet."""
        self._permit.require(Scope.READ)
        self._layers = [x for x in flatten(self._services, self.repository) if self._may_read(x.repository)]
        ledger = self._services.ledgers.get(self._key())
        edition = await self._synced(ledger)
        hidden = await self._hidden()
        is_uniform = all(self._permit.allows(Scope.READ, _NO_NAME, repository=r) for r in self._repositories().values())
        key: tuple[object, ...] = (self._key(), edition.text.stem, edition.size)
        may_see = None
        if hidden or not is_uniform:
            may_see = self._may_see(frozenset(hidden))
            actor, token = self.actor, None if self.actor.token is None else self.actor.token.id
            asker = (actor.kind, actor.id, actor.address, token, self._services.database.epoch("auth"))
            key = (*key, tuple(hidden), is_uniform, asker)
        is_private = self.repository.visibility is not Visibility.PUBLIC or not self.actor.is_anonymous
        layer = "+".join(dict.fromkeys(x.name for x in self._layers))
        has_upstreams = any(x.upstream is not None for x in self._layers)
        return View(edition, key, may_see, is_private, layer, has_upstreams)

    async def page(self, view: View, variant: str, render: Callable[[bytes], Rendered]) -> Page:
        """What `render` makes of the list as it is seen, memoised like any page."""
        memos = self._services.memos
        key = (*view.key, variant)
        page = memos.pages.get(key)
        if page is None:

            async def build() -> Page:
                async with memos.long_work if view.edition.size > _LONG_LIST else nullcontext():
                    return await asyncio.to_thread(lambda: finish(render(view.body(self._format)), variant))

            page = await asyncio.shield(self._services.flights.join(key, build, f"render {variant}"))
            if len(page.body) < memos.pages.maxsize // 4:
                memos.pages[key] = page
        remaining = _MOMENT if view.has_upstreams else _LONG
        return replace(page, headers=(*page.headers, view.cache_control), layer=view.layer, remaining=remaining)

    async def promise(self, name: str) -> Promise | None:
        """What the list has promised of a name by now; None where it lacks it, or was never asked for. Asks nobody."""
        self._layers = [x for x in flatten(self._services, self.repository) if self._may_read(x.repository)]
        edition = await self._current(self._services.ledgers.get(self._key()))
        if edition is None:
            return None
        known: Book | None = self._services.memos.books.get(self._key())
        is_new = known is not None and (known.text, known.size) == (edition.text.stem, edition.size)
        book = known if known is not None and is_new else await asyncio.to_thread(self._book, edition)
        mark = book.mark(name)
        return None if mark is None else Promise(edition.moment, mark)

    async def has(self, name: str) -> bool:
        """Whether the list has a line of a name, as this actor sees it."""
        view = await self.view()
        if view.may_see is not None and not view.may_see(name):
            return False
        book = await asyncio.to_thread(self._book, view.edition)
        return name in book.entries or book.may_have(name)

    async def follow(self) -> None:
        """Write down what has just changed here, if anybody ever asked for the list; never fails, and asks no upstream.

        A read would do it as well; this is for lists that say of every single change when it came.
        """
        self._layers = [x for x in flatten(self._services, self.repository) if self._may_read(x.repository)]
        ledger = self._services.ledgers.get(self._key())
        try:
            edition = await asyncio.to_thread(ledger.current)
            if edition is None:
                return
            held = dict(edition.marks["upstreams"])
            if edition.marks != self._marks(held):
                key = ("roster", self._key())
                work = self._services.flights.join(key, lambda: self._sync(ledger, held), "list of names")
                await asyncio.shield(work)
        except (GatewayError, OSError) as error:
            _log.warning(
                "a change is not on the list of names yet", repository=str(self.repository.key), why=str(error)
            )

    # ── who sees what ────────────────────────────────────────────────────────────────────────────────────────────
    def _may_read(self, repository: Repository) -> bool:
        return self._permit.allows(Scope.READ, repository=repository)

    def _may_see(self, hidden: frozenset[str]) -> Callable[[str], bool]:
        permit, members = self._permit, tuple(self._repositories().values())

        def may_see(name: str) -> bool:
            return name not in hidden and any(permit.allows(Scope.READ, name, repository=r) for r in members)

        return may_see

    async def _hidden(self) -> list[str]:
        """Restricted names that the actor may not read, sorted."""
        found: set[str] = set()
        for repository in self._repositories().values():
            for name in await self._restricted(repository.id):
                if not self._permit.allows(Scope.READ, name, is_restricted=True, repository=repository):
                    found.add(name)
        return sorted(found)

    async def _restricted(self, repository_id: int) -> list[str]:
        key = ("restricted", repository_id, self._services.database.epoch(f"repository:{repository_id}"))
        found = self._services.memos.rights.get(key)
        if found is None:
            found = self._services.memos.rights[key] = await self._services.packages.restricted(repository_id)
        assert isinstance(found, list)
        return found

    def _repositories(self) -> dict[int, Repository]:
        return {x.repository.id: x.repository for x in self._layers} | {self.repository.id: self.repository}

    def _key(self) -> str:
        seen = ",".join(f"{x.repository.id}:{x.name}" for x in self._layers)
        return f"{self.repository.id} {self._format.name} {seen}"

    # ── keeping up ───────────────────────────────────────────────────────────────────────────────────────────────
    async def _synced(self, ledger: Ledger) -> Edition:
        edition = await self._current(ledger)
        held, trouble = await self._held(edition)
        if edition is not None and edition.marks == self._marks(held):
            return edition
        if edition is None and trouble is not None:
            raise trouble
        key = ("roster", self._key())
        return await asyncio.shield(self._services.flights.join(key, lambda: self._sync(ledger, held), "list of names"))

    async def _current(self, ledger: Ledger) -> Edition | None:
        known = ledger.known()
        return known if known is not None else await asyncio.to_thread(ledger.current)

    async def _held(self, edition: Edition | None) -> tuple[dict[str, Held | str], Exception | None]:
        """Upstream → its list as held, or the digest that was used last where the upstream is in trouble."""
        found: dict[str, Held | str] = {}
        trouble = None
        for layer in self._layers:
            upstream = layer.upstream
            if upstream is None or upstream.name in found:
                continue
            try:
                held = await self._services.documents.get(upstream, self._format.ask(), self._check)
                if held is not None:
                    found[upstream.name] = held
            except _TROUBLE as error:
                trouble = error
                used = edition.marks.get("upstreams", {}).get(upstream.name) if edition is not None else None
                if used is not None:
                    found[upstream.name] = used
        return found, trouble

    def _check(self, document: Document) -> Listing:
        self._format.check(document)
        return Listing("", ())

    def _marks(self, held: Mapping[str, Held | str]) -> dict[str, Any]:
        """What a list was made of: generations of repositories, the configuration, digests of upstreams' lists."""
        database = self._services.database
        return {
            "config": database.epoch("repositories"),
            "since": {str(i): database.epoch(f"repository:{i}") for i in sorted(self._within())},
            "upstreams": {name: value if isinstance(value, str) else _digest(value) for name, value in held.items()},
        }

    def _within(self) -> dict[int, Repository]:
        """All repositories of the group, seen or not: what is hosted in any of them is no upstream's."""
        layers = flatten(self._services, self.repository)
        return {x.repository.id: x.repository for x in layers} | {self.repository.id: self.repository}

    async def _sync(self, ledger: Ledger, held: Mapping[str, Held | str]) -> Edition:
        """Look at what has changed, and write it down unless another worker knows something newer."""
        for _ in range(_ATTEMPTS):
            edition = await self._current(ledger)
            marks = self._marks(held)
            if edition is not None and edition.marks == marks:
                return edition
            wanted = await self._wanted(edition, marks, held)
            if wanted is not None and (written := await asyncio.to_thread(self._write, ledger, edition, wanted)):
                return written
        raise StoreTrouble("the list of names changes too fast: try again", retry_after=1.0)

    async def _wanted(
        self, edition: Edition | None, marks: dict[str, Any], held: Mapping[str, Held | str]
    ) -> _Wanted | None:
        before = edition.marks if edition is not None else {}
        since = before.get("since", {})
        is_whole = before.get("config") != marks["config"] or before.get("upstreams") != marks["upstreams"]
        wanted = _Wanted(marks)
        merged: dict[str, None] = {}
        for repository_id, repository in self._within().items():
            for row in await self._services.packages.changed(repository_id, since.get(str(repository_id), 0)):
                if repository.is_merged(row.name):
                    merged[row.name] = None
                elif row.owner_mode is OwnerMode.HOSTED:
                    wanted.hosted[row.name] = await self._hosted(row)
        if is_whole:
            upstream = await self._upstream(held, wanted)
            if upstream is None:
                return None
            merged |= dict.fromkeys(name for name in upstream if self.repository.is_merged(name))
            wanted.upstream = upstream
            wanted.rows = frozenset(await self._hosted_names())
        for name in merged:
            if (entry := await self._merged(name)) is not None:
                wanted.hosted[name] = entry
        return wanted

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

    async def _merged(self, name: str) -> Entry | None:
        """What to say of a name whose versions are shown together; None while its upstream is in trouble."""
        owned = ownership(self._services, self.repository, name)
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
            except (*_TROUBLE, FileUnknown):
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
    async def _upstream(self, held: Mapping[str, Held | str], wanted: _Wanted) -> dict[str, Entry] | None:
        """What upstreams' lists say of the names that are theirs; None where a list is gone that was used last."""
        lists: dict[str, dict[str, Entry]] = {}
        for name, value in held.items():
            if isinstance(value, str):
                _log.warning("the list of names is kept as it was", upstream=name)
                return await self._as_before()
            try:
                document = await self._services.documents.load(value)
            except FileUnknown:
                await self._services.documents.forget(value)
                return None
            wanted.is_signed &= self._format.check(document)
            lists[name] = await asyncio.to_thread(self._format.read, document.body)
        claimed, origins = await self._claims()
        return await asyncio.to_thread(self._owned, lists, claimed, origins)

    async def _as_before(self) -> dict[str, Entry] | None:
        """While an upstream is in trouble: what the ledger says of every name that is not hosted."""
        ledger = self._services.ledgers.get(self._key())
        edition = await self._current(ledger)
        if edition is None:
            return None
        claimed, _ = await self._claims()
        said = await asyncio.to_thread(lambda: self._format.read(edition.read()))
        return {name: entry for name, entry in said.items() if not self._is_claimed(name, claimed)}

    async def _claims(self) -> tuple[set[str], dict[str, str]]:
        """Gates of names that are hosted in any member; and names that were served from an upstream, with which."""
        claimed: set[str] = set()
        origins: dict[str, str] = {}
        for repository_id in self._within():
            for row in await self._services.packages.changed(repository_id, 0):
                if row.owner_mode is OwnerMode.HOSTED:
                    claimed.add(self._format.gate(row.name))
                elif row.origin:
                    origins.setdefault(row.name, row.origin)
        return claimed, origins

    def _is_claimed(self, name: str, claimed: set[str]) -> bool:
        gate = self._format.gate(name)
        return gate in claimed or any(r.is_reserved(name) or r.is_reserved(gate) for r in self._within().values())

    def _owned(
        self, lists: dict[str, dict[str, Entry]], claimed: set[str], origins: Mapping[str, str]
    ) -> dict[str, Entry]:
        """The first list that has a name is believed, or that of its owner. Blocks."""
        found: dict[str, Entry] = {}
        strangers = set(origins.values()) - set(lists)
        reserving = [r for r in self._within().values() if r.reserve]
        for upstream, entries in lists.items():
            for name, entry in entries.items():
                gate = self._format.gate(name)
                if gate in claimed or (name in found and origins.get(name) != upstream):
                    continue
                if origins.get(name, upstream) not in {upstream, *strangers}:
                    continue
                if not self._services.upstreams[upstream].admits(name):
                    continue
                if any(r.is_reserved(name) or r.is_reserved(gate) for r in reserving):
                    continue
                found[name] = entry
        return found

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _write(self, ledger: Ledger, seen: Edition | None, wanted: _Wanted) -> Edition | None:
        """Append what differs, or begin anew; None where another worker was faster. Blocks."""
        with ledger.writing():
            edition = ledger.current()
            if (edition is None) != (seen is None) or (
                edition is not None and seen is not None and edition.marks != seen.marks
            ):
                return None
            if edition is None:
                return self._begin(ledger, wanted, {})
            if wanted.upstream is None:
                return self._append(ledger, edition, wanted.hosted, wanted.marks)
            return self._append_all(ledger, edition, wanted)

    def _begin(self, ledger: Ledger, wanted: _Wanted, known: Mapping[str, Entry]) -> Edition:
        """A new ledger, one line for each name that has any version. Blocks."""
        hosted = {name: entry for name, entry in known.items() if name in wanted.rows}
        return self._begin_with(ledger, {**(wanted.upstream or {}), **hosted, **wanted.hosted}, wanted.marks)

    def _begin_with(self, ledger: Ledger, entries: Mapping[str, Entry], marks: dict[str, Any]) -> Edition:
        lines = [self._format.line(name, None, entries[name]) for name in sorted(entries) if entries[name].labels]
        self._services.memos.books.pop(self._key(), None)
        return ledger.begin(b"".join([self._format.begin(time.time()), *lines]), marks)

    def _append_all(self, ledger: Ledger, edition: Edition, wanted: _Wanted) -> Edition:
        """After the upstreams' lists or the configuration changed: compare every name. Blocks."""
        assert wanted.upstream is not None
        known = self._format.read(edition.read())
        foreign = {name: entry for name, entry in known.items() if name not in wanted.rows}
        if not wanted.is_signed and len(wanted.upstream) < len(foreign) * _LEAST_SHARE:
            _log.warning("an upstream's list of names lost too many: it is kept as it was", names=len(foreign))
            wanted.upstream = foreign
        everything = {**wanted.upstream, **wanted.hosted}
        is_gone = any(name not in everything for name in foreign)
        lines = [
            self._format.line(name, known.get(name), entry)
            for name, entry in everything.items()
            if known.get(name) != entry and (name in known or entry.labels)
        ]
        if is_gone or _is_overgrown(edition, lines):
            return self._begin(ledger, wanted, known)
        return ledger.append(b"".join(lines), wanted.marks)

    def _append(self, ledger: Ledger, edition: Edition, changed: Mapping[str, Entry], marks: dict[str, Any]) -> Edition:
        """After hosted names changed: one line for each. Blocks; costs nothing that grows with the ledger, but for the
        one step that makes an overgrown one anew.
        """
        book = self._book(edition)
        lines = []
        for name, entry in changed.items():
            before = book.entries.get(name)
            if before is None and book.may_have(name):
                before = self._format.read(edition.read()).get(name)
            if before != entry and (before is not None or entry.labels):
                lines.append(self._format.line(name, before, entry))
            book.entries[name] = entry
        if _is_overgrown(edition, lines):
            return self._begin_with(ledger, {**self._format.read(edition.read()), **changed}, marks)
        written = ledger.append(b"".join(lines), marks)
        book.size = written.size
        return written

    def _book(self, edition: Edition) -> Book:
        """What this process knows of the ledger, up to this edition. Blocks."""
        book = self._services.memos.books.get(self._key())
        if book is None or book.text != edition.text.stem or book.size > edition.size:
            said = self._format.read(edition.read())
            pairs = sorted((hash(name), hash(entry.mark)) for name, entry in said.items())
            others, marks = array("q", (pair[0] for pair in pairs)), array("q", (pair[1] for pair in pairs))
            book = Book(edition.text.stem, edition.size, {}, others, marks)
        elif book.size < edition.size:
            book = book.after(edition.size, self._format.read(self._format.begin(0.0) + edition.read(book.size)))
        self._services.memos.books[self._key()] = book
        return book


def _is_overgrown(edition: Edition, lines: Sequence[bytes]) -> bool:
    """Whether these lines would make a list too much longer than it began."""
    journal = edition.size - edition.base + sum(map(len, lines))
    return journal > _LEAST_JOURNAL and journal > edition.base // 10


def _digest(held: Held) -> str:
    return "" if held.row.digest is None else held.row.digest.hex
