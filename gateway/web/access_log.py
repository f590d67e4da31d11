"""Where access-log lines go: standard output, standard error, a file, or nowhere.

Writing may block (a pipe that nobody reads, a slow disk), so it happens in a thread, one batch at a time; what piles
up beyond `MAX_WAITING` bytes is dropped and counted. Several workers write to the same place: a file is opened for
appending, and a pipe gets whole lines in pieces that the system writes in one go (POSIX: up to PIPE_BUF).
"""

import asyncio
import contextlib
import os
import select
import stat
from pathlib import Path
from typing import Self

import structlog

MAX_WAITING = 8 * 1024 * 1024
_STREAMS = {"stdout": 1, "stderr": 2}

_log = structlog.stdlib.get_logger(__name__)


class LogWriter:
    """Takes encoded lines and writes them behind the caller's back. Leaving the context writes what is left.

    target: as `log.access` in the configuration: `stdout`, `stderr`, `off` or a file's path. A file that was moved
    away (log rotation) is opened anew by the next batch, no signal needed.
    """

    def __init__(self, target: str) -> None:
        self.dropped = 0
        self.is_off = target == "off"
        self._path = None if self.is_off or target in _STREAMS else Path(target)
        self._fd = _STREAMS.get(target)
        self._waiting: list[bytes] = []
        self._size = 0
        self._some, self._closing = asyncio.Event(), asyncio.Event()
        self._owner = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        if not self.is_off:
            group = await self._owner.enter_async_context(asyncio.TaskGroup())
            group.create_task(self._writing())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._closing.set()
        self._some.set()
        await self._owner.aclose()
        if self._path is not None and self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def put(self, lines: bytes) -> None:
        """Queue complete lines; never blocks."""
        if self.is_off or not lines:
            return
        if self._size + len(lines) > MAX_WAITING:
            self.dropped += lines.count(b"\n")
            return
        self._waiting.append(lines)
        self._size += len(lines)
        self._some.set()

    async def _writing(self) -> None:
        while self._waiting or not self._closing.is_set():
            await self._some.wait()
            self._some.clear()
            batch = b"".join(self._waiting)
            self._waiting.clear()
            try:
                await asyncio.to_thread(self._write, batch)
            except OSError as error:
                self.dropped += batch.count(b"\n")
                _log.warning("access log not written", reason=error.strerror)
            self._size = sum(map(len, self._waiting))

    def _write(self, batch: bytes) -> None:
        """Blocking; runs in a thread."""
        fd = self._opened()
        whole = stat.S_ISREG(os.fstat(fd).st_mode)
        for piece in [batch] if whole else _pieces(batch, select.PIPE_BUF):
            left = memoryview(piece)
            while left:
                try:
                    left = left[os.write(fd, left) :]
                except BlockingIOError:  # somebody made our standard output non-blocking
                    select.select([], [fd], [])

    def _opened(self) -> int:
        if self._path is None:
            assert self._fd is not None
            return self._fd
        if self._fd is not None and not _is_same(self._fd, self._path):
            os.close(self._fd)
            self._fd = None
        if self._fd is None:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        return self._fd


def _is_same(fd: int, path: Path) -> bool:
    """Whether the path still names the open file."""
    try:
        there = path.stat()
    except OSError:
        return False
    return os.path.samestat(os.fstat(fd), there)


def _pieces(batch: bytes, longest: int) -> list[bytes]:
    """The batch cut after newlines into pieces of at most `longest` bytes; a longer line is a piece of its own."""
    pieces, start = [], 0
    while len(batch) - start > longest:
        end = batch.rfind(b"\n", start, start + longest) + 1
        if end <= start:
            end = batch.find(b"\n", start) + 1 or len(batch)
        pieces.append(batch[start:end])
        start = end
    if start < len(batch):
        pieces.append(batch[start:])
    return pieces
