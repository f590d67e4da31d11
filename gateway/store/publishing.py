"""What happens inside the transactions that change a hosted package: files, tags, facts, tombstones, revision.

These functions run on the writer's connection and never commit; `Packages` opens the transaction around them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from gateway.errors import AlreadyExists, Conflict, FileUnknown, NameRetired, NameTaken, PackageUnknown, StoreTrouble
from gateway.model import HOSTED_LAYER, Digest, OwnerMode
from gateway.store import schema
from gateway.store.database import bump, from_json
from gateway.store.rows import Attachment, Committed, Edit, NewFileRow, PackageRow

SELECT_PACKAGE = (
    "SELECT id, repository_id, name, owner_mode, origin, is_restricted, facts, revision, changed"
    " FROM package WHERE repository_id = ? AND name = ?"
)


_TAKEN = (
    "SELECT 1 FROM package JOIN file ON file.package_id = package.id"
    " WHERE repository_id = ? AND package.name = ? COLLATE NOCASE AND filename = ? COLLATE NOCASE"
)
TWINS = (
    "SELECT name FROM package WHERE repository_id = ? AND name = ? COLLATE NOCASE AND name <> ?"
    " AND owner_mode <> 'upstream'"
)
_TWIN_VERSION = """\
SELECT version FROM file
WHERE package_id = ? AND version = ? COLLATE NOCASE AND version <> ? AND deleted_at IS NULL"""
_CHANGED = "UPDATE package SET changed = (SELECT value FROM generation WHERE scope = ?) WHERE id = ?"


def package_row(row: Sequence[Any]) -> PackageRow:
    """The value of one row of SELECT_PACKAGE."""
    id_, repository_id, name, mode, origin, is_restricted, facts, revision, changed = row
    return PackageRow(
        id_, repository_id, name, OwnerMode(mode), origin, bool(is_restricted), from_json(facts), revision, changed
    )


def find_package(connection: Connection, repository_id: int, name: str) -> PackageRow | None:
    """The row as this transaction sees it."""
    row = connection.exec_driver_sql(SELECT_PACKAGE, (repository_id, name)).first()
    return None if row is None else package_row(row)


def insert_package(
    connection: Connection, repository_id: int, name: str, mode: OwnerMode, origin: str, now: float
) -> PackageRow:
    """A new row without files, at revision 1; the repository's generation is raised."""
    values = {
        "repository_id": repository_id,
        "name": name,
        "owner_mode": str(mode),
        "origin": origin,
        "is_restricted": False,
        "facts": {},
        "revision": 1,
        "created_at": now,
    }
    id_ = connection.execute(insert(schema.package).values(values).returning(schema.package.c.id)).scalar_one()
    _note_change(connection, repository_id, id_)
    return PackageRow(id_, repository_id, name, mode, origin, is_restricted=False, facts={}, revision=1)


def change_package(connection: Connection, row: PackageRow, **values: object) -> int:
    """Set columns, raise the revision and the repository's generation; returns the new revision."""
    statement = update(schema.package).where(schema.package.c.id == row.id)
    connection.execute(statement.values(revision=row.revision + 1, **values))
    _note_change(connection, row.repository_id, row.id)
    return row.revision + 1


def _note_change(connection: Connection, repository_id: int, package_id: int) -> None:
    scope = f"repository:{repository_id}"
    bump(connection, scope)
    connection.exec_driver_sql(_CHANGED, (scope, package_id))


def keep_hosted_blob(connection: Connection, digest: Digest, size: int, now: float) -> None:
    """Note that the hosted store holds these bytes."""
    statement = upsert(schema.blob).values(
        store=HOSTED_LAYER, digest=digest.hex, size=size, created_at=now, last_used_at=now
    )
    connection.execute(statement.on_conflict_do_update(index_elements=["store", "digest"], set_={"last_used_at": now}))


