"""The one client for every upstream: what it is asked for, and how often before it is in trouble.

Every answer is one of a few: a document, not modified, absent, or an error that says whose fault it is. Trouble is
never absent. Bodies are bounded, documents after decompression; files are streamed as they are. How a request leaves,
and what it may carry, is `gateway.upstream.sending`.
"""

import asyncio
import os
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from enum import Enum
from functools import partial
from typing import Protocol, Self, TypeVar
from urllib.parse import unquote

from msgspec import Struct, field
from msgspec.structs import replace
from yarl import URL

from gateway.errors import FileUnknown, PathInvalid, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Ask, Document
from gateway.upstream import addresses, cache_control
from gateway.upstream.bodies import Chunks, extent, read_document
from gateway.upstream.hosts import UpstreamHealth
from gateway.upstream.inflate import ACCEPTED
from gateway.upstream.proxies import Proxies
from gateway.upstream.registry import Upstream
from gateway.upstream.sending import Answer, Request, Sender
from gateway.upstream.tails import joined

T = TypeVar("T")

_BACKOFF = 0.2
_HEAD_LIMIT = 1 << 40  # no body comes, whatever its length would be
_KEPT_OUT = frozenset(
    {"set-cookie", "connection", "keep-alive", "transfer-encoding", "content-encoding", "content-length"}
)


class Status(Enum):
    """How an upstream answered a question for a document."""

    OK = "ok"
    NOT_MODIFIED = "not-modified"
    ABSENT = "absent"


class Reply(Struct, frozen=True):
    """An upstream's answer. `document` exactly with OK; max_age: seconds, None when the upstream did not say.

    size: bytes of the document, as the answer to a HEAD says; None when it does not. is_refused: absent may mean that
    we are not shown it.
    """

    status: Status
    document: Document | None = None
    etag: str | None = None
    last_modified: str | None = None
    max_age: float | None = None
    size: int | None = None
    is_refused: bool = False


class Stream(Struct, frozen=True):
    """A file on its way. `offset`: where its chunks really start; 0 where the server ignored the one asked for.

    total: the file's complete size in bytes, None when the server does not say. chunks: as they come from the socket;
    raises UpstreamTrouble when the body breaks off. headers: of the answer, names in lower case.
    """

    total: int | None
    offset: int
    chunks: AsyncIterator[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)


class Known(Protocol):
    """What makes a question conditional (RFC 9110 §13.1)."""

    @property
    def etag(self) -> str | None: ...
    @property
    def last_modified(self) -> str | None: ...


