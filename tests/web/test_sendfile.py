"""Files over real sockets, under both event loops."""

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvloop
from aiohttp import web

from gateway.errors import GatewayError, StoreTrouble, UpstreamCorrupt
from gateway.model import Digest
from gateway.store.blobs import FileBlobs, OpenBlob
from gateway.store.spool import Expected, Follower, Spools
from gateway.web import sendfile
from gateway.web.sendfile import INLINE, send_file
from tests.fakes.tls import client_context, server_context
from tests.store.spooling import Upstream, make_body, promise
from tests.store.test_spool import Gate, open_files

BIG = make_body(2, 5 * 1024 * 1024 + 3)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\n\r\n"
Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request) -> Run:
    """Runs a coroutine function in one of the event loops, within a minute."""

    def run(scenario: Callable[[], Awaitable[None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(60):
                await scenario()

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded())

    return run


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path)


@pytest.fixture(autouse=True)
def stuck(monkeypatch) -> asyncio.Event:
    """Is set when an answer waits for a client who does not read. And a client who left is noticed at once."""
    event, wait = asyncio.Event(), sendfile._SocketSender._until

    async def until(sender, ended, step) -> None:
        event.set()
        await wait(sender, ended, step)

    monkeypatch.setattr(sendfile._SocketSender, "_until", until)
    monkeypatch.setattr(sendfile, "_TICK", 0.01)
    return event


class FileResponse:
    """What the mount makes of a source, as small as can be."""

    def __init__(self, server: "Server", source: OpenBlob | Follower, *, start: int, end: int | None) -> None:
        self.keep_alive: bool | None = True
        self._server, self._source, self._start, self._end = server, source, start, end

    async def prepare(self, request: web.BaseRequest) -> None:
        self.keep_alive = request.keep_alive and (self._end is not None or request.version >= (1, 1))
        if self._end is not None:
            head = HEAD % (self._end - self._start)
        else:
            head = UNTIL_CLOSED if request.version < (1, 1) else CHUNKED
        self._server.arrived.put_nowait(request)
        try:
            is_head = request.method == "HEAD"
            sent = await send_file(request, head, self._source, self._start, self._end, head_only=is_head)
            self._server.outcomes.put_nowait(sent)
        except GatewayError as error:
            assert request.transport is not None
            request.transport.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % error.status)
            self._server.outcomes.put_nowait(error)
        except BaseException as error:
            self._server.outcomes.put_nowait(error)
            raise
        finally:
            self._source.close()

    async def write_eof(self) -> None:
        return


class Server:
    """Serves what `source` gives; the query names start and end."""

    def __init__(self, source: Callable[[], Awaitable[OpenBlob | Follower]]) -> None:
        self.arrived: asyncio.Queue[web.BaseRequest] = asyncio.Queue()
        self.outcomes: asyncio.Queue[int | BaseException] = asyncio.Queue()
        self.port = 0
        self.web = web.Server(self._handle, access_log=None)  # type: ignore[arg-type] # aiohttp asks for no more
        self._source = source

    async def _handle(self, request: web.BaseRequest) -> FileResponse:
        source = await self._source()
        size = source.size
        end = request.query.get("end", size)
        return FileResponse(
            self, source, start=int(request.query.get("start", 0)), end=None if end is None else int(end)
        )

    async def ask(self, target: str = "/", version: str = "1.1", context: ssl.SSLContext | None = None):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context, limit=1 << 16)
        writer.write(request_line("GET", target, version))
        return reader, writer


def request_line(method: str = "GET", target: str = "/", version: str = "1.1") -> bytes:
    return f"{method} {target} HTTP/{version}\r\nHost: x\r\n\r\n".encode()


@asynccontextmanager
async def serving(
    source: Callable[[], Awaitable[OpenBlob | Follower]],
    context: ssl.SSLContext | None = None,
    send_buffer: int | None = None,
) -> AsyncIterator[Server]:
    server, door = Server(source), socket.create_server(("127.0.0.1", 0))
    if send_buffer is not None:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)  # for every connection
    listener = await asyncio.get_running_loop().create_server(server.web, sock=door, ssl=context)
    server.port = door.getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await server.web.shutdown(5)
        await listener.wait_closed()


def warm(blobs: FileBlobs, digest: Digest) -> Callable[[], Awaitable[OpenBlob]]:
    async def source() -> OpenBlob:
        return blobs.open(digest)

    return source


async def read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    head = await read_head(reader)
    return await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]))


