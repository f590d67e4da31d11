"""The list of a repository's names for one actor: read, and brought up to date first."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext

import structlog
from msgspec import Struct
from msgspec.structs import replace

from gateway.documents import Held
from gateway.errors import GatewayError, StoreTrouble
from gateway.format import Document
from gateway.model import Actor, Listing, Page, Repository, Visibility
from gateway.rendered import Rendered, finish
from gateway.roster.book import Book, Promise
from gateway.roster.contents import TROUBLE, Contents, Lists
from gateway.roster.format import RosterFormat
from gateway.roster.sight import Sight
from gateway.roster.writing import Writing
from gateway.services import Services
from gateway.store.ledgers import Edition

_LONG_LIST = 1024**2  # bytes of a list from which one page of it is made at a time
_ATTEMPTS = 5
_MOMENT, _LONG = 2.0, 1e9  # seconds for which an answer is right while the catalogue stands still
_log = structlog.stdlib.get_logger("roster")


class View(Struct, frozen=True):
    """An edition as one actor sees it. `key` names its content; may_see: None where nothing is left out."""

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
    """The list of one repository's names, for one actor, as of now."""

    def __init__(self, services: Services, repository: Repository, actor: Actor, format_: RosterFormat) -> None:
        self._services = services
        self._repository = repository
        self._actor = actor
        self._format = format_
        self._sight = sight = Sight(services, repository, actor)
        self._contents = Contents(services, repository, sight.layers, format_)
        self._key = f"{repository.id} {format_.name} {sight.key}"
        self._ledger = services.ledgers.get(self._key)
        self._writing = Writing(self._ledger, format_, services.memos.books, self._key)

    async def view(self) -> View:
        """The list as of now. Raises Unauthenticated, Forbidden, and UpstreamTrouble where there is none yet."""
        self._sight.require()
        edition = await self._synced()
        may_see, seen = await self._sight.filter()
        key = (self._key, edition.text.stem, edition.size, *seen)
        is_private = self._repository.visibility is not Visibility.PUBLIC or not self._actor.is_anonymous
        layer = "+".join(dict.fromkeys(x.name for x in self._sight.layers))
        has_upstreams = any(x.upstream is not None for x in self._sight.layers)
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
        edition = await self._current()
        if edition is None:
            return None
        known: Book | None = self._services.memos.books.get(self._key)
        is_new = known is not None and (known.text, known.size) == (edition.text.stem, edition.size)
        book = known if known is not None and is_new else await asyncio.to_thread(self._writing.book, edition)
        mark = book.mark(name)
        return None if mark is None else Promise(edition.moment, mark)

    async def has(self, name: str) -> bool:
        """Whether the list has a line of a name, as this actor sees it."""
        view = await self.view()
        if view.may_see is not None and not view.may_see(name):
            return False
        book = await asyncio.to_thread(self._writing.book, view.edition)
        return name in book.entries or book.may_have(name)

    async def follow(self) -> None:
        """Write down what has just changed here, if anybody ever asked for the list; never fails, and asks no upstream.

        A read would do it as well; this is for lists that say of every single change when it came.
        """
        try:
            edition = await asyncio.to_thread(self._ledger.current)
            if edition is None:
                return
            held = dict(edition.marks["upstreams"])
            if edition.marks != self._contents.marks(held):
                await self._sync(held)
        except (GatewayError, OSError) as error:
            _log.warning(
                "a change is not on the list of names yet", repository=str(self._repository.key), why=str(error)
            )

    # ── keeping up ───────────────────────────────────────────────────────────────────────────────────────────────
    async def _synced(self) -> Edition:
        edition = await self._current()
        held, trouble = await self._held(edition)
        if edition is not None and edition.marks == self._contents.marks(held):
            return edition
        if edition is None and trouble is not None:
            raise trouble
        return await self._sync(held)

    async def _current(self) -> Edition | None:
        known = self._ledger.known()
        return known if known is not None else await asyncio.to_thread(self._ledger.current)

    async def _held(self, edition: Edition | None) -> tuple[Lists, Exception | None]:
        """The lists of upstreams, and the last trouble that one of them is in."""
        found: dict[str, Held | str] = {}
        trouble = None
        for layer in self._sight.layers:
            upstream = layer.upstream
            if upstream is None or upstream.name in found:
                continue
            try:
                held = await self._services.documents.get(upstream, self._format.ask(), self._check)
                if held is not None:
                    found[upstream.name] = held
            except TROUBLE as error:
                trouble = error
                used = edition.marks.get("upstreams", {}).get(upstream.name) if edition is not None else None
                if used is not None:
                    found[upstream.name] = used
        return found, trouble

    def _check(self, document: Document) -> Listing:
        self._format.check(document)
        return Listing("", ())

    async def _sync(self, held: Lists) -> Edition:
        """The list brought up to date, once for all who wait for it."""
        key = ("roster", self._key)
        return await asyncio.shield(self._services.flights.join(key, lambda: self._write(held), "list of names"))

    async def _write(self, held: Lists) -> Edition:
        """Look at what has changed, and write it down unless another worker knows something newer."""
        for _ in range(_ATTEMPTS):
            edition = await self._current()
            marks = self._contents.marks(held)
            if edition is not None and edition.marks == marks:
                return edition
            wanted = await self._contents.wanted(edition, marks, held)
            if wanted is not None and (written := await asyncio.to_thread(self._writing.write, edition, wanted)):
                return written
        raise StoreTrouble("the list of names changes too fast: try again", retry_after=1.0)
