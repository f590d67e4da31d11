"""Second factors: the secrets of one-time codes, and which code was accepted last.

Beginning or ending one raises the generation `auth`; accepting a code raises nothing.
"""

import time

from sqlalchemy import Connection, delete, insert
from sqlalchemy.exc import IntegrityError

from gateway.errors import Conflict
from gateway.store import schema
from gateway.store.database import Database, bump
from gateway.store.people import AUTH

_TAKE = "UPDATE one_time_code SET step = ?, used_by = ? WHERE actor_id = ? AND secret = ? AND step < ?"
_AGAIN = "SELECT 1 FROM one_time_code WHERE actor_id = ? AND secret = ? AND step = ? AND used_by = ? AND used_by != ''"


class Codes:
    """Rows of `one_time_code`."""

    _database: Database

    def code_secret(self, actor_id: int) -> str | None:
        """The secret of an actor's codes, None without a second factor; a point read."""
        rows = self._database.point("SELECT secret FROM one_time_code WHERE actor_id = ?", (actor_id,))
        return str(rows[0][0]) if rows else None

    async def put_code_secret(self, actor_id: int, secret: str, step: int = 0) -> None:
        """Begin a second factor; no code of `step` or earlier is accepted. Raises Conflict where there is one."""
        values = {"actor_id": actor_id, "secret": secret, "step": step, "used_by": "", "created_at": time.time()}

        def change(connection: Connection) -> None:
            bump(connection, AUTH)
            connection.execute(insert(schema.one_time_code).values(values))

        try:
            await self._database.write(change)
        except IntegrityError as error:
            raise Conflict("this account has one-time codes already") from error

    async def delete_code_secret(self, actor_id: int) -> bool:
        """End a second factor; whether there was one."""
        statement = delete(schema.one_time_code).where(schema.one_time_code.c.actor_id == actor_id)

        def change(connection: Connection) -> bool:
            bump(connection, AUTH)
            return connection.execute(statement).rowcount > 0

        return await self._database.write(change)

    async def take_step(self, actor_id: int, secret: str, step: int, used_by: str) -> bool | None:
        """Accept the code of a step: True the first time, False again for the same `used_by`, None for nobody else.

        Of all who bring it at once, one is the first. An empty `used_by` gets no second time.
        """

        def change(connection: Connection) -> bool | None:
            taken = connection.exec_driver_sql(_TAKE, (step, used_by, actor_id, secret, step))
            if taken.rowcount:
                return True
            again = connection.exec_driver_sql(_AGAIN, (actor_id, secret, step, used_by)).first()
            return None if again is None else False

        return await self._database.write(change)
