"""A cold file is fetched once and verified before anybody has all of it."""

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.errors import (
    Blocked,
    FileUnknown,
    GatewayError,
    StoreTrouble,
    Throttled,
    UpstreamCorrupt,
    UpstreamTrouble,
)
from gateway.model import Digest
from gateway.store import writing
from gateway.store.blobs import FileBlobs
from gateway.store.flight import HELD_BACK
from gateway.store.spool import Expected, Spools
from gateway.store.spool_files import SpoolFiles, State
from tests.store.spooling import STEP, Upstream, make_body, promise, read

SIZE = 3 * 1024 * 1024 + 17
BODY = make_body(1, SIZE)


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path)


@pytest.fixture
async def spools(tmp_path: Path, blobs: FileBlobs) -> AsyncIterator[Spools]:
    async with Spools(tmp_path, blobs, max_size=100 * 1024 * 1024, pause=0.0) as spools:
        yield spools


def left(root: Path) -> list[str]:
    """Every file of the store that is not a blob."""
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and "blobs" not in p.parts)


def kept(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "blobs").rglob("*") if path.is_file())


def open_files(root: Path) -> list[str]:
    """Descriptors of this process below a folder."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return [link for link in links if link.startswith(str(root))]


class Gate:
    """Lets an upstream go on up to an offset."""

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit
        self._moved = asyncio.Event()

    async def __call__(self, offset: int) -> None:
        while offset >= self._limit:
            self._moved.clear()
            await self._moved.wait()

    def open(self, limit: int = 1 << 60) -> None:
        self._limit = limit
        self._moved.set()


# ── the good case ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 1, HELD_BACK - 1, HELD_BACK, HELD_BACK + 1, SIZE])
async def test_a_follower_gets_the_file_and_the_blob_is_kept(spools, blobs, tmp_path, size):
    body = BODY[:size]
    recorded = []

    async def done(digest, length, hashes):
        recorded.append((digest, length, hashes))

    upstream = Upstream(body)
    with await spools.open("file", promise(body, "sha256", "sha512", "md5"), upstream.fetch, done) as follower:
        assert follower.size == size
        assert await read(follower) == body
        assert follower.digest == Digest.of(body)
        assert follower.hashes["md5"] == hashlib.md5(body).hexdigest()

    assert blobs.read(Digest.of(body)) == body
    assert [entry[:2] for entry in recorded] == [(Digest.of(body), size)]
    assert recorded[0][2].keys() == {"sha256", "sha512", "md5"}
    await spools.close()
    assert left(tmp_path) == []
    assert open_files(tmp_path) == []


async def test_many_followers_share_one_request(spools):
    gate = Gate()
    upstream = Upstream(BODY, gate=gate)
    opened = [asyncio.ensure_future(spools.open("file", promise(BODY), upstream.fetch)) for _ in range(20)]
    followers = await asyncio.gather(*opened)
    gate.open()

    bodies = await asyncio.gather(*(read(follower) for follower in followers))

    assert all(body == BODY for body in bodies)
    assert upstream.offsets == [0]
    assert len({follower.fd for follower in followers}) == 1
    for follower in followers:
        follower.close()


async def test_a_client_who_leaves_does_not_stop_the_fetch(spools, blobs):
    gate = Gate()
    recorded = asyncio.Event()

    async def done(*_):
        recorded.set()

    follower = await spools.open("file", promise(BODY), Upstream(BODY, gate=gate).fetch, done)
    follower.close()
    follower.close()
    gate.open()
    await recorded.wait()

    assert blobs.has(Digest.of(BODY)) == SIZE


async def test_a_cancelled_first_asker_does_not_stop_the_fetch(spools):
    asked, answered, gate = asyncio.Event(), asyncio.Event(), Gate()
    upstream = Upstream(BODY, gate=gate)

    @asynccontextmanager
    async def slow(offset):
        asked.set()
        await answered.wait()
        async with upstream.fetch(offset) as coming:
            yield coming

    first = asyncio.ensure_future(spools.open("file", promise(BODY), slow))
    second = asyncio.ensure_future(spools.open("file", promise(BODY), slow))
    await asked.wait()
    first.cancel()
    answered.set()
    gate.open()

    with await second as follower:
        assert await read(follower) == BODY
    assert upstream.offsets == [0]


async def test_a_file_of_unknown_size_is_followed_to_its_verified_end(spools):
    upstream = Upstream(BODY, total=None)
    with await spools.open("file", Expected({"sha256": hashlib.sha256(BODY).hexdigest()}), upstream.fetch) as follower:
        assert follower.size is None
        assert await read(follower) == BODY
        assert follower.size == SIZE


async def test_what_is_finished_is_read_by_late_followers(spools):
    with await spools.open("file", promise(BODY), Upstream(BODY).fetch) as follower:
        assert await follower.finished() == Digest.of(BODY)
        assert await follower.available(0) == SIZE
        assert await follower.available(SIZE) == 0
        assert await follower.available(SIZE + 10) == 0


async def test_a_slow_upstream_is_passed_on_before_a_batch_is_full(spools, monkeypatch):
    monkeypatch.setattr(writing, "_PATIENCE", -1.0)
    gate = Gate(STEP)
    with await spools.open("file", promise(BODY), Upstream(BODY, gate=gate).fetch) as follower:
        assert 0 < await follower.available(0) < HELD_BACK
        gate.open()


# ── what is already there ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_blob_that_is_there_is_linked_without_a_request(spools, blobs):
    digest, upstream, recorded = blobs.put(BODY), Upstream(BODY), []

    async def done(digest, size, hashes):
        recorded.append((digest, size, set(hashes)))

    os.utime(blobs.path(digest), (1, 1))

    with await spools.open("file", promise(BODY, "sha256", "sha1"), upstream.fetch, done) as follower:
        assert await read(follower) == BODY

    assert upstream.offsets == []
    assert next(blobs.walk())[2] > 1  # collection that runs meanwhile spares it
    assert recorded == [(digest, SIZE, {"sha256", "sha1"})]


async def test_a_rotten_blob_is_fetched_again(spools, blobs):
    digest, upstream = blobs.put(BODY), Upstream(BODY)
    blobs.path(digest).write_bytes(BODY[:-1] + b"!")

    with await spools.open("file", promise(BODY), upstream.fetch) as follower:
        assert await read(follower) == BODY

    assert upstream.offsets == [0]
    assert blobs.read(digest) == BODY


async def test_a_blob_that_breaks_another_promise_is_not_linked(spools, blobs):
    blobs.put(BODY)
    expected = Expected({"sha256": hashlib.sha256(BODY).hexdigest(), "sha1": "0" * 40})

    with pytest.raises(UpstreamCorrupt):
        await spools.open("file", expected, Upstream(BODY).fetch)


async def test_what_another_process_just_recorded_is_not_fetched_again(spools, blobs):
    digest, upstream = blobs.put(BODY), Upstream(BODY)
    expected = Expected({"sha512": hashlib.sha512(BODY).hexdigest()})

    with await spools.open("file", expected, upstream.fetch, known=lambda: digest) as follower:
        assert await read(follower) == BODY

    assert upstream.offsets == []


# ── attacks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def greedy(spools: Spools, expected: Expected, upstream: Upstream) -> tuple[int, GatewayError]:
    """How many bytes a follower could get before the error, and the error."""
    got = 0
    try:
        with await spools.open("file", expected, upstream.fetch) as follower:
            while ready := await follower.available(got):
                got += ready
    except GatewayError as error:
        return got, error
    raise AssertionError(f"all {got} bytes were handed out")


@pytest.mark.parametrize("size", [1, HELD_BACK, SIZE])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sha1", "md5"])
async def test_a_wrong_digest_leaves_nothing_behind_and_nobody_gets_the_end(spools, tmp_path, size, algorithm):
    lie = BODY[: size - 1] + bytes([BODY[size - 1] ^ 1])

    got, error = await greedy(spools, promise(BODY[:size], algorithm), Upstream(lie))

    assert isinstance(error, UpstreamCorrupt)
    assert got <= max(0, size - HELD_BACK)
    await spools.close()
    assert (left(tmp_path), kept(tmp_path), open_files(tmp_path)) == ([], [], [])


async def test_one_wrong_digest_among_right_ones_is_enough(spools, tmp_path):
    expected = Expected({**promise(BODY).hashes, "sha1": "0" * 40})

    got, error = await greedy(spools, expected, Upstream(BODY))

    assert isinstance(error, UpstreamCorrupt)
    assert got < SIZE
    assert kept(tmp_path) == []


async def test_every_follower_of_a_lie_is_told(spools):
    gate = Gate()
    upstream = Upstream(BODY[::-1], gate=gate)
    followers = [await spools.open("file", promise(BODY), upstream.fetch) for _ in range(5)]
    gate.open()

    outcomes = await asyncio.gather(*(read(follower) for follower in followers), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [UpstreamCorrupt] * 5
    assert len({id(outcome) for outcome in outcomes}) == 5
    for follower in followers:
        follower.close()


async def test_after_a_lie_the_next_asker_gets_the_truth(spools):
    await greedy(spools, promise(BODY), Upstream(BODY[::-1]))

    with await spools.open("file", promise(BODY), Upstream(BODY).fetch) as follower:
        assert await read(follower) == BODY


async def test_a_body_that_never_comes_to_its_end_leaves_nothing_behind(spools, tmp_path):
    upstream = Upstream(BODY, cuts=(SIZE - 1,) * 50)

    got, error = await greedy(spools, promise(BODY), upstream)

    assert isinstance(error, UpstreamTrouble)
    assert got <= SIZE - HELD_BACK
    assert 2 <= len(upstream.offsets) <= 6
    await spools.close()
    assert (left(tmp_path), kept(tmp_path)) == ([], [])


async def test_a_body_that_ends_early_without_an_error_is_not_believed(spools, tmp_path):
    _, error = await greedy(spools, Expected(promise(BODY).hashes), Upstream(BODY[:-1], total=SIZE))

    assert isinstance(error, UpstreamTrouble)
    assert kept(tmp_path) == []


@pytest.mark.parametrize("total", [SIZE, None])
async def test_a_body_longer_than_promised_is_refused(spools, tmp_path, total):
    got, error = await greedy(spools, promise(BODY), Upstream(BODY + b"!", total=total))

    assert isinstance(error, UpstreamCorrupt)
    assert got <= SIZE - HELD_BACK
    assert kept(tmp_path) == []


async def test_a_body_announced_in_another_size_than_promised_is_refused_before_it_begins(spools):
    upstream = Upstream(BODY + b"!")

    with pytest.raises(UpstreamCorrupt):
        await spools.open("file", promise(BODY), upstream.fetch)

    assert upstream.running == 0


async def test_an_endless_body_is_bounded(tmp_path, blobs):
    sent = 0

    @asynccontextmanager
    async def endless(offset):
        async def chunks():
            nonlocal sent
            while True:
                sent += STEP
                yield bytes(STEP)

        upstream = Upstream(b"")
        async with upstream.fetch(offset) as coming:
            coming.total, coming.chunks = None, chunks()
            yield coming

    async with Spools(tmp_path, blobs, max_size=1024 * 1024, pause=0.0) as spools:
        with await spools.open("file", Expected(), endless) as follower, pytest.raises(UpstreamCorrupt):
            await follower.finished()

    assert sent <= 1024 * 1024 + STEP
    assert (left(tmp_path), kept(tmp_path)) == ([], [])


async def test_an_announcement_beyond_the_bound_is_refused_before_a_byte_is_taken(tmp_path, blobs):
    async with Spools(tmp_path, blobs, max_size=1000) as spools:
        with pytest.raises(UpstreamCorrupt):
            await spools.open("file", Expected(), Upstream(BODY).fetch)


async def test_an_upstream_that_skips_bytes_when_resumed_is_refused(spools):
    @asynccontextmanager
    async def skips(offset):
        async with Upstream(BODY, cuts=() if offset else (2 * STEP,)).fetch(offset) as coming:
            coming.offset = offset + 1 if offset else 0
            yield coming

    with await spools.open("file", promise(BODY), skips) as follower, pytest.raises(UpstreamCorrupt):
        await follower.finished()


@pytest.mark.parametrize("key", ["../../../../tmp/evil", "/etc/passwd", "a/b\0c", "x" * 5000, "\udc80", ".", ""])
async def test_a_key_with_path_characters_stays_inside_the_spool_folder(spools, tmp_path, key):
    gate = Gate()
    before = set(tmp_path.parent.iterdir())
    follower = await spools.open(key, promise(BODY), Upstream(BODY, gate=gate).fetch)

    names = left(tmp_path)

    assert len(names) == 3
    assert all(name.startswith("spool/") and name.count("/") == 1 and len(name) < 100 for name in names)
    assert set(tmp_path.parent.iterdir()) == before
    assert not os.access("/tmp/evil", os.F_OK)
    gate.open()
    await follower.finished()
    follower.close()


async def test_askers_with_different_promises_never_share_a_fetch(spools):
    gate, other = Gate(), BODY[::-1]
    trusting = await spools.open("file", promise(other), Upstream(other, gate=gate).fetch)
    strict = await spools.open("file", promise(BODY), Upstream(BODY).fetch)

    assert await read(strict) == BODY
    gate.open()
    assert await read(trusting) == other
    trusting.close()
    strict.close()


# ── an upstream in trouble ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("has_ranges", [True, False])
@pytest.mark.parametrize("total", [SIZE, None])
async def test_a_body_that_breaks_off_is_resumed(spools, has_ranges, total):
    cuts = (1_000_003, 1_000_004, 2_000_001)
    upstream = Upstream(BODY, cuts=cuts, has_ranges=has_ranges, total=total)

    with await spools.open("file", Expected(promise(BODY).hashes), upstream.fetch) as follower:
        assert await read(follower) == BODY

    assert upstream.offsets == [0, *cuts]


async def test_a_resumed_body_of_another_file_is_refused(spools, tmp_path):
    first, second = Upstream(BODY, cuts=(1_000_000,)), Upstream(BODY[::-1])

    @asynccontextmanager
    async def changed(offset):
        async with (second if offset else first).fetch(offset) as coming:
            yield coming

    with await spools.open("file", promise(BODY), changed) as follower, pytest.raises(UpstreamCorrupt):
        await follower.finished()
    assert kept(tmp_path) == []


@pytest.mark.parametrize("error", [FileUnknown("gone"), Blocked("no"), UpstreamTrouble("down", retry_after=7.0)])
async def test_an_error_instead_of_an_answer_is_raised_when_opening(spools, tmp_path, error):
    upstream = Upstream(BODY, errors=(error,))

    with pytest.raises(type(error)) as raised:
        await spools.open("file", promise(BODY), upstream.fetch)

    assert (raised.value.message, raised.value.retry_after) == (error.message, error.retry_after)
    assert upstream.offsets == [0]
    await spools.close()
    assert left(tmp_path) == []


async def test_a_refusal_in_the_middle_is_final(spools):
    upstream = Upstream(BODY, cuts=(1_000_000,), errors=(None, Blocked("no more")))

    with await spools.open("file", promise(BODY), upstream.fetch) as follower, pytest.raises(Blocked):
        await follower.finished()


async def test_an_error_while_recording_fails_the_followers(spools):
    async def done(*_):
        raise StoreTrouble("catalogue is locked")

    follower = await spools.open("file", promise(BODY), Upstream(BODY).fetch, done)
    with follower, pytest.raises(StoreTrouble):
        await read(follower)


async def test_a_full_disk_is_trouble_and_leaves_nothing_behind(spools, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.os, "pwritev", full)
    with await spools.open("file", promise(BODY), Upstream(BODY).fetch) as follower, pytest.raises(StoreTrouble):
        await follower.finished()
    await spools.close()

    assert (left(tmp_path), kept(tmp_path)) == ([], [])


async def test_a_bug_in_a_callback_does_not_leave_followers_waiting(spools):
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))

    async def done(*_):
        raise ZeroDivisionError

    follower = await spools.open("file", promise(BODY), Upstream(BODY).fetch, done)
    with follower, pytest.raises(UpstreamTrouble):
        await follower.finished()

    await spools.close()
    assert [type(error) for error in told] == [ZeroDivisionError]


async def test_errors_that_cannot_be_carried_are_still_raised_here(spools):
    with pytest.raises(Throttled):
        await spools.open("file", promise(BODY), Upstream(BODY, errors=(Throttled("slow down"),)).fetch)


# ── stopping and going on ────────────────────────────────────────────────────────────────────────────────────────────


async def test_stopping_leaves_the_part_and_the_next_start_goes_on_from_there(tmp_path, blobs):
    gate = Gate(1024 * 1024)
    async with Spools(tmp_path, blobs) as first:
        follower = await first.open("file", promise(BODY), Upstream(BODY, gate=gate).fetch)
        assert await follower.available(0) > 0
    with pytest.raises(UpstreamTrouble):
        await follower.available(0)
    follower.close()
    with pytest.raises(StoreTrouble):
        await first.open("file", promise(BODY), Upstream(BODY).fetch)
    assert open_files(tmp_path) == []

    upstream = Upstream(BODY)
    async with Spools(tmp_path, blobs) as second:
        with await second.open("file", promise(BODY), upstream.fetch) as resumed:
            assert await read(resumed) == BODY

    assert 0 < upstream.offsets[0] <= 1024 * 1024
    assert left(tmp_path) == []


async def test_a_part_that_lost_bytes_is_not_gone_on_with(tmp_path, blobs):
    gate = Gate(1024 * 1024)
    async with Spools(tmp_path, blobs) as first:
        with await first.open("file", promise(BODY), Upstream(BODY, gate=gate).fetch) as follower:
            await follower.available(0)
    part = next((tmp_path / "spool").glob("*.part"))
    os.truncate(part, 10)

    upstream = Upstream(BODY)
    async with Spools(tmp_path, blobs) as second:
        with await second.open("file", promise(BODY), upstream.fetch) as resumed:
            assert await read(resumed) == BODY

    assert upstream.offsets == [0]


@pytest.mark.parametrize("rubbish", [b"", b"\0" * 4096, b"x" * 4096, b"short"])
async def test_rubbish_in_the_spool_is_replaced(tmp_path, blobs, rubbish):
    gate = Gate(1024 * 1024)
    async with Spools(tmp_path, blobs) as first:
        with await first.open("file", promise(BODY), Upstream(BODY, gate=gate).fetch) as follower:
            await follower.available(0)
    next((tmp_path / "spool").glob("*.state")).write_bytes(rubbish)

    async with Spools(tmp_path, blobs) as second:
        with await second.open("file", promise(BODY), Upstream(BODY).fetch) as resumed:
            assert await read(resumed) == BODY


async def test_sweeping_spares_what_is_running_and_what_is_young(tmp_path, blobs):
    gate = Gate()
    async with Spools(tmp_path, blobs) as spools:
        with await spools.open("file", promise(BODY), Upstream(BODY, gate=gate).fetch) as follower:
            old = tmp_path / "spool" / f"{'0' * 64}.part"
            young = tmp_path / "spool" / f"{'1' * 64}.part"
            old.write_bytes(b"x")
            young.write_bytes(b"x")
            for path in (tmp_path / "spool").iterdir():
                if path != young:
                    os.utime(path, (1, 1))

            assert spools.sweep(older_than=1000.0) == 1

            assert not old.exists()
            assert young.exists()
            gate.open()
            assert await read(follower) == BODY


async def test_a_dead_process_that_had_failed_does_not_fail_the_next_asker(tmp_path, blobs, monkeypatch):
    monkeypatch.setattr(SpoolFiles, "remove", lambda _: None)
    async with Spools(tmp_path, blobs, pause=0.0) as spools:
        with pytest.raises(FileUnknown):
            await spools.open("file", promise(BODY), Upstream(BODY, errors=(FileUnknown("gone"),)).fetch)
    monkeypatch.undo()

    async with Spools(tmp_path, blobs) as spools:
        with await spools.open("file", promise(BODY), Upstream(BODY).fetch) as follower:
            assert await read(follower) == BODY


# ── several processes ────────────────────────────────────────────────────────────────────────────────────────────────


class Other:
    """A second process on the same spool (see `tests.store.spooling`)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> list[str]:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().split()

    async def until(self, word: str) -> list[str]:
        while (line := await self.line())[0] != word:
            pass
        return line

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


