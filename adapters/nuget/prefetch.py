"""What `dotnet restore --locked-mode` would ask for, fetched beforehand: every package of a packages.lock.json."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import msgspec

from adapters.nuget import names
from gateway.addressed import Addressed
from gateway.errors import GatewayError, Invalid
from gateway.prefetch import Fetched
from gateway.store.spool import Follower

_AT_ONCE = 8
_MOST = 20_000


def locked_packages(body: bytes) -> Iterator[tuple[str, str]]:
    """Canonical id and version of each package, over all frameworks; projects have none. Raises Invalid."""
    try:
        document = msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("the packages.lock.json is not JSON") from error
    frameworks = document.get("dependencies") if isinstance(document, dict) else None
    if not isinstance(frameworks, dict):
        raise Invalid("not a packages.lock.json: it has no dependencies")
    for packages in frameworks.values():
        for id_, package in packages.items() if isinstance(packages, dict) else ():
            resolved = package.get("resolved") if isinstance(package, dict) else None
            if isinstance(resolved, str):
                yield names.normalize(id_), names.version_key(resolved)


async def from_lock(body: bytes, reader: Addressed) -> AsyncIterator[Fetched]:
    """Fetch every package that this packages.lock.json names; raises Invalid for what is none."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def take(package: str, version: str) -> Fetched:
        async with gate:
            return await _take(reader, package, version)

    wanted = list(dict.fromkeys(locked_packages(body)))[:_MOST]
    for done in asyncio.as_completed([take(package, version) for package, version in wanted]):
        yield await done


async def _take(reader: Addressed, package: str, version: str) -> Fetched:
    filename = names.nupkg(package, version)
    try:
        await reader.listing(package)
        opened = await reader.file(package, filename)
        source = await opened.open()
        try:
            if isinstance(source, Follower):
                await source.finished()
            return Fetched(filename, source.size or 0)
        finally:
            source.close()
    except GatewayError as error:
        return Fetched(filename, why=error.message)
