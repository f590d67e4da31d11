"""A file of an upstream on its way into the cache: what every kind of cold read shares.

Its bytes are counted as they arrive, it is linked to a package only while the upstream may own the name, and what is
not as promised is told the operator.
"""

import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

from msgspec import Struct

from gateway.errors import FileUnknown, UpstreamCorrupt
from gateway.model import Digest, OwnerMode, Repository
from gateway.services import Services
from gateway.store.rows import CachedFile
from gateway.upstream.client import Stream


class Cold(Struct, frozen=True):
    """One file. repository: whose layer the upstream is. asked: through which it was asked for. sha256: promised."""

    services: Services
    repository: Repository
    asked: Repository
    package: str
    name: str
    sha256: str | None = None

    def known(self) -> Digest | None:
        """The file, once somebody else has fetched it."""
        cached = self.services.blob_rows.cached(self.repository.id, self.package, self.name, self.sha256)
        return None if cached is None else cached.digest

    async def link(self, cached: CachedFile, *, is_first: bool = False) -> None:
        """Link bytes that are in the cache store; see `BlobRows.add_cached`. Raises FileUnknown, UpstreamCorrupt."""
        row = await self.services.packages.adopt(self.repository.id, self.package, cached.upstream)
        if row.owner_mode is OwnerMode.HOSTED and not self.asked.is_merged(self.package):
            raise FileUnknown(f"{self.package} was published here meanwhile")
        await self.services.blob_rows.add_cached(self.repository.id, self.package, self.name, cached, is_first=is_first)

    def cached(self, digest: Digest, size: int, hashes: Mapping[str, str], upstream: str) -> CachedFile:
        """What there is to link, fetched now."""
        return CachedFile(digest, size, dict(hashes), upstream, time.time())

    def refused(self, upstream: str, error: UpstreamCorrupt) -> UpstreamCorrupt:
        """Note the fault for the operator; says what the file was, where it was another one before."""
        first = self.services.blob_rows.first_uses(self.repository.id, self.package, upstream).get(self.name)
        if first is not None:
            day = datetime.fromtimestamp(first.seen_at, UTC)
            error = UpstreamCorrupt(
                f"{upstream} changed {self.name}: it was {first.digest} when it was first fetched on {day:%Y-%m-%d},"
                f" and nothing else is served under this name ({error.message})"
            )
        self.services.client.distrust(self.services.upstreams[upstream])
        self.services.denials.note_corrupt(
            upstream=upstream,
            repository=str(self.repository.key),
            package=self.package,
            filename=self.name,
            reason=error.message,
        )
        return error


def beside(filename: str, kind: str, sha256: str | None) -> str:
    """Under what a sidecar is cached: with the digest of its file, so that no other of that name ever has it."""
    return f"{sha256 or '-'}/{filename}.{kind}"


def counted(services: Services, repository: Repository, stream: Stream) -> Stream:
    """The stream, each chunk of which is counted for the repository when it has really come."""
    return Stream(stream.total, stream.offset, _Counted(services, repository, stream.chunks), stream.headers)


class _Counted:
    """Chunks as they come; a class, since a generator that is left alone ends late."""

    __slots__ = ("_chunks", "_name", "_services", "_type")

    def __init__(self, services: Services, repository: Repository, chunks: AsyncIterator[bytes]) -> None:
        self._services = services
        self._type, self._name = repository.key.type, str(repository.key)
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._chunks)
        self._services.fetched(self._type, self._name, len(chunk))
        return chunk
