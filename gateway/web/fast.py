"""The shortest way: a request that came before, byte for byte, is answered before anything parses it.

aiohttp's protocol sees every chunk first here. A chunk is answered directly only if it is one whole GET of which the
same bytes, from the same address, were answered a moment ago by the ordinary way (`gateway.web.ready` keeps them
together with that answer, and drops them when an epoch of the catalogue moves). Everything else, and everything in
doubt, goes on to aiohttp: a busy or upgraded connection, a full transport, a connection on which a part of a request or
a body was ever left over, since then a chunk may not begin where a request does (request smuggling).

It relies on private attributes of aiohttp's RequestHandler; its minor version is pinned, `server.fast_path: false`
turns this off, and a test compares both ways answer by answer.
"""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.web.ready import Ready

_LONGEST = 4096
_MARKS = (b"\r\ncontent-length", b"\r\ntransfer-encoding", b"\r\nupgrade", b"\r\nexpect")


class FastHandler(RequestHandler):
    """One connection. `chunk`: the bytes of the request that is being handled, None where they are not known whole."""

    __slots__ = ("_is_dirty", "_peer", "_ready", "chunk")

    def __init__(self, manager: web.Server, ready: Ready, **options: Any) -> None:
        super().__init__(manager, **options)
        self._ready = ready
        self._is_dirty = False
        self._peer = ""
        self.chunk: bytes | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else ""

    def data_received(self, data: bytes) -> None:
        if not self._is_dirty and data:
            waiter = self._waiter
            is_idle = waiter is not None and not waiter.done() and not self._messages
            if is_idle and not self._upgraded and self._payload_parser is None and self._answered(data):
                return
            self._look(data, is_idle=is_idle)
        super().data_received(data)

    def _answered(self, data: bytes) -> bool:
        """Answer from the table, if it can be done without waiting for anything."""
        transport = self.transport
        if transport is None or self._force_close or self._close or transport.get_write_buffer_size():
            return False
        answer = self._ready.raw(data, self._peer)
        if answer is None:
            return False
        transport.writelines(answer) if len(answer[-1]) > _LONGEST * 16 else transport.write(b"".join(answer))
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True

    def _look(self, data: bytes, *, is_idle: bool) -> None:
        """Remember a chunk that is one whole GET without a body; after anything else this connection is dirty."""
        is_whole = data.startswith(b"GET ") and data.endswith(b"\r\n\r\n") and data.count(b"\r\n\r\n") == 1
        if not is_whole or len(data) > _LONGEST or any(mark in data.lower() for mark in _MARKS):
            self._is_dirty = True
            self.chunk = None
            return
        self.chunk = data if is_idle else None


class FastServer(web.Server):
    """An aiohttp server whose connections look into the table first."""

    def __init__(self, handler: Any, ready: Ready, **options: Any) -> None:
        super().__init__(handler, **options)
        self._ready = ready

    def __call__(self) -> RequestHandler:
        return FastHandler(self, self._ready, loop=self._loop, **self._kwargs)