def commit_files(
    connection: Connection,
    repository_id: int,
    name: str,
    files: Sequence[NewFileRow],
    *,
    facts: Mapping[str, Any] | None,
    tags: Mapping[str, str],
    actor: str,
    is_merged: bool,
    is_stored: Callable[[Digest], bool],
    now: float,
    expected: int | None = None,
    defaults: Mapping[str, Any] | None = None,
    refuses_twins: bool = False,
) -> Committed:
    """Link files into a hosted package, creating it where needed; see `Packages.commit`."""
    row = find_package(connection, repository_id, name)
    if expected is not None and expected != _hosted_revision(row):
        raise Conflict(f"{name} was changed while this was published: try again", retry_after=1.0)
    if refuses_twins and _hosted_revision(row) == 0:
        _check_name(connection, repository_id, name)
    if row is None:
        row, is_new = insert_package(connection, repository_id, name, OwnerMode.HOSTED, "", now), True
    elif row.owner_mode is OwnerMode.UPSTREAM and not is_merged:
        raise NameTaken(f"{name} belongs to the upstream {row.origin or 'layer'}: an admin has to claim it first")
    else:
        is_new = row.owner_mode is OwnerMode.UPSTREAM
    added = []
    for file in files:
        if refuses_twins:
            _check_version(connection, row, file.version)
        added.append(_add_file(connection, row, file, actor, is_stored, now))
    retagged = [_set_tag(connection, row, tag, version) for tag, version in tags.items()]
    values: dict[str, object] = {"owner_mode": str(OwnerMode.HOSTED), "origin": ""} if is_new else {}
    facts = {**(defaults or {}), **(row.facts if facts is None else facts)}
    if facts != row.facts:
        values["facts"] = facts
    if not (values or any(added) or any(retagged)):
        return Committed(created=False, revision=row.revision)
    return Committed(created=any(added), revision=change_package(connection, row, **values))


def _hosted_revision(row: PackageRow | None) -> int:
    """The revision of what is hosted; 0 for a name of which nothing is, as `Packages.hosted` has it."""
    return 0 if row is None or row.owner_mode is OwnerMode.UPSTREAM else row.revision


def _check_name(connection: Connection, repository_id: int, name: str) -> None:
    """Raise Conflict for a name that differs from a hosted one by case alone."""
    twin = connection.exec_driver_sql(TWINS, (repository_id, name, name)).scalar()
    if twin is not None:
        raise Conflict(f"{twin} is published here: {name} differs by case alone")


def _check_version(connection: Connection, row: PackageRow, version: str) -> None:
    """Raise Conflict for a version that differs from one that has files by case alone."""
    twin = connection.exec_driver_sql(_TWIN_VERSION, (row.id, version, version)).scalar()
    if twin is not None:
        raise Conflict(f"{row.name} has a version {twin}: {version} differs by case alone")


def check_untaken(connection: Connection, repository_id: int, rivals: Iterable[tuple[str, str]]) -> None:
    """Raise AlreadyExists where such a (package, filename), in any case, is or was published in a repository."""
    for package, filename in rivals:
        if connection.exec_driver_sql(_TAKEN, (repository_id, package, filename)).first() is not None:
            raise AlreadyExists(f"another package has a file that is called {filename}")


def apply_edit(
    connection: Connection, repository_id: int, name: str, edit: Edit, expected: int | None, now: float
) -> int:
    """Change a hosted package; see `Packages.edit`."""
    row = find_package(connection, repository_id, name)
    if row is None or row.owner_mode is OwnerMode.UPSTREAM:
        raise PackageUnknown(f"nothing is published here as {name}")
    if expected is not None and expected != row.revision:
        raise Conflict(f"{name} is at revision {row.revision}, the change was made for revision {expected}")
    for filename, file_facts in edit.file_facts.items():
        _change_file(connection, row, filename, facts=file_facts)
    for filename in edit.delete_files:
        _change_file(connection, row, filename, deleted_at=now)
    if edit.forget_files:
        table = schema.file.c
        gone = (table.package_id == row.id) & table.filename.in_(edit.forget_files)
        connection.execute(delete(schema.file).where(gone))
    for tag, version in edit.tags.items():
        _set_tag(connection, row, tag, version)
    values: dict[str, object] = {} if edit.facts is None else {"facts": edit.facts}
    if edit.delete_package:
        _delete_files(connection, row, now)
        values = {"facts": {}}
    dead = select(schema.file.c.id).where(schema.file.c.package_id == row.id, schema.file.c.deleted_at.is_not(None))
    connection.execute(delete(schema.attachment).where(schema.attachment.c.file_id.in_(dead)))
    return change_package(connection, row, **values)


