"""Keeping graphs in order: links that nobody needs, and what a retention rule lets go.

Both decide inside the transaction that removes, on what it sees: a push that links a blob, or a tag that moves, comes
before or after, never between.
"""

from collections.abc import Callable

from sqlalchemy import Connection

from gateway.store.database import Database, bump
from gateway.store.graph import NODE_COLUMNS, node_row
from gateway.store.graph_rows import Letting, PointerRow, Snapshot
from gateway.store.publishing import change_package, find_package

Plan = Callable[[Snapshot], Letting]

# Links that nobody was told of since, and that no node of their package names.
PRUNABLE = (
    "seen_at < :before AND NOT EXISTS (SELECT 1 FROM edge JOIN node ON node.id = node_id"
    " WHERE edge.digest = link.digest AND node.package_id = link.package_id)"
)


class GraphCare:
    """What collection and retention do to the rows of graphs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prune(self, older_than: float) -> int:
        """Drop links that no client was told of since and no node of their package names; how many there were."""

        def change(connection: Connection) -> int:
            sql = f"SELECT DISTINCT repository_id FROM link JOIN package ON package.id = package_id WHERE {PRUNABLE}"
            scopes = [f"repository:{id_}" for id_ in connection.exec_driver_sql(sql, {"before": older_than}).scalars()]
            count = connection.exec_driver_sql(f"DELETE FROM link WHERE {PRUNABLE}", {"before": older_than}).rowcount
            bump(connection, *scopes)
            return count

        return await self._database.write(change)

    async def retain(self, repository_id: int, plan: Plan, *, dry_run: bool) -> list[Letting]:
        """Let go what `plan` says of each package of a repository that has a graph, one transaction for each.

        dry_run: only say it.
        """
        sql = "SELECT DISTINCT package.name FROM package JOIN node ON package_id = package.id WHERE repository_id = ?"
        names = await self._database.read(lambda c: sorted(c.exec_driver_sql(sql, (repository_id,)).scalars()))
        done: list[Letting] = []
        for name in names:

            def change(connection: Connection, name: str = name) -> Letting | None:
                row = find_package(connection, repository_id, name)
                if row is None:
                    return None
                letting = plan(_snapshot(connection, row.id, name))
                if not dry_run and (letting.tags or letting.nodes):
                    _let_go(connection, row.id, letting)
                    change_package(connection, row)
                return letting

            run = self._database.read if dry_run else self._database.write
            letting = await run(change)
            if letting is not None and (letting.tags or letting.nodes):
                done.append(letting)
        return done


def _let_go(connection: Connection, package_id: int, letting: Letting) -> None:
    for tag in letting.tags:
        connection.exec_driver_sql("DELETE FROM pointer WHERE package_id = ? AND name = ?", (package_id, tag))
    for digest in letting.nodes:
        connection.exec_driver_sql("DELETE FROM node WHERE package_id = ? AND digest = ?", (package_id, digest))


def _snapshot(connection: Connection, package_id: int, name: str) -> Snapshot:
    nodes = {
        row[0]: node_row(row)
        for row in connection.exec_driver_sql(f"SELECT {NODE_COLUMNS} FROM node WHERE package_id = ?", (package_id,))
    }
    edges: dict[str, set[str]] = {digest: set() for digest in nodes}
    sql = "SELECT node.digest, edge.digest FROM edge JOIN node ON node.id = node_id WHERE package_id = ?"
    for source, target in connection.exec_driver_sql(sql, (package_id,)):
        edges[source].add(target)
    sql = "SELECT name, digest, moved_at, moved_by FROM pointer WHERE package_id = ? ORDER BY name"
    pointers = tuple(PointerRow(*row) for row in connection.exec_driver_sql(sql, (package_id,)))
    return Snapshot(name, nodes, {digest: frozenset(found) for digest, found in edges.items()}, pointers)
