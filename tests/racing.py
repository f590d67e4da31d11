"""Races that always happen: pushes that all have been checked before the first of them is published."""

import asyncio

import pytest

from gateway.model import Digest
from gateway.store.blobs import Upload


def meet(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let the first `count` uploads whose bytes are to be kept wait for one another."""
    keep, arrived, everybody = Upload.keep, 0, asyncio.Event()

    async def kept(self: Upload, expected: Digest | None = None) -> Digest:
        nonlocal arrived
        arrived += 1
        if arrived == count:
            everybody.set()
        async with asyncio.timeout(60):
            await everybody.wait()
        return await keep(self, expected)

    monkeypatch.setattr(Upload, "keep", kept)
