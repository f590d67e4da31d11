"""A body from an upstream, however often it breaks off: resumed at the byte, bounded in bytes and attempts.

The upstream is believed in nothing: neither in its size nor that a resumed body is the same file, which only the digest
shows in the end. Nothing here writes files or judges digests.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from gateway.errors import UpstreamCorrupt, UpstreamTrouble
from gateway.store.writing import BatchWriter

_ATTEMPTS = 4  # that in a row bring less than _PROGRESS
_PROGRESS = 4 * 1024 * 1024


class Incoming(Protocol):
    """A file on its way. `offset`: where the chunks really start, 0 where the server ignored the one asked for.

    total: the complete size in bytes, None when the server does not say. chunks: may break off with UpstreamTrouble.
    """

    @property
    def total(self) -> int | None: ...
    @property
    def offset(self) -> int: ...
    @property
    def chunks(self) -> AsyncIterator[bytes]: ...


Fetch = Callable[[int], AbstractAsyncContextManager[Incoming]]
"""Begins to get the bytes from an offset on; raises errors of `gateway.errors` only."""


class Body(Struct):
    """What has come so far. size: the complete size as promised or told, None while nobody said it.

    position: offset behind the last byte that was taken. max_size: bytes that no body may exceed.
    pause: seconds before the first resumption, doubled with each that brings nothing.
    """

    fetch: Fetch
    size: int | None
    position: int
    max_size: int
    pause: float

    async def receive(self, writer: BatchWriter, answered: Callable[[int | None], None]) -> int:
        """Hand everything from `position` on to the writer; returns the complete size.

        answered: called with the size whenever the upstream begins to answer. Raises UpstreamTrouble where it does
        not come to the end, UpstreamCorrupt where it contradicts itself or a promise, and what `fetch` and the writer
        raise.
        """
        begin, left = self.position, _ATTEMPTS
        while True:
            mark = self.position
            try:
                if await self._attempt(writer, answered):
                    break
            except UpstreamTrouble:
                if self.position == begin:
                    raise  # there never was a body: the client has tried often enough
            left = _ATTEMPTS if self.position - mark >= _PROGRESS else left - 1
            if left == 0:
                raise UpstreamTrouble(f"the upstream broke off again and again, after {self.position} bytes")
            await asyncio.sleep(self.pause * 2 ** (_ATTEMPTS - left))
        await writer.flush()
        return self.position

    async def _attempt(self, writer: BatchWriter, answered: Callable[[int | None], None]) -> bool:
        """One request; whether the body came to its end."""
        async with self.fetch(self.position) as incoming:
            self._judge(incoming)
            answered(self.size)
            known = self.position - incoming.offset  # bytes that a server without ranges sends once more
            limit = self.max_size if self.size is None else self.size
            async for chunk in incoming.chunks:
                fresh = chunk[known:] if known else chunk
                known -= len(chunk) - len(fresh)
                self.position += len(fresh)
                if self.position > limit:
                    raise UpstreamCorrupt(f"the upstream sends more than {limit} bytes")
                await writer.write(fresh)
        return known == 0 and self.size in {None, self.position}

    def _judge(self, incoming: Incoming) -> None:
        if not 0 <= incoming.offset <= self.position:
            raise UpstreamCorrupt(f"asked for byte {self.position}, the upstream begins at {incoming.offset}")
        if incoming.total is None:
            return
        if self.size is not None and incoming.total != self.size:
            raise UpstreamCorrupt(f"expected {self.size} bytes, the upstream announces {incoming.total}")
        if not 0 <= incoming.total <= self.max_size:
            raise UpstreamCorrupt(f"the upstream announces {incoming.total} bytes, more than {self.max_size}")
        self.size = incoming.total
