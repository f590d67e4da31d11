"""The one client for every upstream: the only place that opens a connection to the outside.

Redirects are followed by hand, to the upstream's own hosts only; credentials go to the configured origin and nowhere
else. Every answer is one of a few: a document, not modified, absent, or an error that says whose fault it is. Trouble
is never absent. Bodies are bounded, documents after decompression; files are streamed as they are.
"""

import asyncio
import os
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from enum import Enum
from importlib.metadata import version
from typing import Protocol, Self, TypeVar
from urllib.parse import unquote

import aiohttp
from msgspec import Struct, field
from msgspec.structs import replace
from yarl import URL

from gateway.errors import Blocked, FileUnknown, PathInvalid, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Ask, Document
from gateway.upstream import addresses, authorities, cache_control
from gateway.upstream.bearer import Bearers, read_challenges
from gateway.upstream.bodies import Chunks, drain, extent, read_document
from gateway.upstream.breaker import Breaker
from gateway.upstream.hosts import Host, UpstreamHealth
from gateway.upstream.inflate import ACCEPTED
from gateway.upstream.proxies import Proxies
from gateway.upstream.registry import Upstream
from gateway.upstream.tails import joined

T = TypeVar("T")

USER_AGENT = f"entrepot/{version('entrepot')}"
_BUFFER = 64 * 1024  # PERFORMANCE section 4: more costs memory with slow clients and gains nothing
_HEADER_SIZE, _HEADER_COUNT = 16 * 1024, 128
_BACKOFF = 0.2
_HEAD_LIMIT = 1 << 40  # no body comes, whatever its length would be
_TOKEN_LIMIT = 64 * 1024
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


class Elsewhere(Exception):
    """A redirect leads to a file of another upstream that is configured: `upstream`."""

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream.name)
        self.upstream = upstream


class Known(Protocol):
    """What makes a question conditional (RFC 9110 §13.1)."""

    @property
    def etag(self) -> str | None: ...
    @property
    def last_modified(self) -> str | None: ...


class _Request(Struct, frozen=True):
    """One request, or one hop of it. scope: what its token is kept under. authorization: for this hop, or None.

    None: what we hold for the upstream's origin, if it goes there; empty: none.
    """

    url: URL
    headers: Mapping[str, str]
    method: str = "GET"
    body: bytes | None = None
    scope: str = ""
    authorization: str | None = None
    whose: Callable[[URL], Upstream | None] | None = None

    @property
    def is_conditional(self) -> bool:
        return "If-None-Match" in self.headers or "If-Modified-Since" in self.headers


