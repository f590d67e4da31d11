"""One fetch in one process: what its followers see, and the task that fetches, or watches the process that does.

The same object serves both cases, since a watched process may die: then the watcher takes the lock, hashes what is
there and goes on. Bytes that followers may already have are never replaced by others; better the fetch fails.
"""

import asyncio
import copy
import os
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

from gateway.errors import DigestMismatch, GatewayError, StoreTrouble, UpstreamCorrupt, UpstreamTrouble
from gateway.model import Digest
from gateway.store.blobs import FileBlobs
from gateway.store.hashing import Hashes, require
from gateway.store.receiving import Body, Fetch
from gateway.store.spool_files import Lock, Phase, SpoolFiles, State
from gateway.store.threads import in_thread
from gateway.store.writing import BATCH, BatchWriter, sync_file

HELD_BACK = 256 * 1024  # bytes that nobody gets before the digests agree
_POLL = 0.01  # seconds between two looks at what another process does

OnDone = Callable[[Digest, int, Mapping[str, str]], Awaitable[None]]
"""Told of a kept blob (digest, bytes, all computed hashes) before any follower comes to the end."""

Judge = Callable[[Mapping[str, str]], Awaitable[None]]
"""Told of all computed hashes before the blob is kept; raises for bytes that must not be."""

Refused = Callable[[UpstreamCorrupt], UpstreamCorrupt]
"""Told in the process that fetched that bytes are not what was promised; returns it in words that explain it."""


class Order(Struct, frozen=True):
    """What the first asker of a key wants done. hashes, size: promised. known: see `Spools.open`."""

    hashes: Mapping[str, str]
    size: int | None
    fetch: Fetch
    on_done: OnDone | None
    known: Callable[[], Digest | None] | None
    max_size: int
    pause: float
    algorithms: tuple[str, ...] = ()
    judge: Judge | None = None
    refused: Refused | None = None

    @property
    def wanted(self) -> tuple[str, ...]:
        """The algorithms to compute."""
        return (*self.hashes, *self.algorithms)

    def check(self, size: int, hexes: Mapping[str, str]) -> None:
        """Raise UpstreamCorrupt unless every promise is kept."""
        if self.size is not None and size != self.size:
            raise UpstreamCorrupt(f"expected {self.size} bytes, got {size}")
        try:
            require(self.hashes, hexes)
        except DigestMismatch as error:
            raise UpstreamCorrupt(error.message) from error

    def explained(self, error: GatewayError) -> GatewayError:
        """The error as the asker puts it, who is told of bytes that must not be."""
        if self.refused is None or not isinstance(error, UpstreamCorrupt):
            return error
        return self.refused(error)

    async def record(self, digest: Digest, size: int, hashes: Mapping[str, str]) -> None:
        if self.on_done is not None:
            await self.on_done(digest, size, hashes)


