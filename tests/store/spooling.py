"""A fake upstream for the spool, and a second process that uses the same spool.

As a program: `python -m tests.store.spooling <root> <seed> <size> <stop>` opens the key `file`, reads it to the end and
prints what happens, one line each. Its own upstream sends `stop` bytes and then waits for a line on standard input.
"""

import asyncio
import hashlib
import os
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import GatewayError, UpstreamTrouble
from gateway.store.blobs import FileBlobs
from gateway.store.spool import Expected, Follower, Spools

STEP = 64 * 1024


def make_body(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def promise(body: bytes, *algorithms: str) -> Expected:
    return Expected({name: hashlib.new(name, body).hexdigest() for name in algorithms or ("sha256",)}, len(body))


@dataclass
class Coming:
    total: int | None
    offset: int
    chunks: AsyncIterator[bytes]


class Upstream:
    """Serves a body. `offsets` remembers what it was asked for.

    cuts: offsets at which the first, second, … answer breaks off. gate: awaited with each offset before it is sent.
    total: what it announces, the truth unless given. errors: raised by the first, second, … request instead of an answer.
    """

    def __init__(
        self,
        body: bytes,
        *,
        cuts: tuple[int, ...] = (),
        gate: Callable[[int], Awaitable[object]] | None = None,
        total: int | None = -1,
        has_ranges: bool = True,
        errors: tuple[GatewayError | None, ...] = (),
        step: int = STEP,
    ) -> None:
        self.body = body
        self.offsets: list[int] = []
        self.running = 0
        self._cuts = list(cuts)
        self._gate = gate
        self._total = len(body) if total == -1 else total
        self._has_ranges = has_ranges
        self._errors = list(errors)
        self._step = step

    @asynccontextmanager
    async def fetch(self, offset: int) -> AsyncIterator[Coming]:
        self.offsets.append(offset)
        error = self._errors.pop(0) if self._errors else None
        if error is not None:
            raise error
        self.running += 1
        try:
            start = offset if self._has_ranges else 0
            yield Coming(self._total, start, self._chunks(start))
        finally:
            self.running -= 1

    async def _chunks(self, start: int) -> AsyncIterator[bytes]:
        stop = self._cuts.pop(0) if self._cuts else len(self.body)
        for at in range(start, stop, self._step):
            if self._gate is not None:
                await self._gate(at)
            yield self.body[at : min(at + self._step, stop)]
        if stop < len(self.body):
            raise UpstreamTrouble("connection reset by peer")


async def read(follower: Follower) -> bytes:
    """Everything a follower gets, in order."""
    body = bytearray()
    while ready := await follower.available(len(body)):
        body += os.pread(follower.fd, ready, len(body))
    return bytes(body)


async def _main(root: Path, seed: int, size: int, stop: int) -> None:
    body = make_body(seed, size)

    async def gate(offset: int) -> None:
        if offset == 0:
            print("fetches", flush=True)
        if offset >= stop:
            await asyncio.to_thread(sys.stdin.readline)

    upstream = Upstream(body, gate=gate)
    blobs = FileBlobs(root)
    async with Spools(root, blobs) as spools:
        try:
            with await spools.open("file", promise(body), upstream.fetch) as follower:
                print("size", follower.size, flush=True)
                print("released", await follower.available(0), flush=True)
                got = await read(follower)
                print("got", hashlib.sha256(got).hexdigest(), follower.digest, len(upstream.offsets), flush=True)
        except GatewayError as error:
            print("failed", error.code, error.message, error.retry_after, flush=True)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), *map(int, sys.argv[2:5])))
