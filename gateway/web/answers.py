"""What a handler returns: a response that knows how to write itself in one piece.

The mount sends an answer itself, so that it knows when the last byte left; aiohttp's server then calls `prepare` and
`write_eof`, which have nothing left to do, and reads `keep_alive`. Head and body go straight to the transport, already
serialised, which is several times cheaper than StreamResponse (docs/decisions/0002). An answer is sent once; what may
be kept and sent again are the bytes in it, never the object.
"""

import asyncio
import time
from collections.abc import Iterable
from http import HTTPStatus
from wsgiref.handlers import format_date_time

from aiohttp import web

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_HIGH_WATER = 64 * 1024
_date: tuple[int, bytes] = (0, b"")

Headers = tuple[tuple[str, str], ...]


class Answer:
    """A whole response in memory.

    headers: all but Date, Content-Length, Connection and X-Request-Id, which are added when it is written.
    layer, freshness: who answered, for the log. sent: body bytes written, known afterwards.
    """

    __slots__ = (
        "body",
        "freshness",
        "headers",
        "is_last",
        "keep_alive",
        "layer",
        "reason",
        "request_id",
        "sent",
        "status",
    )

    def __init__(self, status: int, headers: Headers = (), body: bytes = b"", reason: str | None = None) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.reason = reason
        self.keep_alive: bool | None = True
        self.is_last = False
        self.request_id = ""
        self.layer = ""
        self.freshness = ""
        self.sent = 0

    async def send(self, request: web.BaseRequest) -> None:
        """Write head and body at once (RFC 9112 §2.1); a HEAD request gets the same head and no body."""
        self.keep_alive = request.keep_alive and not self.is_last
        head = self.head(request, len(self.body) if self.status not in {204, 304} else None)
        if request.method == "HEAD" or self.status in {204, 304}:
            await write(request, head)
            return
        self.sent = len(self.body)
        await write(request, head + self.body)

    def close(self) -> None:
        """End the connection after this answer."""
        self.is_last = True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing is left to do; aiohttp calls it on every response."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write; aiohttp calls it on every response."""

    def head(self, request: web.BaseRequest, length: int | None) -> bytes:
        """The serialised status line and headers, with the blank line."""
        return b"".join(
            (
                status_line(self.status, self.reason),
                serialise(self.headers),
                b"" if length is None else b"Content-Length: %d\r\n" % length,
                self.tail(request),
            )
        )

    def tail(self, request: web.BaseRequest) -> bytes:
        """The headers that differ with every response, and the blank line."""
        return tail(self.request_id, is_persistent=bool(self.keep_alive), version=request.version)


class ReadyAnswer(Answer):
    """A response whose head was serialised before: one join, one write."""

    __slots__ = ("start",)

    def __init__(self, status: int, start: bytes, body: bytes) -> None:
        """`start`: status line and all constant headers, Content-Length among them."""
        super().__init__(status, (), body)
        self.start = start

    async def send(self, request: web.BaseRequest) -> None:
        self.keep_alive = keep_alive = request.keep_alive
        self.sent = len(self.body)
        end = tail(self.request_id, is_persistent=keep_alive, version=request.version)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        if len(self.body) < _HIGH_WATER:
            transport.write(b"".join((self.start, end, self.body)))
        else:
            transport.write(self.start + end)
            transport.write(self.body)
        if transport.get_write_buffer_size() > _HIGH_WATER:
            await drain(request)


def status_line(status: int, reason: str | None = None) -> bytes:
    """`HTTP/1.1 status reason`. The reason is what several clients print, so it carries the message, in latin-1."""
    text = _REASONS.get(status, "") if reason is None else reason
    clean = "".join(c if c.isprintable() else " " for c in text)[:200]
    return b"HTTP/1.1 %d %s\r\n" % (status, clean.encode("latin-1", "replace"))


def serialise(headers: Iterable[tuple[str, str]]) -> bytes:
    """Header lines; a value with CR, LF or NUL is a programming error and raises ValueError (response splitting)."""
    lines = []
    for name, value in headers:
        if "\r" in value or "\n" in value or "\0" in value:
            raise ValueError(f"header {name} would split the response")
        lines.append(f"{name}: {value}\r\n".encode("utf-8", "surrogateescape"))
    return b"".join(lines)


def tail(request_id: str, *, is_persistent: bool, version: tuple[int, int]) -> bytes:
    """Date, X-Request-Id and, where it is needed, Connection; then the blank line."""
    end = b"%sX-Request-Id: %s\r\n" % (date_line(), request_id.encode("ascii", "replace"))
    if not is_persistent:
        return end + b"Connection: close\r\n\r\n"
    if version < (1, 1):
        return end + b"Connection: keep-alive\r\n\r\n"
    return end + b"\r\n"


def date_line() -> bytes:
    """`Date: …` (RFC 9110 §6.6.1), made anew once a second."""
    global _date  # noqa: PLW0603 one clock per process
    now = int(time.time())
    if _date[0] != now:
        _date = (now, f"Date: {format_date_time(now)}\r\n".encode())
    return _date[1]


async def write(request: web.BaseRequest, data: bytes) -> None:
    """Write to the client's transport and wait while it is full; raises ConnectionResetError when the client left."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError
    transport.write(data)
    if transport.get_write_buffer_size() > _HIGH_WATER:
        await drain(request)


async def drain(request: web.BaseRequest) -> None:
    """Wait until the transport took what was written."""
    protocol = request.protocol
    if protocol.transport is not None:
        await protocol._drain_helper()  # noqa: SLF001 aiohttp offers drain on its own writer only
    else:
        await asyncio.sleep(0)
        raise ConnectionResetError
