"""The catalogue's tables. Migrations in `gateway/store/migrations` bring a data folder to this shape.

Times are POSIX seconds (REAL) where we compare them, RFC 3339 text where we only pass them on. JSON columns hold
facts that only an adapter understands. A row is never read outside `gateway.store`.
"""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True)


# A change counter per scope (`auth`, `repositories`, `repository:<id>`, …); `value` comes from one rising sequence.
generation = Table(
    "generation",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("value", Integer, nullable=False, index=True),
)

# Small facts about this data folder: the claim, the cluster's secret, schema notes.
setting = Table("setting", metadata, Column("key", Text, primary_key=True), Column("value", JSON, nullable=False))

# ── who ──────────────────────────────────────────────────────────────────────────────────────────────────────────
actor = Table(
    "actor",
    metadata,
    _id(),
    Column("kind", Text, nullable=False),  # user | service
    Column("name", Text, nullable=False, unique=True),
    Column("email", Text),
    Column("password_hash", Text),  # argon2; null: cannot sign in with a password
    Column("is_admin", Boolean, nullable=False, default=False),
    Column("is_disabled", Boolean, nullable=False, default=False),
    Column("created_at", Float, nullable=False),
)
organisation = Table(
    "organisation",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
)
member = Table(
    "member",
    metadata,
    Column("organisation_id", ForeignKey("organisation.id", ondelete="CASCADE"), primary_key=True),
    Column("actor_id", ForeignKey("actor.id", ondelete="CASCADE"), primary_key=True),
    Column("role", Text, nullable=False),  # owner | member
)
team = Table(
    "team",
    metadata,
    _id(),
    Column("organisation_id", ForeignKey("organisation.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    UniqueConstraint("organisation_id", "name"),
)
team_member = Table(
    "team_member",
    metadata,
    Column("team_id", ForeignKey("team.id", ondelete="CASCADE"), primary_key=True),
    Column("actor_id", ForeignKey("actor.id", ondelete="CASCADE"), primary_key=True),
)
token = Table(
    "token",
    metadata,
    _id(),
    Column("sha256", Text, nullable=False, unique=True),  # the secret itself is never stored
    Column("hint", Text, nullable=False),  # first characters, to recognise it in a list
    Column("name", Text, nullable=False),
    Column("actor_id", ForeignKey("actor.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("scopes", JSON, nullable=False),
    Column("repositories", JSON, nullable=False, default=list),
    Column("packages", JSON, nullable=False, default=list),
    Column("cidrs", JSON, nullable=False, default=list),
    Column("expires_at", Float),
    Column("created_at", Float, nullable=False),
    Column("last_used_at", Float),
    Column("is_automation", Boolean, nullable=False, server_default="0"),  # publishes without a one-time code
)
# The second factor of a user (RFC 6238). A code proves nothing without its secret, so that cannot be a hash.
one_time_code = Table(
    "one_time_code",
    metadata,
    Column("actor_id", ForeignKey("actor.id", ondelete="CASCADE"), primary_key=True),
    Column("secret", Text, nullable=False),  # base32
    Column("step", Integer, nullable=False),  # of the newest code that was accepted: none up to it is again
    Column("used_by", Text, nullable=False),  # who may send that same code again while it lasts
    Column("created_at", Float, nullable=False),
)
grant = Table(
    "access_grant",
    metadata,
    _id(),
    Column("subject_kind", Text, nullable=False),  # user | service | team | anonymous | everyone (signed in)
    Column("subject_id", Integer),  # actor.id or team.id; null for anonymous and everyone
    Column("role", Text, nullable=False),  # read | write | delete | admin
    Column("repository", Text, nullable=False),  # pattern of `type/owner/name`
    Column("package", Text, nullable=False, default="*"),  # pattern of the canonical name
    Column("cidr", Text),  # only from this network
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
)
# Short-lived secrets: dashboard sessions, npm web logins, the first-start claim. Keyed by the secret's sha256.
session = Table(
    "session",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("actor_id", ForeignKey("actor.id", ondelete="CASCADE")),
    Column("payload", JSON, nullable=False),
    Column("expires_at", Float, nullable=False),
)
audit = Table(
    "audit",
    metadata,
    _id(),
    Column("at", Float, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("repository", Text, nullable=False, default=""),
    Column("package", Text, nullable=False, default=""),
    Column("detail", JSON, nullable=False),
    Column("address", Text, nullable=False, default=""),
    Column("request_id", Text, nullable=False, default=""),
)

# ── what ─────────────────────────────────────────────────────────────────────────────────────────────────────────
repository = Table(
    "repository",
    metadata,
    _id(),
    Column("type", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("visibility", Text, nullable=False),
    Column("layers", JSON, nullable=False),
    Column("reserve", JSON, nullable=False),
    Column("merge", JSON, nullable=False),
    Column("hosts", JSON, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("source", Text, nullable=False),  # config | api
    UniqueConstraint("type", "owner", "name"),
)
package = Table(
    "package",
    metadata,
    _id(),
    Column("repository_id", ForeignKey("repository.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),  # canonical
    Column("owner_mode", Text, nullable=False),
    Column("origin", Text, nullable=False, default=""),  # the upstream that owns it
    Column("is_restricted", Boolean, nullable=False, default=False),
    Column("facts", JSON, nullable=False),  # adapter's own, document-level
    Column("revision", Integer, nullable=False, default=1),  # rises with every change
    Column("created_at", Float, nullable=False),
    Column("changed", Integer, nullable=False, default=0, server_default="0"),  # generation of the last change
    UniqueConstraint("repository_id", "name"),
)
Index("ix_package_repository_id_changed", package.c.repository_id, package.c.changed)
Index("ix_package_spelling", package.c.repository_id, package.c.name.collate("NOCASE"))
file = Table(
    "file",
    metadata,
    _id(),
    Column("package_id", ForeignKey("package.id", ondelete="CASCADE"), nullable=False),
    Column("filename", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False, index=True),  # sha256 hex
    Column("size", Integer, nullable=False),
    Column("hashes", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("uploaded_at", Text, nullable=False),
    Column("uploaded_by", Text, nullable=False),
    Column("deleted_at", Float),  # a tombstone: the name is never used again
    UniqueConstraint("package_id", "filename"),
)
attachment = Table(  # bytes that belong to a hosted file: its metadata, signature, provenance
    "attachment",
    metadata,
    Column("file_id", ForeignKey("file.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("digest", Text, nullable=False, index=True),
    Column("size", Integer, nullable=False),
    Column("content_type", Text, nullable=False),
)
tag = Table(
    "tag",
    metadata,
    Column("package_id", ForeignKey("package.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Text, nullable=False),
)
staged = Table(  # a version that waits for approval
    "staged",
    metadata,
    Column("id", Text, primary_key=True),
    Column("repository_id", ForeignKey("repository.id", ondelete="CASCADE"), nullable=False),
    Column("package", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False, index=True),
    Column("size", Integer, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)

# ── images and the like: documents that are named by their digest and name others by theirs ─────────────────────────
node = Table(  # such a document of a hosted package (an image's manifest); its bytes are in the hosted store
    "node",
    metadata,
    _id(),
    Column("package_id", ForeignKey("package.id", ondelete="CASCADE"), nullable=False),
    Column("digest", Text, nullable=False),  # `algorithm:hex`, as it was pushed
    Column("sha256", Text, nullable=False, index=True),  # of the same bytes
    Column("size", Integer, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("subject", Text, nullable=False, default=""),  # the digest that it is attached to
    Column("facts", JSON, nullable=False),  # adapter's own
    Column("pushed_at", Float, nullable=False),
    Column("pushed_by", Text, nullable=False),
    Column("pulled_at", Float),
    UniqueConstraint("package_id", "digest"),
)
Index("ix_node_package_id_subject", node.c.package_id, node.c.subject)
edge = Table(  # what a node names: blobs and other nodes of the same package, there or not
    "edge",
    metadata,
    Column("node_id", ForeignKey("node.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("kind", Text, nullable=False),  # blob | node
)
Index("ix_edge_digest", edge.c.digest)
link = Table(  # a blob of the hosted store that may be read through a package
    "link",
    metadata,
    Column("package_id", ForeignKey("package.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", Text, primary_key=True),  # `algorithm:hex`, as it was pushed
    Column("sha256", Text, nullable=False, index=True),
    Column("size", Integer, nullable=False),
    Column("seen_at", Float, nullable=False),  # when a client was last told that it is here
)
pointer = Table(  # a tag of a node
    "pointer",
    metadata,
    Column("package_id", ForeignKey("package.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("moved_at", Float, nullable=False),
    Column("moved_by", Text, nullable=False),  # the actor and the token
)
Index("ix_pointer_package_id_digest", pointer.c.package_id, pointer.c.digest)

# ── the cache ────────────────────────────────────────────────────────────────────────────────────────────────────
document = Table(  # an upstream's document, kept raw in the cache store under `digest`
    "document",
    metadata,
    Column("upstream", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("status", Integer, nullable=False),  # 200, or 404 for a negative entry
    Column("digest", Text, nullable=False, default="", index=True),
    Column("size", Integer, nullable=False, default=0),
    Column("content_type", Text, nullable=False, default=""),
    Column("url", Text, nullable=False, default=""),
    Column("etag", Text, nullable=False, default=""),
    Column("last_modified", Text, nullable=False, default=""),
    Column("headers", JSON, nullable=False),
    Column("fetched_at", Float, nullable=False),  # when these bytes were last confirmed
    Column("max_age", Float, nullable=False),  # seconds
)
cached_file = Table(  # a file of an upstream whose verified bytes are in the cache store
    "cached_file",
    metadata,
    _id(),
    Column("repository_id", ForeignKey("repository.id", ondelete="CASCADE"), nullable=False),
    Column("package", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("digest", Text, nullable=False, index=True),
    Column("size", Integer, nullable=False),
    Column("upstream", Text, nullable=False),
    Column("hashes", JSON, nullable=False),
    Column("fetched_at", Float, nullable=False),
    UniqueConstraint("repository_id", "package", "filename", "digest"),
)
first_use = Table(  # what was first fetched of a file that no strong hash names; it outlives the bytes
    "first_use",
    metadata,
    Column("repository_id", ForeignKey("repository.id", ondelete="CASCADE"), primary_key=True),
    Column("package", Text, primary_key=True),
    Column("upstream", Text, primary_key=True),
    Column("filename", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("seen_at", Float, nullable=False),
)
note = Table(  # what a client said of a file that is not there (yet); it is forgotten after some minutes
    "note",
    metadata,
    Column("repository_id", ForeignKey("repository.id", ondelete="CASCADE"), primary_key=True),
    Column("package", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", JSON, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)
blob = Table(
    "blob",
    metadata,
    Column("store", Text, primary_key=True),  # hosted | cache
    Column("digest", Text, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_used_at", Float, nullable=False),
)
Index("ix_blob_store_last_used_at", blob.c.store, blob.c.last_used_at)

# ── observation ──────────────────────────────────────────────────────────────────────────────────────────────────
traffic = Table(  # sums per minute, flushed by each worker
    "traffic",
    metadata,
    Column("minute", Integer, primary_key=True),  # POSIX seconds // 60
    Column("type", Text, primary_key=True),
    Column("repository", Text, primary_key=True),
    Column("requests", Integer, nullable=False, default=0),
    Column("errors", Integer, nullable=False, default=0),
    Column("hits", Integer, nullable=False, default=0),
    Column("misses", Integer, nullable=False, default=0),
    Column("bytes_sent", Integer, nullable=False, default=0),
    Column("bytes_fetched", Integer, nullable=False, default=0),
    Column("milliseconds", Float, nullable=False, default=0),
    Column("buckets", JSON, nullable=False, default=dict),  # latency histogram: upper bound in ms → count
)
