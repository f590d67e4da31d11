"""Reading what an answer carries: whole and bounded for documents, chunk by chunk for files, dropped where unwanted."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Self

import aiohttp

from gateway.errors import UpstreamCorrupt
from gateway.upstream.hosts import NETWORK_ERRORS, Host
from gateway.upstream.inflate import Inflater

_SMALL = 64 * 1024  # an unwanted body up to this size is read, so that its connection lives on
_DRAIN_SECONDS = 1.0
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)\Z")
_COMPRESSED_NAMES = (".gz", ".tgz")


async def read_document(
    response: aiohttp.ClientResponse, host: Host, limit: int, came: Callable[[int], None] = lambda _size: None
) -> bytes:
    """The whole body, decompressed. Raises UpstreamCorrupt beyond `limit`, aiohttp's errors when it breaks off.

    came: told of the bytes of each chunk, as they were sent.
    """
    if response.content_length is not None and response.content_length > limit:
        raise UpstreamCorrupt(f"{host.upstream} has a document of {response.content_length} bytes, more than {limit}")
    inflater = Inflater(response.headers.get("Content-Encoding", ""), limit)
    parts: list[bytes] = []
    while chunk := await response.content.readany():
        host.received += len(chunk)
        came(len(chunk))
        for part in inflater.feed(chunk):
            parts.append(part)
            await asyncio.sleep(0)  # a small chunk may become many large parts
    if not inflater.is_complete:
        raise aiohttp.ClientPayloadError("the compressed body ends early")
    return b"".join(parts)


async def drain(response: aiohttp.ClientResponse, host: Host) -> None:
    """Drop the body of an answer that is only a status; never fails, and gives up on a long or slow one."""
    taken = 0
    try:
        with suppress(*NETWORK_ERRORS):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while taken <= _SMALL and (chunk := await response.content.readany()):
                    taken += len(chunk)
    except asyncio.CancelledError:
        host.breaker.abandon()
        raise
    finally:
        response.close()  # gives the connection back where the body has ended


class Chunks(AsyncIterator[bytes]):
    """The chunks of a file as the socket gives them."""

    __slots__ = ("_content", "_host")

    def __init__(self, content: aiohttp.StreamReader, host: Host) -> None:
        self._content = content
        self._host = host

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        with self._host.watching():
            chunk = await self._content.readany()
        if not chunk:
            raise StopAsyncIteration
        self._host.received += len(chunk)
        return chunk


def extent(response: aiohttp.ClientResponse, name: str, asked: int) -> tuple[int | None, int]:
    """The file's complete size (None: unknown) and where this body starts; raises UpstreamCorrupt.

    `asked`: the offset of our Range. A server that ignores it answers 200, which starts at 0 (RFC 9110 §14.2).
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    # Some servers label a .tar.gz as gzip-encoded; its bytes are the file all the same.
    if encoding not in {"", "identity"} and not response.url.path.endswith(_COMPRESSED_NAMES):
        raise UpstreamCorrupt(f"{name} sent a file with the content encoding {encoding[:40]!r} that nobody asked for")
    if response.status != 206:
        return response.content_length, 0
    match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != asked:
        raise UpstreamCorrupt(f"{name} sent another range than the one from {asked}")
    return (None if match[3] == "*" else int(match[3])), asked
