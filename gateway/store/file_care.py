"""Files that nobody will finish: what an adapter says is abandoned of a repository's packages.

The decision is made inside the transaction that removes, on what it sees: a file that is added comes before or after.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct
from sqlalchemy import Connection

from gateway.model import File
from gateway.store.database import Database, from_json
from gateway.store.publishing import apply_edit, find_package
from gateway.store.rows import Edit

Abandoned = Callable[[str, Sequence[File]], Sequence[str]]
"""The names of the files to let go, of a canonical name and its live files."""

_NAMES = (
    "SELECT DISTINCT package.name FROM package JOIN file ON package_id = package.id"
    " WHERE repository_id = ? AND deleted_at IS NULL AND owner_mode <> 'upstream' ORDER BY package.name"
)
_FILES = (
    "SELECT id, filename, version, digest, size, hashes, facts, uploaded_at FROM file"
    " WHERE package_id = ? AND deleted_at IS NULL ORDER BY id"
)


class Leaving(Struct, frozen=True):
    """What goes of a package: its files by name, and by the id of their rows."""

    repository_id: int
    package: str
    files: tuple[str, ...]
    ids: tuple[int, ...]


class FileCare:
    """What collection does to the rows of files."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def abandon(self, repository_id: int, abandoned: Abandoned, *, dry_run: bool) -> list[Leaving]:
        """Let go the abandoned files of a repository without a tombstone, one transaction for each package.

        dry_run: only say it.
        """
        names = await self._database.read(
            lambda connection: list(connection.exec_driver_sql(_NAMES, (repository_id,)).scalars())
        )
        done: list[Leaving] = []
        for name in names:

            def look(connection: Connection, name: str = name) -> Leaving:
                return _leaving(connection, repository_id, name, abandoned)

            def change(connection: Connection, name: str = name) -> Leaving:
                leaving = _leaving(connection, repository_id, name, abandoned)
                if leaving.files:
                    apply_edit(connection, repository_id, name, Edit(forget_files=leaving.files), None, 0.0)
                return leaving

            leaving = await self._database.read(look)  # most have nothing to let go: no writer need wait for them
            if leaving.files and not dry_run:
                leaving = await self._database.write(change)
            done += [leaving] if leaving.files else []
        return done


def _leaving(connection: Connection, repository_id: int, name: str, abandoned: Abandoned) -> Leaving:
    row = find_package(connection, repository_id, name)
    ids, files = {}, []
    for id_, filename, version, digest, size, hashes, facts, uploaded_at in (
        () if row is None else connection.exec_driver_sql(_FILES, (row.id,))
    ):
        ids[filename] = id_
        known = {**from_json(hashes), "sha256": digest}
        files.append(File(filename, version, known, size, uploaded_at, facts=from_json(facts)))
    names = tuple(abandoned(name, files))
    return Leaving(repository_id, name, names, tuple(ids[filename] for filename in names))
