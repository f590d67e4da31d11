"""A list that only grows as a response: whole, compressed, or the tail that a client lacks (RFC 9110 §14).

Its bytes are sent from the ledger's files, so that a long list costs no memory however many ask for it; a short one is
a page like any other.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from gateway.errors import StoreTrouble
from gateway.model import Digest
from gateway.rendered import Rendered
from gateway.roster.roster import Roster, View
from gateway.store.blobs import OpenBlob
from gateway.store.ledgers import Edition
from gateway.web.answers import Answer, Headers, serialise, status_line, write
from gateway.web.ranges import Portion, choose
from gateway.web.ready import page_answer, takes_gzip
from gateway.web.sendfile import send_file

_SHORT = 64 * 1024  # bytes up to which a list is kept as a page

DigestHeaders = Callable[[bytes], Headers]
"""From the sha256 of a whole representation to the headers that say it."""


async def grown_answer(
    request: web.BaseRequest, roster: Roster, view: View, content_type: str, digests: DigestHeaders
) -> Answer:
    """The list as this actor sees it; its ETag is the md5 of the bytes."""
    edition = view.edition
    if view.may_see is None and edition.size > _SHORT:
        answer = GrownAnswer(edition, (("Content-Type", content_type), *digests(edition.sha256), view.cache_control))
        answer.layer = view.layer
        return answer

    def render(body: bytes) -> Rendered:
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        return Rendered(body, content_type, headers=digests(hashlib.sha256(body).digest()), etag=etag, is_ranged=True)

    return page_answer(await roster.page(view, "whole", render), request)


class GrownAnswer(Answer):
    """Sends an edition of a ledger; what a request gets is decided when it is sent."""

    __slots__ = ("_edition",)

    def __init__(self, edition: Edition, headers: Headers) -> None:
        etag = (("ETag", f'"{edition.md5.hex()}"'), ("Accept-Ranges", "bytes"), ("Vary", "Accept-Encoding"))
        super().__init__(200, (*headers, *etag))
        self._edition = edition

    async def send(self, request: web.BaseRequest) -> None:
        self.keep_alive = request.keep_alive and not self.is_last
        edition = self._edition
        portion = choose(request.method, request.headers, etag=f'"{edition.md5.hex()}"', size=edition.size)
        self.status = portion.status
        is_whole = portion.status == 200
        if is_whole and "Range" not in request.headers and takes_gzip(request.headers.get("Accept-Encoding")):
            await self._send_packed(request)
            return
        head = self._head(request, portion)
        if request.method == "HEAD" or portion.status not in {200, 206}:
            await write(request, head)
            return
        with _opened(edition.text, edition) as source:
            self.sent = await send_file(request, head, source, portion.start, portion.end)

    async def _send_packed(self, request: web.BaseRequest) -> None:
        edition, end = self._edition, self._edition.end
        extra = (("Content-Encoding", "gzip"), ("Content-Length", str(edition.packed + len(end))))
        head = b"".join((status_line(200), serialise((*self.headers, *extra)), self.tail(request)))
        if request.method == "HEAD":
            await write(request, head)
            return
        with _opened(edition.deflated, edition) as source:
            self.sent = await send_file(request, head, source, 0, edition.packed)
        await write(request, end)
        self.sent += len(end)

    def _head(self, request: web.BaseRequest, portion: Portion) -> bytes:
        extra: list[tuple[str, str]] = []
        if portion.content_range is not None:
            extra.append(("Content-Range", portion.content_range))
        if portion.status != 304:
            length = portion.length if portion.status in {200, 206} else 0
            extra.append(("Content-Length", str(length)))
        return b"".join((status_line(portion.status), serialise((*self.headers, *extra)), self.tail(request)))


def _opened(path: Path, edition: Edition) -> OpenBlob:
    """A file of the ledger, as far as the edition goes; raises StoreTrouble."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreTrouble(f"a list of names cannot be read: {error.strerror}", retry_after=1.0) from error
    size = edition.size if path == edition.text else edition.packed
    return OpenBlob(fd, size, Digest("sha256", edition.sha256.hex()))
