"""Users, services, organisations and teams. Names of actors and organisations are one namespace, whatever their case:
both own repositories, and `Acme` must not be somebody else than `acme`.

Every change raises the generation `auth`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, insert, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from gateway.errors import AlreadyExists, Invalid, Unknown
from gateway.model import ActorKind, RepositoryKey
from gateway.store import schema
from gateway.store.database import Database, bump
from gateway.store.rows import ActorRow, MemberRow, OrganisationRow, TeamRow

T = TypeVar("T")

AUTH = "auth"
_ACTOR = (
    "SELECT id, kind, name, email, password_hash IS NOT NULL, is_admin, is_disabled, created_at,"
    " EXISTS (SELECT 1 FROM one_time_code WHERE actor_id = actor.id), password_hash FROM actor"
)
_RESERVED_NAMES = {"anonymous", "everyone"}
_ROLES = {"owner", "member"}
_TEAM = (
    "SELECT team.id, organisation_id, organisation.name, team.name FROM team"
    " JOIN organisation ON organisation.id = organisation_id"
)


def actor_row(row: Sequence[Any]) -> ActorRow:
    """A row of id, kind, name, email, has password, is admin, is disabled, created at, needs code (and more)."""
    id_, kind, name, email, has_password, is_admin, is_disabled, created_at, needs_code = row[:9]
    flags = bool(has_password), bool(is_admin), bool(is_disabled)
    return ActorRow(id_, ActorKind(kind), name, email, *flags, created_at, bool(needs_code))


class People:
    """Rows of `actor`, `organisation`, `member`, `team` and `team_member`. Single rows are point reads."""

    _database: Database

    # ── actors ───────────────────────────────────────────────────────────────────────────────────────────────────
    async def create_actor(
        self,
        kind: ActorKind,
        name: str,
        *,
        email: str | None = None,
        password_hash: str | None = None,
        is_admin: bool = False,
    ) -> ActorRow:
        """A new user or service; raises Invalid for a name that cannot own, AlreadyExists for one that is taken."""
        values = {
            "kind": str(kind),
            "name": name,
            "email": email,
            "password_hash": password_hash,
            "is_admin": is_admin,
            "is_disabled": False,
            "created_at": time.time(),
        }

        def change(connection: Connection) -> ActorRow:
            _check_new_name(connection, name)
            id_ = connection.execute(insert(schema.actor).values(values).returning(schema.actor.c.id)).scalar_one()
            return _require_actor(connection, id_)

        return await self._change(change)

    def actor(self, id_: int) -> ActorRow | None:
        """The actor of that id."""
        rows = self._database.point(f"{_ACTOR} WHERE id = ?", (id_,))
        return actor_row(rows[0]) if rows else None

    def actor_by_name(self, name: str) -> ActorRow | None:
        """The actor of exactly that name."""
        rows = self._database.point(f"{_ACTOR} WHERE name = ?", (name,))
        return actor_row(rows[0]) if rows else None

    def users_by_email(self, email: str) -> list[ActorRow]:
        """The users with exactly this address, of whom there may be several."""
        sql = f"{_ACTOR} WHERE email = ? AND kind = 'user' ORDER BY name LIMIT 2"
        return [actor_row(row) for row in self._database.point(sql, (email,))]

    def password_of(self, name: str) -> tuple[ActorRow, str] | None:
        """The actor with the hash of its password, or None where there is no such actor or no password."""
        sql = f"{_ACTOR} WHERE name = ? AND password_hash IS NOT NULL"
        rows = self._database.point(sql, (name,))
        return (actor_row(rows[0]), rows[0][-1]) if rows else None

    async def actors(self) -> list[ActorRow]:
        """All users and services, sorted by name."""
        sql = f"{_ACTOR} ORDER BY name"
        return await self._ask(lambda connection: [actor_row(row) for row in connection.exec_driver_sql(sql)])

    async def update_actor(self, id_: int, changes: Mapping[str, Any]) -> ActorRow:
        """Set any of email, password_hash, is_admin, is_disabled; raises Unknown, and Invalid for other keys."""
        unknown = set(changes) - {"email", "password_hash", "is_admin", "is_disabled"}
        if unknown:
            raise Invalid(f"an actor's {', '.join(sorted(unknown))} cannot be changed")

        def change(connection: Connection) -> ActorRow:
            if changes:
                connection.execute(update(schema.actor).where(schema.actor.c.id == id_).values(**changes))
            return _require_actor(connection, id_)

        return await self._change(change)

    async def delete_actor(self, id_: int) -> bool:
        """Remove an actor with its tokens, sessions, memberships and grants; whether there was one."""

        def change(connection: Connection) -> bool:
            _delete_grants(connection, ("user", "service"), [id_])
            return connection.execute(delete(schema.actor).where(schema.actor.c.id == id_)).rowcount > 0

        return await self._change(change)

    # ── organisations ────────────────────────────────────────────────────────────────────────────────────────────
    async def create_organisation(self, name: str, owner_id: int | None = None) -> OrganisationRow:
        """A new organisation, with its first owner; raises Invalid, AlreadyExists, and Unknown for the owner."""
        now = time.time()

        def change(connection: Connection) -> OrganisationRow:
            _check_new_name(connection, name)
            made = insert(schema.organisation).values(name=name, created_at=now).returning(schema.organisation.c.id)
            id_ = connection.execute(made).scalar_one()
            if owner_id is not None:
                connection.execute(insert(schema.member).values(organisation_id=id_, actor_id=owner_id, role="owner"))
            return OrganisationRow(id_, name, now)

        return await self._change(change)

    def organisation(self, name: str) -> OrganisationRow | None:
        """The organisation of exactly that name."""
        rows = self._database.point("SELECT id, name, created_at FROM organisation WHERE name = ?", (name,))
        return OrganisationRow(*rows[0]) if rows else None

    async def organisations(self) -> list[OrganisationRow]:
        """All organisations, sorted by name."""
        sql = "SELECT id, name, created_at FROM organisation ORDER BY name"
        return await self._ask(lambda connection: [OrganisationRow(*row) for row in connection.exec_driver_sql(sql)])

    async def delete_organisation(self, id_: int) -> bool:
        """Remove an organisation with its memberships, teams and their grants; its repositories stay."""

        def change(connection: Connection) -> bool:
            teams = connection.exec_driver_sql("SELECT id FROM team WHERE organisation_id = ?", (id_,)).scalars().all()
            _delete_grants(connection, ("team",), teams)
            return connection.execute(delete(schema.organisation).where(schema.organisation.c.id == id_)).rowcount > 0

        return await self._change(change)

    async def set_member(self, organisation_id: int, actor_id: int, role: str) -> None:
        """Make an actor `owner` or `member` of an organisation; raises Unknown for either of them."""
        if role not in _ROLES:
            raise Invalid(f"expected the role owner or member, got {role!r}")
        statement = upsert(schema.member).values(organisation_id=organisation_id, actor_id=actor_id, role=role)
        statement = statement.on_conflict_do_update(index_elements=["organisation_id", "actor_id"], set_={"role": role})
        await self._change(lambda connection: connection.execute(statement))

    async def remove_member(self, organisation_id: int, actor_id: int) -> bool:
        """Take an actor out of an organisation and of its teams; whether it was in it."""
        teams = (
            "DELETE FROM team_member WHERE actor_id = ? AND team_id IN (SELECT id FROM team WHERE organisation_id = ?)"
        )
        table = schema.member.c
        statement = delete(schema.member).where(table.organisation_id == organisation_id, table.actor_id == actor_id)

        def change(connection: Connection) -> bool:
            connection.exec_driver_sql(teams, (actor_id, organisation_id))
            return connection.execute(statement).rowcount > 0

        return await self._change(change)

    async def members(self, organisation_id: int) -> list[MemberRow]:
        """Who is in an organisation, sorted by name."""
        sql = (
            "SELECT actor_id, actor.name, role FROM member JOIN actor ON actor.id = actor_id"
            " WHERE organisation_id = ? ORDER BY actor.name"
        )
        return await self._ask(
            lambda connection: [MemberRow(*row) for row in connection.exec_driver_sql(sql, (organisation_id,))]
        )

    # ── teams ────────────────────────────────────────────────────────────────────────────────────────────────────
    async def create_team(self, organisation_id: int, name: str) -> TeamRow:
        """A new team of an organisation; raises Invalid, AlreadyExists, and Unknown for the organisation."""
        RepositoryKey.checked("", name, name)

        def change(connection: Connection) -> TeamRow:
            known = "SELECT 1 FROM team WHERE organisation_id = ? AND lower(name) = lower(?)"
            if connection.exec_driver_sql(known, (organisation_id, name)).first() is not None:
                raise AlreadyExists(f"there is a team {name} already")
            made = insert(schema.team).values(organisation_id=organisation_id, name=name).returning(schema.team.c.id)
            id_ = connection.execute(made).scalar_one()
            return TeamRow(*connection.exec_driver_sql(f"{_TEAM} WHERE team.id = ?", (id_,)).one())

        return await self._change(change)

    def team(self, organisation: str, name: str) -> TeamRow | None:
        """The team of that name in the organisation of that name."""
        rows = self._database.point(f"{_TEAM} WHERE organisation.name = ? AND team.name = ?", (organisation, name))
        return TeamRow(*rows[0]) if rows else None

    async def teams(self, organisation_id: int | None = None) -> list[TeamRow]:
        """All teams, or those of an organisation, sorted by organisation and name."""
        sql = f"{_TEAM} WHERE organisation_id = coalesce(?, organisation_id) ORDER BY organisation.name, team.name"
        return await self._ask(
            lambda connection: [TeamRow(*row) for row in connection.exec_driver_sql(sql, (organisation_id,))]
        )

    async def delete_team(self, id_: int) -> bool:
        """Remove a team and the grants that it had; whether there was one."""

        def change(connection: Connection) -> bool:
            _delete_grants(connection, ("team",), [id_])
            return connection.execute(delete(schema.team).where(schema.team.c.id == id_)).rowcount > 0

        return await self._change(change)

    async def add_team_member(self, team_id: int, actor_id: int) -> None:
        """Put an actor into a team, and into its organisation as a member; raises Unknown for either of them."""
        joined = (
            "INSERT INTO member (organisation_id, actor_id, role)"
            " SELECT organisation_id, ?, 'member' FROM team WHERE id = ? ON CONFLICT DO NOTHING"
        )

        def change(connection: Connection) -> None:
            connection.exec_driver_sql(joined, (actor_id, team_id))
            statement = upsert(schema.team_member).values(team_id=team_id, actor_id=actor_id)
            connection.execute(statement.on_conflict_do_nothing())

        await self._change(change)

    async def remove_team_member(self, team_id: int, actor_id: int) -> bool:
        """Take an actor out of a team; whether it was in it."""
        table = schema.team_member.c
        statement = delete(schema.team_member).where(table.team_id == team_id, table.actor_id == actor_id)
        return await self._change(lambda connection: connection.execute(statement).rowcount > 0)

    async def team_members(self, team_id: int) -> list[MemberRow]:
        """Who is in a team, sorted by name."""
        sql = (
            "SELECT actor_id, actor.name, 'member' FROM team_member JOIN actor ON actor.id = actor_id"
            " WHERE team_id = ? ORDER BY actor.name"
        )
        return await self._ask(
            lambda connection: [MemberRow(*row) for row in connection.exec_driver_sql(sql, (team_id,))]
        )

    # ── how all of them read and write ───────────────────────────────────────────────────────────────────────────
    async def _ask(self, question: Callable[[Connection], T]) -> T:
        return await self._database.read(question)

    async def _change(self, change: Callable[[Connection], T]) -> T:
        """Run a change, raise the generation `auth`; a reference to a row that is not there is Unknown."""

        def changed(connection: Connection) -> T:
            bump(connection, AUTH)
            return change(connection)

        try:
            return await self._database.write(changed)
        except IntegrityError as error:
            raise Unknown("no such actor, organisation or team") from error


def _check_new_name(connection: Connection, name: str) -> None:
    """Raise unless the name may be given to a new actor or organisation."""
    RepositoryKey.checked("", name, name)
    if name.lower() in _RESERVED_NAMES:
        raise Invalid(f"the name {name} has a meaning of its own")
    sql = (
        "SELECT name FROM (SELECT name FROM actor UNION ALL SELECT name FROM organisation) WHERE lower(name) = lower(?)"
    )
    known = connection.exec_driver_sql(sql, (name,)).scalar()
    if known is not None:
        raise AlreadyExists(f"the name {known} is taken already")


def _require_actor(connection: Connection, id_: int) -> ActorRow:
    row = connection.exec_driver_sql(f"{_ACTOR} WHERE id = ?", (id_,)).first()
    if row is None:
        raise Unknown("no such actor")
    return actor_row(row)


def _delete_grants(connection: Connection, kinds: Sequence[str], subject_ids: Sequence[int]) -> None:
    """Ids are used again, so no grant may outlive its subject."""
    table = schema.grant.c
    connection.execute(delete(schema.grant).where(table.subject_kind.in_(kinds), table.subject_id.in_(subject_ids)))