@pytest.fixture
async def start(tmp_path):
    """Starts other processes: seed and size of the body, and the offset at which their upstream stops."""
    others = []

    async def start(seed: int = 1, size: int = SIZE, stop: int = 1 << 60) -> Other:
        command = (sys.executable, "-m", "tests.store.spooling", str(tmp_path), str(seed), str(size), str(stop))
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=Path(__file__).parents[2])
        others.append(process)
        return Other(process)

    yield start
    for process in others:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_another_process_follows_the_running_fetch(spools, start, tmp_path):
    gate = Gate(1024 * 1024)
    upstream = Upstream(BODY, gate=gate)
    with await spools.open("file", promise(BODY), upstream.fetch) as follower:
        other = await start()
        assert await other.line() == ["size", str(SIZE)]
        released = int((await other.line())[1])
        gate.open()

        assert await read(follower) == BODY
        assert await other.line() == ["got", hashlib.sha256(BODY).hexdigest(), str(Digest.of(BODY)), "0"]

    assert 0 < released <= 1024 * 1024
    assert upstream.offsets == [0]
    assert left(tmp_path) == []


async def test_this_process_follows_the_fetch_of_another_one(spools, start):
    other = await start(stop=1024 * 1024)
    await other.until("released")
    upstream = Upstream(BODY)
    with await spools.open("file", promise(BODY), upstream.fetch) as follower:
        reading = asyncio.ensure_future(read(follower))
        other.process.stdin.write(b"go\n" * 1000)

        assert await reading == BODY
        assert follower.digest == Digest.of(BODY)

    assert upstream.offsets == []
    assert (await other.until("got"))[3] == "1"


