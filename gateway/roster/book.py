"""What a process remembers of a ledger without its text: the last word on each name, most of them as hashes. Pure."""

from array import array
from bisect import bisect_left
from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from gateway.roster.format import Entry


class Book(Struct):
    """What a process knows of one ledger: entries of the names that change here, and hashes of all others, sorted,
    with those of their marks.
    """

    text: str
    size: int
    entries: dict[str, Entry]
    others: "array[int]"  # a subscript that only type checkers understand in Python 3.11
    marks: "array[int]"

    @classmethod
    def of(cls, text: str, size: int, said: Mapping[str, Entry]) -> Self:
        """The book of a ledger that says this in its first `size` bytes."""
        pairs = sorted((hash(name), hash(entry.mark)) for name, entry in said.items())
        return cls(text, size, {}, array("q", (pair[0] for pair in pairs)), array("q", (pair[1] for pair in pairs)))

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
