"""Ledgers: text files that only grow, shared by all workers of a data folder, with the digests of all their bytes.

A client that holds the first n bytes of a ledger asks for the rest and checks the digest of the whole, so what was
served once may never change. The head file names the bytes that count and is replaced last: whatever a dead process
wrote behind them is overwritten. A ledger can always be made anew from what it was made of, so nothing here is synced
to disk; a file that is not what its head says is refused, and its owner begins another one.

Beside the text lie the same bytes as raw DEFLATE (RFC 1951), flushed at every append, so that a compressed answer is
those bytes and a short end.
"""

import fcntl
import hashlib
import os
import secrets
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from isal import isal_zlib
from msgspec import Struct, field

from gateway.errors import StoreTrouble

_STEP = 1 << 20
_LARGE = 64 * 1024  # bytes from which the faster compressor is worth its poorer result
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # RFC 1952 §2.3: no time, no name, any system


class Edition(Struct, frozen=True):
    """A ledger as of one append. md5, sha256: of its `size` bytes, raw. packed: bytes of the compressed form without
    its end. marks: what its owner noted with it. base: bytes that it began with. moment: of the append, POSIX seconds.
    """

    text: Path
    deflated: Path
    size: int
    packed: int
    crc: int
    md5: bytes
    sha256: bytes
    marks: Mapping[str, Any]
    base: int = 0
    moment: float = 0.0

    @property
    def end(self) -> bytes:
        """What closes the gzip member: an empty last block, CRC-32 and size (RFC 1952 §2.3.1)."""
        return b"\x03\x00" + struct.pack("<II", self.crc, self.size & 0xFFFFFFFF)

    def read(self, start: int = 0) -> bytes:
        """The bytes from `start` on. Blocks. Raises StoreTrouble where they are not there any more."""
        try:
            with self.text.open("rb") as file:
                file.seek(start)
                body = file.read(self.size - start)
        except OSError as error:
            raise StoreTrouble(f"a list of names cannot be read: {error.strerror}", retry_after=1.0) from error
        if len(body) != self.size - start:
            raise StoreTrouble("a list of names was damaged", retry_after=1.0)
        return body


class _Head(msgspec.Struct):
    file: str
    size: int
    packed: int
    crc: int
    sha256: str
    marks: dict[str, Any]
    base: int = 0


class _State(Struct):
    """The running digests over what this process has read."""

    head: _Head
    seen: tuple[int, int]
    md5: Any = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))
    sha256: Any = field(default_factory=hashlib.sha256)
    edition: Edition | None = None


