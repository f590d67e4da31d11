"""Keeping the two blob stores in order: collection of what nothing refers to, eviction, and verification.

All of it is safe beside running servers. A blob is collected only if nothing refers to it *and* it was kept longer ago
than the grace, both asked again at the moment of removal, under the catalogue's write lock: a push keeps its bytes
first and links them later, and a link is refused when its bytes went meanwhile. A dry run makes the same plan and stops
there. Hosted blobs that something refers to are never removed, not even damaged ones: only people can do that.
"""

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
from msgspec import Struct, field

from gateway.errors import FileUnknown, GatewayError
from gateway.model import HOSTED_LAYER, Digest
from gateway.store.blob_rows import CACHE, BlobRows
from gateway.store.blobs import FileBlobs
from gateway.store.file_care import Abandoned, Leaving
from gateway.store.threads import in_thread

HOSTED_GRACE = 24 * 3600.0  # seconds; a push of many layers may take hours between the first blob and its link
CACHE_GRACE = 3600.0
_BATCH = 200  # removals per transaction, since writers wait meanwhile
_STEP = 1024 * 1024  # bytes hashed at a time
_ROOM = 0.1  # of the cache is freed beyond what is needed, so that eviction is rare

Progress = Callable[[int, int], None]
Sweep = Callable[[float, bool], int]
_NOTHING: Mapping[int, Abandoned] = {}
_T = TypeVar("_T")

_log = structlog.stdlib.get_logger(__name__)


class Removal(Struct, frozen=True):
    """Blobs that go, or went, from one store: `(hex, size)` each. `size` 0: only the row was left."""

    store: str
    blobs: tuple[tuple[str, int], ...] = ()

    @property
    def bytes(self) -> int:
        """What their removal frees."""
        return sum(size for _, size in self.blobs)


class Collection(Struct, frozen=True):
    """What a collection removes: blobs per store, temporary files that dead processes left, and abandoned files."""

    removals: tuple[Removal, ...]
    leftovers: int
    abandoned: tuple[Leaving, ...] = ()


