"""A layer far larger than the memory that its push and its pull may cost, through a server of its own."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from tests.clients.gateway import WRITE, Gateway
from tests.fakes.artifacts import noise
from tests.test_crowd import resident

BLOCK = noise(1024 * 1024, "layer")
BLOCKS = 256
MOST = 64 * 1024 * 1024  # bytes of memory


async def layer() -> AsyncIterator[bytes]:
    for _ in range(BLOCKS):
        yield BLOCK


def digest_of_layer() -> str:
    hasher = hashlib.sha256()
    for _ in range(BLOCKS):
        hasher.update(BLOCK)
    return hasher.hexdigest()


async def test_a_layer_is_never_in_memory(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "gateway", {"container": {"acme/app": {"layers": ["hosted"]}}})
    await asyncio.to_thread(gateway.start)
    try:
        digest = await asyncio.to_thread(digest_of_layer)
        token = await asyncio.to_thread(gateway.token, "acme", WRITE)
        before = peak = resident(gateway.pid)
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(gateway.url, headers=headers) as session:
            work = asyncio.ensure_future(push_and_pull(session, digest))
            while not work.done():
                peak = max(peak, await asyncio.to_thread(resident, gateway.pid))
                await asyncio.wait([work], timeout=0.05)

        assert work.result() == digest
        assert peak - before < MOST
    finally:
        await asyncio.to_thread(gateway.stop)


async def push_and_pull(session: aiohttp.ClientSession, digest: str) -> str:
    """The digest of what comes back."""
    name = "/v2/container/acme/app/tool/blobs"
    async with session.post(f"{name}/uploads/") as begun:
        location = begun.headers["Location"]
    async with session.patch(location, data=layer()) as sent:
        assert sent.status == 202, await sent.text()
        location = sent.headers["Location"]
    async with session.put(location, params={"digest": f"sha256:{digest}"}) as kept:
        assert kept.status == 201, await kept.text()
    hasher = hashlib.sha256()
    async with session.get(f"{name}/sha256:{digest}") as blob:
        async for chunk in blob.content.iter_any():
            hasher.update(chunk)
    return hasher.hexdigest()
