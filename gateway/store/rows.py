"""What the catalogue hands out and takes in: frozen values, one per kind of row. Nothing here reads or writes.

Times are POSIX seconds unless a field says RFC 3339. Blobs are named by their sha256 `Digest`.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from gateway.model import ActorKind, Digest, File, OwnerMode, Scope, TokenLimits


# ── packages ─────────────────────────────────────────────────────────────────────────────────────────────────────
class PackageRow(Struct, frozen=True):
    """A name in a repository. `origin`: the upstream that owns it, or empty. `revision` rises with every change.

    changed: the generation of the last change, which no other state of any package ever has (0: before there were any).
    """

    id: int
    repository_id: int
    name: str
    owner_mode: OwnerMode
    origin: str
    is_restricted: bool
    facts: Mapping[str, Any]
    revision: int
    changed: int = 0


class Attachment(Struct, frozen=True):
    """Bytes in the hosted store that belong to a file: its metadata, signature or provenance."""

    digest: Digest
    size: int
    content_type: str


class HostedPackage(Struct, frozen=True):
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


class NewFileRow(Struct, frozen=True):
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


class Edit(Struct, frozen=True):
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


class Committed(Struct, frozen=True):
    """The outcome of a commit. `created`: whether any file is new; False when all were there with the same bytes."""

    created: bool
    revision: int


class PackageSummary(Struct, frozen=True):
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


class StagedRow(Struct, frozen=True):
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
class DocumentRow(Struct, frozen=True):
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


class DocumentsSummary(Struct, frozen=True):
    """What is kept of one upstream. `oldest`: when the least recently confirmed document was confirmed, or None."""

    upstream: str
    documents: int
    stale: int
    bytes: int
    oldest: float | None


class CachedFile(Struct, frozen=True):
    """A file of an upstream whose verified bytes are in the cache store."""

    digest: Digest
    size: int
    hashes: Mapping[str, str]
    upstream: str
    fetched_at: float


# ── who ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class ActorRow(Struct, frozen=True):
    """A user or a service. The password's hash never leaves `People.password_of`.

    needs_code: it has a second factor.
    """

    id: int
    kind: ActorKind
    name: str
    email: str | None
    has_password: bool
    is_admin: bool
    is_disabled: bool
    created_at: float
    needs_code: bool = False


class OrganisationRow(Struct, frozen=True):
    id: int
    name: str
    created_at: float


class MemberRow(Struct, frozen=True):
    """Somebody in an organisation (`role` owner or member) or in a team (`role` member)."""

    actor_id: int
    name: str
    role: str


class TeamRow(Struct, frozen=True):
    id: int
    organisation_id: int
    organisation: str
    name: str


class TokenRow(Struct, frozen=True):
    """A token without its secret; `hint` is its first characters. Empty tuples do not narrow.

    is_automation: it writes without a one-time code.
    """

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
    is_automation: bool = False

    def limits(self) -> TokenLimits:
        """What this token narrows its actor's rights to."""
        return TokenLimits(
            self.id,
            self.scopes,
            self.repositories,
            self.packages,
            self.cidrs,
            self.expires_at,
            is_automation=self.is_automation,
        )


class GrantRow(Struct, frozen=True):
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


class Rights(Struct, frozen=True):
    """What an actor has been given, before a token narrows it.

    organisations: name → role. teams: ids. grants: only those that apply to this actor, those for anonymous and
    everyone included where they do.
    """

    is_admin: bool = False
    organisations: Mapping[str, str] = field(default_factory=dict)
    teams: frozenset[int] = frozenset()
    grants: tuple[GrantRow, ...] = ()


class SessionRow(Struct, frozen=True):
    """A short-lived secret, keyed by its sha256 hex: a dashboard session, a web login, the first-start claim."""

    sha256: str
    kind: str
    actor_id: int | None
    payload: Mapping[str, Any]
    expires_at: float


# ── observation ──────────────────────────────────────────────────────────────────────────────────────────────────
class AuditEntry(Struct, frozen=True):
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


class TrafficRow(Struct, frozen=True):
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
