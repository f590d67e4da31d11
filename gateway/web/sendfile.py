"""Bytes of a file to a client: head and body past aiohttp's buffers, so that a slow client costs almost no memory.

Up to 256 KB go out with the head in one system call; more by `sendfile` on a duplicate of the socket: from the loop,
whenever the client has room, as far as the file is in memory, and in a thread where the disk must be waited for. Over
TLS, or where there is no `sendfile`, pieces are read and handed to the transport. TCP_NODELAY stays as aiohttp set it;
TCP_CORK is never used (it stalls answers for 40 ms).

Once the head is out there is only one honest answer to trouble: the connection is reset, so that no client takes a part
for the whole. What the head says (RFC 9112 §6 for the framing) is the caller's business.
"""

import asyncio
import fcntl
import os
import socket
import struct
import sys
import termios
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol

from aiohttp import web

from gateway.errors import GatewayError, StoreTrouble
from gateway.store.blobs import OpenBlob
from gateway.store.threads import in_thread
from gateway.web.outflow import STEP, Flow, in_memory, pump

INLINE = 256 * 1024  # bytes read in the loop and written together with the head
_PIECE = 128 * 1024  # bytes of one read where there is no sendfile
_TICK = 1.0  # seconds between two looks whether a silent client is still there
_STALL = 120.0  # seconds without a byte taken, after which a client counts as gone
_NEAR_QUEUE = 16 * 1024  # bytes that wait in the socket for a client on this machine; see docs/decisions/0016
_NOTSENT_LOWAT = 25  # TCP_NOTSENT_LOWAT of linux/tcp.h, which the module socket does not name
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST, and drop what is queued
_SENDERS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="send")


class Source(Protocol):
    """An OpenBlob or a Follower: bytes that may be read at offsets, as far as `available` says; 0 at the end."""

    @property
    def fd(self) -> int: ...
    async def available(self, offset: int) -> int: ...


async def send_file(
    request: web.BaseRequest, head: bytes, source: Source, start: int, end: int | None, *, head_only: bool = False
) -> int:
    """Write the serialised head and the bytes [start, end) of the source; returns the body bytes sent.

    end: None where nobody knows the size: the body is then chunked for HTTP/1.1, and ends with the connection for
    HTTP/1.0; the head must say so. The source stays the caller's to close. An error of `gateway.errors` is raised only
    while nothing was written, so that it can still be answered; afterwards the connection is reset and
    ConnectionAbortedError raised. Any ConnectionError: this connection is over.
    """
    if head_only:
        return await _send_head(request, head)
    ready = await _available(request, source, start)
    if start == end:
        return await _send_head(request, head)
    if ready == 0 and end is not None:
        raise StoreTrouble(f"a file ends before byte {start}")
    sender = await _sender(request)
    try:
        if end is None:
            return await _send_unknown(sender, head, source, start, ready)
        return await _send_known(sender, head, source, start, end, ready)
    except BaseException as error:
        if isinstance(error, GatewayError) and not sender.has_begun:
            raise
        sender.reset()  # what was sent is a part, and nothing may follow it
        if isinstance(error, (GatewayError, OSError)) and not isinstance(error, ConnectionError):
            raise ConnectionAbortedError(f"a body broke off: {error}") from error
        raise
    finally:
        sender.close()


class _Sender(Protocol):
    """A way to get bytes to one client."""

    request: web.BaseRequest
    has_begun: bool

    async def begin(self, head: bytes, source: Source, offset: int, count: int) -> int:
        """Send the head, and `count` bytes with it if they are few; returns how many of them are sent."""
        ...

    async def copy(self, source: Source, offset: int, count: int) -> int:
        """Send some of `count` bytes that are there, waiting for the client; returns how many."""
        ...

    async def write(self, data: bytes) -> None:
        """Send a few bytes."""
        ...

    def reset(self) -> None:
        """End the connection so that the client cannot take what it got for all there is."""
        ...

    def close(self) -> None:
        """Give back what it holds; the connection stays."""
        ...


