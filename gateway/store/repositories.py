"""The repositories: configured in the file, made through the API, or ready from the start.

The table is small and read whole when the generation `repositories` moves; every change raises it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, update

from gateway.config import RepositoryConfig
from gateway.errors import Conflict, RepositoryUnknown
from gateway.model import Repository, RepositoryKey, Visibility
from gateway.store import schema
from gateway.store.database import Database, bump, from_json

_SELECT = "SELECT id, type, owner, name, visibility, layers, reserve, merge, hosts, settings, source FROM repository"
_BY_KEY = "WHERE type = ? AND owner = ? AND name = ?"
# An id is never given out again, since processes and ledgers remember much under it: its generation outlives its row.
_NEXT_ID = (
    "SELECT 1 + max((SELECT coalesce(max(id), 0) FROM repository), (SELECT"
    " coalesce(max(CAST(substr(scope, length('repository:') + 1) AS INTEGER)), 0)"
    " FROM generation WHERE scope LIKE 'repository:%'))"
)


class Repositories:
    """Rows of `repository`; `source` says who made one: `config`, `api` or `ready`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Repository]:
        """Every repository, sorted by its key; synchronous, for the loop's thread."""
        rows = self._database.point(f"{_SELECT} ORDER BY type, owner, name")
        return [_repository(row) for row in rows]

    def require_none_of(self, owner: str) -> None:
        """Raise Conflict while an owner has repositories: whoever gets the name next would get them, too."""
        owned = [str(row.key) for row in self.all() if row.key.owner.lower() == owner.lower()]
        if owned:
            raise Conflict(f"{owner} still owns {', '.join(owned[:5])}")

    def get(self, key: RepositoryKey) -> Repository | None:
        """The repository of that key; a point read."""
        rows = self._database.point(f"{_SELECT} {_BY_KEY}", _parts(key))
        return _repository(rows[0]) if rows else None

    def sources(self) -> dict[RepositoryKey, str]:
        """Who made each repository."""
        rows = self._database.point("SELECT type, owner, name, source FROM repository")
        return {RepositoryKey(*row[:3]): row[3] for row in rows}

    async def upsert(self, key: RepositoryKey, config: RepositoryConfig, source: str) -> Repository:
        """Create a repository or change it to this configuration; the same configuration again changes nothing."""
        values = {
            "visibility": str(config.visibility),
            "layers": list(config.layers),
            "reserve": list(config.reserve),
            "merge": list(config.merge),
            "hosts": list(config.hosts),
            "settings": dict(config.settings),
            "source": source,
        }

        def change(connection: Connection) -> Repository:
            row = _find(connection, key)
            if row is None:
                id_ = connection.exec_driver_sql(_NEXT_ID).scalar_one()
                named = {"id": id_, "type": key.type, "owner": key.owner, "name": key.name}
                connection.execute(insert(schema.repository).values(**named, **values))
                bump(connection, "repositories", f"repository:{id_}")
                return _configured(id_, key, config)
            known = _configured(row[0], key, config)
            if _repository(row) == known and row[-1] == source:
                return known
            connection.execute(update(schema.repository).where(schema.repository.c.id == row[0]).values(**values))
            bump(connection, "repositories")
            return known

        return await self._database.write(change)

    async def remove(self, key: RepositoryKey, *, with_packages: bool = False) -> None:
        """Forget a repository with all its rows; raises RepositoryUnknown.

        Raises Conflict while it has published files or staged versions, unless `with_packages`.
        """

        def change(connection: Connection) -> None:
            row = _find(connection, key)
            if row is None:
                raise RepositoryUnknown(f"there is no repository {key}")
            if not with_packages and _is_used(connection, row[0]):
                raise Conflict(f"{key} has published files: delete them first")
            connection.execute(delete(schema.repository).where(schema.repository.c.id == row[0]))
            bump(connection, "repositories", f"repository:{row[0]}")

        await self._database.write(change)


def _parts(key: RepositoryKey) -> tuple[str, str, str]:
    return key.type, key.owner, key.name


def _find(connection: Connection, key: RepositoryKey) -> Sequence[Any] | None:
    return connection.exec_driver_sql(f"{_SELECT} {_BY_KEY}", _parts(key)).first()


def _is_used(connection: Connection, repository_id: int) -> bool:
    sql = (
        "SELECT EXISTS (SELECT 1 FROM package JOIN file ON package_id = package.id"
        " WHERE repository_id = ? AND deleted_at IS NULL)"
        " OR EXISTS (SELECT 1 FROM package JOIN node ON package_id = package.id WHERE repository_id = ?)"
        " OR EXISTS (SELECT 1 FROM staged WHERE repository_id = ?)"
    )
    return bool(connection.exec_driver_sql(sql, (repository_id,) * 3).scalar())


def _configured(id_: int, key: RepositoryKey, config: RepositoryConfig) -> Repository:
    return Repository(
        id=id_,
        key=key,
        layers=config.layers,
        visibility=config.visibility,
        reserve=config.reserve,
        merge=config.merge,
        hosts=config.hosts,
        settings=dict(config.settings),
    )


def _repository(row: Sequence[Any]) -> Repository:
    id_, type_, owner, name, visibility, layers, reserve, merge, hosts, settings = row[:-1]
    return Repository(
        id=id_,
        key=RepositoryKey(type_, owner, name),
        layers=tuple(from_json(layers)),
        visibility=Visibility(visibility),
        reserve=tuple(from_json(reserve)),
        merge=tuple(from_json(merge)),
        hosts=tuple(from_json(hosts)),
        settings=from_json(settings),
    )
