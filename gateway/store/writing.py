"""Bytes on their way to a file: hashed and appended in a thread, in batches, one batch in flight.

A batch saves thread hops, and fits into a core's own cache, where it still is when it is written after hashing: larger
ones were measured to be slower. A slow source is still written out twice a second, so that those who follow the file
see it move. What it is that is written, and whether it may stay, is decided elsewhere.
"""

import asyncio
import os
from collections.abc import Callable, Sequence

from gateway.errors import StoreTrouble
from gateway.store.hashing import Hashes
from gateway.store.threads import ended

BATCH = 256 * 1024  # bytes hashed and written in one thread hop
_MAX_PIECES = 512  # of a batch: IOV_MAX is 1024, and a flood of tiny chunks must not cost memory
_PATIENCE = 0.5  # seconds that a batch may wait to become full


class BatchWriter:
    """Appends to a file and hashes. `written` is the offset behind the last byte that has reached the file."""

    def __init__(self, hashes: Hashes, fd: int, offset: int = 0, moved: Callable[[int], None] | None = None) -> None:
        """Append to `fd` from `offset` on; `moved` is called in the loop with every new `written`."""
        self.written = offset
        self._hashes = hashes
        self._fd = fd
        self._moved = moved
        self._batch: list[bytes | memoryview] = []
        self._held = 0
        self._running: asyncio.Future[int] | None = None
        self._is_settling = False
        self._timer: asyncio.TimerHandle | None = None

    async def write(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes; raises StoreTrouble where the disk did not take the ones before."""
        if not chunk:
            return
        self._batch.append(chunk)
        self._held += len(chunk)
        if self._held >= BATCH or len(self._batch) >= _MAX_PIECES:
            await self._settle()
            self._start()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._lose_patience)

    async def flush(self) -> None:
        """Return when everything taken is in the file (not yet synced) and hashed; raises StoreTrouble."""
        await self._settle()
        if self._batch:
            self._start()
            await self._settle()

    async def stop(self) -> None:
        """Forget what is not yet in a batch in flight, and wait for that one, so that the file may be closed."""
        if self._timer is not None:
            self._timer.cancel()
        self._batch.clear()
        running, self._running = self._running, None
        try:
            if running is not None:
                self._advance(await ended(running))
        except OSError:
            return  # whoever stops does not want the bytes any more
        finally:
            self._moved = None

    def _start(self) -> None:
        batch, self._batch, self._held = self._batch, [], 0
        offset = self.written
        self._running = asyncio.get_running_loop().run_in_executor(None, lambda: self._append(batch, offset))
        self._running.add_done_callback(self._appended)

    def _lose_patience(self) -> None:
        """Write what there is, since nobody knows when more will come; later, if a batch is still in flight."""
        self._timer = None
        if not self._batch:
            return
        if self._running is not None and not self._is_settling and _has_ended_well(self._running):
            self._advance(self._running.result())  # its own callback may still be on its way
            self._running = None
        if self._running is None:
            self._start()
        else:
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._lose_patience)

    def _append(self, batch: list[bytes | memoryview], offset: int) -> int:
        for piece in batch:
            self._hashes.update(piece)
        return write_at(self._fd, batch, offset)

    def _appended(self, future: "asyncio.Future[int]") -> None:
        if not future.cancelled() and future.exception() is None:
            self._advance(future.result())

    def _advance(self, written: int) -> None:
        if written > self.written:
            self.written = written
            if self._moved is not None:
                self._moved(written)

    async def _settle(self) -> None:
        if self._running is None:
            return
        self._is_settling = True
        try:
            written = await ended(self._running)
        except OSError as error:
            raise StoreTrouble(f"cannot write to the store: {error.strerror}") from error
        finally:
            self._is_settling = False
        self._running = None
        self._advance(written)


def _has_ended_well(future: "asyncio.Future[int]") -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def write_at(fd: int, pieces: Sequence[bytes | memoryview], offset: int) -> int:
    """Write all pieces at `offset`, however often the kernel takes only a part; returns the offset behind them."""
    left = list(pieces)
    while left:
        taken = os.pwritev(fd, left, offset)
        offset += taken
        while left and taken >= len(left[0]):
            taken -= len(left.pop(0))
        if taken:
            left[0] = left[0][taken:]
    return offset


def sync_file(fd: int) -> None:
    """Bring a file's bytes to the disk; raises StoreTrouble. Blocks: not in the loop."""
    try:
        os.fsync(fd)
    except OSError as error:
        raise StoreTrouble(f"cannot sync to the disk: {error.strerror}") from error
