import asyncio
import sqlite3
import stat
import subprocess
import sys
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from gateway.errors import StoreTrouble
from gateway.store import schema
from gateway.store.database import Database, bump


async def test_a_migrated_catalogue_has_exactly_the_schemas_tables(database):
    def differences(connection):
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, schema.metadata)

    assert await database.read(differences) == []


def test_the_migrated_tables_are_those_that_the_schema_would_create(database):
    question = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'alembic%' AND sql IS NOT NULL"
    engine = create_engine("sqlite://")

    with engine.connect() as connection:
        schema.metadata.create_all(connection)
        created = {(name, _words(sql)) for name, sql in connection.exec_driver_sql(question)}
    engine.dispose()

    assert {(name, _words(sql)) for name, sql in database.point(question)} == created


def _words(sql):
    """The parts of a statement whatever their order: Alembic and SQLAlchemy list constraints differently."""
    return frozenset(part.strip(" )") for part in " ".join(sql.split()).split(", "))


def test_migrating_again_changes_nothing(database):
    before = database.point("SELECT name, sql FROM sqlite_master")

    database.migrate()

    assert database.point("SELECT name, sql FROM sqlite_master") == before


def test_databases_that_migrate_at_once_wait_for_one_another(tmp_path):
    databases = [Database(tmp_path / "catalogue.sqlite") for _ in range(4)]
    threads = [threading.Thread(target=database.migrate) for database in databases]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [database.epoch("auth") for database in databases] == [0, 0, 0, 0]
    for database in databases:
        database.close()


async def test_a_catalogue_of_a_later_program_is_refused(database):
    later = "UPDATE alembic_version SET version_num = '9999'"
    await database.write(lambda connection: connection.exec_driver_sql(later))

    with pytest.raises(StoreTrouble, match="another version"):
        database.migrate()


def test_the_catalogue_is_for_its_owner_only(database):
    assert stat.S_IMODE(database.path.stat().st_mode) == 0o600


async def test_writes_are_synced_before_they_are_confirmed(database):
    def pragmas(connection):
        return [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]

    assert await database.write(pragmas) == ["wal", 2, 1, 10_000]


async def test_a_write_that_raises_leaves_nothing_behind(database):
    def change(connection):
        bump(connection, "auth")
        raise LookupError("changed its mind")

    with pytest.raises(LookupError):
        await database.write(change)

    assert database.epoch("auth") == 0


async def test_readers_cannot_write(database):
    with pytest.raises(StoreTrouble):
        await database.read(lambda connection: bump(connection, "auth"))
    with pytest.raises(StoreTrouble):
        database.point("DELETE FROM actor")


async def test_a_read_sees_one_snapshot(database):
    def question(connection):
        before = connection.exec_driver_sql("SELECT count(*) FROM generation").scalar()
        asyncio.run_coroutine_threadsafe(database.write(lambda writer: bump(writer, "auth")), loop).result()
        return before, connection.exec_driver_sql("SELECT count(*) FROM generation").scalar()

    loop = asyncio.get_running_loop()

    assert await database.read(question) == (0, 0)
    assert database.epoch("auth") == 1


async def test_point_reads_in_a_snapshot_see_one_state(database, elsewhere):
    count = "SELECT count(*) FROM generation"

    with database.snapshot():
        before = database.point(count)
        await elsewhere.write(lambda connection: bump(connection, "auth"))
        assert database.point(count) == before

    assert database.point(count) == [(1,)]
    assert database.epoch("auth") == 1


async def test_an_epoch_moves_only_for_its_own_scope(database):
    await database.write(lambda connection: bump(connection, "auth"))
    auth = database.epoch("auth")

    await database.write(lambda connection: bump(connection, "repositories", "repository:1"))

    assert database.epoch("auth") == auth
    assert database.epoch("repositories") > auth
    assert database.epoch("repository:1") > database.epoch("repositories")
    assert database.epoch("repository:2") == 0


