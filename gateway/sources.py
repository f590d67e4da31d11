"""Where the listing of a package comes from: what is published here, or a document of an upstream."""

from msgspec import Struct

from gateway.layers import Layer, Ownership
from gateway.listings import HeldListing
from gateway.model import HOSTED_LAYER, Listing
from gateway.store.rows import HostedPackage


class Source(Struct, frozen=True):
    """Where a listing comes from: hosted rows as of a revision, or a held document.

    revision: of the package's row beside a held document, which rises with what we learn of its files; a row that has
    just been made says no more than none.
    """

    layer: Layer
    hosted: HostedPackage | None = None
    held: HeldListing | None = None
    revision: int = 1

    @property
    def identity(self) -> tuple[object, ...]:
        if self.hosted is not None:
            row = self.hosted.row  # a name that was given back begins again at revision 1
            return (HOSTED_LAYER, self.layer.repository.id, row.revision, row.changed)
        assert self.held is not None
        return (*self.held.identity, self.layer.repository.id, self.revision)


def held_source(owned: Ownership, layer: Layer, held: HeldListing) -> Source:
    row = owned.rows.get(layer.repository.id)
    return Source(layer, held=held, revision=1 if row is None else row.revision)


def hosted_listing(package: str, hosted: HostedPackage) -> Listing:
    facts = {**hosted.row.facts, "tags": hosted.tags, "revision": hosted.row.revision}
    return Listing(package, hosted.files, facts)
