"""Blobs appear whole or not at all."""

import asyncio
import hashlib
import os
import random
from pathlib import Path

import pytest

from gateway.errors import DigestMismatch, FileUnknown, Invalid, StoreTrouble, TooLarge
from gateway.model import Digest
from gateway.store import writing
from gateway.store.blobs import FileBlobs
from gateway.store.hashing import Hashes
from gateway.store.writing import BATCH, BatchWriter, write_at

BODY = bytes(range(256)) * 5000


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path / "store")


def files(blobs: FileBlobs) -> list[str]:
    return sorted(path.name for path in blobs.root.rglob("*") if path.is_file())


async def uploaded(blobs: FileBlobs, body: bytes, step: int = 70_000) -> Digest:
    async with blobs.upload(len(body)) as upload:
        for at in range(0, len(body), step):
            await upload.write(body[at : at + step])
        return await upload.keep(None)


async def test_an_upload_becomes_the_blob_of_its_digest(blobs):
    digest = await uploaded(blobs, BODY)

    assert digest == Digest.of(BODY)
    assert blobs.has(digest) == len(BODY)
    assert blobs.read(digest) == BODY
    assert blobs.path(digest) == blobs.root / "blobs" / "sha256" / digest.hex[:2] / digest.hex
    assert files(blobs) == [digest.hex]


@pytest.mark.parametrize("step", [1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH])
async def test_bytes_stay_in_order_whatever_the_size_of_the_chunks(blobs, step):
    body = BODY[: 2000 if step == 1 else len(BODY)]

    assert blobs.read(await uploaded(blobs, body, step)) == body


async def test_an_empty_upload_is_a_blob_too(blobs):
    assert blobs.read(await uploaded(blobs, b"")) == b""


async def test_a_wrong_digest_leaves_nothing_behind(blobs):
    async with blobs.upload(100) as upload:
        await upload.write(b"malice")
        with pytest.raises(DigestMismatch):
            await upload.keep(Digest.of(b"promised"))

    assert files(blobs) == []


async def test_an_upload_that_is_not_kept_leaves_nothing_behind(blobs):
    async with blobs.upload(100) as upload:
        await upload.write(b"half")
        await upload.finish()
        assert upload.path.read_bytes() == b"half"

    assert files(blobs) == []


async def test_an_upload_that_fails_leaves_nothing_behind(blobs):
    async def broken() -> None:
        async with blobs.upload(10 * BATCH) as upload:
            await upload.write(b"x" * (2 * BATCH))
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await broken()

    assert files(blobs) == []


async def test_a_cancelled_upload_leaves_nothing_behind(blobs):
    begun = asyncio.Event()

    async def endless() -> None:
        async with blobs.upload(1 << 60) as upload:
            while True:
                await upload.write(b"x" * BATCH)
                begun.set()

    task = asyncio.ensure_future(endless())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert files(blobs) == []


async def test_an_upload_over_its_limit_is_refused_at_once(blobs):
    async with blobs.upload(10) as upload:
        await upload.write(b"0123456789")
        with pytest.raises(TooLarge):
            await upload.write(b"0")

    assert files(blobs) == []


async def test_all_wanted_hashes_are_computed_and_sha256_always(blobs):
    wanted = ("md5", "sha1", "sha384", "sha512", "blake2b_256")
    async with blobs.upload(len(BODY), wanted) as upload:
        await upload.write(BODY)
        await upload.finish()

        assert upload.hexes() == {
            **{name: hashlib.new(name, BODY).hexdigest() for name in ("md5", "sha1", "sha256", "sha384", "sha512")},
            "blake2b_256": hashlib.blake2b(BODY, digest_size=32).hexdigest(),
        }
        assert upload.digest == Digest.of(BODY)
        assert upload.size == len(BODY)


def test_an_unknown_hash_is_refused():
    with pytest.raises(Invalid):
        Hashes(["crc32"])


async def test_the_same_blob_may_be_kept_twice(blobs):
    first = await uploaded(blobs, BODY)

    assert await uploaded(blobs, BODY) == first
    assert blobs.put(BODY) == first
    assert files(blobs) == [first.hex]


def test_a_kept_body_is_read_back(blobs):
    digest = blobs.put(b"page")

    assert blobs.read(digest) == b"page"
    assert files(blobs) == [digest.hex]


def test_keeping_again_makes_a_blob_young_so_that_collection_spares_it(blobs):
    digest = blobs.put(b"page")
    os.utime(blobs.path(digest), (1, 1))

    blobs.put(b"page")

    assert next(blobs.walk())[2] > 1


