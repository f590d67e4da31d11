"""From a request to the handler that answers it: address → adapter and repository → actor → route.

The dialect is known from the address before anything else is looked up, so that even "no such repository" is said in
the ecosystem's own words. This is also the one place that turns a bug into a 500 and a log line.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import perf_counter
from urllib.parse import parse_qsl

import structlog
from aiohttp import web
from msgspec import Struct

from gateway.adapter import Adapter, Challenged, HostRoute, Route
from gateway.auth.authenticate import Authenticator, nobody
from gateway.errors import Forbidden, GatewayError, PathInvalid, RepositoryUnknown, RouteUnknown, Unauthenticated
from gateway.model import Actor, Repository, RepositoryKey, Scope
from gateway.services import Services
from gateway.web.answers import Answer
from gateway.web.asked import Asked
from gateway.web.call import Call, HostCall
from gateway.web.credentials import read_credentials
from gateway.web.errors import answer_for
from gateway.web.forwarded import Client, TrustedProxies
from gateway.web.observe import Observer
from gateway.web.paths import Match, RouteTable, guard
from gateway.web.record import Record
from gateway.web.shortcut import Shortcut

_log = structlog.stdlib.get_logger("web")
_READY_SECONDS = 30.0
_HTTP_1_1 = (1, 1)

Own = Callable[[web.BaseRequest, Asked], Awaitable[Answer]]


class _Dialect(Struct, frozen=True):
    """One adapter and its routes, compiled."""

    adapter: Adapter
    routes: RouteTable[Route]
    host_routes: RouteTable[HostRoute]


class Mount:
    """The server's one handler."""

    def __init__(
        self,
        services: Services,
        adapters: Iterable[Adapter],
        authenticator: Authenticator,
        observer: Observer,
        own: Mapping[str, Own],
        repository_page: Callable[[RepositoryKey], Answer],
    ) -> None:
        """`own`: handlers of the gateway's own addresses by prefix, longest first. `repository_page`: for browsers."""
        self._services = services
        self._authenticator = authenticator
        self._observer = observer
        self._own = sorted(own.items(), key=lambda item: -len(item[0]))
        self._repository_page = repository_page
        self._proxies = TrustedProxies(services.config.server.trusted_proxies)
        self.shortcut = Shortcut(services, authenticator, observer)
        self._dialects: dict[str, _Dialect] = {}
        self._claimed: dict[str, _Dialect] = {}
        for adapter in adapters:
            dialect = _Dialect(adapter, RouteTable(adapter.routes), RouteTable(adapter.host_routes))
            for name in (adapter.type, *adapter.aliases):
                self._dialects[name] = dialect
            self._claimed |= dict.fromkeys(adapter.claims, dialect)
        self._hosts: dict[str, Repository] = {}
        self._hosts_of: object = None

    async def __call__(self, request: web.BaseRequest) -> Answer:
        """Answer one request; what is returned has been sent already."""
        started = perf_counter()
        observer = self._observer
        observer.in_flight += 1
        try:
            glance = self.shortcut.look(request)
            if glance.answer is not None:
                await self.shortcut.send(request, glance, started)
                return glance.answer
            asked = Asked(observer.ids.take(request.headers.get("X-Request-Id")), request.headers.get("Accept", ""))
            answer = await self._answer(request, asked)
            try:
                answer = await self._send(request, asked, answer)
            finally:
                self._note_asked(request, answer, asked, started)
            self.shortcut.keep(request, glance, answer, asked)
            return answer
        finally:
            observer.in_flight -= 1

    async def _send(self, request: web.BaseRequest, asked: Asked, answer: Answer) -> Answer:
        """Send it; what a cold file only learns while it is opened can still become an error with a body."""
        answer.request_id = asked.request_id
        if not request.content.at_eof() and request.can_read_body:
            await self._finish_body(request, answer)
        try:
            await answer.send(request)
        except GatewayError as error:
            answer = self._refuse(asked, error, request)
            answer.request_id = asked.request_id
            await answer.send(request)
        return answer

    async def _finish_body(self, request: web.BaseRequest, answer: Answer) -> None:
        """Read what is left of a refused body first: twine and uv show our reason only after they sent all of theirs.

        A client that waits for leave to send (`Expect: 100-continue`) is answered at once, and the connection ends.
        """
        if request.headers.get("Expect", "").lower() == "100-continue" and not request.content.total_bytes:
            answer.close()
            return
        left = self._services.config.server.max_upload_size
        async for chunk in request.content.iter_any():
            left -= len(chunk)
            if left < 0:
                answer.close()
                return

    # ── the whole way ────────────────────────────────────────────────────────────────────────────────────────────
    async def _answer(self, request: web.BaseRequest, asked: Asked) -> Answer:
        try:
            return await self._route(request, asked)
        except GatewayError as error:
            if error.status in {401, 403}:
                self._audit_refusal(request, asked, error)
            if error.status >= 500:
                _log.warning(
                    "could not answer",
                    code=error.code,
                    message=error.message,
                    request_id=asked.request_id,
                    **error.detail,
                )
            return self._refuse(asked, error, request)
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 the one place that does
            _log.exception("a bug", request_id=asked.request_id, path=asked.path)
            bug = GatewayError("something went wrong here; the log has it under this request id")
            return self._refuse(asked, bug, request)

    def _refuse(self, asked: Asked, error: GatewayError, request: web.BaseRequest) -> Answer:
        adapter = asked.adapter
        if isinstance(error, Unauthenticated) and adapter is not None and adapter.challenge_for is not None:
            asked_for = Challenged(
                request.method, asked.root, asked.base, asked.rest, asked.key, asked.place, _query(request), error
            )
            return answer_for(error, adapter.format, asked.accept, adapter.challenge_for(asked_for))
        realm = _realm(asked.repository) if asked.repository else "entrepot"
        scheme = adapter.challenge if adapter is not None else "Bearer"
        format_ = adapter.format if adapter is not None else None
        return answer_for(error, format_, asked.accept, f'{scheme} realm="{realm}"')

    async def _route(self, request: web.BaseRequest, asked: Asked) -> Answer:
        raw = request.raw_path.partition("?")[0]
        if not raw.startswith("/"):
            raise PathInvalid("the request target must be a path")
        self._note_dialect(raw, asked)
        asked.client = self._client(request)
        asked.root = self._root(asked.client)
        repository = self._repository_of_host(asked.client.host)
        if repository is not None and not raw.startswith("/-/ui/"):
            asked.adapter = self._dialects[repository.key.type].adapter
            return await self._in_repository(request, asked, repository.key, raw[1:], asked.root)
        if raw[1:].partition("/")[0] in self._claimed:
            return await self._at_root(request, asked, raw)
        owner_path = self._by_domain(raw, asked)
        if owner_path is None and (mine := self._own_handler(raw)) is not None:
            asked.path = guard(raw)
            asked.actor = await self._actor(request, asked)
            return await mine(request, asked)
        return await self._by_path(request, asked, owner_path or raw)

    def _note_dialect(self, raw: str, asked: Asked) -> None:
        """Know whose words to use for errors, before anything can go wrong."""
        first = raw[1:].partition("/")[0]
        dialect = self._claimed.get(first) or self._dialects.get(first)
        asked.adapter = dialect.adapter if dialect is not None else None

    def _by_domain(self, raw: str, asked: Asked) -> str | None:
        """The path form of `<type>.<base_domain>/owner/repo/…`."""
        domain = self._services.config.server.base_domain
        host = asked.client.host.partition(":")[0]
        if not domain or not host.endswith(f".{domain}"):
            return None
        dialect = self._dialects.get(host.removesuffix(f".{domain}"))
        if dialect is None or raw.startswith("/-/"):
            return None
        asked.adapter = dialect.adapter
        return f"/{dialect.adapter.type}{raw}"

    async def _by_path(self, request: web.BaseRequest, asked: Asked, raw: str) -> Answer:
        parts = raw.split("/", 4)
        if asked.adapter is None or len(parts) < 4 or (len(parts) == 4 and not parts[3]):
            guard(raw)
            asked.actor = await self._actor(request, asked)
            raise RouteUnknown("an address here begins with /<type>/<owner>/<repository>/")
        guard("/".join(parts[:4]))
        key = RepositoryKey.checked(asked.adapter.type, parts[2], parts[3])
        prefix = f"{asked.root}{parts[1]}/" if not self._is_domain(asked) else asked.root
        base = f"{prefix}{key.owner}/{key.name}/"
        return await self._in_repository(request, asked, key, parts[4] if len(parts) > 4 else "", base)

    async def _at_root(self, request: web.BaseRequest, asked: Asked, raw: str) -> Answer:
        """An address that an adapter claims at the root of the host: it says which repository it means, if any."""
        adapter = asked.adapter
        assert adapter is not None
        assert adapter.locate is not None
        guard(adapter.normalize_path(raw))
        of_type = (r for r in self._services.known().values() if r.key.type == adapter.type)
        place = adapter.locate(adapter.normalize_path(raw), _query(request), of_type)
        if place is None:
            raise RepositoryUnknown("no repository is behind this address")
        if place.key is not None:
            asked.place = place
            base = f"{asked.root}{place.key.type}/{place.key.owner}/{place.key.name}/"
            return await self._in_repository(request, asked, place.key, place.rest, base)
        asked.path = guard("/" + place.rest)
        asked.rest = asked.path[1:]
        match = self._dialects[adapter.type].host_routes.find(request.method, asked.rest)
        asked.actor = actor = await self._actor(request, asked)
        return await self._of_host(request, asked, adapter, actor, match)

    async def _of_host(
        self, request: web.BaseRequest, asked: Asked, adapter: Adapter, actor: Actor, match: Match[HostRoute]
    ) -> Answer:
        call = HostCall(
            self._services,
            adapter,
            actor,
            request,
            match.captures,
            asked.root,
            asked.request_id,
            self._authenticator,
        )
        return await match.route.handler(call)

    def _is_domain(self, asked: Asked) -> bool:
        domain = self._services.config.server.base_domain
        return bool(domain) and asked.client.host.partition(":")[0].endswith(f".{domain}")

    async def _in_repository(
        self, request: web.BaseRequest, asked: Asked, key: RepositoryKey, raw_rest: str, base: str
    ) -> Answer:
        adapter = asked.adapter
        assert adapter is not None
        asked.path = guard("/" + adapter.normalize_path(raw_rest))
        asked.rest = asked.path[1:]
        asked.key, asked.base = key, base
        asked.repository = repository = self._services.repository(key)
        asked.actor = actor = await self._actor(request, asked)
        if (
            not asked.rest
            and request.method in {"GET", "HEAD"}
            and "text/html" in asked.accept
            and "Mozilla" in request.headers.get("User-Agent", "")
        ):
            return self._repository_page(key)  # whether or not it is there: the page knows who may be told
        if repository is None:
            for route in adapter.host_routes:
                if route.stands_in and (route.method, route.pattern) == (request.method, asked.rest):
                    return await self._of_host(request, asked, adapter, actor, Match(route, {}))
            if actor.is_anonymous:
                raise Unauthenticated(f"{key} needs a token")
            if adapter.hides_by_403 and not actor.is_admin:
                raise Forbidden(f"{actor.name} has no {Scope.READ} on {key}")
            raise RepositoryUnknown(f"no repository {key}")
        match = self._dialects[adapter.type].routes.find(request.method, asked.rest)
        call = Call(
            self._services,
            adapter,
            repository,
            actor,
            request,
            match.captures,
            base,
            asked.root,
            asked.request_id,
            self._authenticator,
            asked.place,
        )
        if match.route.scope is not None:
            self._admit(call, match.route.scope)
        try:
            return await match.route.handler(call)
        finally:
            asked.package = call.package

    def _admit(self, call: Call, scope: Scope) -> None:
        """Refuse early who has no right in this repository at all, before a handler reads a body or asks an upstream.

        Writes are decided by the use case, which knows the package; here it is enough that some right exists.
        """
        try:
            call.pull.require(Scope.READ)
        except Unauthenticated:
            raise
        except GatewayError as error:
            if call.adapter.hides_by_404 and scope is Scope.READ:
                raise RepositoryUnknown(f"no repository {call.repository.key}") from error
            raise
        if scope is not Scope.READ and call.actor.is_anonymous:
            call.pull.require(scope)

    async def _actor(self, request: web.BaseRequest, asked: Asked) -> Actor:
        adapter, address = asked.adapter, asked.client.address
        if adapter is not None and asked.rest in adapter.signs_in:
            return nobody(address)
        return await self._authenticator.actor(
            read_credentials(request.headers), address, adapter.type if adapter is not None else ""
        )

    def _own_handler(self, raw: str) -> Own | None:
        for prefix, handler in self._own:
            if raw == prefix or (prefix.endswith("/") and prefix != "/" and raw.startswith(prefix)):
                return handler
        return None

    # ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────
    def _client(self, request: web.BaseRequest) -> Client:
        return self._proxies.read(request.headers, request.remote or "", request.scheme)

    def _root(self, client: Client) -> str:
        """Our external address for this request, ending in a slash.

        `public_url` speaks for its own host and for requests without one; other host names that reach us (a domain per
        type, a repository's own host) speak for themselves.
        """
        server = self._services.config.server
        if server.public_url and (not client.host or not self._is_special(client.host)):
            return server.public_url.rstrip("/") + "/"
        return f"{client.scheme}://{client.host or f'{server.host}:{server.port}'}/"

    def _is_special(self, host: str) -> bool:
        domain = self._services.config.server.base_domain
        return (bool(domain) and host.partition(":")[0].endswith(f".{domain}")) or (
            self._repository_of_host(host) is not None
        )

    def _repository_of_host(self, host: str) -> Repository | None:
        """The repository that is mounted at the root of this host name, `host:port` or `:port`."""
        known = self._services.known()
        if known is not self._hosts_of:
            self._hosts = {name.lower(): r for r in known.values() for name in r.hosts}
            self._hosts_of = known
        if not self._hosts:
            return None
        name, _, port = host.lower().rpartition(":")
        return self._hosts.get(host.lower()) or self._hosts.get(name) or (self._hosts.get(f":{port}") if name else None)

    # ── observation ──────────────────────────────────────────────────────────────────────────────────────────────
    def _audit_refusal(self, request: web.BaseRequest, asked: Asked, error: GatewayError) -> None:
        """Every denied request of somebody is recorded; an anonymous 401 is only logged, since it must stay cheap."""
        if asked.actor is None or asked.actor.is_anonymous:
            return
        self._services.denials.note(
            actor=asked.actor.name,
            repository=str(asked.repository.key) if asked.repository else "",
            detail={"method": request.method, "path": asked.path[:200], "why": error.message},
            address=asked.client.address,
            request_id=asked.request_id,
        )

    def _note_asked(self, request: web.BaseRequest, answer: Answer, asked: Asked, started: float) -> None:
        self._observer.note(
            Record(
                time.time(),
                asked.request_id,
                request.method,
                request.raw_path,
                answer.status,
                asked.actor.name if asked.actor is not None else "",
                asked.adapter.type if asked.adapter is not None else "",
                str(asked.repository.key) if asked.repository is not None else "",
                asked.package,
                answer.layer,
                answer.freshness,
                answer.sent,
                (perf_counter() - started) * 1000,
                asked.client.address,
                request.headers.get("User-Agent", ""),
            )
        )


def _realm(repository: Repository) -> str:
    """What the challenge names: several clients choose credentials by host and realm, so it can be configured."""
    realm = str(repository.settings.get("realm") or f"{repository.key.owner}/{repository.key.name}")
    return "".join(letter for letter in realm if letter.isprintable() and letter not in '"\\')


def _query(request: web.BaseRequest) -> dict[str, str]:
    try:
        return dict(parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True, max_num_fields=100))
    except ValueError as error:
        raise PathInvalid("the query has too many fields") from error
