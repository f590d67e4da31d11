"""Bytes of a file into a socket, at the level of system calls: from the loop as far as nothing is waited for."""

import asyncio
import os
import select
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from gateway.errors import GatewayError, StoreTrouble

STEP = 2 * 1024 * 1024  # bytes of one turn of the loop
_AHEAD = 512 * 1024  # bytes between two looks whether a file is in memory
_HOP = 0.1  # seconds after which a thread is given back, however well it goes
_LINGER = 5  # milliseconds that a thread waits for a full socket before the loop does


class Flow:
    """One stretch of a file on its way out; `ended` is settled when no more of it can go this way."""

    __slots__ = ("_count", "_error", "_offset", "_out", "_sent", "_source", "_sure", "ended")

    def __init__(self, out: int, source: int, offset: int, count: int) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._out = out
        self._source = source
        self._offset = offset
        self._count = count
        self._sent = 0
        self._sure = 0  # bytes from the offset on that are known to be in memory
        self._error: Exception | None = None

    def step(self) -> None:
        """Send as much as the client takes now, at most STEP bytes, and none that the disk must be asked for."""
        if self.ended.done():
            return
        if self._sent == self._sure:
            count = min(self._count - self._sent, STEP)
            if self._sent and not in_memory(self._source, self._offset + self._sent, count):
                self.ended.set_result(None)
                return
            self._sure += count
        try:
            self._sent += _sendfile(self._out, self._source, self._offset + self._sent, self._sure - self._sent)
        except (OSError, GatewayError) as error:
            self._error = error
        if self._error or self._sent == self._count:
            self.ended.set_result(None)

    def sent(self) -> int:
        """Bytes sent; raises what kept the rest from going."""
        if self._error:
            raise self._error
        return self._sent


def pump(out: int, source: int, offset: int, count: int) -> int:
    """Send as much as a quick reader takes in one thread hop; 0 when the socket is full and stays so. Blocks briefly.

    A hop costs several times what the system call does, so a reader that keeps up shall not cost one per socket buffer.
    """
    sent, until = 0, time.monotonic() + _HOP
    room = select.poll()
    room.register(out, select.POLLOUT)
    while sent < count and time.monotonic() < until:
        step = _sendfile(out, source, offset + sent, count - sent)
        if step == 0 and not room.poll(_LINGER):
            break
        sent += step
    return sent


def _sendfile(out: int, fd: int, offset: int, count: int) -> int:
    """Send as much as the socket takes now; returns how much, maybe 0. Blocks on the disk only."""
    try:
        sent = os.sendfile(out, fd, offset, count)
    except BlockingIOError:
        return 0
    if sent == 0:
        raise StoreTrouble(f"a file ends after {offset} bytes")
    return sent


def in_memory(fd: int, offset: int, count: int) -> bool:
    """Whether these bytes of a file can be sent without waiting for a disk; False where nobody can tell."""
    byte = bytearray(1)
    try:
        for place in (*range(offset, offset + count, _AHEAD), offset + count - 1):
            os.preadv(fd, (byte,), place, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except (OSError, AttributeError):  # the file system or the platform cannot say
        return _is_all_memory(os.fstat(fd).st_dev)
    return True


@lru_cache(maxsize=16)
def _is_all_memory(device: int) -> bool:
    """Whether a file system has no disk below it: those cannot say what they have in memory, since it is everything."""
    number = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            mount, _, kind = line.partition(" - ")
            if mount.split()[2] == number:
                return kind.startswith(("tmpfs ", "ramfs "))
    return False
