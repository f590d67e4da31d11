"""The half of an adapter that never awaits: what the core asks of an ecosystem's names and documents."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from msgspec import Struct, field

from gateway.errors import GatewayError
from gateway.model import Digest, File, Listing


class Proof(Struct, frozen=True):
    """Where an upstream says which hash a document has.

    said_in: reads the hashes (by algorithm) that the document's own headers promise. path: of the sidecar for where
    they promise none; read: the hash of that algorithm in its body, None for none.
    """

    algorithm: str
    path: str
    said_in: Callable[[Mapping[str, str]], Mapping[str, str]]
    read: Callable[[str, bytes], str | None]


class Ask(Struct, frozen=True):
    """A document to ask an upstream for: `path` below its base URL (already percent-encoded), and `accept`.

    scope: under what to keep the token of a token service, should the upstream send us there.
    digest: what the body must have as its digest (`algorithm:hex`); such a document never changes.
    digest_header: of a HEAD's answer, the header with the digest of a document that may change; it is asked for first,
    and where it is new, the document at `at_digest` (with `{digest}` in it). outlives: seconds for which a document
    that the upstream no longer has is served all the same. grows: what was there stays, so that the rest is enough.
    max_age: seconds for which an answer is fresh, whatever the upstream or its configuration says; None: they decide.
    proof: what the document is compared with before it is believed.
    """

    path: str
    accept: str = "*/*"
    scope: str = ""
    digest: str = ""
    digest_header: str = ""
    at_digest: str = ""
    outlives: float = 0.0
    grows: bool = False
    max_age: float | None = None
    proof: Proof | None = None


class Document(Struct, frozen=True):
    """A document as an upstream sent it. `url` is the final one, after redirects; relative links resolve against it."""

    body: bytes
    content_type: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


class ErrorBody(Struct, frozen=True):
    """An error in the ecosystem's own words. `reason` becomes the HTTP/1.1 reason phrase where clients print it."""

    body: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()
    reason: str | None = None
    status: int | None = None


@runtime_checkable
class GraphFormat(Protocol):
    """What the core asks of an ecosystem whose packages are graphs of documents that are named by their digest."""

    def ask_node(self, package: str, reference: str, outlives: float) -> Ask:
        """How to ask an upstream for a node by tag or digest; outlives: see Ask."""
        ...

    def ask_attached(self, package: str, digest: str) -> tuple[Ask, ...]:
        """How to ask for what is attached to a node: one way after another, until one is not absent."""
        ...

    def ask_tags(self, package: str, link: str) -> Ask | None:
        """How to ask for the first page of a package's tags, or for the one that a `Link` header names next."""
        ...

    def parse_tags(self, document: Document) -> tuple[str, ...]:
        """The tags on a page; raises UpstreamCorrupt."""
        ...

    def ask_blob(self, package: str, digest: str) -> Ask:
        """Where an upstream keeps a blob."""
        ...

    def attached_to(self, tag: str) -> str | None:
        """The digest of the node that a tag belongs to by its name alone; None for a tag of its own."""
        ...


class Format(Protocol):
    """Names and documents of one ecosystem. Every method is pure and raises only errors of `gateway.errors`."""

    def normalize(self, package: str) -> str:
        """The canonical name, used for the ownership gate, the store and upstreams alike; raises Invalid."""
        ...

    def ask_listing(self, package: str) -> Ask:
        """How to ask an upstream for everything it has of one package."""
        ...

    def parse_listing(self, package: str, document: Document, origin: str, hosts: frozenset[str]) -> Listing:
        """Read an upstream's document; drop entries that cannot be true. Raises UpstreamCorrupt if it is none.

        `origin` goes into every File. `hosts` are the host names (`host` or `host:port`) that file URLs may name.
        """
        ...

    def merge(self, hosted: Listing, upstream: Listing) -> Listing:
        """Both together: hosted wins a tie, one origin per version."""
        ...

    def render_error(self, error: GatewayError, accept: str) -> ErrorBody:
        """The error in the words and form that the ecosystem's clients print."""
        ...

    def sidecar_url(self, file: File, kind: str) -> str | None:
        """Where an upstream keeps a sidecar (`metadata`, `asc`, …) of a file, or None."""
        ...


