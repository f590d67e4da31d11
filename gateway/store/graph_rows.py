"""What the graph of a package consists of: nodes, links and pointers, as frozen values. Times are POSIX seconds.

A *node* is a document that is named by its digest and names blobs and other nodes by theirs (an image's manifest). A
*link* lets a blob be read through a package; a *pointer* is a tag of a node.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from gateway.model import Digest


class LinkRow(Struct, frozen=True):
    """A blob that may be read through a package. digest: as it was pushed; sha256: the name of its bytes."""

    digest: str
    sha256: Digest
    size: int
    seen_at: float = 0.0


class NodeRow(Struct, frozen=True):
    """A node. subject: digest of the node that it is attached to, or empty. facts: the adapter's own."""

    digest: str
    sha256: Digest
    size: int
    media_type: str
    subject: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    pushed_at: float = 0.0
    pushed_by: str = ""
    pulled_at: float | None = None


class PointerRow(Struct, frozen=True):
    """A tag. moved_by: the actor, and the token it used."""

    name: str
    digest: str
    moved_at: float
    moved_by: str


class NewNode(Struct, frozen=True):
    """A node to publish, whose bytes are already in the hosted store.

    blobs, nodes: digests that must be there: blobs as links, nodes as nodes or as links. loose: digests that it names
    but that need not be there. tags: pointers to set on it.
    """

    row: NodeRow
    blobs: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class Move(Struct, frozen=True):
    """A tag that is about to leave the node it points to. named: everything that the new node names."""

    pointer: PointerRow
    old: NodeRow
    new: NodeRow
    named: frozenset[str]
    at: float


class Letting(Struct, frozen=True):
    """What a retention rule lets go of one package: tags by name, nodes by digest."""

    package: str
    tags: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


class Snapshot(Struct, frozen=True):
    """The whole graph of one package. edges: digest of a node → digests that it names."""

    package: str
    nodes: Mapping[str, NodeRow]
    edges: Mapping[str, frozenset[str]]
    pointers: tuple[PointerRow, ...]