class Verification(Struct):
    """What verification found, as `store:hex`.

    corrupt: the bytes do not have the digest. missing: something refers to a blob that is not there. unlinked: nothing
    refers to it (collection removes it once it is old enough). repaired: cache entries forgotten, to be fetched again.
    """

    blobs: int = 0
    bytes: int = 0
    corrupt: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unlinked: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether everything that is referred to is there with the right bytes, or was repaired."""
        return set(self.corrupt) | set(self.missing) <= set(self.repaired)


class Housekeeping:
    """The stores of one data folder. `leftovers`: more places that can be swept of old temporary files."""

    def __init__(
        self,
        rows: BlobRows,
        hosted: FileBlobs,
        cache: FileBlobs,
        sweepers: Iterable[Sweep] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """sweepers: each removes what was last written before a POSIX time, or for False only counts it."""
        self._rows = rows
        self._stores = {HOSTED_LAYER: hosted, CACHE: cache}
        self._sweepers: tuple[Sweep, ...] = (hosted.sweep, cache.sweep, *sweepers)
        self._clock = clock

    async def collect(
        self,
        *,
        hosted_grace: float = HOSTED_GRACE,
        cache_grace: float = CACHE_GRACE,
        abandoned: Mapping[int, Abandoned] = _NOTHING,
        dry_run: bool = False,
    ) -> Collection:
        """Remove blobs that nothing refers to and that were kept longer ago than the grace (seconds), and leftovers.

        abandoned: by repository, what says which of its files nobody will finish; they are let go first.
        """
        now = self._clock()
        removals, leaving = [], []
        for repository_id, judge in abandoned.items():
            leaving += await self._rows.files.abandon(repository_id, judge, dry_run=dry_run)
        if not dry_run:
            await self._rows.graphs.prune(now - hosted_grace)
        gone = [id_ for one in leaving for id_ in one.ids]
        for store, grace in ((HOSTED_LAYER, hosted_grace), (CACHE, cache_grace)):
            plan = await self._plan(store, now - grace, partial(self._remaining, now - hosted_grace, gone))
            removals.append(plan if dry_run else await self._remove(plan, now - grace))
        oldest = now - max(hosted_grace, cache_grace)
        counts = [await in_thread(partial(sweep, oldest, not dry_run)) for sweep in self._sweepers]
        return Collection(tuple(removals), sum(counts), tuple(leaving))

    async def evict(self, max_size: int, *, dry_run: bool = False) -> Removal:
        """Remove the least recently used blobs of the cache when it holds more than `max_size` bytes.

        Frees a tenth more than needed. Hosted blobs are never touched.
        """
        total = await self._rows.total(CACHE)
        if total <= max_size:
            return Removal(CACHE)
        coldest = await self._rows.coldest(CACHE, total - int(max_size * (1 - _ROOM)))
        plan = Removal(CACHE, tuple(coldest))
        return plan if dry_run else await self._remove(plan, None)

    async def verify(self, progress: Progress = lambda _done, _total: None, *, repair: bool = False) -> Verification:
        """Hash every blob of both stores again. progress: called with bytes done and bytes in all.

        repair: forget what is damaged or missing in the cache, so that it is fetched again.
        """
        found = Verification()
        listed = {store: await in_thread(partial(_listed, blobs)) for store, blobs in self._stores.items()}
        total = sum(size for blobs in listed.values() for _, size, _ in blobs)
        for store, blobs in listed.items():
            referenced = await self._rows.referenced(store)
            for digest, size, _ in blobs:
                await self._verify_one(store, digest, found)
                found.blobs += 1
                found.bytes += size
                progress(found.bytes, total)
                if digest.hex not in referenced:
                    found.unlinked.append(f"{store}:{digest.hex}")
            there = {digest.hex for digest, _, _ in blobs}
            absent = [hex_ for hex_ in sorted(referenced - there) if self._is_absent(store, hex_)]
            still = await self._rows.referenced(store) if absent else set()
            found.missing += [f"{store}:{hex_}" for hex_ in absent if hex_ in still]
        if repair:
            await self._repair(found)
        return found

    async def tend(self, max_size: int, lock: Path, every: float = 60.0) -> None:
        """Keep the cache within bounds and sweep leftovers, for as long as the server runs.

        Every worker runs this; the one that holds `lock` does the work. Trouble is logged, and tried again next time.
        """
        while True:
            await asyncio.sleep(every)
            try:
                with _lock(lock) as is_ours:
                    if is_ours:
                        evicted = await self.evict(max_size)
                        for sweep in self._sweepers:
                            await in_thread(partial(sweep, self._clock() - HOSTED_GRACE, True))
                        if evicted.blobs:
                            _log.info("cache evicted", blobs=len(evicted.blobs), bytes=evicted.bytes)
            except (GatewayError, OSError) as error:
                _log.warning("housekeeping failed", reason=str(error))

    async def _remaining(self, links_before: float, files: Sequence[int], store: str) -> set[str]:
        if store == HOSTED_LAYER:
            return await self._rows.remaining(links_before, files)
        return await self._rows.referenced(store)

    async def _plan(self, store: str, older_than: float, ask: Callable[[str], Awaitable[set[str]]]) -> Removal:
        """What collection would remove from a store: old blobs, and rows of blobs that are gone.

        ask: what of a store is still referred to once what collection drops first is gone.
        """
        listed = await in_thread(partial(_listed, self._stores[store]))
        known = await self._rows.known(store)
        referenced = await ask(store)
        old = [(d.hex, size) for d, size, at in listed if at < older_than and d.hex not in referenced]
        there = {digest.hex for digest, _, _ in listed}
        lost = [(hex_, 0) for hex_, (_, at) in known.items() if at < older_than and hex_ not in referenced | there]
        return Removal(store, tuple(sorted(old) + sorted(lost)))

    async def _remove(self, plan: Removal, older_than: float | None) -> Removal:
        """Carry out a plan in batches; what is younger than `older_than` by now stays (None: age is no matter)."""
        blobs, sizes = self._stores[plan.store], dict(plan.blobs)
        freed: dict[str, int] = {}

        def remove(hex_: str) -> None:
            if older_than is None or _kept_at(blobs, hex_) < older_than:
                freed[hex_] = blobs.delete(Digest("sha256", hex_))

        for batch in _batches(plan.blobs):
            await self._rows.drop(plan.store, [hex_ for hex_, _ in batch], remove)
        return Removal(plan.store, tuple((hex_, freed[hex_]) for hex_ in sizes if hex_ in freed))

    async def _verify_one(self, store: str, digest: Digest, found: Verification) -> None:
        try:
            actual = await in_thread(lambda: _hash(self._stores[store], digest))
        except FileUnknown:
            return  # evicted or collected since we looked
        if actual != digest.hex:
            found.corrupt.append(f"{store}:{digest.hex}")

    def _is_absent(self, store: str, hex_: str) -> bool:
        return self._stores[store].has(Digest("sha256", hex_)) is None

    async def _repair(self, found: Verification) -> None:
        cache = self._stores[CACHE]
        spoilt = [name.partition(":")[2] for name in [*found.corrupt, *found.missing] if name.startswith(f"{CACHE}:")]
        for batch in _batches(spoilt):
            await self._rows.drop(CACHE, batch, lambda hex_: cache.delete(Digest("sha256", hex_)))
        found.repaired += [f"{CACHE}:{hex_}" for hex_ in spoilt]


def _listed(blobs: FileBlobs) -> list[tuple[Digest, int, float]]:
    return list(blobs.walk())


def _kept_at(blobs: FileBlobs, hex_: str) -> float:
    """When the blob was kept last; 0 where it is absent."""
    try:
        return blobs.path(Digest("sha256", hex_)).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _hash(blobs: FileBlobs, digest: Digest) -> str:
    """The sha256 hex of what is really there; raises FileUnknown. Blocks."""
    hasher, offset = hashlib.sha256(), 0
    with blobs.open(digest) as blob:
        while piece := os.pread(blob.fd, _STEP, offset):
            hasher.update(piece)
            offset += len(piece)
    return hasher.hexdigest()


def _batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


@contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Whether this process now holds the lock; given back at the end, and by the system when it dies."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(handle)