async def test_a_follower_takes_over_when_the_fetching_process_is_killed(spools, start, tmp_path, blobs):
    other = await start(stop=1024 * 1024)
    await other.until("released")
    upstream = Upstream(BODY)
    with await spools.open("file", promise(BODY), upstream.fetch) as follower:
        assert await follower.available(0) > 0
        reading = asyncio.ensure_future(read(follower))
        await other.kill()

        assert await reading == BODY

    assert len(upstream.offsets) == 1
    assert 0 < upstream.offsets[0] <= 1024 * 1024
    assert blobs.read(Digest.of(BODY)) == BODY
    assert left(tmp_path) == []


async def test_followers_in_several_processes_survive_a_kill_with_one_more_request(spools, start):
    owner = await start(stop=1024 * 1024)
    await owner.until("released")
    second = await start()
    await second.until("released")
    upstream = Upstream(BODY)
    with await spools.open("file", promise(BODY), upstream.fetch) as follower:
        await owner.kill()

        assert await read(follower) == BODY
        got = await second.until("got")

    assert got[1] == hashlib.sha256(BODY).hexdigest()
    assert int(got[3]) + len(upstream.offsets) == 1


async def test_what_a_killed_process_left_is_gone_on_with_later(spools, start):
    other = await start(stop=1024 * 1024)
    await other.until("released")
    await other.kill()

    upstream = Upstream(BODY)
    with await spools.open("file", promise(BODY), upstream.fetch) as follower:
        assert await read(follower) == BODY

    assert 0 < upstream.offsets[0] <= 1024 * 1024


