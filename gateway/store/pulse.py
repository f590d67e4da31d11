"""Whether anybody wrote to the catalogue since we last looked, for the price of reading two numbers in memory.

`PRAGMA data_version` answers the same question in 5 µs, which is half of a whole answer on the fast path. So writers
also keep two counters in a small file that every process maps: `begun` rises while the write lock is held, before the
commit can be seen; `done` follows after it. While both are equal and as we saw them before we last asked SQLite,
nothing can have been committed since. A writer that dies in between leaves them unequal: readers then ask SQLite each
time, until the next write. The counters mean nothing across restarts and hold nothing that is worth a backup.
"""

import mmap
import os
from pathlib import Path

_SIZE = 16


class Pulse:
    """The mapped counters: `beats[0]` is begun, `beats[1]` is done."""

    def __init__(self, path: Path) -> None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(handle).st_size < _SIZE:
                os.ftruncate(handle, _SIZE)
            self._map = mmap.mmap(handle, _SIZE)
        finally:
            os.close(handle)
        self.beats = memoryview(self._map).cast("Q")

    def begin(self) -> int:
        """Say that a commit may follow; only while holding the write lock. Returns the beat for `end`."""
        beat = self.beats[0] + 1
        self.beats[0] = beat
        return beat

    def end(self, beat: int) -> None:
        """Say that the transaction of this beat is over. A later writer may be over before us."""
        self.beats[1] = max(self.beats[1], beat)

    def close(self) -> None:
        """Unmap the counters."""
        self.beats.release()
        self._map.close()
