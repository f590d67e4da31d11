"""What `bundle install` with a Gemfile.lock would ask for, fetched beforehand: the index of each gem, and its file."""

import re
from collections.abc import AsyncIterator, Iterator

from adapters.rubygems import names
from gateway.addressed import Addressed
from gateway.errors import Invalid
from gateway.prefetch import Fetched, fetch_files

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
    async for fetched in fetch_files(((name, f"{name}-{label}.gem") for name, label in locked_gems(body)), reader):
        yield fetched
