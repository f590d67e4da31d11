"""What lies within a file and is asked for beside it, where the upstream does not offer it there (a wheel's METADATA).

It is taken out when the file is fetched, and listed from then on. That is a promise for good: should the cache lose it,
it is taken out of the file again, which always is the same one.
"""

import asyncio
from collections.abc import Mapping

from gateway.cold import Cold, beside
from gateway.errors import Invalid, StoreTrouble
from gateway.format import Deriving, Format
from gateway.model import Digest, File
from gateway.store.first_use import FirstUse


def kind_of(format_: Format, file: File) -> str:
    """The kind of sidecar to take out of the file; empty for none."""
    return format_.derives(file) if isinstance(format_, Deriving) else ""


def listed(format_: Format, file: File, first: Mapping[str, FirstUse]) -> File:
    """The file with the promise of what was taken out of it. first: what is known of the package's files."""
    if file.sha256 is None or not isinstance(format_, Deriving) or not (kind := format_.derives(file)):
        return file
    known = first.get(beside(file.filename, kind, file.sha256))
    return file if known is None else format_.with_derived(file, known.digest)


async def derive(cold: Cold, format_: Format, file: File, digest: Digest, upstream: str) -> None:
    """Take it out of a file that is in the cache, keep it and note its hash; what cannot be read has none."""
    if not isinstance(format_, Deriving) or not (kind := format_.derives(file)):
        return
    cache = cold.services.cache
    try:
        body = await asyncio.to_thread(format_.derive, cold.package, file.filename, cache.path(digest))
        kept = await asyncio.to_thread(cache.put, body)
    except (Invalid, StoreTrouble):
        return  # clients read it from the file, as they would without us
    name = beside(file.filename, kind, digest.hex)
    row = cold.cached(kept, len(body), {"sha256": kept.hex}, upstream)
    await Cold(cold.services, cold.repository, cold.asked, cold.package, name).link(row, is_first=True)
