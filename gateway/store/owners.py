"""Who owns a name: nobody, what is published here, or an upstream. One row each, changed in one transaction."""

import time

from sqlalchemy import Connection, delete

from gateway.errors import Conflict, PackageUnknown
from gateway.model import OwnerMode
from gateway.store import schema
from gateway.store.database import Database, bump
from gateway.store.publishing import (
    SELECT_PACKAGE,
    change_package,
    count_files,
    find_package,
    insert_package,
    package_row,
)
from gateway.store.rows import PackageRow


class Owners:
    """Rows of `package` as far as they say whose a name is, and whether only explicit grants count for it."""

    _database: Database

    def get(self, repository_id: int, name: str) -> PackageRow | None:
        """The row of a canonical name; a point read."""
        rows = self._database.point(SELECT_PACKAGE, (repository_id, name))
        return package_row(rows[0]) if rows else None

    async def adopt(self, repository_id: int, name: str, upstream: str) -> PackageRow:
        """Note that an upstream owns a name that nobody owns yet; returns the row as it now is.

        The answer may be hosted: somebody published first, and the caller must not serve the upstream's file.
        """

        def change(connection: Connection) -> PackageRow:
            row = find_package(connection, repository_id, name)
            if row is None:
                return insert_package(connection, repository_id, name, OwnerMode.UPSTREAM, upstream, time.time())
            if row.owner_mode is OwnerMode.UPSTREAM and not row.origin:
                change_package(connection, row, origin=upstream)
                return find_package(connection, repository_id, name) or row
            return row

        return await self._database.write(change)

    async def claim(self, repository_id: int, name: str) -> PackageRow:
        """Make a name hosted, whoever owned it; an admin's explicit act. Returns the row."""

        def change(connection: Connection) -> PackageRow:
            row = find_package(connection, repository_id, name)
            if row is None:
                return insert_package(connection, repository_id, name, OwnerMode.HOSTED, "", time.time())
            if row.owner_mode is not OwnerMode.HOSTED:
                change_package(connection, row, owner_mode=str(OwnerMode.HOSTED), origin="")
            return find_package(connection, repository_id, name) or row

        return await self._database.write(change)

    async def release(self, repository_id: int, name: str) -> None:
        """Give a name back: free if it never had a file, else the upstream's, with its tombstones kept.

        Raises PackageUnknown, and Conflict while files are live. A restricted name stays restricted.
        """

        def change(connection: Connection) -> None:
            row = find_package(connection, repository_id, name)
            if row is None:
                raise PackageUnknown(f"nobody owns {name} here")
            if count_files(connection, row.id, live=True):
                raise Conflict(f"{name} still has published files: delete them before it is released")
            if row.is_restricted or count_files(connection, row.id, live=False):
                change_package(connection, row, owner_mode=str(OwnerMode.UPSTREAM), origin="")
                return
            connection.execute(delete(schema.package).where(schema.package.c.id == row.id))
            bump(connection, f"repository:{repository_id}")

        await self._database.write(change)

    async def set_restricted(
        self, repository_id: int, name: str, flag: bool, *, owner_mode: OwnerMode | None = None
    ) -> PackageRow:
        """Let only explicit grants count for a name, or let the repository's count again. Returns the row.

        owner_mode: with it a name without a row gets one of this mode (UPSTREAM: the first upstream to serve it owns
        it); without it such a name is PackageUnknown.
        """

        def change(connection: Connection) -> PackageRow:
            row = find_package(connection, repository_id, name)
            if row is None:
                if owner_mode is None:
                    raise PackageUnknown(f"nobody owns {name} here")
                row = insert_package(connection, repository_id, name, owner_mode, "", time.time())
            if row.is_restricted is not flag:
                change_package(connection, row, is_restricted=flag)
            return find_package(connection, repository_id, name) or row

        return await self._database.write(change)
