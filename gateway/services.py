"""What the use cases work with, built once by `gateway.app` and handed down."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from cachetools import LRUCache, TTLCache
from msgspec import Struct, field

from gateway.config import Config
from gateway.denials import Denials
from gateway.documents import Documents
from gateway.format import Format
from gateway.model import Page, Repository, RepositoryKey
from gateway.store.audit import Audit
from gateway.store.blob_rows import BlobRows
from gateway.store.blobs import FileBlobs
from gateway.store.database import Database
from gateway.store.documents import DocumentRows
from gateway.store.graph import GraphRows
from gateway.store.identities import Identities
from gateway.store.ledgers import Ledgers
from gateway.store.packages import Packages
from gateway.store.repositories import Repositories
from gateway.store.resumable import Resumables
from gateway.store.spool import Spools
from gateway.tasks import Flights, Tasks
from gateway.upstream.client import UpstreamClient
from gateway.upstream.registry import Upstream

_ANSWERS_SIZE = 8 * 1024 * 1024
_ANSWER_SECONDS = 300.0


def _size_of_answer(answer: bytes) -> int:
    return len(answer) + 300


def _size_of_page(page: Page) -> int:
    return len(page.body) + len(page.gzip or b"") + 500


class Memos(Struct):
    """What this process keeps ready, bounded: rendered pages by bytes, rights by number, one book for each ledger.

    answers: what upstreams said to questions that are no documents, for some minutes, by bytes; keys are digests.
    long_work: held by who makes a page of a long list of names, since it takes many times the list's memory.
    """

    pages: LRUCache[object, Page]
    rights: LRUCache[object, object] = field(default_factory=lambda: LRUCache(10_000))
    books: dict[str, Any] = field(default_factory=dict)
    long_work: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    answers: TTLCache[bytes, bytes] = field(
        default_factory=lambda: TTLCache(_ANSWERS_SIZE, _ANSWER_SECONDS, getsizeof=_size_of_answer)
    )

    @classmethod
    def of(cls, memory: int) -> "Memos":
        """`memory`: bytes for rendered pages."""
        return cls(LRUCache(memory, getsizeof=_size_of_page))


class Services(Struct):
    """Stores, pipelines and configuration of one worker.

    fetched: told of bytes from upstreams (type, repository, bytes). touched: cached blobs that were used since the last
    flush. pulls: hosted nodes (repository, package, digest) that were pulled since, and when. short_answers: how many
    requests were answered before they were parsed.
    """

    config: Config
    database: Database
    repositories: Repositories
    packages: Packages
    blob_rows: BlobRows
    graph: GraphRows
    resumables: Resumables
    identities: Identities
    audit: Audit
    hosted: FileBlobs
    cache: FileBlobs
    spools: Spools
    ledgers: Ledgers
    client: UpstreamClient
    documents: Documents
    document_rows: DocumentRows
    upstreams: Mapping[str, Upstream]
    formats: Mapping[str, Format]
    tasks: Tasks
    memos: Memos
    flights: Flights
    denials: Denials
    fetched: Callable[[str, str, int], None] = lambda _type, _repository, _size: None
    touched: dict[str, None] = field(default_factory=dict)
    pulls: dict[tuple[int, str, str], float] = field(default_factory=dict)
    short_answers: int = 0
    _known: dict[RepositoryKey, Repository] = field(default_factory=dict)
    _known_at: int = -1

    def repository(self, key: RepositoryKey) -> Repository | None:
        """The repository of that key, as of the newest change by any worker."""
        return self.known().get(key)

    def known(self) -> dict[RepositoryKey, Repository]:
        """All repositories, re-read when the catalogue's `repositories` epoch moved."""
        epoch = self.database.epoch("repositories")
        if epoch != self._known_at:
            self._known = {repository.key: repository for repository in self.repositories.all()}
            self._known_at = epoch
        return self._known