def count_files(connection: Connection, package_id: int, *, live: bool) -> int:
    """How many files are live, or how many were ever published; nodes count as both."""
    question = select(func.count()).select_from(schema.file).where(schema.file.c.package_id == package_id)
    if live:
        question = question.where(schema.file.c.deleted_at.is_(None))
    nodes = select(func.count()).select_from(schema.node).where(schema.node.c.package_id == package_id)
    return connection.execute(question).scalar_one() + connection.execute(nodes).scalar_one()


def _add_file(
    connection: Connection,
    row: PackageRow,
    file: NewFileRow,
    actor: str,
    is_stored: Callable[[Digest], bool],
    now: float,
) -> bool:
    """Whether the file is new here; False where the same bytes are live under this name."""
    if file.is_movable:
        _make_room(connection, row, file)
    if _is_published(connection, row, file):
        return False
    values = {
        "package_id": row.id,
        "filename": file.filename,
        "version": file.version,
        "digest": file.digest.hex,
        "size": file.size,
        "hashes": dict(file.hashes),
        "facts": dict(file.facts),
        "uploaded_at": file.uploaded_at,
        "uploaded_by": actor,
    }
    _keep(connection, file.digest, file.size, is_stored, now)
    file_id = connection.execute(insert(schema.file).values(values).returning(schema.file.c.id)).scalar_one()
    for kind, attachment in file.attachments.items():
        _keep(connection, attachment.digest, attachment.size, is_stored, now)
        _attach(connection, file_id, kind, attachment)
    return True


def _make_room(connection: Connection, row: PackageRow, file: NewFileRow) -> None:
    """Drop what another upload left under this name, alive or dead, unless the bytes are the same."""
    table = schema.file.c
    is_other = (table.digest != file.digest.hex) | table.deleted_at.is_not(None)
    found = (table.package_id == row.id) & (table.filename == file.filename) & is_other
    connection.execute(delete(schema.file).where(found))


def _is_published(connection: Connection, row: PackageRow, file: NewFileRow) -> bool:
    """Whether these bytes are live under this name; raises NameRetired and AlreadyExists."""
    sql = "SELECT digest, deleted_at FROM file WHERE package_id = ? AND filename = ?"
    known = connection.exec_driver_sql(sql, (row.id, file.filename)).first()
    if known is None:
        return False
    digest, deleted_at = known
    if deleted_at is not None:
        raise NameRetired(f"{file.filename} was published before and deleted: its name is not used again")
    if digest != file.digest.hex:
        raise AlreadyExists(
            f"{file.filename} was published before with sha256 {digest}, these bytes have {file.digest.hex}"
        )
    return True


def _keep(connection: Connection, digest: Digest, size: int, is_stored: Callable[[Digest], bool], now: float) -> None:
    if not is_stored(digest):
        raise StoreTrouble(f"{digest} was swept while it was being published: try again", retry_after=1.0)
    keep_hosted_blob(connection, digest, size, now)


def _attach(connection: Connection, file_id: int, kind: str, attachment: Attachment) -> None:
    connection.execute(
        insert(schema.attachment).values(
            file_id=file_id,
            kind=kind,
            digest=attachment.digest.hex,
            size=attachment.size,
            content_type=attachment.content_type,
        )
    )


def _set_tag(connection: Connection, row: PackageRow, tag: str, version: str | None) -> bool:
    """Whether the tag moved; None deletes it."""
    known = connection.exec_driver_sql("SELECT version FROM tag WHERE package_id = ? AND name = ?", (row.id, tag))
    if known.scalar() == version:
        return False
    if version is None:
        connection.execute(delete(schema.tag).where(schema.tag.c.package_id == row.id, schema.tag.c.name == tag))
        return True
    statement = upsert(schema.tag).values(package_id=row.id, name=tag, version=version)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["package_id", "name"], set_={"version": version})
    )
    return True


def _change_file(connection: Connection, row: PackageRow, filename: str, **values: object) -> None:
    table = schema.file.c
    statement = update(schema.file).where(
        table.package_id == row.id, table.filename == filename, table.deleted_at.is_(None)
    )
    if connection.execute(statement.values(**values)).rowcount == 0:
        raise FileUnknown(f"{row.name} has no file {filename}")


def _delete_files(connection: Connection, row: PackageRow, now: float) -> None:
    statement = update(schema.file).where(schema.file.c.package_id == row.id, schema.file.c.deleted_at.is_(None))
    connection.execute(statement.values(deleted_at=now))
    connection.execute(delete(schema.tag).where(schema.tag.c.package_id == row.id))
