"""The packages of all repositories: what is published under a name, and (`gateway.store.owners`) whose it is.

`get` is a point read in the event loop; everything that changes a package is one transaction that raises the
generation `repository:<id>`. No method knows what an adapter's facts mean.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from gateway.model import Digest, File, OwnerMode
from gateway.store.database import Database, from_json
from gateway.store.notes import Notes
from gateway.store.owners import Owners
from gateway.store.publishing import (
    TWINS,
    apply_edit,
    check_untaken,
    commit_files,
    find_package,
    package_row,
)
from gateway.store.rows import (
    Attachment,
    Committed,
    Edit,
    HostedPackage,
    NewFileRow,
    PackageRow,
    PackageSummary,
)
from gateway.store.staging import Staging

_Ask = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]
_FEW = 64
_CHANGED = (
    "SELECT id, repository_id, name, owner_mode, origin, is_restricted, facts, revision, changed"
    " FROM package WHERE repository_id = ? AND changed > ? ORDER BY changed"
)
_BELOW = (
    "SELECT id, repository_id, name, owner_mode, origin, is_restricted, facts, revision, changed FROM package"
    " WHERE repository_id = ? AND name >= ? AND name < ? AND owner_mode <> 'upstream' ORDER BY name LIMIT 1000"
)
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM file WHERE package_id = ? LIMIT ?)"
_FILES = (
    "SELECT filename, version, digest, size, hashes, facts, uploaded_at, deleted_at FROM file"
    " WHERE package_id = ? ORDER BY id"
)
_TAGS = "SELECT name, version FROM tag WHERE package_id = ? ORDER BY name"
_NAMED = (
    "SELECT package.name, file.filename FROM package JOIN file ON file.package_id = package.id"
    " WHERE repository_id = ? AND owner_mode <> 'upstream' AND filename >= ? AND filename < ? AND deleted_at IS NULL"
    " ORDER BY file.id"
)
_ATTACHMENTS = (
    "SELECT file.filename, kind, attachment.digest, attachment.size, content_type FROM file"
    " JOIN attachment ON attachment.file_id = file.id"
    " WHERE package_id = ? AND deleted_at IS NULL ORDER BY file.id, kind"
)


def _assume_stored(_digest: Digest) -> bool:
    return True


class Packages(Owners, Staging, Notes):
    """Hosted files, tags and tombstones; ownership comes with `Owners`, staged versions with `Staging`, and `Notes`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hosted(self, repository_id: int, name: str) -> HostedPackage | None:
        """Everything published under a name, tombstones included; None unless its row is hosted or merged."""
        with self._database.snapshot():
            row = self.get(repository_id, name)
            if row is None or row.owner_mode is OwnerMode.UPSTREAM:
                return None
            ((count,),) = self._database.point(_COUNT, (row.id, _FEW + 1))
            if count <= _FEW:  # 0.1 ms in the loop, where a hop into a thread and back costs as much again
                return _hosted(row, self._database.point)

        def question(connection: Connection) -> HostedPackage | None:
            row = find_package(connection, repository_id, name)
            if row is None or row.owner_mode is OwnerMode.UPSTREAM:
                return None
            return _hosted(row, lambda sql, parameters: connection.exec_driver_sql(sql, tuple(parameters)).all())

        return await self._database.read(question)

    async def names(self, repository_id: int, mode: OwnerMode | None = None) -> list[str]:
        """The names with a row in a repository, sorted; with `mode`, only those of that owner mode."""
        sql = "SELECT name FROM package WHERE repository_id = ? AND owner_mode = coalesce(?, owner_mode) ORDER BY name"
        parameters = (repository_id, None if mode is None else str(mode))
        return await self._database.read(lambda connection: list(connection.exec_driver_sql(sql, parameters).scalars()))

    async def changed(self, repository_id: int, since: int) -> list[PackageRow]:
        """The rows that changed after a generation of `repository:<id>`, in the order of their last change."""
        return await self._database.read(
            lambda connection: [
                package_row(row) for row in connection.exec_driver_sql(_CHANGED, (repository_id, since))
            ]
        )

    async def restricted(self, repository_id: int) -> list[str]:
        """The names for which only explicit grants count."""
        sql = "SELECT name FROM package WHERE repository_id = ? AND is_restricted"
        return await self._database.read(
            lambda connection: list(connection.exec_driver_sql(sql, (repository_id,)).scalars())
        )

    async def twins(self, repository_id: int, name: str) -> list[str]:
        """Hosted names that differ from this one by the case of ASCII letters alone."""
        parameters = (repository_id, name, name)
        return await self._database.read(
            lambda connection: list(connection.exec_driver_sql(TWINS, parameters).scalars())
        )

    def below(self, repository_id: int, prefix: str) -> list[PackageRow]:
        """The hosted rows whose name begins so, at most a thousand; a point read."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        return [package_row(row) for row in self._database.point(_BELOW, (repository_id, prefix, end))]

    async def named(self, repository_id: int, prefix: str) -> list[tuple[str, str]]:
        """`(package, filename)` of every live file whose name begins so, in the order of publishing."""
        bounds = (repository_id, prefix, f"{prefix}\U0010ffff")
        return await self._database.read(
            lambda connection: [(row[0], row[1]) for row in connection.exec_driver_sql(_NAMED, bounds)]
        )

    async def summary(self, repository_id: int) -> list[PackageSummary]:
        """One line for every name of a repository, sorted by name."""
        return await self._database.read(lambda connection: _summary(connection, repository_id))

    async def commit(
        self,
        repository_id: int,
        name: str,
        files: Sequence[NewFileRow],
        *,
        facts: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        actor: str,
        is_merged: bool = False,
        is_stored: Callable[[Digest], bool] = _assume_stored,
        expected_revision: int | None = None,
        defaults: Mapping[str, Any] | None = None,
        refuses_twins: bool = False,
        now: float | None = None,
    ) -> Committed:
        """Publish files in one transaction; the same bytes under the same name change nothing.

        facts: None keeps the document-level facts. defaults: facts that the package gets where it has no such.
        is_merged: the name is configured as merged, so that an upstream row does not refuse. is_stored: asked for every
        new digest while the write lock is held, so that a sweep (`BlobRows.drop`) cannot remove bytes that are just
        being linked; False raises StoreTrouble.
        expected_revision: of the row, 0 where nothing is hosted; Conflict where it is another one by now.
        refuses_twins: Conflict for a new name, or a version, that differs from a published one by case alone.
        Raises NameTaken (an upstream owns the name), AlreadyExists (other bytes), NameRetired (a tombstone).
        """
        moment = time.time() if now is None else now
        return await self._database.write(
            lambda connection: commit_files(
                connection,
                repository_id,
                name,
                files,
                facts=facts,
                tags=tags or {},
                actor=actor,
                is_merged=is_merged,
                is_stored=is_stored,
                expected=expected_revision,
                defaults=defaults,
                refuses_twins=refuses_twins,
                now=moment,
            )
        )

    async def commit_all(
        self,
        repository_id: int,
        batches: Mapping[str, tuple[Sequence[NewFileRow], Mapping[str, Any] | None]],
        *,
        actor: str,
        is_merged: Callable[[str], bool],
        is_stored: Callable[[Digest], bool] = _assume_stored,
        expected: Mapping[str, int] | None = None,
        rivals: Collection[tuple[str, str]] = (),
        refuses_twins: bool = False,
    ) -> None:
        """Publish files of several names, with their document-level facts, in one transaction; see `commit`.

        expected: name → revision. rivals: (package, filename) that must not be, or have been, published here, in
        whatever case; AlreadyExists otherwise.
        """
        moment = time.time()

        def change(connection: Connection) -> None:
            check_untaken(connection, repository_id, rivals)
            for name, (files, facts) in batches.items():
                commit_files(
                    connection,
                    repository_id,
                    name,
                    files,
                    facts=facts,
                    tags={},
                    actor=actor,
                    is_merged=is_merged(name),
                    is_stored=is_stored,
                    expected=None if expected is None else expected.get(name),
                    refuses_twins=refuses_twins,
                    now=moment,
                )

        await self._database.write(change)

    async def edit(
        self,
        repository_id: int,
        name: str,
        edit: Edit,
        expected_revision: int | None = None,
        now: float | None = None,
    ) -> int:
        """Change a hosted package in one transaction; returns the new revision.

        Raises PackageUnknown, FileUnknown (a file to change or delete is not live) and Conflict (the revision moved).
        """
        moment = time.time() if now is None else now

        return await self._database.write(
            lambda connection: apply_edit(connection, repository_id, name, edit, expected_revision, moment)
        )


def _hosted(row: PackageRow, ask: _Ask) -> HostedPackage:
    rows = ask(_FILES, (row.id,))
    live = tuple(
        File(
            filename=filename,
            version=version,
            hashes={**from_json(hashes), "sha256": digest},
            size=size,
            uploaded_at=uploaded_at,
            facts=from_json(facts),
        )
        for filename, version, digest, size, hashes, facts, uploaded_at, deleted_at in rows
        if deleted_at is None
    )
    return HostedPackage(
        row=row,
        files=live,
        tags={tag[0]: tag[1] for tag in ask(_TAGS, (row.id,))},
        attachments=_attachments(ask(_ATTACHMENTS, (row.id,))),
        tombstones=frozenset(old[0] for old in rows if old[-1] is not None),
        tombstone_versions=frozenset(old[1] for old in rows) - {file.version for file in live},
    )


def _attachments(rows: Sequence[Sequence[Any]]) -> dict[str, dict[str, Attachment]]:
    found: dict[str, dict[str, Attachment]] = {}
    for filename, kind, digest, size, content_type in rows:
        found.setdefault(filename, {})[kind] = Attachment(Digest("sha256", digest), size, content_type)
    return found


_SUMMARY = """
SELECT package.name, owner_mode, origin, is_restricted, coalesce(own.versions, 0) + coalesce(tagged.tags, 0),
       coalesce(own.files, 0) + coalesce(graph.files, 0) + coalesce(held.files, 0),
       coalesce(own.size, 0) + coalesce(graph.size, 0) + coalesce(held.size, 0),
       coalesce(own.latest, strftime('%Y-%m-%dT%H:%M:%SZ', graph.latest, 'unixepoch'))