def test_a_blob_cut_short_on_the_disk_is_kept_anew(blobs):
    digest = blobs.put(b"page")
    blobs.path(digest).write_bytes(b"pa")

    assert blobs.read(blobs.put(b"page")) == b"page"


def test_a_rotten_blob_is_absent_and_removed(blobs):
    digest = blobs.put(b"page")
    blobs.path(digest).write_bytes(b"evil")

    with pytest.raises(FileUnknown):
        blobs.read(digest)

    assert blobs.has(digest) is None
    assert files(blobs) == []


async def test_an_open_blob_outlives_its_deletion(blobs):
    digest = blobs.put(b"page")

    with blobs.open(digest) as blob:
        assert blobs.delete(digest) == 4
        assert os.pread(blob.fd, 100, 0) == b"page"
        assert [await blob.available(offset) for offset in (0, 3, 4, 9)] == [4, 1, 0, 0]

    assert blobs.delete(digest) == 0
    with pytest.raises(FileUnknown):
        blobs.open(digest)


def test_closing_twice_closes_no_other_file(blobs):
    blob = blobs.open(blobs.put(b"page"))
    blob.close()
    other = os.open(blobs.root, os.O_RDONLY)

    blob.close()

    os.close(other)


@pytest.mark.parametrize(
    "digest",
    [
        Digest("sha256", "../../../etc/passwd"),
        Digest("sha256", "a" * 63),
        Digest("sha256", "A" * 64),
        Digest("sha256", "a" * 63 + "/"),
        Digest("sha512", "a" * 128),
        Digest("../sha256", "a" * 64),
    ],
)
def test_a_name_that_is_no_digest_never_becomes_a_path(blobs, digest):
    for ask in (blobs.path, blobs.has, blobs.open, blobs.read, blobs.delete):
        with pytest.raises(FileUnknown):
            ask(digest)


def test_walking_shows_every_blob_and_nothing_else(blobs):
    digests = {blobs.put(body) for body in (b"a", b"bb", b"ccc")}
    (blobs.path(next(iter(digests))).parent / "stray").write_bytes(b"?")

    found = {digest: size for digest, size, _ in blobs.walk()}

    assert set(found) == digests
    assert sorted(found.values()) == [1, 2, 3]


def test_sweeping_removes_only_what_dead_uploads_left(blobs):
    kept = blobs.put(b"kept")
    old, young = blobs.root / "uploads" / "old.part", blobs.root / "uploads" / "young.part"
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (1, 1))

    assert blobs.sweep(older_than=1000.0) == 1

    assert files(blobs) == sorted([kept.hex, "young.part"])


def test_free_space_is_told(blobs):
    assert blobs.free_space() > 0


async def test_a_full_disk_is_trouble_and_leaves_nothing_behind(blobs, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.os, "pwritev", full)
    async with blobs.upload(100) as upload:
        await upload.write(b"x")
        with pytest.raises(StoreTrouble):
            await upload.finish()

    assert files(blobs) == []


def test_a_kernel_that_takes_only_a_part_gets_the_rest_again(tmp_path, monkeypatch):
    real = os.pwritev
    monkeypatch.setattr(writing.os, "pwritev", lambda fd, pieces, offset: real(fd, [b"".join(pieces)[:3]], offset))
    with (tmp_path / "file").open("w+b") as file:
        end = write_at(file.fileno(), [b"ab", b"cdefg", b"", b"hi"], 2)

        assert end == 11
        assert (tmp_path / "file").read_bytes() == b"\0\0abcdefghi"


async def test_file_and_folder_are_synced_before_a_blob_counts_as_kept(blobs, monkeypatch):
    synced = []
    real = os.fsync

    def remember(fd: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        real(fd)

    monkeypatch.setattr(os, "fsync", remember)
    digest = await uploaded(blobs, BODY)

    folder = blobs.path(digest).parent
    assert Path(synced[0]).parent.name == "uploads"
    assert synced[1:] == [str(folder.parent), str(folder)]


@pytest.mark.parametrize("seed", range(20))
async def test_what_is_written_in_fits_and_starts_arrives_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(writing, "_PATIENCE", 0.0005)
    chance = random.Random(seed)
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    writer, body = BatchWriter(Hashes(()), fd), b""

    for _ in range(60):
        piece = chance.randbytes(chance.choice([10, 5_000, 65_536, 200_000]))
        body += piece
        await writer.write(piece)
        if chance.random() < 0.3:
            await asyncio.sleep(chance.choice([0, 0.0005, 0.002]))
    await writer.flush()

    assert os.pread(fd, len(body) + 1, 0) == body
    await writer.stop()
    os.close(fd)
