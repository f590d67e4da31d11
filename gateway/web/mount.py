"""One request from its first byte to the log: the short way if it can be, else routed, answered, sent and noted.

This is also the one place that turns a bug into a 500 and a log line.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter

import structlog
from aiohttp import web

from gateway.adapter import Adapter, Challenged
from gateway.auth.authenticate import Authenticator
from gateway.errors import GatewayError, PathInvalid, Unauthenticated
from gateway.model import Repository, RepositoryKey
from gateway.services import Services
from gateway.web.answers import Answer
from gateway.web.asked import Asked
from gateway.web.errors import answer_for
from gateway.web.observe import Observer
from gateway.web.record import Record
from gateway.web.routing import Own, Routing, query_of
from gateway.web.shortcut import Shortcut

_MOST_REFUSED = 1024**3  # bytes of a refused body that are read, so that its sender hears why
_log = structlog.stdlib.get_logger("web")


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
        """`own`: handlers of the gateway's own addresses by prefix. `repository_page`: for browsers."""
        self._services = services
        self._observer = observer
        self._routing = Routing(services, adapters, authenticator, own, repository_page)
        self.shortcut = Shortcut(services, authenticator, observer)

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
        left = min(self._services.config.server.max_upload_size, _MOST_REFUSED)
        async for chunk in request.content.iter_any():
            left -= len(chunk)
            if left < 0:
                answer.close()
                return

    # ── the whole way ────────────────────────────────────────────────────────────────────────────────────────────
    async def _answer(self, request: web.BaseRequest, asked: Asked) -> Answer:
        try:
            return await self._routing.answer(request, asked)
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
    """The query, empty where nobody can read it: a refusal must not fail for that."""
    try:
        return query_of(request)
    except PathInvalid:
        return {}
