"""Filling the cache before anybody asks: what a project's or lock file wants is fetched as a client's read would.

An adapter says which files it can read, and how what they name is fetched; here that is bound to a repository and
counted. It is for the operator of the data folder, who may read all that is in it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from itertools import islice
from pathlib import PurePath

from msgspec import Struct

from gateway.addressed import Addressed
from gateway.errors import GatewayError, Invalid, RepositoryUnknown
from gateway.layers import Ownership, ownership
from gateway.model import Actor, ActorKind, Repository, RepositoryKey
from gateway.services import Services
from gateway.store.spool import Follower

_AT_ONCE = 8  # files that are fetched beside one another
_MOST = 20_000  # files of one lock
_OPERATOR = Actor(ActorKind.SERVICE, 0, "operator")


class Fetched(Struct, frozen=True):
    """One file that was wanted. size: bytes, 0 where it could not be had; why: then, in words."""

    name: str
    size: int = 0
    why: str = ""


Prefetch = Callable[[bytes, Addressed], AsyncIterator[Fetched]]
"""Body of a project's or lock file, and reads of a repository → everything that it wants, fetched."""


async def fetch_files(wanted: Iterable[tuple[str, str]], reader: Addressed) -> AsyncIterator[Fetched]:
    """Fetch files, each named by its package and its name, a few at once, with the listing that a client reads first.

    For locks that name every file of a build; what a client would not get, is said of the file.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def take(package: str, filename: str) -> Fetched:
        async with gate:
            try:
                return Fetched(filename, await _take(reader, package, filename))
            except GatewayError as error:
                return Fetched(filename, why=error.message)

    first = list(islice(dict.fromkeys(wanted), _MOST))
    for done in asyncio.as_completed([take(package, filename) for package, filename in first]):
        yield await done


async def _take(reader: Addressed, package: str, filename: str) -> int:
    """Read a listing and then a file to its end; its size."""
    await reader.listing(package)
    source = await (await reader.file(package, filename)).open()
    try:
        if isinstance(source, Follower):
            await source.finished()
        return source.size or 0
    finally:
        source.close()


class Operator(Addressed):
    """Reads of whoever runs the machine: whose the data folder is, may read what lies in it."""

    def _authorise(self, package: str) -> Ownership:
        return ownership(self._services, self.repository, package)

    def _allows(self, repository: Repository, package: str | None, *, is_restricted: bool) -> bool:  # noqa: ARG002 all
        return True


async def prefetch(
    services: Services, readers: Mapping[str, Prefetch], key: RepositoryKey, filename: str, body: bytes
) -> AsyncIterator[Fetched]:
    """Fetch everything that the file wants, through a repository; raises RepositoryUnknown or Invalid.

    readers: pattern of a file's name → how it is read.
    """
    repository = services.repository(key)
    if repository is None:
        raise RepositoryUnknown(f"no repository {key}")
    name = PurePath(filename).name
    reader = next((read for pattern, read in readers.items() if PurePath(name).match(pattern)), None)
    if reader is None:
        raise Invalid(f"{key.type}: nobody can read {name} (known: {', '.join(readers) or 'none'})")
    async for fetched in reader(body, Operator(services, repository, _OPERATOR)):
        yield fetched