class Setting(Struct, frozen=True):
    """What one key takes. kind: bool, int, str, list for texts, or dict for numbers (0 or more) by text.

    choices: the texts that a str may be, if not any.
    """

    kind: type
    choices: tuple[str, ...] = ()

    def expects(self) -> str:
        """In words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return _EXPECTED[self.kind]

    def takes(self, value: Any) -> bool:
        """Whether a value from YAML or JSON will do."""
        if self.kind is list:
            return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
        if self.kind is dict:
            return isinstance(value, Mapping) and all(isinstance(k, str) and _is_amount(v) for k, v in value.items())
        if self.kind is int and isinstance(value, bool):
            return False
        return isinstance(value, self.kind) and (not self.choices or value in self.choices)


_EXPECTED = {
    bool: "true or false",
    int: "a whole number",
    str: "a text",
    list: "a list of texts",
    dict: "numbers, 0 or more, by text",
}


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e12


@runtime_checkable
class Adjustable(Protocol):
    """A format whose repositories can be set up in ways of their own; what a `Format` may be besides."""

    settings: ClassVar[Mapping[str, Setting]]


@runtime_checkable
class Located(Protocol):
    """A format whose upstreams say in a directory where all other documents are; what a `Format` may be besides."""

    def ask_directory(self) -> Ask:
        """How to ask for the directory."""
        ...

    def parse_directory(self, document: Document) -> Listing:
        """A listing of nothing, whose facts say where things are; raises UpstreamCorrupt."""
        ...

    def locate(self, package: str, directory: Listing) -> Ask:
        """How to ask this upstream for everything it has of one package, instead of `ask_listing`."""
        ...


@runtime_checkable
class Gated(Protocol):
    """A format in which names may differ that must not belong to different layers, as by case alone."""

    def gate(self, package: str) -> str:
        """The name that all of them have in common; it is taken where one of them is hosted."""
        ...


@runtime_checkable
class Paged(Protocol):
    """A format whose listings may be spread over several documents, each of which `parse_listing` reads."""

    def ask_rest(self, listing: Listing) -> tuple[Ask, ...]:
        """The documents that the leading one names; none where it is whole."""
        ...

    def join(self, listing: Listing, rest: Sequence[Listing]) -> Listing:
        """The leading document and the others as one listing."""
        ...


@runtime_checkable
class Promising(Protocol):
    """A format whose upstreams promise the hashes of a file in a document of its own."""

    def ask_promise(self, file: File) -> Ask | None:
        """How to ask for it; None where the listing promised them already, or nobody does."""
        ...

    def read_promise(self, file: File, document: Document | None) -> File:
        """The file with what the document promises (None: there is no such document); raises UpstreamCorrupt."""
        ...


@runtime_checkable
class Deriving(Protocol):
    """A format in which what belongs beside a file also lies within it, for upstreams that do not offer it there."""

    def derives(self, file: File) -> str:
        """The kind of sidecar that our own copy of an upstream's file has; empty for none, or where it is offered."""
        ...

    def derive(self, package: str, filename: str, path: Path) -> bytes:
        """That sidecar, out of the file at `path`; raises Invalid for what cannot be read. Blocks."""
        ...

    def with_derived(self, file: File, digest: Digest) -> File:
        """The file as we list it, once we have that sidecar."""
        ...


@runtime_checkable
class Abandoning(Protocol):
    """A format in which files are published one by one, so that a version may be left unfinished for good."""

    def abandoned(self, package: str, files: Sequence[File], now: float) -> Sequence[str]:
        """The names of those hosted files that nobody will finish by now (POSIX seconds)."""
        ...
