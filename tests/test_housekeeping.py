"""Collection, eviction and verification, over real files and a real catalogue."""

import asyncio
import fcntl
import os
import time

import pytest

from gateway.config import RepositoryConfig
from gateway.housekeeping import Housekeeping, Removal
from gateway.model import Digest, RepositoryKey
from gateway.store.blob_rows import CACHE, BlobRows
from gateway.store.blobs import FileBlobs
from gateway.store.database import Database
from gateway.store.packages import Packages
from gateway.store.repositories import Repositories
from gateway.store.rows import CachedFile, Edit, NewFileRow

DAY = 86400.0


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.database.close()


class World:
    """One data folder, and a clock that can be moved instead of the files' times."""

    def __init__(self, folder):
        self.database = Database(folder / "catalogue.sqlite")
        self.database.migrate()
        self.hosted, self.cache = FileBlobs(folder / "hosted"), FileBlobs(folder / "cache")
        self.rows, self.packages = BlobRows(self.database), Packages(self.database)
        self.now = time.time()
        self.house = Housekeeping(self.rows, self.hosted, self.cache, clock=lambda: self.now)
        self.folder = folder

    async def repository(self):
        key = RepositoryKey("pypi", "acme", "tools")
        return await Repositories(self.database).upsert(key, RepositoryConfig(), "config")

    async def publish(self, body, filename="a-1.whl"):
        """Publish a file as `publish` does: bytes first, rows after."""
        digest = self.hosted.put(body)
        await self.link(digest, len(body), filename)
        return digest

    async def link(self, digest, size, filename="a-1.whl"):
        row = NewFileRow(filename, "1", digest, size, {"sha256": digest.hex}, {}, "2026-01-01T00:00:00Z")
        await self.packages.commit(
            (await self.repository()).id,
            "a",
            [row],
            actor="ann",
            is_stored=lambda known: self.hosted.has(known) is not None,
        )

    async def fetch(self, body, used_at, filename="b-1.whl"):
        """Cache a file as `pull` does."""
        digest = self.cache.put(body)
        cached = CachedFile(digest, len(body), {"sha256": digest.hex}, "pypi", used_at)
        await self.rows.add_cached((await self.repository()).id, "b", filename, cached)
        return digest

    def spoil(self, blobs, digest):
        path = blobs.path(digest)
        path.write_bytes(b"X" + path.read_bytes()[1:])


async def test_what_is_referred_to_is_never_collected(world):
    hosted = await world.publish(b"hosted")
    cached = await world.fetch(b"cached", world.now)
    world.now += 1000 * DAY

    done = await world.house.collect()

    assert [removal.blobs for removal in done.removals] == [(), ()]
    assert world.hosted.has(hosted) == 6
    assert world.cache.has(cached) == 6


async def test_an_upload_that_was_never_published_goes_after_the_grace(world):
    digest = world.hosted.put(b"never published")

    young = await world.house.collect()
    world.now += 2 * DAY
    old = await world.house.collect()

    assert [removal.blobs for removal in young.removals] == [(), ()]
    assert old.removals[0].blobs == ((digest.hex, 15),)
    assert world.hosted.has(digest) is None


async def test_a_deleted_file_is_collected_and_one_that_shares_its_bytes_keeps_them(world):
    gone = await world.publish(b"gone", "a-1.whl")
    shared = await world.publish(b"shared", "a-2.whl")
    await world.link(shared, 6, "a-3.whl")
    await world.packages.edit((await world.repository()).id, "a", Edit(delete_files=("a-1.whl", "a-2.whl")))
    world.now += 2 * DAY

    done = await world.house.collect()

    assert done.removals[0].blobs == ((gone.hex, 4),)
    assert world.hosted.has(shared) == 6


async def test_a_dry_run_says_exactly_what_the_run_does(world):
    world.hosted.put(b"one")
    world.cache.put(b"two")
    await world.publish(b"kept")
    part = world.folder / "hosted" / "uploads" / "dead.part"
    part.write_bytes(b"left by a dead process")
    world.now += 2 * DAY

    plan = await world.house.collect(dry_run=True)
    assert world.hosted.has(Digest.of(b"one")) == 3
    assert part.exists()
    done = await world.house.collect()

    assert plan == done
    assert [removal.bytes for removal in done.removals] == [3, 3]
    assert done.leftovers == 1
    assert not part.exists()
    assert (await world.house.collect()).leftovers == 0


async def test_a_push_between_plan_and_removal_keeps_its_bytes(world, monkeypatch):
    digest = world.hosted.put(b"old bytes")
    world.now += 2 * DAY
    drop = world.rows.drop

    async def publish_first(*arguments):
        await world.link(digest, 9)
        return await drop(*arguments)

    monkeypatch.setattr(world.rows, "drop", publish_first)
    done = await world.house.collect()

    assert done.removals[0].blobs == ()
    assert world.hosted.has(digest) == 9


