"""Signing in at an upstream that sends us to a token service (distribution's auth/token spec), as a client.

The service may be only on a host that is configured for the upstream: a challenge is written by a stranger, and must
not make us carry credentials elsewhere (CVE-2020-15157, CVE-2026-33540). What it gives is kept per scope for nine
tenths of its life, and asked for by one at a time. Nothing here opens a connection.
"""

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

import msgspec
from cachetools import LRUCache
from msgspec import Struct
from yarl import URL

from gateway.errors import UpstreamTrouble
from gateway.upstream import addresses
from gateway.upstream.registry import Upstream

_PARAMETER = re.compile(r'[\s,]*([A-Za-z_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME = re.compile(r"[\s,]*([A-Za-z][A-Za-z0-9_-]*)(?=\s|\Z)")
_SECONDS = 60.0  # that a token lives when the service does not say
_LONGEST = 16 * 1024
_REST = 60.0  # seconds without another try after a refused sign-in: registries ban who tries on

Ask = Callable[[URL, str | None], Awaitable[tuple[int, bytes]]]
"""GET an address with an Authorization header, or without for None; status and a bounded body."""


class Challenge(Struct, frozen=True):
    """Where a Bearer challenge sends us, and for what."""

    realm: str
    service: str
    scope: str


def read_challenges(values: Sequence[str]) -> Challenge | None:
    """The first Bearer challenge with a realm in these `WWW-Authenticate` headers, or None."""
    for value in values:
        for scheme, parameters in _split(value[:8192]):
            if scheme.lower() == "bearer" and parameters.get("realm"):
                return Challenge(parameters["realm"], parameters.get("service", ""), parameters.get("scope", ""))
    return None


class Bearers:
    """The tokens of one process, by upstream and scope."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._clock = clock
        self._tokens: LRUCache[tuple[str, str], tuple[str, float]] = LRUCache(5000)
        self._refused: dict[str, float] = {}
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def held(self, upstream: Upstream, scope: str) -> str | None:
        """The Authorization header for a scope, or None while there is none that lives."""
        token, until = self._tokens.get((upstream.name, scope), ("", 0.0))
        return f"Bearer {token}" if token and self._clock() < until else None

    async def obtain(
        self, upstream: Upstream, scope: str, challenge: Challenge, stale: str | None, ask: Ask
    ) -> str | None:
        """The Authorization header that answers a challenge; None where the service has none for us.

        stale: the header that was just refused. Raises UpstreamTrouble for a service elsewhere, in trouble, or one that
        does not take our credentials.
        """
        key = (upstream.name, scope)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            known = self.held(upstream, scope)
            if known is not None and known != stale:
                return known
            if self._clock() < self._refused.get(upstream.name, 0.0):
                message = f"{upstream.name} did not take our credentials a moment ago"
                raise UpstreamTrouble(message, retry_after=_REST, is_refused=True)
            realm = _address(upstream, challenge)
            status, body = await ask(realm, _basic(upstream))
            if status in {401, 403}:
                if _basic(upstream) is None:
                    return None
                self._refused[upstream.name] = self._clock() + _REST
                raise UpstreamTrouble(f"{upstream.name} does not take our credentials ({status})", is_refused=True)
            token, seconds = _read(upstream, status, body)
            self._tokens[key] = (token, self._clock() + seconds * 0.9)
            return f"Bearer {token}"


def _address(upstream: Upstream, challenge: Challenge) -> URL:
    try:
        realm = addresses.checked_address(challenge.realm, upstream.bounds)
    except UpstreamTrouble as error:
        message = f"{upstream.name} sends us to sign in at a place that is not one of its hosts"
        raise UpstreamTrouble(message, **error.detail) from error
    query = {**({"service": challenge.service} if challenge.service else {})}
    scopes = [("scope", scope) for scope in challenge.scope.split(" ") if scope]
    return realm.extend_query([*query.items(), *scopes])


def _basic(upstream: Upstream) -> str | None:
    """Our credentials for the token service; an upstream's static token is for the upstream alone."""
    config = upstream.config
    if not config.username and not config.password:
        return None
    return f"Basic {base64.b64encode(f'{config.username}:{config.password}'.encode()).decode()}"


def _read(upstream: Upstream, status: int, body: bytes) -> tuple[str, float]:
    try:
        tree: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        tree = None
    token = tree.get("token") or tree.get("access_token") if status == 200 and isinstance(tree, Mapping) else None
    if not isinstance(token, str) or not token or len(token) > _LONGEST or not _is_plain(token):
        raise UpstreamTrouble(f"the token service of {upstream.name} answered {status} and no token")
    seconds = tree.get("expires_in")
    lives = float(seconds) if isinstance(seconds, int | float) and 0 < seconds < 86400 else _SECONDS
    return token, lives


def _is_plain(token: str) -> bool:
    return token.isascii() and token.isprintable() and " " not in token


def _split(value: str) -> list[tuple[str, dict[str, str]]]:
    """Schemes with their parameters (RFC 9110 §11.6.1); what cannot be read ends it."""
    found: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(value) and (scheme := _SCHEME.match(value, position)):
        position = scheme.end()
        parameters: dict[str, str] = {}
        while match := _PARAMETER.match(value, position):
            name, quoted, plain = match.groups()
            parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            position = match.end()
        found.append((scheme[1], parameters))
    return found