async def _send_known(sender: _Sender, head: bytes, source: Source, start: int, end: int, ready: int) -> int:
    offset = start + await sender.begin(head, source, start, min(ready, end - start))
    while offset < end:
        ready = await _available(sender.request, source, offset)
        if ready == 0:
            raise StoreTrouble(f"a file ends after {offset} bytes, {end} were promised")
        stop = min(offset + ready, end)
        while offset < stop:
            offset += await sender.copy(source, offset, stop - offset)
    return end - start


async def _send_unknown(sender: _Sender, head: bytes, source: Source, start: int, ready: int) -> int:
    """Chunks as they become available (RFC 9112 §7.1); the last one only leaves at the verified end."""
    is_chunked = sender.request.version >= (1, 1)
    await sender.begin(head, source, start, 0)
    offset, line_end = start, b""
    while ready:
        count = min(ready, STEP)
        if is_chunked:
            await sender.write(b"%s%x\r\n" % (line_end, count))
            line_end = b"\r\n"
        stop = offset + count
        while offset < stop:
            offset += await sender.copy(source, offset, stop - offset)
        ready = await _available(sender.request, source, offset)
    if is_chunked:
        await sender.write(line_end + b"0\r\n\r\n")
    return offset - start


class _SocketSender:
    """Past the transport, which must have nothing left to write: straight to the socket."""

    def __init__(self, request: web.BaseRequest) -> None:
        self.request = request
        self.has_begun = False
        self._is_tuned = False
        self._fd = -1  # our duplicate; uvloop lets nobody watch the transport's own descriptor

    async def begin(self, head: bytes, source: Source, offset: int, count: int) -> int:
        body = _read(source, offset, count) if 0 < count <= INLINE else b""
        out = _transport(self.request).get_extra_info("socket").fileno()
        self.has_begun = True
        try:
            sent = os.writev(out, (head, body) if body else (head,))
        except BlockingIOError:
            sent = 0
        if sent < len(head):
            await self.write(head[sent:])
            return 0
        return sent - len(head)

    async def copy(self, source: Source, offset: int, count: int) -> int:
        out = self._duplicate()
        if not self._is_tuned:
            self._tune(is_warm=isinstance(source, OpenBlob))
        while True:
            if count <= INLINE or in_memory(source.fd, offset, min(count, STEP)):
                sent = await self._flow(source.fd, offset, count)
            else:
                sent = await in_thread(lambda: pump(out, source.fd, offset, count), _SENDERS)
                if not sent:
                    await self._writable()
            if sent:
                return sent

    async def write(self, data: bytes) -> None:
        out = self._duplicate()
        while data:
            try:
                data = data[os.write(out, data) :]
            except BlockingIOError:
                await self._writable()

    def reset(self) -> None:
        if self._fd >= 0:
            _reset_on_close(self._fd)
        _abort(self.request)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _tune(self, *, is_warm: bool) -> None:
        """Bound what waits in the socket; while a file is still coming, our own core has enough to do (0: no bound)."""
        transport = _transport(self.request)
        if is_near(transport.get_extra_info("peername")):
            transport.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, _NOTSENT_LOWAT, _NEAR_QUEUE if is_warm else 0
            )
        self._is_tuned = True

    def _duplicate(self) -> int:
        """Our descriptor, as long as the client is there."""
        transport = _transport(self.request)
        if self._fd < 0:
            self._fd = os.dup(transport.get_extra_info("socket").fileno())
        return self._fd

    async def _flow(self, source: int, offset: int, count: int) -> int:
        """Send what is in memory, in the loop's own turns: no thread, and no task woken before all is sent."""
        flow = Flow(self._fd, source, offset, count)
        flow.step()
        if not flow.ended.done():
            await self._until(flow.ended, flow.step)
        return flow.sent()

    async def _writable(self) -> None:
        """Wait until the client has read some."""
        is_writable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._until(is_writable, lambda: _settle(is_writable))

    async def _until(self, ended: "asyncio.Future[Any]", step: Callable[[], None]) -> None:
        """Do a step whenever the client has room, until it ended; ConnectionError when the client takes nothing."""
        loop = asyncio.get_running_loop()
        loop.add_writer(self._fd, step)
        try:
            queued, since = -1, loop.time()
            while not ended.done():
                await asyncio.wait((ended,), timeout=_TICK)
                _transport(self.request)
                left = _queued(self._fd)
                if left != queued:
                    queued, since = left, loop.time()
                elif loop.time() - since > _STALL:
                    raise ConnectionAbortedError("the client does not read")
        finally:
            loop.remove_writer(self._fd)


