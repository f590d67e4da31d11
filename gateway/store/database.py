"""The catalogue's SQLite file: one writer thread, readers with snapshots, and point reads in the event loop.

- `write` runs a function in one BEGIN IMMEDIATE transaction (WAL, synchronous=FULL): what it returned for survives
  kill -9 and power loss. Writers of several processes wait for one another, up to BUSY_SECONDS.
- `point` is for the request path: a prepared statement on a read-only connection, executed in the loop in a few
  microseconds. Only indexed reads of a few rows belong there.
- `epoch` tells in-memory state when to forget: every change that others must see raises a generation (`bump`) in
  its own transaction, and any process notices at its next call.

This module knows no table except `generation`; what rows mean stands in the stores beside it.
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import msgspec
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from gateway.errors import StoreTrouble
from gateway.store.pulse import Pulse

T = TypeVar("T")

BUSY_SECONDS = 10.0
_READERS = 2
# How long equal beats are believed without asking SQLite: bounds the harm of a foreign program that writes to the file.
_TRUST_SECONDS = 1.0
_MIGRATIONS = Path(__file__).parent / "migrations"
_BUMP = (
    "INSERT INTO generation (scope, value) VALUES (?, (SELECT coalesce(max(value), 0) + 1 FROM generation))"
    " ON CONFLICT (scope) DO UPDATE SET value = excluded.value"
)


def bump(connection: Connection, *scopes: str) -> None:
    """Raise the generations of these scopes (`auth`, `repositories`, `repository:<id>`, …) within a transaction."""
    for scope in scopes:
        connection.exec_driver_sql(_BUMP, (scope,))


def to_json(value: Any) -> str:
    """The text that JSON columns hold."""
    return msgspec.json.encode(value).decode()


from_json = msgspec.json.decode


class Database:
    """One process's view of the catalogue. Nothing is opened before first use, so that it may be built before a fork.

    Any failure of the file itself (locked for too long, full disk, damage) is StoreTrouble.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="catalogue-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="catalogue-reader")
        self._write_engine = _engine(path, "BEGIN IMMEDIATE", 1, "foreign_keys=ON")
        self._read_engine = _engine(path, "BEGIN", _READERS, "query_only=ON")
        self._data_version = -1
        self._seen_beat = -1
        self._trusted_until = 0.0
        self._last_generation = 0
        self._generations: dict[str, int] = {}

    def migrate(self) -> None:
        """Create the file or bring its schema to head; processes that do so at once wait for one another."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive(self.path.with_name(self.path.name + ".lock")):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            if _is_at_head(self.path):
                return
            # Alembic is a fifth of a second of imports, needed once in a data folder's life.
            from alembic import command  # noqa: PLC0415
            from alembic.config import Config as AlembicConfig  # noqa: PLC0415
            from alembic.util.exc import CommandError  # noqa: PLC0415

            # Rebuilding a table must not cascade into the tables that refer to it; env.py checks the keys afterwards.
            engine = _engine(self.path, "BEGIN IMMEDIATE", 1, "foreign_keys=OFF")
            try:
                with engine.begin() as connection:
                    config = AlembicConfig()
                    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
                    config.attributes["connection"] = connection
                    command.upgrade(config, "head")
            except CommandError as error:
                raise StoreTrouble(f"the catalogue was written by another version of this program: {error}") from error
            except SQLAlchemyError as error:
                raise _trouble(error) from error
            finally:
                engine.dispose()

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run `change` in one transaction in the writer thread; it commits when it returns, and not when it raises.

        A caller that is cancelled while it waits cannot know whether the change happened.
        """
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._write, change)

    async def read(self, question: Callable[[Connection], T]) -> T:
        """Run `question` in a reader thread on one snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, question)

    def point(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """The rows of an indexed read, as tuples; synchronous, so call it from the event loop's thread only."""
        try:
            return self._cursor.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise _trouble(error) from error

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let several point reads see one state of the catalogue. Never await inside: it would be everybody's state."""
        self.point("BEGIN")
        try:
            yield
        finally:
            self.point("ROLLBACK")

    def epoch(self, scope: str) -> int:
        """The generation of a scope, 0 for one never bumped; it differs once any process committed a bump of it.

        Costs well under 1 µs while nobody writes. Synchronous, for the loop's thread.
        """
        beats = self._pulse.beats
        if not beats[0] == beats[1] == self._seen_beat or monotonic() > self._trusted_until:
            self._catch_up()
        return self._generations.get(scope, 0)

    def sequence(self) -> int:
        """The newest generation of any scope: while it stands still, no epoch has moved."""
        self.epoch("")
        return self._last_generation

    def close(self) -> None:
        """Finish queued writes and close every connection."""
        self._writer.shutdown()
        self._readers.shutdown()
        self._write_engine.dispose()
        self._read_engine.dispose()
        if "_cursor" in self.__dict__:
            self._cursor.connection.close()
        if "_pulse" in self.__dict__:
            self._pulse.close()

    @cached_property
    def _cursor(self) -> sqlite3.Cursor:
        """The point connection's only cursor: SQLAlchemy would cost a hundred times the read."""
        connection = sqlite3.connect(
            f"{self.path.resolve().as_uri()}?mode=ro",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        return connection.cursor()

    @cached_property
    def _pulse(self) -> Pulse:
        return Pulse(self.path.with_name(self.path.name + ".pulse"))

    def _catch_up(self) -> None:
        """Ask SQLite whether anything was committed, and read the generations that rose."""
        begun, done = self._pulse.beats  # before SQLite is asked: what is committed later shows as another beat
        (version,) = self.point("PRAGMA data_version")[0]
        if version != self._data_version:
            newer = "SELECT scope, value FROM generation WHERE value > ? ORDER BY value"
            for changed, value in self.point(newer, (self._last_generation,)):
                self._generations[changed] = self._last_generation = value
            self._data_version = version
        self._seen_beat = begun if begun == done else -1
        self._trusted_until = monotonic() + _TRUST_SECONDS

    def _write(self, change: Callable[[Connection], T]) -> T:
        beat = 0
        try:
            with _trouble_named(), self._write_engine.begin() as connection:
                beat = self._pulse.begin()
                return change(connection)
        finally:
            if beat:
                self._pulse.end(beat)

    def _read(self, question: Callable[[Connection], T]) -> T:
        with _trouble_named(), self._read_engine.begin() as connection:
            return question(connection)


@contextmanager
def _trouble_named() -> Iterator[None]:
    """Turn failures of the file into StoreTrouble; a broken constraint goes through, its store knows what it means."""
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        raise _trouble(error) from error


def _is_at_head(path: Path) -> bool:
    """Whether the file's schema is that of the newest migration; numbers rise, and name the files."""
    newest = max(file.name.partition("_")[0] for file in (_MIGRATIONS / "versions").glob("[0-9]*.py"))
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        try:
            return connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(newest,)]
        except sqlite3.Error:
            return False


def _trouble(error: Exception) -> StoreTrouble:
    cause = getattr(error, "orig", None) or error
    return StoreTrouble(f"the catalogue cannot do it now: {cause}", retry_after=1.0)


def _engine(path: Path, begin: str, connections: int, *pragmas: str) -> Engine:
    """An engine whose transactions open with `begin`; the driver's own implicit ones are off."""
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS, "isolation_level": None},
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        json_serializer=to_json,
        json_deserializer=from_json,
    )

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "journal_size_limit=67108864", *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", start)
    return engine


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file against every other process (and every other open of it in this one)."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