class Flight:
    """One key in this process: what its followers see, and the task that fetches, or watches who does."""

    def __init__(self, files: SpoolFiles, blobs: FileBlobs, order: Order) -> None:
        self.users = 0
        self.size: int | None = order.size
        self.digest: Digest | None = None
        self.hashes: Mapping[str, str] = {}
        self._files = files
        self._blobs = blobs
        self._order = order
        self._phase = Phase.ASKING
        self._released = 0
        self._failure: GatewayError | None = None
        self._fd = -1
        self._state: State | None = None
        self._is_running = True
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def fd(self) -> int:
        return self._fd

    @property
    def is_over(self) -> bool:
        return not self._is_running

    async def answered(self) -> None:
        while self._phase is Phase.ASKING:
            await self._change()
        self._raise_failure()

    async def beyond(self, offset: int) -> int:
        while True:
            self._raise_failure()
            if self._released > offset:
                return self._released - offset
            if self._phase is Phase.DONE:
                return 0
            await self._change()

    async def landed(self) -> Digest:
        while self.digest is None:
            self._raise_failure()
            await self._change()
        return self.digest

    def tidy(self) -> None:
        """Give the file back when nobody needs it any more."""
        if not self.users and not self._is_running and self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    async def run(self) -> None:
        """Fetch, or watch the process that fetches until it is done, has failed, or died and left it to us."""
        try:
            while self._phase < Phase.DONE:
                lock = Lock.take(self._files.lock)
                if lock is None:
                    self._look()
                    await asyncio.sleep(_POLL)
                    continue
                try:
                    if self._state is not None:
                        self._look()  # the last words of whom we watched
                    if self._phase < Phase.DONE:
                        await self._own()
                finally:
                    lock.release()
        except GatewayError as error:
            self._fail(error)
        except OSError as error:
            self._fail(StoreTrouble(f"the spool does not work: {error.strerror}"))
        finally:
            if self._phase < Phase.DONE:
                self._fail(UpstreamTrouble("the fetch was stopped", retry_after=1.0))
            self._is_running = False
            if self._state is not None:
                self._state.close()
            self.tidy()

    # ── watching another process ────────────────────────────────────────────────────────────────────────────────

    def _look(self) -> None:
        """Take over what the process that fetches has written into the state."""
        if self._state is None and not self._attach():
            return
        state = self._state
        assert state is not None
        phase = state.phase
        if phase is Phase.ASKING:
            return
        if phase is Phase.FAILED:
            raise state.failure()
        self.size = state.total
        if phase is Phase.DONE:
            hashes = state.hashes()
            self._land(Digest.sha256(hashes["sha256"]), hashes)
        elif state.released > self._released or self._phase is not phase:
            self._released = state.released
            self._phase = phase
            self._wake()

    def _attach(self) -> bool:
        """Map the state and open its part; False while one of them is not there."""
        state = State.open(self._files.state)
        if state is None:
            return False
        try:
            fd = os.open(self._files.part, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            state.close()
            return False
        if not state.is_of(os.fstat(fd)):  # between two fetches: state of the one, part of the other
            os.close(fd)
            state.close()
            return False
        self._state, self._fd = state, fd
        return True

    # ── fetching ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _own(self) -> None:
        """With the lock: find the blob, or fetch it, and end the shared state either way."""
        if await self._find():
            return
        order = self._order
        hashes = Hashes(order.wanted)
        part, offset, state = self._prepare()
        writer = BatchWriter(hashes, part, offset, self._moved)
        try:
            try:
                await in_thread(lambda: _hash_start(part, offset, hashes))
                body = Body(order.fetch, order.size, offset, order.max_size, order.pause)
                size = await body.receive(writer, self._answered)
                await self._keep(part, size, hashes.hexes())
            finally:
                await writer.stop()
                os.close(part)
        except GatewayError as error:
            failure = order.explained(error)
            state.failed(failure)
            await in_thread(self._files.remove)
            if failure is error:
                raise
            raise failure from error

    async def _find(self) -> bool:
        """Whether the blob is there by now, fetched by another process or for another key."""
        order = self._order
        known = order.known() if order.known is not None else None
        promised = order.hashes.get("sha256")
        digest = known or (Digest.sha256(promised) if promised is not None else None)
        if digest is None or not self._blobs.touch(digest):
            return False
        blob = self._blobs.open(digest)
        if self._fd >= 0 and os.fstat(blob.fd).st_ino != os.fstat(self._fd).st_ino:
            blob.close()  # followers already have the start of another file
            return False
        try:
            hashes = Hashes(order.wanted)
            await in_thread(lambda: _hash_start(blob.fd, blob.size, hashes))
            hexes = hashes.hexes()
            if hexes["sha256"] != digest.hex:
                self._blobs.delete(digest)
                return False
            order.check(blob.size, hexes)
            if known is None:
                await order.record(digest, blob.size, hexes)
            await in_thread(self._files.remove)
            self._fd = os.dup(blob.fd) if self._fd < 0 else self._fd
            self.size = blob.size
            self._land(digest, hexes)
            return True
        finally:
            blob.close()

    def _prepare(self) -> tuple[int, int, State]:
        """The part, open for writing; the offset to go on from, where a dead process stopped, or 0; the state."""
        left = self._left()
        if left is not None:
            part, state = left
            self._released = state.released
            offset = state.written
            os.ftruncate(part, offset)
        elif self._fd >= 0:  # followers have the start of something that is gone
            raise UpstreamTrouble("the fetch broke off", retry_after=1.0)
        else:
            self._files.remove()
            part, offset = os.open(self._files.part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), 0
            try:
                state = State.create(self._files.state, os.fstat(part).st_ino)
            except OSError:
                os.close(part)
                raise
        if self._state is not None:
            self._state.close()
        self._state = state
        if self._fd < 0:
            self._fd = os.dup(part)
        return part, offset, state

    def _left(self) -> tuple[int, State] | None:
        """The part and state of a process that died, if they can be gone on with."""
        state = State.open(self._files.state, is_writable=True)
        if state is None:
            return None
        try:
            part = os.open(self._files.part, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            state.close()
            return None
        found = os.fstat(part)
        is_ours = self._fd < 0 or os.fstat(self._fd).st_ino == found.st_ino
        if is_ours and state.phase < Phase.DONE and state.is_of(found):
            return part, state
        os.close(part)
        state.close()
        return None

    async def _keep(self, part: int, size: int, hexes: Mapping[str, str]) -> None:
        """Verify, keep, record, and only then let the followers have the end."""
        self._order.check(size, hexes)
        if self._order.judge is not None:
            await self._order.judge(hexes)
        digest = Digest.sha256(hexes["sha256"])

        def keep() -> None:
            sync_file(part)
            self._blobs.adopt(self._files.part, digest)

        await in_thread(keep)
        await self._order.record(digest, size, hexes)
        assert self._state is not None
        self.size = size
        self._state.answered(size)
        self._state.moved(size, size)
        self._state.done(hexes)
        self._files.state.unlink(missing_ok=True)
        self._land(digest, hexes)

    def _answered(self, total: int | None) -> None:
        """The upstream said how much it is; called for every answer."""
        assert self._state is not None
        self.size = total
        self._state.answered(total)
        if self._phase is Phase.ASKING:
            self._phase = Phase.RUNNING
            self._wake()

    def _moved(self, written: int) -> None:
        """Release all but the end, as far as it is known."""
        assert self._state is not None
        free = written - HELD_BACK if self.size is None else min(written, self.size - HELD_BACK)
        is_more = free > self._released
        self._released = max(self._released, free)
        self._state.moved(written, self._released)
        if is_more:
            self._wake()

    # ── telling the followers ───────────────────────────────────────────────────────────────────────────────────

    def _land(self, digest: Digest, hashes: Mapping[str, str]) -> None:
        assert self.size is not None
        self.digest = digest
        self.hashes = hashes
        self._released = self.size
        self._phase = Phase.DONE
        self._wake()

    def _fail(self, error: GatewayError) -> None:
        self._failure = error
        self._phase = Phase.FAILED
        self._wake()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise copy.copy(self._failure) from self._failure  # each follower adds its own traceback

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)


def _hash_start(fd: int, size: int, hashes: Hashes) -> None:
    """Hash the first `size` bytes of a file. Blocks."""
    offset = 0
    while offset < size:
        piece = os.pread(fd, min(BATCH, size - offset), offset)
        if not piece:
            raise StoreTrouble(f"a file of {size} bytes ends after {offset}")
        hashes.update(piece)
        offset += len(piece)
