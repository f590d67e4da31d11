"""Writing packages: the use case behind every upload, delete, yank and tag.

The order is always the same: may this actor, does the name belong here, keep the bytes durably, then write the rows in
one transaction, then audit. A client is told of success only after all of it, so nothing that it heard of is lost.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from msgspec import Struct, field

from gateway import listings
from gateway.auth.access import require_proof
from gateway.errors import AlreadyExists, Blocked, Conflict, Forbidden, NameTaken, UpstreamCorrupt, UpstreamTrouble
from gateway.layers import ownership
from gateway.model import HOSTED_LAYER, Actor, Digest, OwnerMode, Repository, Scope
from gateway.opened import OpenFile, warm_file
from gateway.permit import Permit
from gateway.services import Services
from gateway.store.blobs import OpenBlob, Upload
from gateway.store.rows import (
    Attachment,
    AuditEntry,
    Committed,
    Edit,
    HostedPackage,
    NewFileRow,
    StagedRow,
)

T = TypeVar("T")

_ATTEMPTS = 20


class NewFile(Struct, frozen=True):
    """A file to publish. `upload` is finished but not yet kept; `attachments`: kind → (bytes, content type).

    hashes: algorithm → hex of everything that the adapter's documents promise, sha256 among them.
    uploaded_at: RFC 3339 with `Z`. is_movable: other bytes may take its place under the same name, even once deleted.
    """

    filename: str
    version: str
    upload: Upload
    hashes: Mapping[str, str]
    uploaded_at: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    attachments: Mapping[str, tuple[bytes, str]] = field(default_factory=dict)
    is_movable: bool = False


async def settle(change: Callable[[], Awaitable[T]]) -> T:
    """Do what compares with what is hosted, again where somebody else changed that meanwhile (Conflict, not a refusal).

    Several versions of a package may so be changed at once, as builds do, and none of their clients hears of it.
    """
    for _ in range(_ATTEMPTS):
        try:
            return await change()
        except AlreadyExists:
            raise
        except Conflict:
            continue
    raise Conflict("this package is being changed too often at once: try again", retry_after=1.0)


class Publish:
    """Writes of one actor in one repository."""

    __slots__ = ("_format", "_permit", "_services", "actor", "repository", "request_id")

    def __init__(self, services: Services, repository: Repository, actor: Actor, request_id: str = "") -> None:
        self._services = services
        self._permit = Permit(services, repository, actor)
        self._format = services.formats[repository.key.type]
        self.repository = repository
        self.actor = actor
        self.request_id = request_id

    def require(self, scope: Scope, package: str | None = None) -> None:
        """Raise Unauthenticated or Forbidden unless the actor has `scope` on the canonical name."""
        row = self._services.packages.get(self.repository.id, package) if package is not None else None
        self._permit.require(scope, package, is_restricted=row is not None and row.is_restricted)

    def require_writer(self) -> None:
        """Refuse who can publish nothing at all, before anything of a body is read that only then names a package."""
        token = self.actor.token
        if self.actor.is_anonymous:
            self.require(Scope.WRITE)
        if token is not None and token.scopes.isdisjoint({Scope.WRITE, Scope.ADMIN}):
            raise Forbidden(f"this token has no {Scope.WRITE}")
        require_proof(self.actor, Scope.WRITE)

    async def begin(self, package: str, *, refuse_known_upstream: bool = False) -> HostedPackage | None:
        """Check that the actor may publish this name here, and return what is hosted of it already.

        Raises NameTaken for a name that an upstream owns, until an admin claims it; with `refuse_known_upstream` also
        for the first publish of an unreserved name that an upstream knows.
        """
        self.require(Scope.WRITE, package)
        if HOSTED_LAYER not in self.repository.layers:
            raise Forbidden(f"{self.repository.key} has no hosted layer to publish into")
        owned = ownership(self._services, self.repository, package)
        row = owned.rows.get(self.repository.id)
        if row is not None and row.owner_mode is not OwnerMode.UPSTREAM:
            return await self._services.packages.hosted(self.repository.id, package)
        if owned.mode is OwnerMode.MERGED or self.repository.is_reserved(package):
            return await self._services.packages.hosted(self.repository.id, package)
        if owned.mode is OwnerMode.UPSTREAM and owned.origin:
            raise NameTaken(
                f"{package} is served from {owned.origin}; an admin must claim the name before it is published"
            )
        if refuse_known_upstream and (known := await self._known_upstream(package)):
            raise NameTaken(f"{package} exists on {known}; an admin must claim the name before it is published")
        return None

    def upload(self, algorithms: tuple[str, ...] = ("sha256",)) -> AbstractAsyncContextManager[Upload]:
        """A temporary file in the hosted store, hashed while it is written and bounded by `max_upload_size`."""
        return self._services.hosted.upload(self._services.config.server.max_upload_size, algorithms)

    async def commit(
        self,
        package: str,
        files: Sequence[NewFile],
        *,
        facts: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        expected_revision: int | None = None,
        defaults: Mapping[str, Any] | None = None,
        refuses_twins: bool = False,
    ) -> Committed:
        """Keep the bytes, then publish the files in one transaction.

        defaults: document-level facts that the package gets where it has no such.
        Raises AlreadyExists for a name with other bytes, NameRetired for one that was deleted, NameTaken;
        Conflict where the package has another revision than the expected one (0: nothing is hosted), and with
        `refuses_twins` where the name or a version differs from a published one by case alone.
        """
        self.require(Scope.WRITE, package)
        rows = [await self._keep(file) for file in files]
        committed = await self._services.packages.commit(
            self.repository.id,
            package,
            rows,
            facts=facts,
            tags=tags,
            actor=self.actor.name,
            is_merged=self.repository.is_merged(package),
            is_stored=lambda digest: self._services.hosted.has(digest) is not None,
            expected_revision=expected_revision,
            defaults=defaults,
            refuses_twins=refuses_twins,
        )
        await self.note("publish", package, files=[file.filename for file in files], created=committed.created)
        return committed

    async def commit_all(
        self,
        batches: Mapping[str, tuple[Sequence[NewFile], Mapping[str, Any] | None]],
        *,
        expected: Mapping[str, int] | None = None,
        rivals: Collection[tuple[str, str]] = (),
        refuses_twins: bool = False,
    ) -> None:
        """Publish files of several packages (with their facts, or None) together or not at all; raises as `commit`.

        expected: package → revision. rivals: (package, filename) that nobody may have published here, whoever may read
        it and in whatever case; AlreadyExists otherwise.
        """
        for package in batches:
            self.require(Scope.WRITE, package)
        rows = {name: ([await self._keep(file) for file in files], facts) for name, (files, facts) in batches.items()}
        await self._services.packages.commit_all(
            self.repository.id,
            rows,
            actor=self.actor.name,
            is_merged=self.repository.is_merged,
            is_stored=lambda digest: self._services.hosted.has(digest) is not None,
            expected=expected,
            rivals=rivals,
            refuses_twins=refuses_twins,
        )
        for package, (files, _) in batches.items():
            if files:
                await self.note("publish", package, files=[file.filename for file in files], created=True)

    async def edit(
        self, package: str, edit: Edit, *, expected_revision: int | None = None, scope: Scope = Scope.WRITE
    ) -> int:
        """Change a hosted package in one transaction; deletions always need the delete scope. Returns the revision."""
        deletes = bool(edit.delete_files) or edit.delete_package
        self.require(Scope.DELETE if deletes else scope, package)
        revision = await self._services.packages.edit(self.repository.id, package, edit, expected_revision)
        await self.note("delete" if deletes else "edit", package, files=list(edit.delete_files), revision=revision)
        return revision

    async def expire(self, package: str, filenames: Sequence[str]) -> None:
        """Remove files that have had their time by the repository's own rule, without a tombstone; for writers."""
        self.require(Scope.WRITE, package)
        await self._services.packages.edit(self.repository.id, package, Edit(forget_files=tuple(filenames)))
        await self.note("expire", package, files=list(filenames))

    async def twins(self, package: str) -> list[str]:
        """Hosted names of this repository that differ from a canonical name by case alone."""
        self.require(Scope.WRITE, package)
        return await self._services.packages.twins(self.repository.id, package)

    async def hosted(self, package: str) -> HostedPackage | None:
        """What is hosted here of a canonical name, with tombstones, revision and tags; needs the read scope."""
        self.require(Scope.READ, package)
        return await self._services.packages.hosted(self.repository.id, package)

    def is_restricted(self, package: str) -> bool:
        """Whether only explicit grants count for the canonical name."""
        row = self._services.packages.get(self.repository.id, package)
        return row is not None and row.is_restricted

    async def restrict(self, package: str, *, is_restricted: bool) -> None:
        """Let only explicit grants count for a hosted name, published or not, or the repository's again; for admins.

        Raises NameTaken for a name that an upstream owns.
        """
        self.require(Scope.ADMIN, package)
        await self.begin(package)
        await self._services.packages.set_restricted(
            self.repository.id, package, is_restricted, owner_mode=OwnerMode.HOSTED
        )
        await self.note("restrict", package, is_restricted=is_restricted)

    async def stage(self, row: StagedRow) -> None:
        """Keep a version for approval; its bytes must have been kept with `keep`."""
        await self._services.packages.stage_put(row)
        await self.note("stage", row.package, version=row.version)

    async def staged(self) -> list[StagedRow]:
        """What waits for approval in this repository, of packages that the actor may write."""
        rows = await self._services.packages.stage_list(self.repository.id)
        return [row for row in rows if self._permit.allows(Scope.WRITE, row.package)]

    async def unstage(self, row: StagedRow, outcome: str) -> None:
        """Forget a staged version; `outcome` is what the audit says."""
        self.require(Scope.WRITE, row.package)
        await self._services.packages.stage_remove(row.id)
        await self.note(outcome, row.package, version=row.version)

    async def keep(self, upload: Upload) -> Digest:
        """Make an upload's bytes durable in the hosted store without publishing them yet."""
        return await upload.keep()

    def open_kept(self, digest: Digest) -> OpenBlob:
        """The bytes of a kept upload; the caller closes it."""
        return self._services.hosted.open(digest)

    def kept_file(self, row: StagedRow) -> OpenFile:
        """A staged version's file, as it would be served."""
        name = f"{row.package}-{row.version}"
        return warm_file(self._services.hosted, name, row.digest, row.size, {"sha256": row.digest.hex})

    def noted(self, package: str, name: str) -> dict[str, Any]:
        """What was said lately of a file that is not there, by who may write the package."""
        self.require(Scope.WRITE, package)
        return self._services.packages.noted(self.repository.id, package, name)

    async def remark(
        self, package: str, name: str, change: Callable[[Mapping[str, Any]], Mapping[str, Any]], seconds: float
    ) -> None:
        """Change what is said of a file, for that long; see `Notes.note`."""
        self.require(Scope.WRITE, package)
        await self._services.packages.note(self.repository.id, package, name, change, seconds)

    async def note(self, action: str, package: str, **detail: Any) -> None:
        """Record what was done in the audit table."""
        await self._services.audit.append(
            [
                AuditEntry(
                    at=time.time(),
                    actor=self.actor.name,
                    action=action,
                    repository=str(self.repository.key),
                    package=package,
                    detail=detail,
                    address=self.actor.address,
                    request_id=self.request_id,
                )
            ]
        )

    async def _keep(self, file: NewFile) -> NewFileRow:
        digest = await file.upload.keep()
        attachments = {}
        for kind, (body, content_type) in file.attachments.items():
            async with self.upload() as upload:
                await upload.write(body)
                attachments[kind] = Attachment(await upload.keep(), len(body), content_type)
        return NewFileRow(
            file.filename,
            file.version,
            digest,
            file.upload.size,
            dict(file.hashes),
            dict(file.facts),
            file.uploaded_at,
            attachments,
            file.is_movable,
        )

    async def _known_upstream(self, package: str) -> str | None:
        """The first upstream that knows this name. One in trouble counts as not knowing it: a publish need not wait."""
        for layer in ownership(self._services, self.repository, package).upstreams():
            assert layer.upstream is not None
            try:
                held = await listings.hold(self._services.documents, self._format, layer.upstream, package)
            except (UpstreamTrouble, UpstreamCorrupt, Blocked):
                continue
            if held is not None:
                return layer.name
        return None
