"""From an address to the handler that answers it: dialect → repository → actor → route.

The dialect is known from the address before anything else is looked up, so that even "no such repository" is said in
the ecosystem's own words.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from urllib.parse import parse_qsl

from aiohttp import web
from msgspec import Struct

from gateway.adapter import CODE_HEADER, Adapter, HostRoute, Route
from gateway.auth.authenticate import Authenticator, nobody
from gateway.errors import Forbidden, GatewayError, PathInvalid, RepositoryUnknown, RouteUnknown, Unauthenticated
from gateway.model import Actor, RepositoryKey, Scope
from gateway.services import Services
from gateway.web.addresses import Addresses
from gateway.web.answers import Answer
from gateway.web.asked import Asked
from gateway.web.call import Call, HostCall
from gateway.web.credentials import read_code, read_credentials
from gateway.web.paths import Match, RouteTable, guard
from gateway.web.sessions import require_same_site

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

Own = Callable[[web.BaseRequest, Asked], Awaitable[Answer]]


class _Dialect(Struct, frozen=True):
    """One adapter and its routes, compiled."""

    adapter: Adapter
    routes: RouteTable[Route]
    host_routes: RouteTable[HostRoute]


class Routing:
    """Finds the handler of a request, and notes in `Asked` what it learns on the way."""

    def __init__(
        self,
        services: Services,
        adapters: Iterable[Adapter],
        authenticator: Authenticator,
        own: Mapping[str, Own],
        repository_page: Callable[[RepositoryKey], Answer],
    ) -> None:
        """`own`: handlers of the gateway's own addresses by prefix. `repository_page`: for browsers."""
        self._services = services
        self._authenticator = authenticator
        self._own = sorted(own.items(), key=lambda item: -len(item[0]))
        self._repository_page = repository_page
        self._addresses = Addresses(services)
        self._dialects: dict[str, _Dialect] = {}
        self._claimed: dict[str, _Dialect] = {}
        for adapter in adapters:
            dialect = _Dialect(adapter, RouteTable(adapter.routes), RouteTable(adapter.host_routes))
            for name in (adapter.type, *adapter.aliases):
                self._dialects[name] = dialect
            self._claimed |= dict.fromkeys(adapter.claims, dialect)
        self._deeper = [(claim, dialect) for claim, dialect in self._claimed.items() if "/" in claim]

    async def answer(self, request: web.BaseRequest, asked: Asked) -> Answer:
        """What the handler answers; raises GatewayError."""
        raw = request.raw_path.partition("?")[0]
        if not raw.startswith("/"):
            raise PathInvalid("the request target must be a path")
        self._note_dialect(raw, asked)
        asked.client = self._addresses.client(request)
        asked.root = self._addresses.root(asked.client)
        repository = self._addresses.repository(asked.client.host)
        if repository is not None and not raw.startswith("/-/ui/"):
            asked.adapter = self._dialects[repository.key.type].adapter
            return await self._in_repository(request, asked, repository.key, raw[1:], asked.root)
        if self._claiming(raw) is not None:
            return await self._at_root(request, asked, raw)
        owner_path = self._by_domain(raw, asked)
        if owner_path is None and (mine := self._own_handler(raw)) is not None:
            asked.path = guard(raw)
            asked.actor = await self._actor(request, asked)
            return await mine(request, asked)
        return await self._by_path(request, asked, owner_path or raw)

    # ── which repository ─────────────────────────────────────────────────────────────────────────────────────────
    def _note_dialect(self, raw: str, asked: Asked) -> None:
        """Know whose words to use for errors, before anything can go wrong."""
        dialect = self._claiming(raw) or self._dialects.get(raw[1:].partition("/")[0])
        asked.adapter = dialect.adapter if dialect is not None else None

    def _claiming(self, raw: str) -> _Dialect | None:
        """Who claims this address at the root of the host: its first segment, or more of them."""
        first = self._claimed.get(raw[1:].partition("/")[0])
        return first or next((of for claim, of in self._deeper if raw.startswith(f"/{claim}/")), None)

    def _by_domain(self, raw: str, asked: Asked) -> str | None:
        """The path form of `<type>.<base_domain>/owner/repo/…`."""
        label = self._addresses.label(asked.client.host)
        dialect = self._dialects.get(label) if label is not None else None
        if dialect is None or raw.startswith("/-/"):
            return None
        asked.adapter = dialect.adapter
        return f"/{dialect.adapter.type}{raw}"

    def _own_handler(self, raw: str) -> Own | None:
        for prefix, handler in self._own:
            if raw == prefix or (prefix.endswith("/") and prefix != "/" and raw.startswith(prefix)):
                return handler
        return None

    async def _by_path(self, request: web.BaseRequest, asked: Asked, raw: str) -> Answer:
        parts = raw.split("/", 4)
        if asked.adapter is None or len(parts) < 4 or (len(parts) == 4 and not parts[3]):
            guard(raw)
            asked.actor = await self._actor(request, asked)
            raise RouteUnknown("an address here begins with /<type>/<owner>/<repository>/")
        guard("/".join(parts[:4]))
        key = RepositoryKey.checked(asked.adapter.type, parts[2], parts[3])
        is_domain = self._addresses.label(asked.client.host) is not None
        prefix = asked.root if is_domain else f"{asked.root}{parts[1]}/"
        base = f"{prefix}{key.owner}/{key.name}/"
        return await self._in_repository(request, asked, key, parts[4] if len(parts) > 4 else "", base)

    async def _at_root(self, request: web.BaseRequest, asked: Asked, raw: str) -> Answer:
        """An address that an adapter claims at the root of the host: it says which repository it means, if any."""
        adapter = asked.adapter
        assert adapter is not None
        assert adapter.locate is not None
        path = adapter.normalize_path(raw)
        guard(path)
        of_type = (r for r in self._services.known().values() if r.key.type == adapter.type)
        place = adapter.locate(path, query_of(request), of_type)
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

    # ── in a repository ──────────────────────────────────────────────────────────────────────────────────────────
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
        if not asked.rest and _is_browser(request, asked):
            return self._repository_page(key)  # whether or not it is there: the page knows who may be told
        if repository is None:
            return await self._in_none(request, asked, adapter, actor, key)
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
            _admit(call, match.route.scope)
        try:
            return await match.route.handler(call)
        finally:
            asked.package = call.package

    async def _in_none(
        self, request: web.BaseRequest, asked: Asked, adapter: Adapter, actor: Actor, key: RepositoryKey
    ) -> Answer:
        """Where there is no such repository; raises, but for the addresses with which an adapter stands in."""
        for route in adapter.host_routes:
            if route.stands_in and (route.method, route.pattern) == (request.method, asked.rest):
                return await self._of_host(request, asked, adapter, actor, Match(route, {}))
        if actor.is_anonymous:
            raise Unauthenticated(f"{key} needs a token")
        if adapter.hides_by_403 and not actor.is_admin:
            raise Forbidden(f"{actor.name} has no {Scope.READ} on {key}")
        raise RepositoryUnknown(f"no repository {key}")

    async def _actor(self, request: web.BaseRequest, asked: Asked) -> Actor:
        adapter, address = asked.adapter, asked.client.address
        if adapter is not None and asked.rest in adapter.signs_in:
            return nobody(address)
        is_change = request.method not in _SAFE
        if is_change:
            require_same_site(request.headers)  # a browser adds the password that it remembers to anybody's form
        return await self._authenticator.actor(
            read_credentials(request.headers),
            address,
            adapter.type if adapter is not None else "",
            code=read_code(request.headers, adapter.code_header if adapter else CODE_HEADER) if is_change else "",
            is_change=is_change,
        )


def query_of(request: web.BaseRequest) -> dict[str, str]:
    """The query as text; of what is given twice the last. Raises PathInvalid for one of more than a hundred fields."""
    try:
        return dict(parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True, max_num_fields=100))
    except ValueError as error:
        raise PathInvalid("the query has too many fields") from error


def _is_browser(request: web.BaseRequest, asked: Asked) -> bool:
    return (
        request.method in {"GET", "HEAD"}
        and "text/html" in asked.accept
        and "Mozilla" in request.headers.get("User-Agent", "")
    )


def _admit(call: Call, scope: Scope) -> None:
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
