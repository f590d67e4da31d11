"""The one way out: every request of the product leaves here, and comes back as an answer that is judged.

Redirects are followed by hand, to the upstream's own hosts only; credentials go to the configured origin and nowhere
else, and to a token service only where the upstream's configuration has its host.
"""

import ssl
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Self

import aiohttp
from msgspec import Struct
from msgspec.structs import replace
from yarl import URL

from gateway.errors import Blocked, UpstreamCorrupt, UpstreamTrouble
from gateway.upstream import addresses, authorities, cache_control
from gateway.upstream.bearer import Bearers, read_challenges
from gateway.upstream.bodies import drain, read_document
from gateway.upstream.breaker import Breaker
from gateway.upstream.hosts import Host, UpstreamHealth
from gateway.upstream.proxies import Proxies
from gateway.upstream.registry import Upstream

USER_AGENT = f"entrepot/{version('entrepot')}"
_BUFFER = 256 * 1024  # what the loop reads at once: with less, each read of a large file stops the next one
_HEADER_SIZE, _HEADER_COUNT = 16 * 1024, 128
_TOKEN_LIMIT = 64 * 1024


class Elsewhere(Exception):
    """A redirect leads to a file of another upstream that is configured: `upstream`."""

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream.name)
        self.upstream = upstream


class Request(Struct, frozen=True):
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


class Answer(Struct, frozen=True):
    """The head of a final answer (no redirect), judged: 200 to 203, 206, 304, or absent."""

    response: aiohttp.ClientResponse
    host: Host
    url: URL
    is_absent: bool = False
    is_refused: bool = False


class Sender:
    """`async with sender:`; the session, the hosts and the tokens of one process."""

    def __init__(
        self,
        proxies: Proxies,
        clock: Callable[[], float],
        now: Callable[[], float],
        *,
        ssl_context: ssl.SSLContext | None,
        connections: int,
        workers: int,
    ) -> None:
        """As for `UpstreamClient`."""
        self._proxies = proxies
        self._clock = clock
        self._now = now
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

    async def open(self, upstream: Upstream, request: Request) -> Answer:
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

    def host(self, upstream: Upstream, url: URL) -> Host:
        """What is known of the host of an address, made when it is first asked for."""
        key = (upstream.name, addresses.authority(url))
        host = self._hosts.get(key)
        if host is None:
            # A budget is for the registry itself, not for where its files or its token service are.
            budget = upstream.config.budget if key[1] == addresses.authority(upstream.base) else 0
            host = self._hosts[key] = Host(*key, self._clock, self._now, -(-budget // self._workers))
        return host

    def health(self) -> list[UpstreamHealth]:
        """Every host that was asked so far, by upstream and host."""
        return [self._hosts[key].health() for key in sorted(self._hosts)]

    def thrift(self, upstream: Upstream) -> float:
        """Seconds for which what is kept of it counts as fresh at least: 0.0, unless it may hardly be asked."""
        host = self._hosts.get((upstream.name, addresses.authority(upstream.base)))
        return 0.0 if host is None else host.thrift()

    def distrust(self, upstream: Upstream) -> None:
        """Count bytes of it that were not what was promised."""
        self.host(upstream, upstream.base).lied()

    def forgive(self) -> None:
        """Close every breaker and forget every Retry-After: an operator knows that the trouble is over."""
        for host in self._hosts.values():
            host.breaker = Breaker()

    async def _signed(self, upstream: Upstream, hop: Request, answer: Answer) -> Request | None:
        """The same hop with what the token service gave us for it; None where the answer sends us to none."""
        challenge = read_challenges(answer.response.headers.getall("WWW-Authenticate", []))
        if challenge is None or not addresses.is_same_origin(hop.url, upstream.base) or upstream.config.token:
            return None
        await drain(answer.response, answer.host)
        answer.host.succeeded()

        async def ask(url: URL, authorization: str | None) -> tuple[int, bytes]:
            headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
            asked = Request(url, headers, authorization=authorization or "")
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

    async def _send(self, upstream: Upstream, request: Request) -> Answer:
        """The one way out: every request of the product passes here, one hop each."""
        assert self._session is not None, "the client is used outside of `async with`"
        host = self.host(upstream, request.url)
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
        return Answer(response, host, request.url)

    async def _tls(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = await authorities.load()
        return self._ssl_context

    async def _judged(self, upstream: Upstream, request: Request, answer: Answer) -> Answer:
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

    def _refusal(self, upstream: Upstream, request: Request, answer: Answer) -> Exception:
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


def _phrase(reason: str | None) -> str:
    """A stranger's reason phrase, fit for our own messages."""
    return "".join(letter for letter in reason or "" if letter.isascii() and letter.isprintable())[:120].strip()