class _TransportSender:
    """Through the transport, for TLS and for systems without sendfile: at most two pieces are held for a client."""

    def __init__(self, request: web.BaseRequest) -> None:
        self.request = request
        self.has_begun = False
        _transport(request).set_write_buffer_limits(high=_PIECE)

    async def begin(self, head: bytes, source: Source, offset: int, count: int) -> int:
        body = _read(source, offset, count) if 0 < count <= _PIECE else b""
        await self.write(head + body)
        return len(body)

    async def copy(self, source: Source, offset: int, count: int) -> int:
        body = await in_thread(lambda: _read(source, offset, min(count, _PIECE)), _SENDERS)
        await self.write(body)
        return len(body)

    async def write(self, data: bytes) -> None:
        transport = _transport(self.request)
        self.has_begun = True
        transport.write(data)
        await _drain(self.request)

    def reset(self) -> None:
        _abort(self.request)

    def close(self) -> None:
        transport = self.request.transport
        if transport is not None and not transport.is_closing():
            transport.set_write_buffer_limits()


async def _sender(request: web.BaseRequest) -> _Sender:
    transport = _transport(request)
    is_plain = transport.get_extra_info("sslcontext") is None and transport.get_extra_info("socket") is not None
    if not is_plain or not hasattr(os, "sendfile"):
        return _TransportSender(request)
    if transport.get_write_buffer_size():  # an answer before ours in a pipeline comes first
        transport.set_write_buffer_limits(0)
        await _drain(request)
        _transport(request).set_write_buffer_limits()
    return _SocketSender(request)


async def _send_head(request: web.BaseRequest, head: bytes) -> int:
    _transport(request).write(head)
    await _drain(request)
    return 0


async def _available(request: web.BaseRequest, source: Source, offset: int) -> int:
    """`source.available`, as long as the client is there to want it."""
    if isinstance(source, OpenBlob):
        return await source.available(offset)
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(_TICK):
                return await source.available(offset)
        _transport(request)


async def _drain(request: web.BaseRequest) -> None:
    """Wait until the transport has room again."""
    try:
        async with asyncio.timeout(_STALL):
            await request.writer.drain()
    except TimeoutError as error:
        raise ConnectionAbortedError("the client does not read") from error
    _transport(request)


def _transport(request: web.BaseRequest) -> asyncio.Transport:
    """The client's transport; raises ConnectionResetError when the client left."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client left")
    return transport


def _abort(request: web.BaseRequest) -> None:
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            _reset_on_close(connection.fileno())
        transport.abort()


def _reset_on_close(fd: int) -> None:
    """A body that ends with the connection is only known to be broken when that ends with RST (RFC 9293 §3.5.2)."""
    with suppress(OSError):  # closed already
        connection = socket.socket(fileno=fd)
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        finally:
            connection.detach()


def is_near(peer: Any) -> bool:
    """Whether this address of a client is our own machine's: a proxy in front of us, mostly."""
    host = str(peer[0]) if peer else ""
    return sys.platform == "linux" and (host == "::1" or host.startswith(("127.", "::ffff:127.")))


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _queued(fd: int) -> int:
    """Bytes that the client's side has not yet acknowledged."""
    return int(struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0\0\0\0"))[0])


def _read(source: Source, offset: int, count: int) -> bytes:
    try:
        body = os.pread(source.fd, count, offset)
    except OSError as error:
        raise StoreTrouble(f"a file cannot be read: {error.strerror}") from error
    if len(body) != count:
        raise StoreTrouble(f"a file ends after {offset + len(body)} bytes")
    return body