class Ledger:
    """One ledger. Every method blocks for a few system calls, and `current` for one pass when a process first asks."""

    def __init__(self, folder: Path) -> None:
        """`folder`: its own; made where it is missing."""
        self._folder = folder
        self._head = folder / "head.json"
        self._state: _State | None = None

    def current(self) -> Edition | None:
        """The newest edition by any worker; None where there is none, or where it was damaged."""
        try:
            found = self._head.stat()
        except FileNotFoundError:
            self._state = None
            return None
        seen = (found.st_mtime_ns, found.st_ino)
        if self._state is None or self._state.seen != seen:
            self._state = self._caught_up(seen)
        return None if self._state is None else self._state.edition

    def known(self) -> Edition | None:
        """The newest edition if this process has read it already; a look at one file, fit for the loop."""
        try:
            found = self._head.stat()
        except FileNotFoundError:
            return None
        state = self._state
        return state.edition if state is not None and state.seen == (found.st_mtime_ns, found.st_ino) else None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer, over all processes."""
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def begin(self, body: bytes, marks: Mapping[str, Any]) -> Edition:
        """A new ledger in place of the old one, whose readers go on. Only while `writing`."""
        old = self._state.head.file if self._state is not None else None
        self._state = None
        name = secrets.token_hex(8)
        self._write(
            _Head(name, 0, len(_GZIP_HEAD), 0, "", {}, len(body)), hashlib.sha256(), body, marks, start=_GZIP_HEAD
        )
        for path in self._folder.glob("*.*"):
            if path.suffix in {".txt", ".z"} and path.stem not in {name, old}:
                path.unlink(missing_ok=True)
        return self._now()

    def append(self, lines: bytes, marks: Mapping[str, Any]) -> Edition:
        """Add to the newest edition, and note new marks. Only while `writing`, after `current` gave an edition."""
        state = self._state
        assert state is not None, "append without current"
        self._write(state.head, state.sha256.copy(), lines, marks)
        return self._now()

    def _now(self) -> Edition:
        edition = self.current()
        if edition is None:
            raise StoreTrouble("a list of names was damaged while it was written", retry_after=1.0)
        return edition

    def _write(self, head: _Head, sha256: Any, body: bytes, marks: Mapping[str, Any], start: bytes = b"") -> None:
        packed = start + _deflated(body)
        offset = head.packed - len(start)
        try:
            _write_at(self._folder / f"{head.file}.txt", head.size, body)
            _write_at(self._folder / f"{head.file}.z", offset, packed)
            sha256.update(body)
            crc = zlib.crc32(body, head.crc)
            size, packed_size = head.size + len(body), offset + len(packed)
            new = _Head(head.file, size, packed_size, crc, sha256.hexdigest(), dict(marks), head.base)
            part = self._head.with_suffix(f".{secrets.token_hex(4)}")
            part.write_bytes(msgspec.json.encode(new))
            part.replace(self._head)
        except OSError as error:
            raise StoreTrouble(f"cannot write a list of names: {error.strerror}") from error

    def _caught_up(self, seen: tuple[int, int]) -> _State | None:
        """Take in what was appended since, or everything; None where the files are not what the head says."""
        try:
            head = msgspec.json.decode(self._head.read_bytes(), type=_Head)
        except (OSError, msgspec.DecodeError):
            return None
        old = self._state
        text, deflated = self._folder / f"{head.file}.txt", self._folder / f"{head.file}.z"
        if old is not None and old.head.file == head.file and old.head.size <= head.size:
            state = _State(head, seen, old.md5.copy(), old.sha256.copy())
            start = old.head.size
        else:
            state, start = _State(head, seen), 0
        if not _take(text, start, head.size, state) or state.sha256.hexdigest() != head.sha256:
            return None
        state.edition = Edition(
            text,
            deflated,
            head.size,
            head.packed,
            head.crc,
            state.md5.digest(),
            state.sha256.digest(),
            head.marks,
            head.base,
            seen[0] / 1e9,
        )
        return state


class Ledgers:
    """All ledgers below one folder, one object each per process."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: dict[str, Ledger] = {}

    def get(self, name: str) -> Ledger:
        """The ledger of that name, which may say anything: its folder is named by a hash of it."""
        ledger = self._open.get(name)
        if ledger is None:
            ledger = self._open[name] = Ledger(self._root / hashlib.sha256(name.encode()).hexdigest()[:32])
        return ledger


def _deflated(body: bytes) -> bytes:
    """A part of a DEFLATE stream that ends at a byte, so that parts may follow one another."""
    if len(body) >= _LARGE:
        fast = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -15)
        return bytes(fast.compress(body) + fast.flush(isal_zlib.Z_FULL_FLUSH))
    plain = zlib.compressobj(6, zlib.DEFLATED, -15)
    return plain.compress(body) + plain.flush(zlib.Z_FULL_FLUSH)


def _write_at(path: Path, offset: int, body: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(body)
        while view:
            written = os.pwrite(descriptor, view, offset)
            offset, view = offset + written, view[written:]
    finally:
        os.close(descriptor)


def _take(path: Path, start: int, end: int, state: _State) -> bool:
    """Hash the bytes [start, end); whether they were all there."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(start)
        while start < end and (chunk := file.read(min(_STEP, end - start))):
            state.md5.update(chunk)
            state.sha256.update(chunk)
            start += len(chunk)
        return start == end
    return False
