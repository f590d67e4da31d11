"""A file as a response: conditions and ranges decided first, then the bytes, warm or while they are still coming."""

import os
from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp import web

from gateway.opened import OpenFile
from gateway.web.answers import Answer, Headers, serialise, status_line, write
from gateway.web.ranges import choose
from gateway.web.sendfile import INLINE, send_file


class FileAnswer(Answer):
    """Sends an `OpenFile`; status and length are decided when it is sent: a cold file may learn them only then."""

    __slots__ = ("_modified", "file", "is_immutable", "is_whole")

    def __init__(self, file: OpenFile, headers: Headers, *, is_immutable: bool = False) -> None:
        """`headers`: Content-Type and Cache-Control among them; ETag, dates and ranges are added here.

        is_immutable: whether this address can never have other bytes, as Cache-Control tells clients.
        """
        etag = (("ETag", file.etag),) if file.etag else ()
        moment = _moment(file.uploaded_at)
        modified = (("Last-Modified", format_datetime(moment, usegmt=True)),) if moment is not None else ()
        super().__init__(200, (*headers, *etag, ("Accept-Ranges", "bytes"), *modified))
        self._modified = None if moment is None else moment.timestamp()
        self.file = file
        self.is_immutable = is_immutable
        self.is_whole = False
        self.layer = file.layer
        self.freshness = file.freshness

    async def send(self, request: web.BaseRequest) -> None:
        self.keep_alive = request.keep_alive
        file, is_head = self.file, request.method == "HEAD"
        if (is_head or "If-None-Match" in request.headers) and file.size is not None:
            portion = choose(
                request.method, request.headers, etag=file.etag or None, size=file.size, modified=self._modified
            )
            if is_head or portion.status in {304, 412, 416}:
                self.status = portion.status
                await write(request, self._head(request, portion.length, portion.content_range))
                return
        source = await file.open()
        try:
            size = file.size if file.size is not None else source.size
            portion = choose(
                request.method, request.headers, etag=file.etag or None, size=size, modified=self._modified
            )
            self.status = portion.status
            head = self._head(request, portion.length, portion.content_range)
            if is_head or portion.status in {304, 412, 416}:
                await write(request, head)
                return
            self.is_whole = portion.status == 200
            self.sent = await send_file(request, head, source, portion.start, portion.end)
        finally:
            source.close()

    def again(self) -> tuple[bytes, bytes, bytes] | None:
        """What the table of ready responses needs to send this file again, or None unless it was sent whole and warm.

        The starts of a 200 and of a 304, and the bytes, none of a large file. Raises FileUnknown or OSError when the
        file was evicted meanwhile.
        """
        file = self.file
        if not self.is_whole or file.digest is None or file.store is None or file.size is None:
            return None
        body = b""
        if file.size <= INLINE:
            with file.store.open(file.digest) as blob:
                body = os.pread(blob.fd, blob.size, 0)
        constant = serialise(self.headers)
        return status_line(200) + constant + b"Content-Length: %d\r\n" % file.size, status_line(304) + constant, body

    def _head(self, request: web.BaseRequest, length: int | None, content_range: str | None) -> bytes:
        extra: list[tuple[str, str]] = []
        if content_range is not None:
            extra.append(("Content-Range", content_range))
        if self.status not in {304, 412, 416}:
            if length is None and request.version < (1, 1):
                self.keep_alive = False  # the end of the connection is the end of the body
            elif length is None and request.method == "GET":
                extra.append(("Transfer-Encoding", "chunked"))
            elif length is not None:
                extra.append(("Content-Length", str(length)))
        elif self.status != 304:
            extra.append(("Content-Length", "0"))
        return b"".join((status_line(self.status), serialise((*self.headers, *extra)), self.tail(request)))


class WarmAnswer(Answer):
    """A large file that was sent before and may be sent again: its head is ready, its bytes are in a store."""

    __slots__ = ("_blob", "_start")

    def __init__(self, start: bytes, file: OpenFile) -> None:
        """Open the file; raises FileUnknown when it was evicted. `start`: all of the head that is always the same."""
        super().__init__(200, ())
        assert file.store is not None
        assert file.digest is not None
        self._start = start
        self._blob = file.store.open(file.digest)

    async def send(self, request: web.BaseRequest) -> None:
        self.keep_alive = request.keep_alive
        with self._blob as blob:
            self.sent = await send_file(request, self._start + self.tail(request), blob, 0, blob.size)


def _moment(uploaded_at: str | None) -> datetime | None:
    """The time of publishing, or None for one that is not known or cannot be read."""
    if uploaded_at is None:
        return None
    try:
        return datetime.fromisoformat(uploaded_at).astimezone(UTC)
    except ValueError:
        return None
