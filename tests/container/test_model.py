"""Random pushes, pulls, mounts, deletes and collections at once, held against a model of what each client must see.

`ENTREPOT_MODEL_STEPS=5000` makes it run for minutes; `ENTREPOT_MODEL_SEED` repeats a run's choices.
"""

import asyncio
import gzip
import os
import random
import time
from dataclasses import dataclass, field

import pytest

import gateway.graph
from gateway.housekeeping import Housekeeping
from gateway.services import Services
from tests.container.conftest import Hosting
from tests.container.talking import SHAPES, Registry, codes
from tests.fakes.artifacts import noise
from tests.fakes.images import Image, digest_of, image, index

STEPS = int(os.environ.get("ENTREPOT_MODEL_STEPS", "40"))
SEED = int(os.environ.get("ENTREPOT_MODEL_SEED", "0")) or time.time_ns()
GRACE = 3.0
CLIENTS = 4
LAYERS = [gzip.compress(noise(200 + 100 * number, f"layer {number}"), mtime=0) for number in range(8)]
IMAGES = [image({"number": b"%d" % number}, layers=LAYERS[number % 5 : number % 5 + 3]) for number in range(10)]
WHOLES = [*IMAGES, *(index(IMAGES[number], IMAGES[number + 1]) for number in range(0, 8, 2))]
EVERYTHING = {digest: body for one in IMAGES for digest, body in one.blobs.items()}


@dataclass
class Client:
    """One name, which only this client changes, and what must be there. linked: all blobs that were ever pushed to it."""

    registry: Registry
    chance: random.Random
    neighbours: list[str]
    tags: dict[str, Image] = field(default_factory=dict)
    present: dict[str, Image] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)

    async def step(self) -> None:
        """Do something."""
        acts = [self.push, self.push, self.pull, self.pull, self.untag, self.delete, self.peep, self.abandon]
        await self.chance.choice(acts)()

    async def push(self) -> None:
        """As clients push: what a HEAD finds is not sent again, and no collection may take it before the manifest."""
        whole, tag = self.chance.choice(WHOLES), self.chance.choice("abcd")
        for part in whole.everything:
            reference = tag if part is whole else part.digest
            while True:
                began = time.monotonic()
                for digest, body in part.blobs.items():
                    await self._provide(digest, body)
                put = await self.registry.push_manifest(reference, part.body, part.media_type)
                if put.status == 201:
                    break
                assert codes(put) == ["MANIFEST_BLOB_UNKNOWN"], put.body
                assert time.monotonic() - began > GRACE, "a blob was collected while its image was being pushed"
            self.present[part.digest] = part
        self.tags[tag] = whole

    async def pull(self) -> None:
        """What a tag names is there, whole, byte for byte."""
        if self.tags:
            await self.check(self.chance.choice(sorted(self.tags)))

    async def check(self, tag: str) -> None:
        whole = self.tags[tag]
        got = await self.registry.manifest(tag)
        assert (got.status, got.body) == (200, whole.body)
        for part in whole.everything:
            if part.digest in self.present:
                assert (await self.registry.manifest(part.digest)).body == part.body
                for digest, body in part.blobs.items():
                    read = await self.registry.blob(digest)
                    assert (read.status, read.body) == (200, body), digest

    async def untag(self) -> None:
        if self.tags:
            tag = self.chance.choice(sorted(self.tags))
            assert (await self.registry.manifest(tag, "DELETE")).status == 202
            del self.tags[tag]
            assert (await self.registry.manifest(tag)).status == 404

    async def delete(self) -> None:
        """By digest: all its tags go with it."""
        if self.present:
            await self.remove(self.chance.choice(sorted(self.present)))

    async def remove(self, digest: str) -> None:
        assert (await self.registry.manifest(digest, "DELETE")).status == 202
        del self.present[digest]
        self.tags = {tag: one for tag, one in self.tags.items() if one.digest != digest}
        assert (await self.registry.manifest(digest)).status == 404

    async def peep(self) -> None:
        """What was never pushed to this name is not read through it, however many others have it."""
        unknown = sorted(EVERYTHING.keys() - self.linked)
        if unknown:
            digest = self.chance.choice(unknown)
            assert (await self.registry.blob(digest)).status == 404
            assert (await self.registry.blob(digest, "HEAD")).status == 404

    async def abandon(self) -> None:
        """Begin an upload and never come back."""
        location = (await self.registry.begin()).headers["Location"]
        assert (await self.registry.patch(location, noise(300, location))).status == 202

    async def _provide(self, digest: str, body: bytes) -> None:
        if (await self.registry.blob(digest, "HEAD")).status == 200:
            return
        self.linked.add(digest)
        if self.chance.random() < 0.3:
            mounted = await self.registry.mount(digest, self.chance.choice(self.neighbours))
            assert mounted.status in {201, 202}
            if mounted.status == 202:
                assert (await self.registry.put(mounted.headers["Location"], digest, body)).status == 201
            return
        sent = await self.registry.upload(body, self.chance.choice(SHAPES))
        assert sent.status == 201, sent.body


async def test_nothing_that_is_linked_is_lost_nothing_else_is_readable_and_nothing_leaks(
    hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.graph, "_SEEN_SECONDS", 0.0)  # a grace of hours allows for minutes, this one does not
    print(f"ENTREPOT_MODEL_SEED={SEED}")
    first = await hosting()
    names = [f"container/acme/app/client{number}" for number in range(CLIENTS)]
    clients = [
        Client(
            Registry(first.gateway, name, first.token), random.Random(SEED + number), [n for n in names if n != name]
        )
        for number, name in enumerate(names)
    ]
    services, is_over = first.gateway.services, asyncio.Event()

    async with asyncio.TaskGroup() as everybody:
        collector = everybody.create_task(_collect_until(services, is_over))
        working = [everybody.create_task(_work(client)) for client in clients]
        await asyncio.gather(*working)
        is_over.set()
    assert collector.result() > 0
    for client in clients:
        for tag in client.tags:
            await client.check(tag)
    assert (await _keeper(services).verify()).is_clean
    for client in clients:
        for digest in list(client.present):
            await client.remove(digest)
    await _keeper(services, later=GRACE).collect(hosted_grace=0.0, cache_grace=0.0)

    for client in clients:
        for digest in EVERYTHING:
            assert (await client.registry.blob(digest)).status == 404
    assert [path for path in services.hosted.root.rglob("*") if path.is_file()] == []


def test_the_model_has_blobs_that_images_share() -> None:
    shared = [digest for digest in EVERYTHING if sum(digest in one.blobs for one in IMAGES) > 1]

    assert len(shared) == 7
    assert all(digest_of(EVERYTHING[digest]) == digest for digest in shared)


async def _work(client: Client) -> None:
    for _ in range(STEPS):
        await client.step()


async def _collect_until(services: Services, is_over: asyncio.Event) -> int:
    """Collect again and again; how often."""
    rounds = 0
    while not is_over.is_set():
        await _keeper(services).collect(hosted_grace=GRACE, cache_grace=GRACE)
        rounds += 1
        await asyncio.sleep(0)
    return rounds


def _keeper(services: Services, later: float = 0.0) -> Housekeeping:
    """Housekeeping whose clock is `later` seconds ahead."""
    sweepers = (services.spools.sweep, services.resumables.sweep)
    return Housekeeping(
        services.blob_rows, services.hosted, services.cache, sweepers, clock=lambda: time.time() + later
    )