async def read_into(got: bytearray, reader: asyncio.StreamReader) -> None:
    while piece := await reader.read(1 << 16):
        got += piece


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends, however it ends."""
    got = bytearray()
    with suppress(ConnectionError, ssl.SSLError):
        await read_into(got, reader)
    return bytes(got)


async def read_chunked(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        assert await reader.readexactly(2) == b"\r\n"
    assert await reader.readexactly(2) == b"\r\n"
    return bytes(body)


def slow_socket(port: int) -> socket.socket:
    """A client that takes little: connected, with a small window."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    return client


def sockets_of(port: int) -> int:
    """Descriptors of this process that are server sides of connections to this port."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if not str(entry.readlink()).startswith("socket:"):
                continue
            side = socket.socket(fileno=os.dup(int(entry.name)))
            with side:
                count += side.type == socket.SOCK_STREAM and side.getsockname()[1:2] == (port,)
        except OSError:
            continue
    return count


# ── whole and in parts ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 1, 60_000, INLINE, INLINE + 1, len(BIG)])
def test_a_warm_file_arrives_and_the_connection_lives_on(run, blobs, size):
    body = BIG[:size]
    digest = blobs.put(body)

    async def scenario() -> None:
        async with serving(warm(blobs, digest)) as server:
            reader, writer = await server.ask()
            first = await read_answer(reader)
            writer.write(request_line())

            assert first == await read_answer(reader) == body
            assert [await server.outcomes.get() for _ in range(2)] == [size, size]
            assert len(server.web.connections) == 1
            writer.close()

    run(scenario)


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (5, 5), (100, 300_000), (1_000_001, len(BIG)), (4_000_000, 4_000_009)]
)
def test_a_part_of_a_file_is_exact(run, blobs, start, end):
    digest = blobs.put(BIG)

    async def scenario() -> None:
        async with serving(warm(blobs, digest)) as server:
            reader, writer = await server.ask(f"/?start={start}&end={end}")

            assert await read_answer(reader) == BIG[start:end]
            writer.close()

    run(scenario)


def test_a_head_request_gets_no_byte_of_the_body(run, blobs):
    digest = blobs.put(BIG)

    async def scenario() -> None:
        async with serving(warm(blobs, digest)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request_line("HEAD") + request_line(target="/?end=3"))

            assert f"Content-Length: {len(BIG)}\r\n".encode() in await read_head(reader)
            assert await read_answer(reader) == BIG[:3]
            writer.close()

    run(scenario)


def test_pipelined_answers_come_in_order(run, blobs):
    digest = blobs.put(BIG)
    ends = [10, len(BIG), 70_000, 300_000, 0, len(BIG), 1]

    async def scenario() -> None:
        async with serving(warm(blobs, digest)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"".join(request_line(target=f"/?end={end}") for end in ends))

            for end in ends:
                assert await read_answer(reader) == BIG[:end]
            writer.close()

    run(scenario)


def test_what_the_transport_still_holds_goes_out_first(run, blobs):
    digest = blobs.put(BIG)
    before = b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n" + bytes(30_000_000)

    async def scenario() -> None:
        async def source() -> OpenBlob:
            transport = next(iter(server.web.connections)).transport
            assert transport is not None
            transport.write(before)
            assert transport.get_write_buffer_size() > 0
            return blobs.open(digest)

        async with serving(source) as server:
            reader, writer = await server.ask("/?end=1000")

            assert await read_answer(reader) == bytes(30_000_000)
            assert await read_answer(reader) == BIG[:1000]
            writer.close()

    run(scenario)


@pytest.mark.parametrize("size", [0, 1, 100_000, len(BIG)])
def test_a_cold_file_arrives_while_it_is_fetched(run, blobs, tmp_path, size):
    body = BIG[:size]

    async def scenario() -> None:
        async with Spools(tmp_path, blobs) as spools:
            upstream = Upstream(body)
            async with serving(lambda: spools.open("file", promise(body), upstream.fetch)) as server:
                reader, writer = await server.ask()

                assert await read_answer(reader) == body
                assert await server.outcomes.get() == size
                writer.close()

    run(scenario)


def test_a_part_of_a_cold_file_comes_before_the_rest_is_there(run, blobs, tmp_path):
    async def scenario() -> None:
        gate = Gate(2 * 1024 * 1024)
        async with Spools(tmp_path, blobs) as spools:
            upstream = Upstream(BIG, gate=gate)
            async with serving(lambda: spools.open("file", promise(BIG), upstream.fetch)) as server:
                reader, writer = await server.ask("/?start=1000000&end=1500000")

                assert await read_answer(reader) == BIG[1_000_000:1_500_000]
                writer.close()
                gate.open()

    run(scenario)


def test_a_file_of_unknown_size_is_chunked(run, blobs, tmp_path):
    async def scenario() -> None:
        async with Spools(tmp_path, blobs) as spools:
            expected = Expected(promise(BIG).hashes)
            async with serving(lambda: spools.open("file", expected, Upstream(BIG, total=None).fetch)) as server:
                reader, writer = await server.ask()
                head = await read_head(reader)

                assert b"Transfer-Encoding: chunked" in head
                assert await read_chunked(reader) == BIG
                writer.write(request_line())
                assert await read_answer(reader) == BIG
                writer.close()

    run(scenario)


class Empty:
    """As the follower of an empty file whose size nobody told."""

    fd, size = -1, None

    async def available(self, offset: int) -> int:  # noqa: ARG002 a source
        return 0

    def close(self) -> None:
        return


def test_an_empty_file_of_unknown_size_is_chunked_too(run):
    async def scenario() -> None:
        async def source() -> Empty:
            return Empty()

        async with serving(source) as server:
            reader, writer = await server.ask()
            await read_head(reader)

            assert await read_chunked(reader) == b""
            writer.close()

    run(scenario)


def test_an_old_client_gets_a_file_of_unknown_size_until_the_connection_ends(run, blobs, tmp_path):
    async def scenario() -> None:
        async with Spools(tmp_path, blobs) as spools:
            expected = Expected(promise(BIG).hashes)
            async with serving(lambda: spools.open("file", expected, Upstream(BIG, total=None).fetch)) as server:
                reader, writer = await server.ask(version="1.0")
                await read_head(reader)

                assert await reader.read(-1) == BIG
                writer.close()

    run(scenario)


# ── lies and losses ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("version", "total"), [("1.1", len(BIG)), ("1.1", None), ("1.0", None)])
def test_a_lying_upstream_never_becomes_a_complete_answer(run, blobs, tmp_path, version, total):
    lie = BIG[:-1] + b"!"

    async def scenario() -> None:
        gate = Gate(4 * 1024 * 1024)
        async with Spools(tmp_path, blobs) as spools:
            expected = Expected(promise(BIG).hashes)
            upstream = Upstream(lie, total=total, gate=gate)
            async with serving(lambda: spools.open("file", expected, upstream.fetch)) as server:
                reader, writer = await server.ask(version=version)
                await read_head(reader)
                got = bytearray(await reader.readexactly(1_000_000))
                gate.open()
                with pytest.raises(ConnectionResetError):
                    await read_into(got, reader)

                assert len(got) < len(BIG)
                assert b"0\r\n\r\n" not in bytes(got[-10:])
                outcome = await server.outcomes.get()
                assert type(outcome) is ConnectionAbortedError
                assert isinstance(outcome.__cause__, UpstreamCorrupt)
                writer.close()
        assert open_files(tmp_path) == []

    run(scenario)


def test_a_lie_that_is_known_before_the_head_can_still_be_answered(run, blobs, tmp_path):
    async def scenario() -> None:
        async with Spools(tmp_path, blobs) as spools:
            upstream = Upstream(BIG[:1000][::-1])
            async with serving(lambda: spools.open("file", promise(BIG[:1000]), upstream.fetch)) as server:
                reader, writer = await server.ask()

                assert (await read_head(reader)).startswith(b"HTTP/1.1 502 ")
                writer.close()

    run(scenario)


def test_a_small_blob_cut_short_on_the_disk_can_still_be_answered(run, blobs):
    digest = blobs.put(BIG[:1000])

    async def scenario() -> None:
        async def source() -> OpenBlob:
            blob = blobs.open(digest)
            os.truncate(blobs.path(digest), 10)
            return blob

        async with serving(source) as server:
            reader, writer = await server.ask()

            assert (await read_head(reader)).startswith(b"HTTP/1.1 503 ")
            assert isinstance(await server.outcomes.get(), StoreTrouble)
            writer.close()

    run(scenario)


def test_a_big_blob_cut_short_on_the_disk_breaks_off(run, blobs):
    digest = blobs.put(BIG)

    async def scenario() -> None:
        async def source() -> OpenBlob:
            blob = blobs.open(digest)
            os.truncate(blobs.path(digest), 2_000_000)
            return blob

        async with serving(source) as server:
            reader, writer = await server.ask()
            got = await read_all(reader)

            assert len(got) < 2_001_000
            assert type(await server.outcomes.get()) is ConnectionAbortedError
            writer.close()

    run(scenario)


# ── slow clients and clients who leave ───────────────────────────────────────────────────────────────────────────────


def test_a_slow_client_gets_everything_and_the_transport_holds_nothing(run, blobs, stuck):
    body = BIG * 2
    digest = blobs.put(body)

    async def scenario() -> None:
        async with serving(warm(blobs, digest)) as server:
            loop, client = asyncio.get_running_loop(), slow_socket(server.port)
            await loop.sock_sendall(client, request_line())
            await stuck.wait()
            transport = (await server.arrived.get()).transport
            assert transport is not None
            got = bytearray()
            while len(got) < 100_000:
                assert transport.get_write_buffer_size() == 0
                got += await loop.sock_recv(client, 10_000)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            while len(got) < len(HEAD % len(body)) + len(body):
                got += await loop.sock_recv(client, 1 << 20)

            assert bytes(got) == HEAD % len(body) + body
            client.close()

    run(scenario)


def test_a_small_file_for_a_client_with_a_tiny_window_arrives(run, blobs, stuck):
    expected = HEAD % INLINE + BIG[:INLINE]
    digest = blobs.put(BIG[:INLINE])

    async def scenario() -> None:
        async with serving(warm(blobs, digest), send_buffer=4096) as server:
            loop, client = asyncio.get_running_loop(), slow_socket(server.port)
            await loop.sock_sendall(client, request_line())
            await stuck.wait()
            got = bytearray()
            while len(got) < len(expected):
                got += await loop.sock_recv(client, 50_000)

            assert bytes(got) == expected
            client.close()

    run(scenario)


def test_a_head_that_does_not_fit_into_the_socket_waits_too(run, blobs, stuck, monkeypatch):
    head = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\nContent-Length: %d\r\n\r\n"
    monkeypatch.setattr(sys.modules[__name__], "HEAD", head)
    digest = blobs.put(BIG[:100_000])

    async def scenario() -> None:
        async with serving(warm(blobs, digest), send_buffer=4096) as server:
            loop, client = asyncio.get_running_loop(), slow_socket(server.port)
            await loop.sock_sendall(client, request_line())
            await stuck.wait()
            got, expected = bytearray(), head % 100_000 + BIG[:100_000]
            while len(got) < len(expected):
                got += await loop.sock_recv(client, 50_000)

            assert bytes(got) == expected
            client.close()

    run(scenario)


def test_a_client_who_leaves_in_the_middle_costs_nothing_afterwards(run, blobs, tmp_path, stuck):
    digest = blobs.put(BIG * 2)

    async def scenario() -> None:
        async with serving(warm(blobs, digest)) as server:
            client = slow_socket(server.port)
            await asyncio.get_running_loop().sock_sendall(client, request_line())
            await stuck.wait()
            client.close()

            assert isinstance(await server.outcomes.get(), ConnectionError)
            assert open_files(tmp_path) == []
        assert sockets_of(server.port) == 0

    run(scenario)


def test_a_client_who_leaves_while_the_upstream_is_slow_is_noticed(run, blobs, tmp_path):
    async def scenario() -> None:
        gate = Gate(1024 * 1024)
        async with Spools(tmp_path, blobs) as spools:
            upstream = Upstream(BIG, gate=gate)
            async with serving(lambda: spools.open("file", promise(BIG), upstream.fetch)) as server:
                reader, writer = await server.ask()
                await read_head(reader)
                await reader.readexactly(500_000)
                writer.close()

                assert isinstance(await server.outcomes.get(), ConnectionError)
                gate.open()

    run(scenario)


def test_a_client_who_takes_nothing_at_all_is_given_up(run, blobs, monkeypatch):
    monkeypatch.setattr(sendfile, "_STALL", 0.05)
    digest = blobs.put(BIG * 2)

    async def scenario() -> None:
        async with serving(warm(blobs, digest)) as server:
            client = slow_socket(server.port)
            await asyncio.get_running_loop().sock_sendall(client, request_line())

            assert type(await server.outcomes.get()) is ConnectionAbortedError
            client.close()

    run(scenario)


def test_stopping_the_server_resets_unfinished_answers(run, blobs, tmp_path, stuck):
    digest = blobs.put(BIG * 2)

    async def scenario() -> None:
        async with serving(warm(blobs, digest)) as server:
            client = slow_socket(server.port)
            await asyncio.get_running_loop().sock_sendall(client, request_line())
            await stuck.wait()
            await server.web.shutdown(0.01)

            assert isinstance(await server.outcomes.get(), asyncio.CancelledError | ConnectionError)
            client.close()
        assert open_files(tmp_path) == []

    run(scenario)


def test_packets_are_neither_delayed_nor_corked_and_few_wait_for_a_client_on_this_machine(run, blobs):
    digest = blobs.put(BIG)

    async def scenario() -> None:
        async with serving(warm(blobs, digest)) as server:
            reader, writer = await server.ask()
            await read_answer(reader)
            transport = server.web.connections[0].transport
            assert transport is not None
            connection = transport.get_extra_info("socket")

            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK)
            assert connection.getsockopt(socket.IPPROTO_TCP, sendfile._NOTSENT_LOWAT) == 16384
            writer.close()

    run(scenario)


@pytest.mark.parametrize(
    ("peer", "near"),
    [
        (("127.0.0.1", 5), True),
        (("::1", 5, 0, 0), True),
        (("::ffff:127.0.0.1", 5, 0, 0), True),
        (("192.0.2.7", 5), False),
        (("::1f", 5, 0, 0), False),
        (("::ffff:192.0.2.7", 5, 0, 0), False),
        ("", False),
        (None, False),
    ],
)
def test_who_is_on_this_machine_is_told_by_the_address(peer, near):
    assert sendfile.is_near(peer) == near


def test_a_hundred_waiting_followers_of_a_big_cold_file_cost_little_memory(run, blobs, tmp_path):
    size, step = 200 * 1024 * 1024, 1024 * 1024
    body = bytes(step)

    async def scenario() -> None:
        gate = Gate(1)

        class Long(Upstream):
            async def _chunks(self, start):
                for at in range(start, size, step):
                    await gate(at)
                    yield body

        async with Spools(tmp_path, blobs) as spools:
            upstream = Long(b"", total=size)
            async with serving(lambda: spools.open("file", Expected(), upstream.fetch)) as server:
                loop = asyncio.get_running_loop()
                clients = [slow_socket(server.port) for _ in range(100)]
                for client in clients:
                    await loop.sock_sendall(client, request_line())
                for _ in clients:
                    await server.arrived.get()
                before = resident()
                gate.open()
                with await spools.open("file", Expected(), upstream.fetch) as follower:
                    await follower.finished()

                assert resident() - before < 8 * 1024 * 1024
                assert len(upstream.offsets) == 1
                for client in clients:
                    client.close()

    run(scenario)


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ── without sendfile ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 1000, INLINE, len(BIG)])
def test_a_file_goes_over_tls(run, blobs, size):
    digest = blobs.put(BIG[:size])

    async def scenario() -> None:
        async with serving(warm(blobs, digest), server_context()) as server:
            reader, writer = await server.ask(context=client_context())
            first = await read_answer(reader)
            writer.write(request_line())

            assert first == await read_answer(reader) == BIG[:size]
            writer.close()
            await writer.wait_closed()

    run(scenario)


def test_a_lie_over_tls_breaks_off(run, blobs, tmp_path):
    async def scenario() -> None:
        gate = Gate(4 * 1024 * 1024)
        async with Spools(tmp_path, blobs) as spools:
            upstream = Upstream(BIG[:-1] + b"!", gate=gate)
            async with serving(lambda: spools.open("file", promise(BIG), upstream.fetch), server_context()) as server:
                reader, writer = await server.ask(context=client_context())
                await read_head(reader)
                gate.open()
                got = await read_all(reader)

                assert len(got) < len(BIG)
                assert type(await server.outcomes.get()) is ConnectionAbortedError
                writer.close()

    run(scenario)


def test_without_sendfile_the_bytes_are_the_same(run, blobs, monkeypatch):
    monkeypatch.delattr(os, "sendfile")
    digest = blobs.put(BIG)

    async def scenario() -> None:
        async with serving(warm(blobs, digest)) as server:
            reader, writer = await server.ask()
            assert await read_answer(reader) == BIG
            writer.write(request_line(target="/?start=7&end=2000007"))

            assert await read_answer(reader) == BIG[7:2_000_007]
            writer.close()

    run(scenario)