FROM package
LEFT JOIN (SELECT package_id, count(*) AS tags FROM pointer GROUP BY package_id) AS tagged
  ON tagged.package_id = package.id
LEFT JOIN (SELECT package_id, count(*) AS files, sum(size) AS size, max(pushed_at) AS latest
           FROM (SELECT package_id, size, pushed_at FROM node
                 UNION ALL SELECT package_id, size, NULL FROM link) GROUP BY package_id) AS graph
  ON graph.package_id = package.id
LEFT JOIN (SELECT package_id, count(DISTINCT version) AS versions, count(*) AS files, sum(size) AS size,
                  max(uploaded_at) AS latest
           FROM file WHERE deleted_at IS NULL GROUP BY package_id) AS own ON own.package_id = package.id
LEFT JOIN (SELECT package, count(*) AS files, sum(size) AS size
           FROM cached_file WHERE repository_id = ? GROUP BY package) AS held ON held.package = package.name
WHERE repository_id = ? ORDER BY package.name
"""


def _summary(connection: Connection, repository_id: int) -> list[PackageSummary]:
    return [
        PackageSummary(name, OwnerMode(mode), origin, bool(is_restricted), versions, files, size, latest)
        for name, mode, origin, is_restricted, versions, files, size, latest in connection.exec_driver_sql(
            _SUMMARY, (repository_id, repository_id)
        )
    ]
