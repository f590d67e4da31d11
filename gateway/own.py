"""The gateway's own addresses: life signs, metrics, control API and dashboard, beside the repositories.

`/-/health` says that the process lives, `/-/ready` that it can do its work and, if not, which part cannot. Metrics are
for whoever signed in, and for loopback, since labels name types and upstreams but never packages.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Self

from aiohttp import web

from gateway.adapter import Adapter
from gateway.auth.authenticate import Authenticator, nobody
from gateway.errors import Forbidden, GatewayError, MethodNotAllowed
from gateway.housekeeping import Housekeeping, Sweep
from gateway.services import Services
from gateway.store.traffic import Traffic
from gateway.web.access_log import LogWriter
from gateway.web.admin import dispatch as control
from gateway.web.answers import Answer
from gateway.web.asked import Asked
from gateway.web.control.call import AdminServices
from gateway.web.metrics import CONTENT_TYPE, Metrics
from gateway.web.observe import Observer
from gateway.web.routing import Own

if TYPE_CHECKING:
    from gateway.ui.call import UiServices

_LEAST_SPACE = 64 * 1024**2  # bytes that must be free for us to be ready


class OwnAddresses:
    """Handlers of one worker for everything that is not a repository."""

    def __init__(self, services: Services, adapters: Sequence[Adapter], observer: Observer) -> None:
        self.services = services
        self.observer = observer
        self.authenticator = Authenticator(services.identities, services.database, services.config.auth)
        self.is_listening = False
        self._adapters = adapters
        self._dashboard: UiServices | None = None
        self._admin = AdminServices(
            identities=services.identities,
            repositories=services.repositories,
            packages=services.packages,
            audit=services.audit,
            documents=services.document_rows,
            blob_rows=services.blob_rows,
            upstream_client=services.client,
            authenticator=self.authenticator,
            formats=services.formats,
            upstreams=services.upstreams,
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, services: Services, adapters: Sequence[Adapter]) -> AsyncIterator[Self]:
        """Start observation, and make sure that a data folder nobody has claimed has its one-time link."""
        config = services.config
        async with AsyncExitStack() as stack:
            writer = LogWriter(config.log.access)
            metrics = Metrics(config.data / "metrics")
            observer = await stack.enter_async_context(
                Observer(
                    writer,
                    metrics,
                    Traffic(services.database),
                    services.client.health,
                    lambda: services.short_answers,
                )
            )
            services.fetched = observer.note_fetched
            services.client.on_document = lambda type_, size: observer.note_fetched(type_, "", size)
            yield cls(services, adapters, observer)

    def handlers(self) -> dict[str, Own]:
        """Handlers by prefix."""
        return {
            "/": self._root,
            "/-/health": self._health,
            "/-/ready": self._ready,
            "/-/metrics": self._metrics,
            "/-/api/": self._api,
            "/-/ui/": self._ui,
        }

    async def housekeeping(self) -> None:
        """Keep the cache within bounds, for as long as the server runs."""
        services = self.services
        keeper = Housekeeping(services.blob_rows, services.hosted, services.cache, _sweepers(services))
        await keeper.tend(services.config.cache.max_size, services.config.data / "housekeeping.lock")

    async def _root(self, request: web.BaseRequest, _: Asked) -> Answer:
        _only_get(request)
        return Answer(302, (("Location", "/-/ui/"), ("Cache-Control", "no-store")))

    async def _health(self, request: web.BaseRequest, _: Asked) -> Answer:
        _only_get(request)
        return _plain(200, "alive\n")

    async def _ready(self, request: web.BaseRequest, _: Asked) -> Answer:
        _only_get(request)
        missing = await self._not_ready()
        return _plain(503, "".join(f"{line}\n" for line in missing)) if missing else _plain(200, "ready\n")

    async def _not_ready(self) -> list[str]:
        """One line for each part that cannot do its work."""
        missing = [] if self.is_listening else ["server: not listening yet, or stopping"]
        try:
            self.services.database.point("SELECT 1 FROM setting LIMIT 1")
        except GatewayError as error:
            missing.append(f"catalogue: {error.message}")
        for name, blobs in (("hosted", self.services.hosted), ("cache", self.services.cache)):
            if not os.access(blobs.root, os.W_OK):
                missing.append(f"{name} store: the folder cannot be written")
            elif (free := await asyncio.to_thread(blobs.free_space)) < _LEAST_SPACE:
                missing.append(f"{name} store: only {free} bytes are free")
        return missing

    async def _api(self, request: web.BaseRequest, asked: Asked) -> Answer:
        assert asked.actor is not None
        return await control(self._admin, request, asked.actor, asked.request_id)

    async def _ui(self, request: web.BaseRequest, asked: Asked) -> Answer:
        # The pages and Jinja2 are a good part of a start's imports; many a process never shows one.
        from gateway.ui.call import UiServices, Visit  # noqa: PLC0415
        from gateway.ui.routes import dispatch  # noqa: PLC0415

        if self._dashboard is None:
            self._dashboard = UiServices.of(self.services, self._adapters, self.authenticator)
        client = asked.client
        actor = asked.actor or nobody(client.address)
        visit = Visit(asked.path, actor, client.address, client.scheme == "https", asked.root, asked.request_id)
        return await dispatch(self._dashboard, request, visit)

    async def _metrics(self, request: web.BaseRequest, asked: Asked) -> Answer:
        _only_get(request)
        if asked.actor is not None and asked.actor.is_anonymous and not _is_loopback(asked.client.address):
            raise Forbidden("metrics are for signed-in actors, or for loopback")
        body = await self.observer.render_metrics()
        return Answer(200, (("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store")), body)


def _sweepers(services: Services) -> tuple[Sweep, ...]:
    return services.spools.sweep, services.resumables.sweep


def _only_get(request: web.BaseRequest) -> None:
    if request.method not in {"GET", "HEAD"}:
        raise MethodNotAllowed("GET, HEAD")


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _plain(status: int, text: str) -> Answer:
    return Answer(status, (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")), text.encode())
