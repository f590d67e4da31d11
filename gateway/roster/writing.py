"""From what a ledger says to what it should say: the lines between the two, appended, or a ledger begun anew.

Everything here blocks, for as long as the step takes that is named with it.
"""

import time
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import structlog

from gateway.roster.book import Book
from gateway.roster.contents import Wanted
from gateway.roster.format import Entry, RosterFormat
from gateway.store.ledgers import Edition, Ledger

_LEAST_JOURNAL = 4 * 1024**2  # bytes of changes below which a list is not begun anew
_LEAST_SHARE = 0.95  # of its names that an upstream's unsigned list must keep to be believed
_log = structlog.stdlib.get_logger("roster")


class Writing:
    """The ledger of one list. books: what this process remembers of ledgers, this one's below `key`."""

    def __init__(self, ledger: Ledger, format_: RosterFormat, books: MutableMapping[str, Any], key: str) -> None:
        self._ledger = ledger
        self._format = format_
        self._books = books
        self._key = key

    def write(self, seen: Edition | None, wanted: Wanted) -> Edition | None:
        """Append what differs, or begin anew; None where another worker was faster."""
        with self._ledger.writing():
            edition = self._ledger.current()
            if (edition is None) != (seen is None) or (
                edition is not None and seen is not None and edition.marks != seen.marks
            ):
                return None
            if edition is None:
                return self._begin(wanted, {})
            if wanted.upstream is None:
                return self._append(edition, wanted.hosted, wanted.marks)
            return self._append_all(edition, wanted)

    def book(self, edition: Edition) -> Book:
        """What this process knows of the ledger, up to this edition."""
        book: Book | None = self._books.get(self._key)
        if book is None or book.text != edition.text.stem or book.size > edition.size:
            book = Book.of(edition.text.stem, edition.size, self._format.read(edition.read()))
        elif book.size < edition.size:
            book = book.after(edition.size, self._format.read(self._format.begin(0.0) + edition.read(book.size)))
        self._books[self._key] = book
        return book

    def _begin(self, wanted: Wanted, known: Mapping[str, Entry]) -> Edition:
        """A new ledger, one line for each name that has any version."""
        hosted = {name: entry for name, entry in known.items() if name in wanted.rows}
        return self._begin_with({**(wanted.upstream or {}), **hosted, **wanted.hosted}, wanted.marks)

    def _begin_with(self, entries: Mapping[str, Entry], marks: dict[str, Any]) -> Edition:
        lines = [self._format.line(name, None, entries[name]) for name in sorted(entries) if entries[name].labels]
        self._books.pop(self._key, None)
        return self._ledger.begin(b"".join([self._format.begin(time.time()), *lines]), marks)

    def _append_all(self, edition: Edition, wanted: Wanted) -> Edition:
        """After the upstreams' lists or the configuration changed: compare every name."""
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
            return self._begin(wanted, known)
        return self._ledger.append(b"".join(lines), wanted.marks)

    def _append(self, edition: Edition, changed: Mapping[str, Entry], marks: dict[str, Any]) -> Edition:
        """After hosted names changed: one line for each. Costs nothing that grows with the ledger, but for the one step
        that makes an overgrown one anew.
        """
        book = self.book(edition)
        lines = []
        for name, entry in changed.items():
            before = book.entries.get(name)
            if before is None and book.may_have(name):
                before = self._format.read(edition.read()).get(name)
            if before != entry and (before is not None or entry.labels):
                lines.append(self._format.line(name, before, entry))
            book.entries[name] = entry
        if _is_overgrown(edition, lines):
            return self._begin_with({**self._format.read(edition.read()), **changed}, marks)
        written = self._ledger.append(b"".join(lines), marks)
        book.size = written.size
        return written


def _is_overgrown(edition: Edition, lines: Sequence[bytes]) -> bool:
    """Whether these lines would make a list too much longer than it began."""
    journal = edition.size - edition.base + sum(map(len, lines))
    return journal > _LEAST_JOURNAL and journal > edition.base // 10
