"""Blobs as local files, named by their sha256: `<root>/blobs/sha256/ab/<hex>`. One FileBlobs per store.

A blob appears whole or not at all: written aside, synced, renamed, and the folder synced. Nothing here knows who may
read a blob; knowing a digest grants nothing. Calls without `await` are a few system calls, fit for the event loop,
unless they say that they block.
"""

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from gateway.errors import FileUnknown, StoreTrouble, TooLarge
from gateway.model import Digest, is_hash
from gateway.store.hashing import Hashes
from gateway.store.threads import in_thread
from gateway.store.writing import BatchWriter, sync_file


class OpenBlob:
    """A whole blob, open for reading at any offset. Close it once; the bytes cannot change."""

    __slots__ = ("_fd", "digest", "size")

    def __init__(self, fd: int, size: int, digest: Digest) -> None:
        """Own the file descriptor."""
        self._fd = fd
        self.size = size
        self.digest = digest

    @property
    def fd(self) -> int:
        """The descriptor to read from, with explicit offsets."""
        return self._fd

    async def available(self, offset: int) -> int:
        """Bytes readable from `offset` on; 0 at the end."""
        return max(0, self.size - offset)

    def close(self) -> None:
        """Give the descriptor back; a second call does nothing."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FileBlobs:
    """All blobs below one folder."""

    def __init__(self, root: Path) -> None:
        """Create the folders where they are missing."""
        self.root = root
        self._blobs = root / "blobs" / "sha256"
        self._uploads = root / "uploads"
        for folder in (self._blobs, self._uploads):
            folder.mkdir(parents=True, exist_ok=True)

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be. Raises FileUnknown unless this is a proper sha256 digest."""
        return Path(self._place(digest))

    def has(self, digest: Digest) -> int | None:
        """The blob's size in bytes, or None where it is absent."""
        try:
            return os.stat(self._place(digest)).st_size  # noqa: PTH116 see _place
        except FileNotFoundError:
            return None

    def open(self, digest: Digest) -> OpenBlob:
        """Open a blob for reading; raises FileUnknown, or StoreTrouble."""
        try:
            fd = os.open(self._place(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise FileUnknown(f"no blob {digest}") from None
        except OSError as error:
            raise StoreTrouble(f"cannot open blob {digest}: {error.strerror}") from error
        return OpenBlob(fd, os.fstat(fd).st_size, digest)

    def read(self, digest: Digest) -> bytes:
        """All bytes of a small blob, hashed again. Blocks: beyond a few 100 KB not in the loop.

        Raises FileUnknown; a blob that has rotted is removed, and so is absent.
        """
        with self.open(digest) as blob:
            body = os.pread(blob.fd, blob.size, 0)
        if Digest.of(body) != digest:
            self.delete(digest)
            raise FileUnknown(f"blob {digest} was damaged and is removed")
        return body

    def put(self, body: bytes) -> Digest:
        """Keep a small body durably; where it is kept already, only its age starts anew. Blocks: not in the loop.

        Raises StoreTrouble.
        """
        digest = Digest.of(body)
        if self.has(digest) == len(body) and self.touch(digest):
            return digest
        part = self._uploads / f"{secrets.token_hex(16)}.part"
        try:
            with part.open("xb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            self.adopt(part, digest)
        except OSError as error:
            raise StoreTrouble(f"cannot keep {len(body)} bytes: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
        return digest

    def touch(self, digest: Digest) -> bool:
        """Make a blob young again, since garbage collection spares the young; False where it is absent."""
        try:
            os.utime(self._place(digest))
        except FileNotFoundError:
            return False
        return True

    def upload(self, limit: int, algorithms: Iterable[str] = ("sha256",)) -> "Upload":
        """A new blob of at most `limit` bytes, to be written chunk by chunk: `async with blobs.upload(…) as upload`."""
        return Upload(self, self._uploads / f"{secrets.token_hex(16)}.part", limit, algorithms)

    def adopt(self, part: Path, digest: Digest) -> None:
        """Make a finished, synced file of the same file system the blob of that digest, durably.

        Blocks: not in the loop. Raises StoreTrouble.
        """
        target = self.path(digest)
        try:
            if not target.parent.is_dir():
                target.parent.mkdir(exist_ok=True)
                _sync_folder(target.parent.parent)
            part.replace(target)
            _sync_folder(target.parent)
        except OSError as error:
            raise StoreTrouble(f"cannot keep blob {digest}: {error.strerror}") from error

    def delete(self, digest: Digest) -> int:
        """Remove a blob; returns the bytes freed, 0 where it was absent. Readers that have it open go on."""
        size = self.has(digest)
        self.path(digest).unlink(missing_ok=True)
        return size or 0

    def walk(self) -> Iterator[tuple[Digest, int, float]]:
        """Every blob: digest, bytes, POSIX time at which it was kept last. Blocks: not in the loop."""
        for folder in sorted(self._blobs.iterdir()):
            for path in folder.iterdir():
                if is_hash("sha256", path.name):
                    with suppress(FileNotFoundError):  # deleted while we walk
                        found = path.stat()
                        yield Digest("sha256", path.name), found.st_size, found.st_mtime

    def free_space(self) -> int:
        """Bytes that can still be written to this file system."""
        return shutil.disk_usage(self.root).free

    def sweep(self, older_than: float, remove: bool = True) -> int:
        """Remove what uploads of dead processes left, last written before this POSIX time; returns how many.

        `remove` False only counts them, for a dry run. Blocks: not in the loop.
        """
        return sum(remove_older(path, older_than, remove) for path in self._uploads.iterdir())

    def _place(self, digest: Digest) -> str:
        """`path` for every request: a string costs a tenth of what pathlib does."""
        if digest.algorithm != "sha256" or not is_hash("sha256", digest.hex):
            raise FileUnknown(f"no blob is named {str(digest)[:90]!r}")
        return f"{self._blobs}/{digest.hex[:2]}/{digest.hex}"


class Upload:
    """A blob on its way in. Leaving the context without `keep` leaves nothing behind.

    Chunks are hashed and written in a thread, in batches, one batch in flight while the next one is collected.
    """

    def __init__(self, blobs: FileBlobs, part: Path, limit: int, algorithms: Iterable[str]) -> None:
        """Nothing is created before the context is entered."""
        self.path = part
        self.size = 0
        self._blobs = blobs
        self._limit = limit
        self._hashes = Hashes(algorithms)
        self._digest: Digest | None = None
        self._is_kept = False

    async def __aenter__(self) -> Self:
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreTrouble(f"cannot begin an upload: {error.strerror}") from error
        self._writer = BatchWriter(self._hashes, self._fd)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._writer.stop()
        finally:
            os.close(self._fd)
            if not self._is_kept:
                self.path.unlink(missing_ok=True)

    @property
    def digest(self) -> Digest:
        """The sha256 of a finished upload."""
        if self._digest is None:
            raise RuntimeError("the upload is not finished")
        return self._digest

    def want(self, algorithms: Iterable[str]) -> None:
        """Hash by these too; only before the first byte. Raises Invalid for an unknown algorithm."""
        if self.size:
            raise RuntimeError("bytes were written already")
        self._hashes.want(algorithms)

    async def write(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes; raises TooLarge beyond the limit, StoreTrouble where the disk does not take them."""
        self.size += len(chunk)
        if self.size > self._limit:
            raise TooLarge(f"more than {self._limit} bytes")
        await self._writer.write(chunk)

    def hexes(self) -> dict[str, str]:
        """Algorithm → hex of a finished upload, sha256 always among them."""
        _ = self.digest
        return self._hashes.hexes()

    async def finish(self) -> Digest:
        """Write out and sync what was taken; afterwards `path` may be read by others. Returns the sha256 digest."""
        if self._digest is None:
            await self._writer.flush()
            fd = self._fd
            await in_thread(lambda: sync_file(fd))
            self._digest = Digest("sha256", self._hashes.hexes()["sha256"])
        return self._digest

    async def keep(self, expected: Digest | None = None) -> Digest:
        """Finish, and make it a blob; raises DigestMismatch unless it is the expected one (None: whatever it is)."""
        digest = await self.finish()
        if expected is not None:
            digest.require(expected)
        if not self._is_kept:
            await in_thread(lambda: self._blobs.adopt(self.path, digest))
            self._is_kept = True
        return digest


def remove_older(path: Path, older_than: float, remove: bool = True) -> bool:
    """Remove a file last written before this POSIX time; whether it was removed, or would be for `remove` False."""
    try:
        if path.stat().st_mtime >= older_than:
            return False
        if remove:
            path.unlink()
    except FileNotFoundError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