async def test_bytes_that_are_kept_again_between_plan_and_removal_are_young(world, monkeypatch):
    digest = world.hosted.put(b"old bytes")
    os.utime(world.hosted.path(digest), (0, 0))
    drop = world.rows.drop

    async def keep_again_first(*arguments):
        world.hosted.put(b"old bytes")
        return await drop(*arguments)

    monkeypatch.setattr(world.rows, "drop", keep_again_first)
    done = await world.house.collect()

    assert done.removals[0].blobs == ()
    assert world.hosted.has(digest) == 9


async def test_a_push_after_the_removal_is_refused_instead_of_lost(world):
    digest = world.hosted.put(b"old bytes")
    world.now += 2 * DAY
    await world.house.collect()

    with pytest.raises(Exception, match=digest.hex):
        await world.link(digest, 9)


async def test_the_row_of_a_blob_that_is_gone_is_collected(world):
    await world.rows.add(CACHE, Digest.of(b"gone"), 4, now=world.now - 5 * DAY)

    done = await world.house.collect()

    assert done.removals[1].blobs == ((Digest.of(b"gone").hex, 0),)
    assert await world.rows.total(CACHE) == 0


async def test_eviction_removes_the_least_recently_used_first_and_never_hosted_blobs(world):
    await world.publish(b"h" * 1000)
    old = await world.fetch(b"o" * 100, world.now - 30, "o.whl")
    middle = await world.fetch(b"m" * 100, world.now - 20, "m.whl")
    new = await world.fetch(b"n" * 100, world.now - 10, "n.whl")
    await world.rows.touch(CACHE, {old.hex: world.now})

    plan = await world.house.evict(250, dry_run=True)
    done = await world.house.evict(250)

    assert plan == done
    assert [hex_ for hex_, _ in done.blobs] == [middle.hex]
    assert world.cache.has(middle) is None
    assert (world.cache.has(old), world.cache.has(new)) == (100, 100)
    repository = await world.repository()
    assert world.rows.cached(repository.id, "b", "m.whl") is None
    assert world.rows.cached(repository.id, "b", "o.whl") is not None


async def test_a_cache_within_its_bound_is_left_alone(world):
    await world.fetch(b"o" * 100, world.now)

    assert (await world.house.evict(100)).blobs == ()


async def test_verification_finds_what_is_corrupt_missing_and_unlinked(world):
    good = await world.publish(b"good", "a-1.whl")
    corrupt = await world.publish(b"corrupt", "a-2.whl")
    missing = await world.fetch(b"missing", world.now)
    unlinked = world.hosted.put(b"unlinked")
    world.spoil(world.hosted, corrupt)
    world.cache.delete(missing)
    seen = []

    found = await world.house.verify(lambda done, total: seen.append((done, total)))

    assert (found.blobs, found.bytes) == (3, 19)
    assert found.corrupt == [f"hosted:{corrupt.hex}"]
    assert found.missing == [f"cache:{missing.hex}"]
    assert found.unlinked == [f"hosted:{unlinked.hex}"]
    assert not found.is_clean
    assert seen[-1] == (19, 19)
    assert world.hosted.has(good) == 4


async def test_repair_forgets_spoilt_cache_entries_and_leaves_hosted_ones_to_people(world):
    hosted = await world.publish(b"hosted")
    cached = await world.fetch(b"cached", world.now)
    world.spoil(world.hosted, hosted)
    world.spoil(world.cache, cached)

    found = await world.house.verify(repair=True)

    assert found.repaired == [f"cache:{cached.hex}"]
    assert not found.is_clean
    assert world.hosted.has(hosted) == 6
    assert world.cache.has(cached) is None
    assert (await world.house.verify()).corrupt == [f"hosted:{hosted.hex}"]


async def test_a_truncated_blob_is_corrupt(world):
    digest = await world.publish(b"whole file")
    world.hosted.path(digest).write_bytes(b"whole")

    assert (await world.house.verify()).corrupt == [f"hosted:{digest.hex}"]


async def test_a_server_keeps_its_cache_within_bounds_by_itself(world):
    old = await world.fetch(b"o" * 100, world.now - 30, "o.whl")
    await world.fetch(b"n" * 100, world.now, "n.whl")

    task = asyncio.create_task(world.house.tend(150, world.folder / "lock", every=0))
    async with asyncio.timeout(30):
        while world.cache.has(old) is not None:  # noqa: ASYNC110 a file has no event
            await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_only_one_of_several_workers_tends_at_a_time(world, monkeypatch):
    rounds = []

    async def evict(_max_size):
        rounds.append(None)
        return Removal("cache")

    monkeypatch.setattr(world.house, "evict", evict)
    with (world.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await world.house.tend(150, world.folder / "lock", every=0)

    assert rounds == []
