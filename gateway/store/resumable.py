"""Uploads that go on over several requests, in any worker process: a growing file, and who it belongs to beside it.

The file's length is the offset: whatever reached it counts, also of a request that broke off. One request at a time
may write to it (a lock on the file). The running hash stays in the process that wrote last; any other one hashes the
file at the end. What nobody touched for a day is swept.
"""

import fcntl
import json
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cachetools import LRUCache

from gateway.errors import Conflict, StoreTrouble, TooLarge, UploadUnknown
from gateway.model import Digest
from gateway.store.blobs import FileBlobs, remove_older
from gateway.store.hashing import Hashes, require
from gateway.store.threads import in_thread
from gateway.store.writing import BatchWriter, sync_file

_ID = re.compile(r"[0-9a-f]{32}\Z")
_STEP = 1024 * 1024


class Resumables:
    """All such uploads of one store."""

    def __init__(self, blobs: FileBlobs) -> None:
        """The folder lies beside the blobs, since a finished upload is renamed into them."""
        self._folder = blobs.root / "resumable"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._blobs = blobs
        self._hashed: LRUCache[str, tuple[Hashes, int]] = LRUCache(1000)

    def begin(self, facts: Mapping[str, Any], algorithms: Iterable[str] = ()) -> str:
        """Begin an upload that belongs to whom `facts` says; returns its unguessable name. Raises StoreTrouble."""
        id_ = secrets.token_hex(16)
        hashes = Hashes(algorithms)
        try:
            (self._folder / f"{id_}.json").write_text(json.dumps(facts))
            os.close(os.open(self._folder / f"{id_}.part", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreTrouble(f"cannot begin an upload: {error.strerror}") from error
        self._hashed[id_] = (hashes, 0)
        return id_

    @asynccontextmanager
    async def resume(self, id_: str, limit: int) -> AsyncIterator["Resumable"]:
        """Go on with an upload of at most `limit` bytes; what was written stays, however the context ends.

        Raises UploadUnknown, and Conflict while another request writes to it.
        """
        facts, fd = self._open(id_)
        size = os.fstat(fd).st_size
        known = self._hashed.pop(id_, None)
        is_hashed = known is not None and known[1] == size
        hashes = known[0] if known is not None and is_hashed else Hashes()
        upload = Resumable(self._blobs, self._folder / id_, facts, fd, BatchWriter(hashes, fd, size), limit)
        upload.hashes = hashes if is_hashed else None
        try:
            yield upload
        finally:
            try:
                await upload.settle()
                if not upload.is_over and upload.hashes is not None:
                    self._hashed[id_] = (upload.hashes, upload.offset)
            finally:
                os.close(fd)

    def facts(self, id_: str) -> tuple[Mapping[str, Any], int]:
        """Whom an upload belongs to, and its offset; raises UploadUnknown."""
        if not _ID.match(id_):
            raise UploadUnknown("no such upload")
        try:
            facts = json.loads((self._folder / f"{id_}.json").read_bytes())
            return facts, (self._folder / f"{id_}.part").stat().st_size
        except (OSError, ValueError) as error:
            raise UploadUnknown("no such upload, or it was given up") from error

    def sweep(self, older_than: float, remove: bool = True) -> int:
        """Remove uploads last written to before this POSIX time; returns how many files. Blocks: not in the loop."""
        removed = 0
        for part in self._folder.glob("*.part"):
            if remove_older(part, older_than, remove):
                removed += 1 + remove_older(part.with_suffix(".json"), older_than, remove)
        return removed

    def _open(self, id_: str) -> tuple[Mapping[str, Any], int]:
        facts, _ = self.facts(id_)
        path = self._folder / f"{id_}.part"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise UploadUnknown("no such upload, or it was given up") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(fd)
            raise Conflict("another request is writing to this upload") from error
        if not path.exists() or path.stat().st_ino != os.fstat(fd).st_ino:
            os.close(fd)
            raise UploadUnknown("the upload has ended meanwhile")
        return facts, fd


class Resumable:
    """One upload while a request holds it. hashes: of everything in the file, or None where another process wrote."""

    def __init__(
        self, blobs: FileBlobs, path: Path, facts: Mapping[str, Any], fd: int, writer: BatchWriter, limit: int
    ) -> None:
        """Made by `Resumables.resume`; `path` lacks its suffix."""
        self.facts = facts
        self.hashes: Hashes | None = None
        self.is_over = False
        self.offset = writer.written
        self._blobs = blobs
        self._path = path
        self._fd = fd
        self._writer = writer
        self._limit = limit

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes; raises TooLarge beyond the limit, StoreTrouble where the disk does not take them."""
        self.offset += len(chunk)
        if self.offset > self._limit:
            raise TooLarge(f"more than {self._limit} bytes")
        await self._writer.write(chunk)

    async def settle(self) -> None:
        """Let what was taken reach the file."""
        if not self.is_over:
            await self._writer.flush()
            self.offset = self._writer.written

    async def keep(self, expected: Digest) -> Digest:
        """Make it a blob, durably; returns its sha256. Raises DigestMismatch unless it is the expected one."""
        await self.settle()
        hexes = self.hashes.hexes() if self.hashes is not None else {}
        if expected.algorithm not in hexes:
            fd, size = self._fd, self.offset
            hexes = await in_thread(lambda: _hash_file(fd, size, expected.algorithm))
        require({expected.algorithm: expected.hex}, hexes)
        digest = Digest.sha256(hexes["sha256"])

        def adopt() -> None:
            sync_file(self._fd)
            self._blobs.adopt(self._path.with_suffix(".part"), digest)
            self._path.with_suffix(".json").unlink(missing_ok=True)

        await in_thread(adopt)
        self.is_over = True
        return digest

    async def drop(self) -> None:
        """Give the upload up: nothing of it stays."""
        await self._writer.stop()
        self.is_over = True
        self._path.with_suffix(".part").unlink(missing_ok=True)
        self._path.with_suffix(".json").unlink(missing_ok=True)


def _hash_file(fd: int, size: int, algorithm: str) -> dict[str, str]:
    """The sha256 and another hash of the first `size` bytes. Blocks."""
    hashes, offset = Hashes((algorithm,)), 0
    while offset < size and (piece := os.pread(fd, min(_STEP, size - offset), offset)):
        hashes.update(piece)
        offset += len(piece)
    return hashes.hexes()
