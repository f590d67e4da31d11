"""Tokens and short-lived secrets, found by the sha256 of the secret; the secret itself is never stored.

Making or deleting a token raises the generation `auth`. Sessions are read afresh each time and raise nothing.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from gateway.errors import AlreadyExists, Unknown
from gateway.model import Scope
from gateway.store import schema
from gateway.store.database import Database, bump, from_json
from gateway.store.people import AUTH, actor_row
from gateway.store.rows import ActorRow, SessionRow, TokenRow

_SELECT = (
    "SELECT id, actor_id, name, hint, scopes, repositories, packages, cidrs, expires_at, created_at, last_used_at,"
    " is_automation FROM token"
)
_WIDTH = 12
_WITH_ACTOR = (
    "SELECT token.id, actor_id, token.name, hint, scopes, repositories, packages, cidrs, expires_at,"
    " token.created_at, last_used_at, is_automation, actor.id, actor.kind, actor.name, actor.email,"
    " actor.password_hash IS NOT NULL, actor.is_admin, actor.is_disabled, actor.created_at,"
    " EXISTS (SELECT 1 FROM one_time_code WHERE one_time_code.actor_id = actor.id)"
    " FROM token JOIN actor ON actor.id = actor_id WHERE sha256 = ?"
)
_SESSION = "SELECT sha256, kind, actor_id, payload, expires_at FROM session WHERE sha256 = ? AND expires_at > ?"


class Tokens:
    """Rows of `token` and `session`."""

    _database: Database

    # ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────
    def token_by_sha256(self, sha256: str) -> tuple[TokenRow, ActorRow] | None:
        """The token with this secret and whose it is; a point read.

        Neither expiry nor a disabled actor is judged here: the caller does.
        """
        rows = self._database.point(_WITH_ACTOR, (sha256,))
        if not rows:
            return None
        return _token(rows[0][:_WIDTH]), actor_row(rows[0][_WIDTH:])

    async def create_token(
        self,
        actor_id: int,
        *,
        sha256: str,
        hint: str,
        name: str,
        scopes: Collection[Scope],
        repositories: Sequence[str] = (),
        packages: Sequence[str] = (),
        cidrs: Sequence[str] = (),
        expires_at: float | None = None,
        is_automation: bool = False,
    ) -> TokenRow:
        """A new token of an actor; raises Unknown for the actor and AlreadyExists for the secret."""
        values = {
            "actor_id": actor_id,
            "sha256": sha256,
            "hint": hint,
            "name": name,
            "scopes": sorted(str(scope) for scope in scopes),
            "repositories": list(repositories),
            "packages": list(packages),
            "cidrs": list(cidrs),
            "expires_at": expires_at,
            "created_at": time.time(),
            "is_automation": is_automation,
        }

        def change(connection: Connection) -> TokenRow:
            if connection.exec_driver_sql("SELECT 1 FROM token WHERE sha256 = ?", (sha256,)).first() is not None:
                raise AlreadyExists("there is a token with this secret already")
            bump(connection, AUTH)
            id_ = connection.execute(insert(schema.token).values(values).returning(schema.token.c.id)).scalar_one()
            sql = f"{_SELECT} WHERE id = ?"
            return _token(connection.exec_driver_sql(sql, (id_,)).one())

        try:
            return await self._database.write(change)
        except IntegrityError as error:
            raise Unknown("no such actor") from error

    async def tokens(self, actor_id: int | None = None) -> list[TokenRow]:
        """All tokens, or those of an actor, newest first."""
        sql = f"{_SELECT} WHERE actor_id = coalesce(?, actor_id) ORDER BY id DESC"
        return await self._database.read(
            lambda connection: [_token(row) for row in connection.exec_driver_sql(sql, (actor_id,))]
        )

    async def delete_token(self, id_: int, actor_id: int | None = None) -> bool:
        """Revoke a token, with `actor_id` only if it is that actor's; whether there was one."""
        statement = delete(schema.token).where(schema.token.c.id == id_)
        if actor_id is not None:
            statement = statement.where(schema.token.c.actor_id == actor_id)

        def change(connection: Connection) -> bool:
            bump(connection, AUTH)
            return connection.execute(statement).rowcount > 0

        return await self._database.write(change)

    async def touch_tokens(self, used: Mapping[int, float]) -> None:
        """Note when tokens were last used: id → POSIX seconds. Raises no generation."""
        if not used:
            return
        table = schema.token.c
        statement = update(schema.token).where(table.id == bindparam("token_id")).values(last_used_at=bindparam("at"))
        rows = [{"token_id": id_, "at": at} for id_, at in used.items()]
        await self._database.write(lambda connection: connection.execute(statement, rows))

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────
    async def put_session(self, row: SessionRow) -> None:
        """Create a session, or change the one with the same secret; raises Unknown for its actor."""
        values = {
            "sha256": row.sha256,
            "kind": row.kind,
            "actor_id": row.actor_id,
            "payload": dict(row.payload),
            "expires_at": row.expires_at,
        }
        statement = upsert(schema.session).values(values)
        statement = statement.on_conflict_do_update(index_elements=["sha256"], set_=values)
        try:
            await self._database.write(lambda connection: connection.execute(statement))
        except IntegrityError as error:
            raise Unknown("no such actor") from error

    def session(self, sha256: str, now: float | None = None) -> SessionRow | None:
        """The session with this secret, or None if it ended by `now`; a point read."""
        rows = self._database.point(_SESSION, (sha256, time.time() if now is None else now))
        return _session(rows[0]) if rows else None

    async def take_session(self, sha256: str, kind: str, now: float | None = None) -> SessionRow | None:
        """Delete a one-time secret and return it: of all who ask at once, one gets it."""
        moment = time.time() if now is None else now

        def change(connection: Connection) -> SessionRow | None:
            row = connection.exec_driver_sql(f"{_SESSION} AND kind = ?", (sha256, moment, kind)).first()
            if row is not None:
                connection.execute(delete(schema.session).where(schema.session.c.sha256 == sha256))
            return None if row is None else _session(row)

        return await self._database.write(change)

    async def sessions(self, kind: str) -> list[SessionRow]:
        """All sessions of a kind, the ended ones included, the last to end first."""
        sql = "SELECT sha256, kind, actor_id, payload, expires_at FROM session WHERE kind = ? ORDER BY expires_at DESC"
        return await self._database.read(
            lambda connection: [_session(row) for row in connection.exec_driver_sql(sql, (kind,))]
        )

    async def delete_session(self, sha256: str) -> bool:
        """End a session; whether there was one."""
        statement = delete(schema.session).where(schema.session.c.sha256 == sha256)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount > 0)

    async def delete_sessions_of(self, actor_id: int, kind: str) -> int:
        """End all sessions of a kind that an actor has, after a change of password; how many there were."""
        table = schema.session.c
        statement = delete(schema.session).where(table.actor_id == actor_id, table.kind == kind)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)

    async def expire_sessions(self, now: float | None = None) -> int:
        """Delete the sessions that ended by `now`; how many there were."""
        moment = time.time() if now is None else now
        statement = delete(schema.session).where(schema.session.c.expires_at <= moment)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)


def _token(row: Sequence[Any]) -> TokenRow:
    id_, actor_id, name, hint, scopes, repositories, packages, cidrs, expires_at, created_at, last_used_at = row[:11]
    return TokenRow(
        id=id_,
        actor_id=actor_id,
        name=name,
        hint=hint,
        scopes=frozenset(Scope(scope) for scope in from_json(scopes)),
        repositories=tuple(from_json(repositories)),
        packages=tuple(from_json(packages)),
        cidrs=tuple(from_json(cidrs)),
        expires_at=expires_at,
        created_at=created_at,
        last_used_at=last_used_at,
        is_automation=bool(row[11]),
    )


def _session(row: Sequence[Any]) -> SessionRow:
    sha256, kind, actor_id, payload, expires_at = row
    return SessionRow(sha256, kind, actor_id, from_json(payload), expires_at)