async def test_a_commit_is_seen_by_another_process_at_its_next_call(database, elsewhere):
    seen = [elsewhere.epoch("auth")]

    for _ in range(50):
        await database.write(lambda connection: bump(connection, "auth"))
        seen.append(elsewhere.epoch("auth"))
        assert database.epoch("auth") == seen[-1]

    assert seen == sorted(set(seen))


async def test_a_commit_is_seen_even_if_its_writer_died_before_it_said_so(database, elsewhere):
    """The beat of a writer that was killed after its commit never ends."""
    await database.write(lambda connection: bump(connection, "auth"))
    before = elsewhere.epoch("auth")
    killed = sqlite3.connect(database.path, isolation_level=None)
    killed.execute("BEGIN IMMEDIATE")
    database._pulse.begin()
    assert elsewhere.epoch("auth") == before
    killed.execute("UPDATE generation SET value = value + 1")
    killed.execute("COMMIT")
    killed.close()

    assert elsewhere.epoch("auth") == before + 1


async def test_a_quiet_catalogue_is_not_asked_again(database, monkeypatch):
    await database.write(lambda connection: bump(connection, "auth"))
    epoch = database.epoch("auth")

    with monkeypatch.context() as patched:
        patched.setattr("gateway.store.database.monotonic", lambda: 0.0)
        patched.setattr(database, "point", None)
        assert database.epoch("auth") == epoch


async def test_a_foreign_program_is_noticed_in_the_end(database, monkeypatch):
    await database.write(lambda connection: bump(connection, "auth"))
    before = database.epoch("auth")
    with sqlite3.connect(database.path) as foreign:
        foreign.execute("UPDATE generation SET value = value + 1")
    foreign.close()

    monkeypatch.setattr("gateway.store.database.monotonic", lambda: float("inf"))

    assert database.epoch("auth") == before + 1


_WRITER = """
import asyncio, sys
from pathlib import Path
from gateway.store.database import Database, bump

async def main():
    database = Database(Path(sys.argv[1]))
    for number in range(int(sys.argv[2])):
        await database.write(lambda connection: bump(connection, "shared", sys.argv[3]))
        print(number, flush=True)
    database.close()

asyncio.run(main())
"""


def test_two_processes_that_write_lose_nothing(database):
    writers = [_start_writer(database, 60, name) for name in ("one", "two")]

    for writer in writers:
        writer.communicate()

    assert [writer.returncode for writer in writers] == [0, 0]
    assert max(database.epoch("one"), database.epoch("two")) == 2 * 2 * 60
    assert database.epoch("shared") == 2 * 2 * 60 - 1


def test_what_a_killed_writer_confirmed_is_there(database):
    writer = _start_writer(database, 100_000, "one")
    confirmed = [int(writer.stdout.readline()) for _ in range(20)][-1]
    writer.kill()
    confirmed = max([confirmed, *(int(line) for line in writer.communicate()[0].splitlines()[:-1])])

    assert database.epoch("one") >= 2 * (confirmed + 1)
    assert database.point("PRAGMA integrity_check") == [("ok",)]


def _start_writer(database, count, name):
    command = [sys.executable, "-c", _WRITER, str(database.path), str(count), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_a_locked_catalogue_is_trouble_and_no_crash(database, monkeypatch):
    monkeypatch.setattr("gateway.store.database.BUSY_SECONDS", 0.01)
    impatient = Database(database.path)
    holder = sqlite3.connect(database.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreTrouble, match="locked"):
        await impatient.write(lambda connection: bump(connection, "auth"))

    holder.close()
    impatient.close()


async def test_a_missing_catalogue_is_trouble(tmp_path):
    database = Database(tmp_path / "nowhere" / "catalogue.sqlite")

    with pytest.raises(StoreTrouble):
        database.point("SELECT 1")
    database.close()


def test_names_that_differ_by_case_are_found_by_an_index(database):
    question = "EXPLAIN QUERY PLAN SELECT name FROM package WHERE repository_id = 1 AND name = 'a' COLLATE NOCASE"

    assert "ix_package_spelling" in str(database.point(question))
