"""What `bundle install` with a Gemfile.lock would ask for, fetched beforehand: the index of each gem, and its file."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

from adapters.rubygems import names
from gateway.addressed import Addressed
from gateway.errors import GatewayError, Invalid
from gateway.prefetch import Fetched
from gateway.store.spool import Follower

_AT_ONCE = 8
_MOST = 20_000
_LOCKED = re.compile(r"    (\S+) \(([^()\s]+)\)\Z")  # four spaces: a gem; six: what it depends on
_FROM_A_REGISTRY = "GEM"


def locked_gems(body: bytes) -> Iterator[tuple[str, str]]:
    """Name and label of each gem from a registry; raises Invalid for what is no Gemfile.lock."""
    try:
        lines = body.decode().splitlines()
    except UnicodeDecodeError as error:
        raise Invalid("the Gemfile.lock is not UTF-8") from error
    if _FROM_A_REGISTRY not in lines:
        raise Invalid("not a Gemfile.lock: it has no GEM section")
    section = ""
    for line in lines:
        if line and not line.startswith(" "):
            section = line
        elif section == _FROM_A_REGISTRY and (match := _LOCKED.match(line)) is not None:
            version, platform = names.split_label(match[2])
            if names.is_name(match[1]) and names.is_version(version) and names.is_platform(platform):
                yield match[1], match[2]


async def from_lock(body: bytes, reader: Addressed) -> AsyncIterator[Fetched]:
    """Fetch every gem that this Gemfile.lock names; raises Invalid for what is none."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def take(name: str, label: str) -> Fetched:
        async with gate:
            return await _take(reader, name, label)

    wanted = list(dict.fromkeys(locked_gems(body)))[:_MOST]
    for done in asyncio.as_completed([take(name, label) for name, label in wanted]):
        yield await done


async def _take(reader: Addressed, name: str, label: str) -> Fetched:
    full = f"{name}-{label}"
    try:
        await reader.listing(name)
        opened = await reader.file(name, f"{full}.gem")
        source = await opened.open()
        try:
            if isinstance(source, Follower):
                await source.finished()
            return Fetched(full, source.size or 0)
        finally:
            source.close()
    except GatewayError as error:
        return Fetched(full, why=error.message)