class UpstreamClient:
    """`async with UpstreamClient() as client:`; one for the process. Time, chance and environment are arguments."""

    def __init__(
        self,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        ssl_context: ssl.SSLContext | None = None,
        connections: int = 256,
        workers: int = 1,
    ) -> None:
        """ssl_context: None for that of `authorities`. workers: processes that share the budgets of upstreams."""
        self._sender = Sender(
            Proxies(environ), clock, now, ssl_context=ssl_context, connections=connections, workers=workers
        )
        self._now = now
        self._sleep = sleep
        self._chance = chance
        self.on_document: Callable[[str, int], None] = lambda _type, _size: None  # told of each chunk that came

    async def __aenter__(self) -> Self:
        await self._sender.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._sender.__aexit__()

    async def document(self, upstream: Upstream, ask: Ask, validators: Known | None, limit: int) -> Reply:
        """Ask for a document of at most `limit` bytes, uncompressed; with validators, 304 is an answer.

        `ask.path` is below the base URL, or an absolute URL on one of the upstream's hosts. Raises Blocked,
        UpstreamTrouble (with `retry_after` where known) or UpstreamCorrupt. Ends within connect + 2 × read timeout.
        """
        headers = {"Accept": ask.accept, "Accept-Encoding": ACCEPTED}
        if validators is not None and validators.etag:
            headers["If-None-Match"] = validators.etag
        if validators is not None and validators.last_modified:
            headers["If-Modified-Since"] = validators.last_modified
        request = Request(self._below(upstream, ask.path), headers, scope=ask.scope)
        return await self._ask(upstream, request, limit)

    async def rest(
        self, upstream: Upstream, ask: Ask, validators: Known | None, held: bytes, limit: int
    ) -> Reply | None:
        """Ask for what a document that only grows has beyond `held`; the reply has the whole, or 304, or what came.

        None where the upstream has no such part, or does not prove the whole by a digest. Raises as `document`.
        """
        headers = {"Accept": ask.accept, "Accept-Encoding": "identity", "Range": f"bytes={len(held) - 1}-"}
        if validators is not None and validators.etag:
            headers["If-None-Match"] = validators.etag
        request = Request(self._below(upstream, ask.path), headers, scope=ask.scope)
        try:
            reply = await self._ask(upstream, request, limit)
        except UpstreamCorrupt:
            return None
        document = reply.document
        if document is None or "content-range" not in document.headers:
            return reply
        whole = await asyncio.to_thread(joined, held, document.body, document.headers)
        if whole is None or len(whole) > limit:
            return None
        kept = {name: value for name, value in document.headers.items() if name != "content-range"}
        return replace(reply, document=replace(document, body=whole, headers=kept))

    async def head(self, upstream: Upstream, ask: Ask) -> Reply:
        """What a GET of the document would say of it, without the document: headers and an empty body."""
        headers = {"Accept": ask.accept, "Accept-Encoding": "identity"}
        request = Request(self._below(upstream, ask.path), headers, "HEAD", scope=ask.scope)
        return await self._ask(upstream, request, _HEAD_LIMIT)

    async def post(
        self, upstream: Upstream, path: str, body: bytes, content_type: str, limit: int, *, accept: str = "*/*"
    ) -> Reply:
        """Send a body to a path below the base URL; the answer as for `document`. Not repeated once it was sent."""
        headers = {"Accept": accept, "Accept-Encoding": ACCEPTED, "Content-Type": content_type}
        return await self._ask(upstream, Request(self._below(upstream, path), headers, "POST", body), limit)

    @asynccontextmanager
    async def stream(
        self,
        upstream: Upstream,
        url: str,
        offset: int = 0,
        scope: str = "",
        whose: Callable[[URL], Upstream | None] | None = None,
    ) -> AsyncIterator[Stream]:
        """A file's bytes from `offset` on, as they are: neither decompressed nor cut anew, at the reader's pace.

        whose: the other upstream that has the file to which a redirect leads; instead of asking, Elsewhere is raised.
        Raises FileUnknown, Blocked, UpstreamTrouble or UpstreamCorrupt; an answer that only breaks off later raises
        UpstreamTrouble from `chunks`, which the caller resumes.
        """
        address = addresses.checked_address(url, upstream.bounds)
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        request = Request(address, headers, scope=scope, whose=whose)
        seconds = upstream.config.connect_timeout + upstream.config.read_timeout
        answer = await self._within(
            upstream, seconds, lambda: self._persist(upstream, lambda: self._sender.open(upstream, request))
        )
        try:
            if answer.is_absent:
                raise FileUnknown(f"{upstream.name} does not have this file", upstream=upstream.name)
            answer.host.succeeded()
            total, start = extent(answer.response, upstream.name, offset)
            headers = {name.lower(): value for name, value in answer.response.headers.items()}
            yield Stream(total, start, Chunks(answer.response.content, answer.host), headers)
        finally:
            answer.response.close()

    def health(self) -> list[UpstreamHealth]:
        """Every host that was asked so far, by upstream and host."""
        return self._sender.health()

    def thrift(self, upstream: Upstream) -> float:
        """Seconds for which what is kept of it counts as fresh at least: 0.0, unless it may hardly be asked."""
        return self._sender.thrift(upstream)

    def distrust(self, upstream: Upstream) -> None:
        """Count bytes of it that were not what was promised."""
        self._sender.distrust(upstream)

    def forgive(self) -> None:
        """Close every breaker and forget every Retry-After: an operator knows that the trouble is over."""
        self._sender.forgive()

    def _below(self, upstream: Upstream, path: str) -> URL:
        if path.startswith(("https://", "http://")):
            return addresses.checked_address(path, upstream.bounds)
        segments = unquote(path.partition("?")[0]).split("/")
        if ".." in segments or "." in segments or path.startswith("/") or "#" in path:
            raise PathInvalid("a path that leaves the upstream's folder")
        return addresses.checked_address(upstream.url + path, upstream.bounds)

    async def _ask(self, upstream: Upstream, request: Request, limit: int) -> Reply:
        async def once() -> Reply:
            answer = await self._sender.open(upstream, request)
            try:
                return await self._reply(upstream, request, answer, limit)
            finally:
                answer.response.close()

        seconds = upstream.config.connect_timeout + 2 * upstream.config.read_timeout
        return await self._within(upstream, seconds, lambda: self._persist(upstream, once))

    async def _reply(self, upstream: Upstream, request: Request, answer: Answer, limit: int) -> Reply:
        if answer.is_absent:
            return Reply(Status.ABSENT, is_refused=answer.is_refused)
        headers = answer.response.headers
        age = cache_control.max_age(headers, self._now())
        etag, last_modified = headers.get("ETag"), headers.get("Last-Modified")
        if answer.response.status == 304:
            return Reply(Status.NOT_MODIFIED, None, etag, last_modified, age)
        with answer.host.watching(is_repeatable=request.method == "GET"):
            came = partial(self.on_document, upstream.type)
            body = await read_document(answer.response, answer.host, limit, came)
        answer.host.succeeded()
        url = answer.url if answer.url == request.url else answer.url.with_query(None)  # a signed query is a secret
        kept = {name.lower(): value for name, value in headers.items() if name.lower() not in _KEPT_OUT}
        document = Document(body, headers.get("Content-Type", "application/octet-stream"), str(url), kept)
        size = answer.response.content_length if request.method == "HEAD" else None
        return Reply(Status.OK, document, etag, last_modified, age, size)

    async def _within(self, upstream: Upstream, seconds: float, work: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await work()
        except TimeoutError as error:
            self._sender.host(upstream, upstream.base).failed("is too slow")
            raise UpstreamTrouble(f"{upstream.name} is too slow", upstream=upstream.name) from error

    async def _persist(self, upstream: Upstream, work: Callable[[], Awaitable[T]]) -> T:
        """Do it again after trouble that may pass, `retries` times, each after a longer and uneven wait."""
        for attempt in range(upstream.config.retries):
            try:
                return await work()
            except UpstreamTrouble as trouble:
                if not trouble.detail.get("is_passing"):
                    raise
            await self._sleep(_BACKOFF * 2**attempt * (0.5 + self._chance()))
        return await work()