class _Answer(Struct, frozen=True):
    """The head of a final answer (no redirect), judged: 200 to 203, 206, 304, or absent."""

    response: aiohttp.ClientResponse
    host: Host
    url: URL
    is_absent: bool = False
    is_refused: bool = False


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
        self._proxies = Proxies(environ)
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._chance = chance
        self._ssl_context = ssl_context
        self._connections = connections
        self._workers = workers
        self._session: aiohttp.ClientSession | None = None
        self._hosts: dict[tuple[str, str], Host] = {}
        self._bearers = Bearers(clock)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=30.0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=_BUFFER,
            max_line_size=_HEADER_SIZE,
            max_field_size=_HEADER_SIZE,
            max_headers=_HEADER_COUNT,
            skip_auto_headers=("User-Agent",),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

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
        request = _Request(self._below(upstream, ask.path), headers, scope=ask.scope)
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
        request = _Request(self._below(upstream, ask.path), headers, scope=ask.scope)
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
        request = _Request(self._below(upstream, ask.path), headers, "HEAD", scope=ask.scope)
        return await self._ask(upstream, request, _HEAD_LIMIT)

    async def post(
        self, upstream: Upstream, path: str, body: bytes, content_type: str, limit: int, *, accept: str = "*/*"
    ) -> Reply:
        """Send a body to a path below the base URL; the answer as for `document`. Not repeated once it was sent."""
        headers = {"Accept": accept, "Accept-Encoding": ACCEPTED, "Content-Type": content_type}
        return await self._ask(upstream, _Request(self._below(upstream, path), headers, "POST", body), limit)

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
        request = _Request(address, headers, scope=scope, whose=whose)
        seconds = upstream.config.connect_timeout + upstream.config.read_timeout
        answer = await self._within(
            upstream, seconds, lambda: self._persist(upstream, lambda: self._open(upstream, request))
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
        return [self._hosts[key].health() for key in sorted(self._hosts)]

    def thrift(self, upstream: Upstream) -> float:
        """Seconds for which what is kept of it counts as fresh at least: 0.0, unless it may hardly be asked."""
        host = self._hosts.get((upstream.name, addresses.authority(upstream.base)))
        return 0.0 if host is None else host.thrift()

    def forgive(self) -> None:
        """Close every breaker and forget every Retry-After: an operator knows that the trouble is over."""
        for host in self._hosts.values():
            host.breaker = Breaker()

    def _below(self, upstream: Upstream, path: str) -> URL:
        if path.startswith(("https://", "http://")):
            return addresses.checked_address(path, upstream.bounds)
        segments = unquote(path.partition("?")[0]).split("/")
        if ".." in segments or "." in segments or path.startswith("/") or "#" in path:
            raise PathInvalid("a path that leaves the upstream's folder")
        return addresses.checked_address(upstream.url + path, upstream.bounds)

    async def _ask(self, upstream: Upstream, request: _Request, limit: int) -> Reply:
        async def once() -> Reply:
            answer = await self._open(upstream, request)
            try:
                return await self._reply(request, answer, limit)
            finally:
                answer.response.close()

        seconds = upstream.config.connect_timeout + 2 * upstream.config.read_timeout
        return await self._within(upstream, seconds, lambda: self._persist(upstream, once))

    async def _reply(self, request: _Request, answer: _Answer, limit: int) -> Reply:
        if answer.is_absent:
            return Reply(Status.ABSENT, is_refused=answer.is_refused)
        headers = answer.response.headers
        age = cache_control.max_age(headers, self._now())
        etag, last_modified = headers.get("ETag"), headers.get("Last-Modified")
        if answer.response.status == 304:
            return Reply(Status.NOT_MODIFIED, None, etag, last_modified, age)
        with answer.host.watching(is_repeatable=request.method == "GET"):
            body = await read_document(answer.response, answer.host, limit)
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
            self._host(upstream, upstream.base).failed("is too slow")
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

    async def _open(self, upstream: Upstream, request: _Request) -> _Answer:
        """Send the request and follow redirects; the caller closes the answer's response."""
        bounds, hop = upstream.bounds, request
        for _ in range(addresses.MAX_REDIRECTS + 1):
            answer = await self._send(upstream, hop)
            response = answer.response
            if response.status == 401 and hop.authorization is None:
                signed = await self._signed(upstream, hop, answer)
                if signed is not None:
                    hop = signed
                    continue
            if response.status not in addresses.REDIRECTS:
                signed_in = replace(request, authorization=hop.authorization)
                return await self._judged(upstream, signed_in, answer)
            await drain(response, answer.host)
            answer.host.succeeded()
            if request.body is not None and response.status not in {307, 308}:
                raise UpstreamTrouble(f"{upstream.name} redirects a POST")
            url = addresses.next_address(hop.url, response.headers.get("Location"), bounds)
            if request.whose is not None and (other := request.whose(url)) is not None:
                raise Elsewhere(other)
            hop = replace(hop, url=url, authorization=hop.authorization if url.origin() == hop.url.origin() else None)
        raise UpstreamTrouble(f"{upstream.name} redirects in circles", upstream=upstream.name)

    async def _signed(self, upstream: Upstream, hop: _Request, answer: _Answer) -> _Request | None:
        """The same hop with what the token service gave us for it; None where the answer sends us to none."""
        challenge = read_challenges(answer.response.headers.getall("WWW-Authenticate", []))
        if challenge is None or not addresses.is_same_origin(hop.url, upstream.base) or upstream.config.token:
            return None
        await drain(answer.response, answer.host)
        answer.host.succeeded()

        async def ask(url: URL, authorization: str | None) -> tuple[int, bytes]:
            headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
            asked = _Request(url, headers, authorization=authorization or "")
            got = await self._send(upstream, asked)
            try:
                if got.response.status == 429 or got.response.status >= 500:
                    raise self._refusal(upstream, asked, got)
                with got.host.watching():
                    body = await read_document(got.response, got.host, _TOKEN_LIMIT)
                got.host.succeeded()
                return got.response.status, body
            finally:
                got.response.close()

        stale = self._bearers.held(upstream, hop.scope)
        authorization = await self._bearers.obtain(upstream, hop.scope, challenge, stale, ask)
        return None if authorization is None else replace(hop, authorization=authorization)

    async def _send(self, upstream: Upstream, request: _Request) -> _Answer:
        """The one way out: every request of the product passes here, one hop each."""
        assert self._session is not None, "the client is used outside of `async with`"
        host = self._host(upstream, request.url)
        host.admit()
        headers = {"User-Agent": USER_AGENT, **request.headers}
        authorization = request.authorization
        if authorization is None and addresses.is_same_origin(request.url, upstream.base):
            authorization = self._bearers.held(upstream, request.scope) or upstream.authorization()
        if authorization:
            headers["Authorization"] = authorization
        config = upstream.config
        with host.watching(is_repeatable=request.method in {"GET", "HEAD"}):
            response = await self._session.request(
                request.method,
                request.url,
                headers=headers,
                data=request.body,
                allow_redirects=False,
                ssl=await self._tls(),
                proxy=self._proxies.find(request.url),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=config.connect_timeout, sock_read=config.read_timeout
                ),
            )
        host.told(response.headers)
        return _Answer(response, host, request.url)

    async def _tls(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = await authorities.load()
        return self._ssl_context

    async def _judged(self, upstream: Upstream, request: _Request, answer: _Answer) -> _Answer:
        """The answer if it is one we asked for; otherwise its body is dropped and an error says what came."""
        status = answer.response.status
        if status in {200, 201, 203} or (status == 206 and "Range" in request.headers):
            return answer
        await drain(answer.response, answer.host)
        if status in {404, 410} or (status == 403 and upstream.config.absent_on_403):
            answer.host.succeeded()
            return replace(answer, is_absent=True)
        if status == 401 and request.authorization:  # signed in, and still nothing to see: no such name, or not for us
            answer.host.succeeded()
            return replace(answer, is_absent=True, is_refused=True)
        if status == 304 and request.is_conditional:
            answer.host.succeeded()
            return answer
        raise self._refusal(upstream, request, answer)

    def _refusal(self, upstream: Upstream, request: _Request, answer: _Answer) -> Exception:
        """What an answer without the wanted content means; counts it for the host."""
        response, host = answer.response, answer.host
        status, name = response.status, upstream.name
        wait = cache_control.retry_after(response.headers.get("Retry-After"), self._now())
        if status == 429 or (status == 503 and wait is not None):
            seconds = host.limited(wait)
            return UpstreamTrouble(
                f"{name} asks for fewer requests ({status})",
                retry_after=seconds,
                host=host.name,
                is_limited=status == 429,
            )
        if status >= 500 or status == 408:
            host.failed(f"answered {status}")
            passing = request.method in {"GET", "HEAD"}
            return UpstreamTrouble(
                f"{name} answered {status}", retry_after=wait, host=host.name, is_passing=passing, answered=status
            )
        host.succeeded()
        if status == 416:
            return UpstreamCorrupt(f"{name} no longer has the rest of a file", host=host.name)
        if status in {401, 407}:
            message = f"{name} does not accept our credentials ({status})"
            return UpstreamTrouble(message, host=host.name, is_refused=True)
        if status in {403, 451}:
            return Blocked(f"{name} refuses it: {status} {_phrase(response.reason)}".rstrip(), host=host.name)
        return UpstreamTrouble(f"{name} answered {status}", host=host.name, answered=status)

    def _host(self, upstream: Upstream, url: URL) -> Host:
        key = (upstream.name, addresses.authority(url))
        host = self._hosts.get(key)
        if host is None:
            # A budget is for the registry itself, not for where its files or its token service are.
            budget = upstream.config.budget if key[1] == addresses.authority(upstream.base) else 0
            host = self._hosts[key] = Host(*key, self._clock, self._now, -(-budget // self._workers))
        return host


def _phrase(reason: str | None) -> str:
    """A stranger's reason phrase, fit for our own messages."""
    return "".join(letter for letter in reason or "" if letter.isascii() and letter.isprintable())[:120].strip()
