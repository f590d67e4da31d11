"""How an ecosystem writes its list of names, and what the list says of one."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from gateway.format import Ask, Document
from gateway.model import Listing


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
