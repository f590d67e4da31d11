"""Run by Alembic: migrates over the connection and the transaction that `Database.migrate` holds.

Foreign keys are off while tables are rebuilt, so what was left behind is checked at the end, before the commit.
"""

from alembic import context
from sqlalchemy import Connection

from gateway.errors import StoreTrouble
from gateway.store.schema import metadata


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    context.run_migrations()
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if orphans:
        tables = ", ".join(sorted({str(row[0]) for row in orphans}))
        raise StoreTrouble(f"rows without what they refer to in: {tables}")


_migrate(context.config.attributes["connection"])
