"""What `dotnet restore --locked-mode` would ask for, fetched beforehand: every package of a packages.lock.json."""

from collections.abc import AsyncIterator, Iterator

import msgspec

from adapters.nuget import names
from gateway.addressed import Addressed
from gateway.errors import Invalid
from gateway.prefetch import Fetched, fetch_files


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
    wanted = ((package, names.nupkg(package, version)) for package, version in locked_packages(body))
    async for fetched in fetch_files(wanted, reader):
        yield fetched
