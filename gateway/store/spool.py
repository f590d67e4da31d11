"""The cold path: a file is fetched once for all who want it, in all worker processes, and verified before it is whole.

`Spools.open` joins or begins the fetch of a key and gives a Follower, which reads the growing file up to what is
released. The fetch belongs to the application, not to the client who asked first. Everything but the last 256 KB is
released as it comes; the rest when every promised hash agrees and the blob is kept. So no client ever holds a complete
lie.

A process that dies leaves its part; another process that follows, or the next one that asks, hashes what is there and
goes on. A fetch that fails leaves nothing. Nothing here knows what an upstream or a package is.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from msgspec import Struct, field

from gateway.errors import StoreTrouble
from gateway.model import Digest
from gateway.store.blobs import FileBlobs, remove_older
from gateway.store.flight import Flight, Judge, OnDone, Order, Refused
from gateway.store.receiving import Fetch
from gateway.store.spool_files import Lock, SpoolFiles


class Expected(Struct, frozen=True):
    """What was promised about a file: algorithm → lower-case hex, and its size in bytes or None.

    algorithms: further ones to compute, for whoever judges or records the bytes.
    """

    hashes: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    algorithms: tuple[str, ...] = ()


class Spools:
    """All running fetches of this process. `async with Spools(…)`, or `close` at the end."""

    def __init__(self, root: Path, blobs: FileBlobs, *, max_size: int = 64 * 1024**3, pause: float = 0.2) -> None:
        """`root`: on the file system of `blobs`. max_size: bytes that no file may exceed.

        pause: seconds before a body that broke off is resumed, doubled with every attempt.
        """
        self._folder = root / "spool"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._blobs = blobs
        self._max_size = max_size
        self._pause = pause
        self._flights: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def open(
        self,
        key: str,
        expected: Expected,
        fetch: Fetch,
        on_done: OnDone | None = None,
        *,
        known: Callable[[], Digest | None] | None = None,
        judge: Judge | None = None,
        refused: Refused | None = None,
    ) -> "Follower":
        """Follow the fetch of `key`; begin it, or take it over, where nobody else does. Close the follower.

        Returns when the upstream has answered, so that `size` is as known as it gets and an absent file raises here.
        `key` names everything that `on_done` records, since only the first asker's is called. known: asked once this
        process may fetch, lest it fetches what another one has just finished. judge: asked with all hashes before
        anything is kept, where a promise comes with or after the bytes. refused: told of bytes that broke a promise.
        Raises what `fetch` raises, UpstreamCorrupt or StoreTrouble.
        """
        if self._is_closed:
            raise StoreTrouble("the gateway is stopping")
        files = SpoolFiles(self._folder, key, expected.hashes, expected.size)
        flight = self._flights.get(files.name)
        if flight is None or flight.is_over:
            order = Order(
                expected.hashes,
                expected.size,
                fetch,
                on_done,
                known,
                self._max_size,
                self._pause,
                expected.algorithms,
                judge,
                refused,
            )
            flight = Flight(files, self._blobs, order)
            self._begin(files.name, flight)
        follower = Follower(flight)
        try:
            await flight.answered()
        except BaseException:
            follower.close()
            raise
        return follower

    async def close(self) -> None:
        """Stop all fetches; what they have stays for whoever goes on."""
        self._is_closed = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def sweep(self, older_than: float, remove: bool = True) -> int:
        """Remove what dead processes left and nobody wanted since this POSIX time; returns how many files.

        `remove` False only counts them, for a dry run. Blocks: not in the loop.
        """
        removed = 0
        for path in tuple(self._folder.iterdir()):
            lock = Lock.take(path.with_name(f"{path.name.partition('.')[0]}.lock"))
            if lock is not None:
                try:
                    removed += path.suffix != ".lock" and remove_older(path, older_than, remove)
                finally:
                    lock.release()
        return removed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _begin(self, name: str, flight: Flight) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if self._flights.get(name) is flight:
                del self._flights[name]
            if not task.cancelled() and (error := task.exception()) is not None:
                told = {"message": "a fetch ended with a bug", "exception": error, "task": task}
                task.get_loop().call_exception_handler(told)

        self._flights[name] = flight
        task = asyncio.get_running_loop().create_task(flight.run(), name=f"fetch {name[:12]}")
        self._tasks.add(task)
        task.add_done_callback(ended)


class Follower:
    """One reader of a file that is being fetched. Reads `fd` at explicit offsets, as far as `available` says."""

    def __init__(self, flight: Flight) -> None:
        """Made by `Spools.open`."""
        self._flight: Flight | None = flight
        flight.users += 1

    @property
    def size(self) -> int | None:
        """The complete size in bytes; None while nobody said it."""
        return self._open.size

    @property
    def digest(self) -> Digest | None:
        """The blob's name, once it is verified and kept."""
        return self._open.digest

    @property
    def hashes(self) -> Mapping[str, str]:
        """Algorithm → hex of everything that was computed; empty before the end."""
        return self._open.hashes

    @property
    def fd(self) -> int:
        """The descriptor to read from; not yours to close. Ask anew after every `await`."""
        return self._open.fd

    async def available(self, offset: int) -> int:
        """Bytes that may be read from `offset` on; waits for the first one. 0 at the verified end.

        Raises UpstreamCorrupt, UpstreamTrouble or StoreTrouble as soon as the fetch has failed.
        """
        return await self._open.beyond(offset)

    async def finished(self) -> Digest:
        """Wait for the verified end; the blob is kept then. Raises as `available`."""
        return await self._open.landed()

    def close(self) -> None:
        """Stop following; the fetch goes on. A second call does nothing."""
        if self._flight is not None:
            flight, self._flight = self._flight, None
            flight.users -= 1
            flight.tidy()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _open(self) -> Flight:
        if self._flight is None:
            raise RuntimeError("the follower is closed")
        return self._flight