async def test_a_killed_process_that_left_a_lie_cannot_make_it_true(spools, start, tmp_path):
    other = await start(stop=1024 * 1024)
    await other.until("released")
    await other.kill()
    part = next((tmp_path / "spool").glob("*.part"))
    with part.open("r+b") as file:
        file.write(b"malice")

    got, error = await greedy(spools, promise(BODY), Upstream(BODY))

    assert isinstance(error, UpstreamCorrupt)
    assert got <= SIZE - HELD_BACK
    await spools.close()
    assert (left(tmp_path), kept(tmp_path)) == ([], [])


async def test_followers_in_other_processes_are_told_of_a_lie(spools, start):
    gate = Gate(1024 * 1024)
    lie = BODY[:-1] + b"!"
    with await spools.open("file", promise(BODY), Upstream(lie, gate=gate).fetch) as follower:
        other = await start()
        await other.until("released")
        gate.open()
        with pytest.raises(UpstreamCorrupt):
            await follower.finished()

    line = await other.until("failed")
    assert line[1] == "upstream_corrupt"
    assert line[-1] == "None"


async def test_followers_in_other_processes_are_told_the_reason(spools, start):
    gate = Gate(1024 * 1024)
    upstream = Upstream(BODY, gate=gate, cuts=(1024 * 1024 + 1,), errors=(None, Blocked("quarantined by its owner")))
    with await spools.open("file", promise(BODY), upstream.fetch) as follower:
        other = await start()
        await other.until("released")
        gate.open()
        with pytest.raises(Blocked):
            await follower.finished()

    assert await other.until("failed") == ["failed", "blocked", "quarantined", "by", "its", "owner", "None"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UpstreamTrouble("down", retry_after=7.0), UpstreamTrouble),
        (FileUnknown("gone"), FileUnknown),
        (UpstreamCorrupt("ü" * 5000), UpstreamCorrupt),
        (Throttled("slow down", retry_after=3), UpstreamTrouble),
    ],
)
def test_an_error_is_carried_to_other_processes(tmp_path, error, kind):
    state = State.create(tmp_path / "a.state", 1)
    state.failed(error)

    seen = State.open(tmp_path / "a.state")

    assert seen is not None
    assert type(seen.failure()) is kind
    assert seen.failure().message == error.message[:500]
    assert seen.failure().retry_after == error.retry_after
    seen.close()
    state.close()
