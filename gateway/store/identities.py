"""Who may do what: grants, and the rights that an actor has from grants, organisations and teams together.

Actors, organisations and teams come with `People`, tokens and sessions with `Tokens`, second factors with `Codes`. What
rights amount to for a repository is decided in `gateway.auth.access`, not here.
"""

import time

from sqlalchemy import Connection, delete, insert

from gateway.errors import Invalid, Unknown
from gateway.model import Actor
from gateway.store import schema
from gateway.store.codes import Codes
from gateway.store.database import Database, bump
from gateway.store.people import AUTH, People
from gateway.store.rows import GrantRow, Rights
from gateway.store.tokens import Tokens

_GRANT = "SELECT id, subject_kind, subject_id, role, repository, package, cidr FROM access_grant"
# What everybody has, what everyone who signed in has, and what this actor has by itself or through its teams.
_TEAMS = "SELECT team_id FROM team_member WHERE actor_id = ?"
_GRANTS_OF_ACTOR = (
    f"{_GRANT} WHERE subject_kind IN ('anonymous', 'everyone') OR (subject_kind = ? AND subject_id = ?)"
    f" OR (subject_kind = 'team' AND subject_id IN ({_TEAMS})) ORDER BY id"
)
_GRANTS_OF_ANYBODY = f"{_GRANT} WHERE subject_kind = 'anonymous' ORDER BY id"
_WITHOUT_ID = {"anonymous", "everyone"}
_SUBJECTS = {"user", "service", "team", *_WITHOUT_ID}
_ROLES = {"read", "write", "delete", "admin"}


class Identities(People, Tokens, Codes):
    """Everything about who asks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rights(self, actor: Actor) -> Rights:
        """What an actor has been given, as the catalogue stands now; point reads, to be memoised by epoch `auth`.

        A disabled or deleted actor has nothing, not even what anonymous has.
        """
        point = self._database.point
        if actor.is_anonymous:
            return Rights(grants=tuple(GrantRow(*row) for row in point(_GRANTS_OF_ANYBODY)))
        row = self.actor(actor.id)
        if row is None or row.is_disabled or row.name != actor.name:
            return Rights()
        organisations = point(
            "SELECT name, role FROM member JOIN organisation ON organisation.id = organisation_id WHERE actor_id = ?",
            (row.id,),
        )
        teams = point(_TEAMS, (row.id,))
        grants = point(_GRANTS_OF_ACTOR, (str(row.kind), row.id, row.id))
        return Rights(
            is_admin=row.is_admin,
            organisations=dict(organisations),
            teams=frozenset(team for (team,) in teams),
            grants=tuple(GrantRow(*grant) for grant in grants),
        )

    async def create_grant(
        self,
        *,
        subject_kind: str,
        subject_id: int | None,
        role: str,
        repository: str,
        package: str = "*",
        cidr: str | None = None,
        created_by: str,
    ) -> GrantRow:
        """Give a role; raises Invalid for unknown words and Unknown for a subject that is not there."""
        if subject_kind not in _SUBJECTS or role not in _ROLES:
            raise Invalid(f"not a grant: {subject_kind!r} as {role!r}")
        if (subject_id is None) is not (subject_kind in _WITHOUT_ID):
            raise Invalid("a user, service or team is named by its id; anonymous and everyone have none")
        values = {
            "subject_kind": subject_kind,
            "subject_id": subject_id,
            "role": role,
            "repository": repository,
            "package": package,
            "cidr": cidr,
            "created_at": time.time(),
            "created_by": created_by,
        }

        def change(connection: Connection) -> GrantRow:
            _require_subject(connection, subject_kind, subject_id)
            bump(connection, AUTH)
            id_ = connection.execute(insert(schema.grant).values(values).returning(schema.grant.c.id)).scalar_one()
            return GrantRow(id_, subject_kind, subject_id, role, repository, package, cidr)

        return await self._database.write(change)

    async def grants(self, subject_kind: str | None = None, subject_id: int | None = None) -> list[GrantRow]:
        """All grants, or those of a kind of subject, or of one subject; oldest first."""
        sql = (
            f"{_GRANT} WHERE subject_kind = coalesce(?, subject_kind) AND subject_id IS coalesce(?, subject_id)"
            " ORDER BY id"
        )
        return await self._database.read(
            lambda connection: [GrantRow(*row) for row in connection.exec_driver_sql(sql, (subject_kind, subject_id))]
        )

    async def delete_grant(self, id_: int) -> bool:
        """Take a grant back; whether there was one."""

        def change(connection: Connection) -> bool:
            bump(connection, AUTH)
            return connection.execute(delete(schema.grant).where(schema.grant.c.id == id_)).rowcount > 0

        return await self._database.write(change)


def _require_subject(connection: Connection, kind: str, id_: int | None) -> None:
    if kind in _WITHOUT_ID:
        return
    if kind == "team":
        found = connection.exec_driver_sql("SELECT 1 FROM team WHERE id = ?", (id_,))
    else:
        found = connection.exec_driver_sql("SELECT 1 FROM actor WHERE id = ? AND kind = ?", (id_, kind))
    if found.first() is None:
        raise Unknown(f"no such {kind}")
