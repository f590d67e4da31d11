"""What the catalogue hands out and takes in: frozen values, one per kind of row. Nothing here reads or writes.

Times are POSIX seconds unless a field says RFC 3339. Blobs are named by their sha256 `Digest`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.model import ActorKind, Digest, File, OwnerMode, Scope, TokenLimits


# ── packages ─────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class PackageRow:
    """A name in a repository. `origin`: the upstream that owns it, or empty. `revision` rises with every change."""

    id: int
    repository_id: int
    name: str
    owner_mode: OwnerMode
    origin: str
    is_restricted: bool
    facts: Mapping[str, Any]
    revision: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """Bytes in the hosted store that belong to a file: its metadata, signature or provenance."""

    digest: Digest
    size: int
    content_type: str


@dataclass(frozen=True, slots=True)
class HostedPackage:
    """Everything published under one name, in the order of publishing.

    files: the live ones. attachments: filename → kind → attachment. tombstones: names of deleted files, never to be
    used again. tombstone_versions: versions that had files once and have none now.
    """

    row: PackageRow
    files: tuple[File, ...]
    tags: Mapping[str, str]
    attachments: Mapping[str, Mapping[str, Attachment]]
    tombstones: frozenset[str]
    tombstone_versions: frozenset[str]

    def find(self, filename: str) -> File | None:
        """The live file of that name, or None."""
        return next((file for file in self.files if file.filename == filename), None)


@dataclass(frozen=True, slots=True)
class NewFileRow:
    """A file whose bytes are already in the hosted store. `uploaded_at` is RFC 3339; hashes are lower-case hex.

    is_movable: other bytes may take its place under the same name, even once it was deleted.
    """

    filename: str
    version: str
    digest: Digest
    size: int
    hashes: Mapping[str, str]
    facts: Mapping[str, Any]
    uploaded_at: str
    attachments: Mapping[str, Attachment] = field(default_factory=dict)
    is_movable: bool = False


@dataclass(frozen=True, slots=True)
class Edit:
    """Changes to a hosted package, done together or not at all.

    facts: the new document-level facts, or None to keep them. tags: tag → version, None deletes the tag.
    file_facts: filename → its new facts. delete_files: filenames that become tombstones.
    delete_package: every file becomes a tombstone, tags and facts go, the name stays hosted. forget_files: filenames
    that go without a tombstone, where one is there.
    """

    facts: Mapping[str, Any] | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)
    file_facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    delete_files: tuple[str, ...] = ()
    delete_package: bool = False
    forget_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Committed:
    """The outcome of a commit. `created`: whether any file is new; False when all were there with the same bytes."""

    created: bool
    revision: int


@dataclass(frozen=True, slots=True)
class PackageSummary:
    """One line of a list of packages.

    versions: that are hosted. files, bytes: of live hosted and of cached files. latest_upload: RFC 3339 or None.
    """

    name: str
    owner_mode: OwnerMode
    origin: str
    is_restricted: bool
    versions: int
    files: int
    bytes: int
    latest_upload: str | None


@dataclass(frozen=True, slots=True)
class StagedRow:
    """A version that waits for approval; its bytes are in the hosted store."""

    id: str
    repository_id: int
    package: str
    version: str
    digest: Digest
    size: int
    facts: Mapping[str, Any]
    actor: str
    created_at: float


# ── the cache ────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class DocumentRow:
    """An upstream's document. `digest` names its raw bytes in the cache store; None for a negative entry.

    status: 200, or 404/410 for a negative entry. fetched_at: when these bytes were last confirmed. max_age: seconds.
    """

    upstream: str
    key: str
    status: int
    digest: Digest | None
    size: int
    content_type: str
    url: str
    etag: str
    last_modified: str
    headers: Mapping[str, str]
    fetched_at: float
    max_age: float


@dataclass(frozen=True, slots=True)
class DocumentsSummary:
    """What is kept of one upstream. `oldest`: when the least recently confirmed document was confirmed, or None."""

    upstream: str
    documents: int
    negatives: int
    stale: int
    bytes: int
    oldest: float | None


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file of an upstream whose verified bytes are in the cache store."""

    digest: Digest
    size: int
    hashes: Mapping[str, str]
    upstream: str
    fetched_at: float


# ── who ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class ActorRow:
    """A user or a service. The password's hash never leaves `People.password_of`."""

    id: int
    kind: ActorKind
    name: str
    email: str | None
    has_password: bool
    is_admin: bool
    is_disabled: bool
    created_at: float


@dataclass(frozen=True, slots=True)
class OrganisationRow:
    id: int
    name: str
    created_at: float


@dataclass(frozen=True, slots=True)
class MemberRow:
    """Somebody in an organisation (`role` owner or member) or in a team (`role` member)."""

    actor_id: int
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class TeamRow:
    id: int
    organisation_id: int
    organisation: str
    name: str


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token without its secret; `hint` is its first characters. Empty tuples do not narrow."""

    id: int
    actor_id: int
    name: str
    hint: str
    scopes: frozenset[Scope]
    repositories: tuple[str, ...]
    packages: tuple[str, ...]
    cidrs: tuple[str, ...]
    expires_at: float | None
    created_at: float
    last_used_at: float | None

    def limits(self) -> TokenLimits:
        """What this token narrows its actor's rights to."""
        return TokenLimits(self.id, self.scopes, self.repositories, self.packages, self.cidrs, self.expires_at)


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A role given on patterns of `type/owner/name` and of the canonical package name.

    subject_kind: user, service, team, anonymous (everybody) or everyone (signed in). subject_id: of the actor or team.
    role: read, write, delete or admin. cidr: only from this network, or None.
    """

    id: int
    subject_kind: str
    subject_id: int | None
    role: str
    repository: str
    package: str = "*"
    cidr: str | None = None


@dataclass(frozen=True, slots=True)
class Rights:
    """What an actor has been given, before a token narrows it.

    organisations: name → role. teams: ids. grants: only those that apply to this actor, those for anonymous and
    everyone included where they do.
    """

    is_admin: bool = False
    organisations: Mapping[str, str] = field(default_factory=dict)
    teams: frozenset[int] = frozenset()
    grants: tuple[GrantRow, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A short-lived secret, keyed by its sha256 hex: a dashboard session, a web login, the first-start claim."""

    sha256: str
    kind: str
    actor_id: int | None
    payload: Mapping[str, Any]
    expires_at: float


# ── observation ──────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, where, from which address. `id` is 0 until it is written."""

    at: float
    actor: str
    action: str
    repository: str = ""
    package: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    address: str = ""
    request_id: str = ""
    id: int = 0


@dataclass(frozen=True, slots=True)
class TrafficRow:
    """Sums over one minute (POSIX seconds // 60). `buckets`: upper bound in milliseconds → requests."""

    minute: int
    type: str
    repository: str
    requests: int = 0
    errors: int = 0
    hits: int = 0
    misses: int = 0
    bytes_sent: int = 0
    bytes_fetched: int = 0
    milliseconds: float = 0.0
    buckets: Mapping[str, int] = field(default_factory=dict)
