"""How the fake upstream puts an answer on the wire, rightly or wrongly."""

import asyncio
import gzip
import re
from dataclasses import dataclass, replace

from aiohttp import web
from multidict import CIMultiDict

from tests.fakes.faults import Fault

_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")
_ZEROS = gzip.compress(bytes(1 << 20), mtime=0)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A right answer, before a fault spoils it."""

    status: int
    headers: dict[str, str]
    body: bytes

    def ranged(self, text: str) -> "Prepared":
        """The part that a Range header asks for; the whole for a form that we do not know."""
        match, size = _RANGE.match(text), len(self.body)
        if match is None or match[0] == "bytes=-":
            return self
        if match[1]:
            start, end = int(match[1]), min(int(match[2] or size - 1), size - 1)
        else:
            start, end = max(0, size - int(match[2])), size - 1
        if start > end:
            return replace(self, status=416, headers={"Content-Range": f"bytes */{size}"}, body=b"")
        headers = {**self.headers, "Content-Range": f"bytes {start}-{end}/{size}"}
        return replace(self, status=206, headers=headers, body=self.body[start : end + 1])

    def gzipped(self) -> "Prepared":
        headers = {**self.headers, "Content-Encoding": "gzip"}
        return replace(self, headers=headers, body=gzip.compress(self.body, mtime=0))


async def send(request: web.BaseRequest, right: Prepared, fault: Fault | None) -> web.StreamResponse:
    """Answer the request, spoilt by the fault."""
    kind = "" if fault is None else fault.kind
    if fault is None or kind == "":
        return _response(right)
    if kind == "down":
        return _hang_up(request, b"")
    if kind == "corrupt":
        return _response(replace(right, body=_corrupted(right.body, fault.size)))
    if kind == "malformed":
        return _response(replace(right, body=b'{"files": [{"filename": "<a href=', status=200))
    if kind == "huge_headers":
        more = {f"X-Padding-{number}": "a" * 4096 for number in range(fault.size // 4096 + 1)}
        return _response(replace(right, headers={**right.headers, **more}))
    if kind == "huge_header":
        return _response(replace(right, headers={**right.headers, "X-Padding": "a" * fault.size}))
    if kind == "truncate":
        return _hang_up(request, _head(right, len(right.body)) + right.body[: _cut(right.body, fault.size)])
    if kind == "wrong_length":
        return _hang_up(request, _head(right, max(0, len(right.body) + fault.size)) + right.body)
    if kind == "bomb":
        return await _bomb(request, right, fault.size)
    if kind == "endless":
        return await _drip(request, right, None, fault.rate)
    if kind == "slow":
        await asyncio.sleep(fault.seconds)
        return _response(right) if fault.rate is None else await _drip(request, right, right.body, fault.rate)
    raise ValueError(f"no such fault: {kind}")


def _response(answer: Prepared) -> web.Response:
    return web.Response(status=answer.status, headers=CIMultiDict(answer.headers), body=answer.body)


def _hang_up(request: web.BaseRequest, raw: bytes) -> web.Response:
    """Write these bytes past aiohttp and end the connection: with a reset when there are none."""
    transport = request.transport
    if transport is not None:
        if raw:
            transport.write(raw)
            transport.close()
        else:
            transport.abort()
    return web.Response()  # cannot be written any more


def _head(answer: Prepared, length: int) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} OK", *(f"{name}: {value}" for name, value in answer.headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def _corrupted(body: bytes, position: int) -> bytes:
    if not body:
        return body
    at = len(body) // 2 if position < 0 else position
    return body[:at] + bytes([body[at] ^ 0x01]) + body[at + 1 :]


def _cut(body: bytes, size: int) -> int:
    return len(body) // 2 if size < 0 else size


async def _bomb(request: web.BaseRequest, answer: Prepared, size: int) -> web.StreamResponse:
    response = web.StreamResponse(headers=CIMultiDict({**answer.headers, "Content-Encoding": "gzip"}))
    await response.prepare(request)
    for _ in range(size // (1 << 20)):
        await response.write(_ZEROS)
    return response


async def _drip(request: web.BaseRequest, answer: Prepared, body: bytes | None, rate: int | None) -> web.StreamResponse:
    """`body`, or nothing but zeros for ever, at `rate` bytes a second in twenty steps."""
    response = web.StreamResponse(status=answer.status, headers=CIMultiDict(answer.headers))
    if body is not None:
        response.content_length = len(body)
    await response.prepare(request)
    step = 1 << 16 if rate is None else max(1, rate // 20)
    sent = 0
    while body is None or sent < len(body):
        part = bytes(step) if body is None else body[sent : sent + step]
        await response.write(part)
        sent += len(part)
        await asyncio.sleep(0 if rate is None else step / rate)
    return response
