"""A tiny forward proxy on loopback: passes on what it is asked for, tunnels CONNECT, and remembers both."""

import asyncio
from contextlib import suppress
from typing import Self


class ForwardProxy:
    """`seen`: the request lines that came; `headers`: the raw head of each."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.headers: list[str] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def authority(self) -> str:
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            line, _, rest = head.decode().partition("\r\n")
            self.seen.append(line)
            self.headers.append(rest)
            method, target, _ = line.split(" ")
            authority = target if method == "CONNECT" else target.split("/")[2]
            host, _, port = authority.partition(":")
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                path = "/" + target.split("/", 3)[3]
                far_writer.write(f"{method} {path} HTTP/1.1\r\n{rest}".encode())
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, far_writer))
                both.create_task(_copy(far_reader, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await source.read(65536):
            target.write(chunk)
            await target.drain()
    target.close()
