"""Many readers of a long list at once: its bytes are nobody's memory, and what is made of it is made once."""

import asyncio
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable

import pytest

from adapters.rubygems import index
from adapters.rubygems.marshal import dump_index
from tests.conftest import Gateway, StartGateway, public
from tests.fakes.gems import gem
from tests.fakes.upstream import FaultyUpstream
from tests.rubygems.asking import BASE, LISTS, get

READERS = 50
NAMES = 60_000
LABELS = ",".join(f"{n}.0" for n in range(25))


@pytest.fixture
async def large(start_gateway: StartGateway) -> AsyncIterator[Gateway]:
    async with FaultyUpstream() as fake:
        fake.gems.versions += b"".join(b"gem%d %s %032x\n" % (n, LABELS.encode(), n) for n in range(NAMES))
        fake.rubygems("rack", {"1.0": gem(), "2.0.pre": gem()})
        gateway = await start_gateway(
            {"rubygems": {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config("rubygems", max_age=3600.0)}
        )
        assert (await gateway.request("HEAD", f"{BASE}versions")).status == 200
        yield gateway


async def begin_to_read(gateway: Gateway, more: str) -> tuple[bytes, asyncio.StreamWriter]:
    """The head of /versions, by a client that reads no further."""
    host, _, port = gateway.url.removeprefix("http://").rstrip("/").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=4096)
    writer.write(f"GET /{BASE}versions HTTP/1.1\r\nHost: {host}:{port}\r\n{more}\r\n".encode())
    return await reader.readuntil(b"\r\n\r\n"), writer


async def test_fifty_readers_of_a_long_list_take_less_memory_than_the_list(large: Gateway) -> None:
    size = int((await large.request("HEAD", f"{BASE}versions")).headers["Content-Length"])
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        forms = ("", "Accept-Encoding: gzip\r\n", f"Range: bytes={size // 4}-\r\n")
        readers = await asyncio.gather(*(begin_to_read(large, forms[n % 3]) for n in range(READERS)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    for _, writer in readers:
        writer.transport.abort()

    assert size > 5_000_000
    assert {head.split(b" ", 2)[1] for head, _ in readers} == {b"200", b"206"}
    assert peak - before < size


async def test_who_has_a_long_list_is_told_so_without_a_look_into_it(large: Gateway, tmp_path) -> None:
    etag = (await large.request("HEAD", f"{BASE}versions")).headers["ETag"]
    for path in tmp_path.glob("data/cache/ledgers/*/*.txt"):
        path.unlink()

    known = await asyncio.gather(*(get(large, "versions", If_None_Match=etag) for _ in range(READERS)))

    assert {reply.status for reply in known} == {304}
    assert (await get(large, "versions")).status == 503


async def test_marshal_lists_are_made_once_one_at_a_time_and_beside_others(
    large: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_begun, may_go_on, running, most, made = threading.Event(), threading.Event(), 0, 0, 0

    def watched(rows: Iterable[tuple[str, str, str]], pause: Callable[[], None]) -> bytes:
        nonlocal running, most, made
        running, made = running + 1, made + 1
        most = max(most, running)
        has_begun.set()
        assert may_go_on.wait(60)
        pause()
        try:
            return dump_index(((name, version, platform) for name, version, platform in rows if name == "rack"))
        finally:
            running -= 1

    monkeypatch.setattr(index, "dump_index", watched)
    asked = [asyncio.ensure_future(get(large, f"{which}.4.8.gz")) for which in LISTS for _ in range(10)]
    assert await asyncio.to_thread(has_begun.wait, 60)
    beside = await get(large, "info/rack")
    may_go_on.set()
    replies = await asyncio.gather(*asked)

    assert beside.status == 200
    assert {reply.status for reply in replies} == {200}
    assert (made, most) == (3, 1)
    assert all("Content-Encoding" not in reply.headers for reply in replies)
