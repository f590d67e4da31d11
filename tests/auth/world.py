"""A catalogue in a temporary folder, people in it, and shortcuts to act as one of them."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from argon2 import PasswordHasher

from gateway.auth import passwords
from gateway.auth.accounts import Accounts
from gateway.auth.authenticate import Authenticator, nobody
from gateway.config import AuthConfig
from gateway.model import Actor, ActorKind
from gateway.store.audit import Audit
from gateway.store.database import Database
from gateway.store.identities import Identities

OUTSIDE = "203.0.113.9"
PASSWORD = "correct horse battery"


class Clock:
    """A time that only tests move."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class World:
    """Everything that account use cases need, and shortcuts to act as somebody."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.identities = Identities(database)
        self.audit = Audit(database)
        self.clock = Clock()
        self.timer = Clock()
        self.authenticator = self.another_worker()

    def another_worker(self, **config) -> Authenticator:
        return Authenticator(self.identities, self.database, AuthConfig(**config), self.clock, self.timer)

    def accounts(self, actor: Actor | None = None) -> Accounts:
        return Accounts(self.identities, self.audit, actor or nobody(OUTSIDE), "request-1", self.clock)

    def acting(self, name: str, token=None, address: str = OUTSIDE) -> Accounts:
        row = self.identities.actor_by_name(name)
        return self.accounts(Actor(row.kind, row.id, row.name, row.is_admin, token, address))

    async def user(self, name: str, *, password: str | None = None, is_admin: bool = False):
        hashed = await passwords.hash(password) if password else None
        return await self.identities.create_actor(ActorKind.USER, name, password_hash=hashed, is_admin=is_admin)

    async def service(self, name: str):
        return await self.identities.create_actor(ActorKind.SERVICE, name)

    async def organisation(self, name: str, owner: str, *members: str):
        row = await self.identities.create_organisation(name, self.identities.actor_by_name(owner).id)
        for member in members:
            await self.identities.set_member(row.id, self.identities.actor_by_name(member).id, "member")
        return row

    async def audited(self) -> list[str]:
        return [entry.action for entry in reversed(await self.audit.list(1000))]


def open_catalogue(folder: Path) -> Database:
    """A catalogue at head in this folder."""
    path = folder / "catalogue.sqlite"
    path.write_bytes(_at_head())
    return Database(path)


@cache
def _at_head() -> bytes:
    """The file after its migrations, which are made once."""
    with TemporaryDirectory() as folder:
        database = Database(Path(folder) / "catalogue.sqlite")
        database.migrate()
        database.close()
        return database.path.read_bytes()


def cheapen_passwords(monkeypatch) -> None:
    """Parameters of argon2 that cost nothing."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    monkeypatch.setattr(passwords, "_decoys", [])
