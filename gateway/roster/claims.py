"""Of which names an upstream's list is believed: of none that is hosted or reserved anywhere in the group, of none that
belongs to another upstream, and of none that it may not be asked for.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from gateway.model import OwnerMode, Repository
from gateway.roster.format import Entry, RosterFormat
from gateway.services import Services
from gateway.upstream.registry import Upstream

_Said = dict[str, Entry]


class Claims(Struct, frozen=True):
    """Who owns the names of a group, as of now.

    reserving: repositories of the group with reserved patterns, seen or not. hosted: gates of names that are hosted in
    any repository of it. origins: names that were served from an upstream, with which.
    """

    reserving: Sequence[Repository]
    hosted: frozenset[str]
    origins: Mapping[str, str]
    upstreams: Mapping[str, Upstream]
    format: RosterFormat

    def foreign(self, said: _Said) -> _Said:
        """What a list says of names that are not ours. Blocks."""
        return {name: entry for name, entry in said.items() if not self._is_ours(name)}

    def owned(self, lists: Mapping[str, _Said]) -> _Said:
        """The first list that has a name is believed, or that of its owner. Blocks."""
        found: _Said = {}
        strangers = set(self.origins.values()) - set(lists)
        for upstream, entries in lists.items():
            for name, entry in entries.items():
                if name in found and self.origins.get(name) != upstream:
                    continue
                if self.origins.get(name, upstream) not in {upstream, *strangers}:
                    continue
                if self.upstreams[upstream].admits(name) and not self._is_ours(name):
                    found[name] = entry
        return found

    def _is_ours(self, name: str) -> bool:
        gate = self.format.gate(name)
        return gate in self.hosted or any(r.is_reserved(name) or r.is_reserved(gate) for r in self.reserving)


async def read_claims(services: Services, members: Iterable[Repository], format_: RosterFormat) -> Claims:
    """Look up who owns what in a group of repositories."""
    hosted: set[str] = set()
    origins: dict[str, str] = {}
    for repository in members:
        for row in await services.packages.changed(repository.id, 0):
            if row.owner_mode is OwnerMode.HOSTED:
                hosted.add(format_.gate(row.name))
            elif row.origin:
                origins.setdefault(row.name, row.origin)
    reserving = tuple(repository for repository in members if repository.reserve)
    return Claims(reserving, frozenset(hosted), origins, services.upstreams, format_)
