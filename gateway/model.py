"""The nouns of package registries, as frozen values. Nothing here does I/O.

Words are those of the field: a *repository* is one `(type, owner, name)`; a *package* has *versions*, each with
*files*; a file's bytes are a *blob*, named by its *digest*; a *listing* is all files that a repository offers for one
package.
"""

import hashlib
import re
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from fnmatch import fnmatchcase
from typing import Any, Self

from msgspec import Struct, field

from gateway.errors import DigestMismatch, Invalid

_HEX_LENGTHS = {"md5": 32, "sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128, "blake2b_256": 64}
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


class Digest(Struct, frozen=True):
    """`algorithm:hex` (OCI image-spec, descriptor.md#digests). A blob's only name is its sha256 digest."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `algorithm:hex`; raises Invalid on an unknown algorithm, a wrong length or upper-case hex."""
        algorithm, _, value = text.partition(":")
        if len(value) != _HEX_LENGTHS.get(algorithm, -1) or re.fullmatch(r"[0-9a-f]+", value) is None:
            raise Invalid(f"not a digest: {text[:80]!r}")
        return cls(algorithm, value)

    @classmethod
    def sha256(cls, value: str) -> Self:
        """The digest with this hex; raises Invalid unless it is 64 lower-case hex digits."""
        return cls.parse(f"sha256:{value}")

    @classmethod
    def of(cls, body: bytes) -> Self:
        """The sha256 digest of a small body."""
        return cls("sha256", hashlib.sha256(body).hexdigest())

    def require(self, expected: "Digest") -> None:
        """Raise DigestMismatch unless this is the expected digest."""
        if self != expected:
            raise DigestMismatch(f"expected {expected}, got {self}")

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def is_hash(algorithm: str, value: str) -> bool:
    """Whether `value` is lower-case hex of exactly the algorithm's length; False for algorithms we do not know."""
    return len(value) == _HEX_LENGTHS.get(algorithm, -1) and re.fullmatch(r"[0-9a-f]+", value) is not None


class Scope(StrEnum):
    """What a token or a grant allows. Delete is never implied by write."""

    READ = "read:packages"
    WRITE = "write:packages"
    DELETE = "delete:packages"
    ADMIN = "admin"


class Visibility(StrEnum):
    """Who may read a repository without a grant: everybody, every signed-in actor, nobody."""

    PUBLIC = "public"
    INTERNAL = "internal"
    PRIVATE = "private"


class OwnerMode(StrEnum):
    """Which layer owns a package's name. MERGED exists only where configured for that name."""

    HOSTED = "hosted"
    UPSTREAM = "upstream"
    MERGED = "merged"


class RepositoryKey(Struct, frozen=True):
    """`type/owner/name`, the address of one repository."""

    type: str
    owner: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `type/owner/name`; raises Invalid."""
        parts = text.split("/")
        if len(parts) != 3:
            raise Invalid(f"expected type/owner/repository, got {text[:80]!r}")
        return cls.checked(*parts)

    @classmethod
    def checked(cls, type_: str, owner: str, name: str) -> Self:
        """The key of these parts; raises Invalid unless owner and name are plain path segments."""
        for part in (owner, name):
            if not _SEGMENT.match(part):
                raise Invalid(f"not a name for an owner or repository: {part[:80]!r}")
        return cls(type_, owner, name)

    def __str__(self) -> str:
        return f"{self.type}/{self.owner}/{self.name}"


HOSTED_LAYER = "hosted"


class Repository(Struct, frozen=True):
    """One repository as configured.

    layers: in order; `hosted`, `owner/name` of a member repository of the same type, or the name of an upstream.
    reserve: package patterns that are hosted before their first publish. merge: patterns whose owner mode is merged.
    hosts: extra host names (or `host:port`) that serve this repository from their root.
    settings: the adapter's own options, such as `strict`.
    """

    id: int
    key: RepositoryKey
    layers: tuple[str, ...] = (HOSTED_LAYER,)
    visibility: Visibility = Visibility.PRIVATE
    reserve: tuple[str, ...] = ()
    merge: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def is_reserved(self, package: str) -> bool:
        """Whether the canonical name is hosted here before its first publish."""
        return any(matches(pattern, package) for pattern in self.reserve)

    def is_merged(self, package: str) -> bool:
        """Whether hosted and upstream versions of this name are shown together."""
        return any(matches(pattern, package) for pattern in self.merge)


def matches(pattern: str, package: str) -> bool:
    """Whether a canonical package name matches a pattern; `*` matches anything.

    `prefix.**` also matches the prefix itself, alone or qualifying a name: `com.acme.**` has `com.acme:tool`.
    """
    if pattern.endswith((".**", "/**")) and package.partition(":")[0] == pattern[:-3]:
        return True
    return fnmatchcase(package, pattern)


class File(Struct, frozen=True):
    """One file of a package's version, as a listing offers it.

    hashes: algorithm → lower-case hex, as promised by whoever listed it. size: bytes, None when unknown.
    uploaded_at: RFC 3339 with `Z`, passed through unchanged from an upstream; None when unknown.
    url: where an upstream serves it; None for a hosted file. origin: `hosted` or the name of the upstream.
    facts: what only the adapter understands (JSON-compatible for hosted files).
    """

    filename: str
    version: str
    hashes: Mapping[str, str]
    size: int | None = None
    uploaded_at: str | None = None
    url: str | None = None
    origin: str = HOSTED_LAYER
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str | None:
        """The hex that names the blob, or None while only weaker hashes are known."""
        return self.hashes.get("sha256")


class Listing(Struct, frozen=True):
    """All files that a repository offers for one package. `facts` is document-level and the adapter's own."""

    package: str
    files: tuple[File, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def find(self, filename: str) -> File | None:
        """The file of that name, or None."""
        return next((file for file in self.files if file.filename == filename), None)


class Page(Struct, frozen=True):
    """A rendered document, ready to be sent: the same bytes for everyone for whom the same content is visible.

    etag: with its quotes (and `W/` where weak). gzip: the compressed body, None where it does not pay.
    headers: more response headers. layer and freshness say who answered, for the log and `entrepot explain`.
    remaining: seconds for which the same bytes may be sent again without asking anything but the catalogue's epochs.
    is_ranged: clients may ask for a part of the uncompressed body.
    """

    body: bytes
    content_type: str
    etag: str
    gzip: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    layer: str = HOSTED_LAYER
    freshness: str = "fresh"
    remaining: float = 0.0
    is_ranged: bool = False


class ActorKind(StrEnum):
    """Who asks."""

    USER = "user"
    SERVICE = "service"
    ANONYMOUS = "anonymous"


class Asked(Struct, frozen=True):
    """What a pass was asked for: scopes on one package, or READ on the list of names of all for two empty names."""

    repository: str
    package: str
    scopes: frozenset[Scope]


class TokenLimits(Struct, frozen=True):
    """What a token narrows its actor's rights to. Empty tuples mean: no narrowing of that kind.

    scopes: allowed scopes. repositories: `type/owner/name` patterns. packages: canonical-name patterns.
    cidrs: client networks. expires_at: POSIX seconds or None. asked: what a pass was asked for; None for a real token.
    is_automation: it writes without a one-time code.
    """

    id: int
    scopes: frozenset[Scope]
    repositories: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    cidrs: tuple[str, ...] = ()
    expires_at: float | None = None
    asked: tuple[Asked, ...] | None = None
    is_automation: bool = False


class Assurance(IntEnum):
    """How well somebody with a second factor has proved to be themselves, for this request. Each has what is below it.

    NONE: may read. WRITES: may publish and delete (an automation token, or a code that came before). SESSION: may
    administer and make tokens (signed in with a code). CODE: a code came with this very request. UNASKED: there is no
    second factor.
    """

    NONE = 0
    WRITES = 1
    SESSION = 2
    CODE = 3
    UNASKED = 4


class Actor(Struct, frozen=True):
    """Who asks, with what token, from where. `address` is the client's after trusted proxies."""

    kind: ActorKind
    id: int
    name: str
    is_admin: bool = False
    token: TokenLimits | None = None
    address: str = ""
    assurance: Assurance = Assurance.UNASKED

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody signed in."""
        return self.kind is ActorKind.ANONYMOUS
