"""The three files of one fetch in the spool, by which worker processes share it: lock, part and state.

The lock is held by the one process that fetches; the kernel frees it when that process dies. The part grows. The state
is a small file that every process maps into memory: how far the part may be read, and how the fetch ended. Names are
hashes, so a key cannot leave the folder. Nothing here fetches or decides.
"""

import fcntl
import hashlib
import json
import mmap
import os
import secrets
from collections.abc import Mapping
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Self

from gateway.errors import Blocked, FileUnknown, GatewayError, StoreTrouble, TooLarge, UpstreamCorrupt, UpstreamTrouble

_MAGIC = 0x454E5452_45504F31
_SIZE = 4096  # bytes of a state file: slots of 8 bytes, the boot id, and text
_BOOT, _TEXT = 64, 128
_CARRIED = {
    kind.code: kind for kind in (Blocked, FileUnknown, StoreTrouble, TooLarge, UpstreamCorrupt, UpstreamTrouble)
}


class Phase(IntEnum):
    """Where a fetch stands. Values only ever grow, and those who see DONE or FAILED find everything else in place."""

    ASKING = 0
    RUNNING = 1
    DONE = 2
    FAILED = 3


class _Slot(IntEnum):
    MAGIC = 0
    PHASE = 1
    WRITTEN = 2
    RELEASED = 3
    TOTAL = 4
    PART = 5
    TEXT = 6


class SpoolFiles:
    """Where the files of one key are. Two askers with different promises about the same key do not share a fetch."""

    def __init__(self, folder: Path, key: str, promises: Mapping[str, str], size: int | None) -> None:
        """`key` may be any text."""
        told = json.dumps([key, sorted(promises.items()), size])
        self.name = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
        self.lock = folder / f"{self.name}.lock"
        self.part = folder / f"{self.name}.part"
        self.state = folder / f"{self.name}.state"

    def remove(self) -> None:
        """Remove part and state; only for the holder of the lock."""
        self.part.unlink(missing_ok=True)
        self.state.unlink(missing_ok=True)


class Lock:
    """The right to fetch. Held by at most one process, and given up by the kernel when that process dies."""

    def __init__(self, path: Path, fd: int) -> None:
        """Made by `take`."""
        self._path = path
        self._fd = fd

    @classmethod
    def take(cls, path: Path) -> Self | None:
        """The lock, or None while somebody else has it."""
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(fd).st_ino == path.stat().st_ino:
                    return cls(path, fd)
            except BlockingIOError:
                os.close(fd)
                return None
            except FileNotFoundError:
                pass  # the holder before us removed it between our open and our lock: it guards nothing any more
            os.close(fd)

    def release(self) -> None:
        """Remove the lock file, then let go: who waits for the removed file notices by its inode."""
        self._path.unlink(missing_ok=True)
        os.close(self._fd)


class State:
    """One process's view of a state file. The holder of the lock writes, everybody else reads."""

    def __init__(self, view: mmap.mmap) -> None:
        """Made by `create` or `open`."""
        self._view = view
        self._bytes = memoryview(view)
        self._slots = self._bytes.cast("q")

    @classmethod
    def create(cls, path: Path, part: int) -> Self:
        """A new state for the part of this inode; those who look see all of it or nothing."""
        aside = path.with_suffix(f".{secrets.token_hex(8)}.new")
        fd = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, _SIZE)
            state = cls(mmap.mmap(fd, _SIZE))
        finally:
            os.close(fd)
        state._bytes[_BOOT : _BOOT + 36] = _boot()
        state._slots[_Slot.PART] = part
        state._slots[_Slot.TOTAL] = -1
        state._slots[_Slot.MAGIC] = _MAGIC
        aside.replace(path)
        return state

    @classmethod
    def open(cls, path: Path, *, is_writable: bool = False) -> Self | None:
        """The state at this path, or None where there is none that we understand."""
        try:
            fd = os.open(path, (os.O_RDWR if is_writable else os.O_RDONLY) | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            if os.fstat(fd).st_size != _SIZE:
                return None
            state = cls(mmap.mmap(fd, _SIZE, access=mmap.ACCESS_WRITE if is_writable else mmap.ACCESS_READ))
        finally:
            os.close(fd)
        if state._slots[_Slot.MAGIC] != _MAGIC:
            state.close()
            return None
        return state

    @property
    def phase(self) -> Phase:
        """Read this first, then the rest."""
        return Phase(self._slots[_Slot.PHASE])

    @property
    def written(self) -> int:
        """Bytes of the part that are in the file, read or not."""
        return self._slots[_Slot.WRITTEN]

    @property
    def released(self) -> int:
        """Bytes of the part that may be passed on."""
        return self._slots[_Slot.RELEASED]

    @property
    def total(self) -> int | None:
        """The complete size in bytes, None while unknown."""
        total = self._slots[_Slot.TOTAL]
        return None if total < 0 else total

    def is_of(self, part: os.stat_result) -> bool:
        """Whether it speaks of this very part, and the part still has all that was written.

        After a restart of the machine nobody knows that.
        """
        if self._slots[_Slot.PART] != part.st_ino or part.st_size < self.written:
            return False
        return bytes(self._bytes[_BOOT : _BOOT + 36]) == _boot()

    def answered(self, total: int | None) -> None:
        """The upstream has answered; the body follows."""
        self._slots[_Slot.TOTAL] = -1 if total is None else total
        self._slots[_Slot.PHASE] = Phase.RUNNING

    def moved(self, written: int, released: int) -> None:
        """The part has grown."""
        self._slots[_Slot.WRITTEN] = written
        self._slots[_Slot.RELEASED] = released

    def done(self, hashes: Mapping[str, str]) -> None:
        """The blob is kept."""
        self._end(Phase.DONE, dict(hashes))

    def hashes(self) -> dict[str, str]:
        """Algorithm → hex, of a fetch that is done."""
        return {str(name): str(value) for name, value in self._told().items()}

    def failed(self, error: GatewayError) -> None:
        """The fetch is over, and nothing is kept."""
        told = {"code": error.code, "message": error.message[:500], "retry_after": error.retry_after}
        self._end(Phase.FAILED, told)

    def failure(self) -> GatewayError:
        """The error of a fetch that has failed, as far as it can be carried from one process to another."""
        told = self._told()
        after = told.get("retry_after")
        kind = _CARRIED.get(str(told.get("code")), UpstreamTrouble)
        return kind(str(told.get("message")), retry_after=after if isinstance(after, int | float) else None)

    def close(self) -> None:
        """Unmap it; a second call does nothing."""
        self._slots.release()
        self._bytes.release()
        self._view.close()

    def _end(self, phase: Phase, told: Mapping[str, object]) -> None:
        text = json.dumps(told).encode()
        if len(text) > _SIZE - _TEXT:
            raise ValueError("too much to tell")
        self._bytes[_TEXT : _TEXT + len(text)] = text
        self._slots[_Slot.TEXT] = len(text)
        self._slots[_Slot.PHASE] = phase

    def _told(self) -> dict[str, object]:
        found = json.loads(bytes(self._bytes[_TEXT : _TEXT + self._slots[_Slot.TEXT]]))
        assert isinstance(found, dict)
        return found


@cache
def _boot() -> bytes:
    """What differs after a restart of the machine, when files may lack what was written last; 36 bytes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        boot = secrets.token_hex(18)  # not to be known here: then no process trusts what another one left
    return boot.encode()[:36].ljust(36)
