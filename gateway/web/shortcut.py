"""What was answered a moment ago is answered again: from the table of `gateway.web.ready`, without routing.

`look` finds out whether this request can be; `keep` puts an answer that was made the whole way into the table.
"""

import time
from time import perf_counter

from aiohttp import web

from gateway.auth.authenticate import Authenticator
from gateway.errors import GatewayError
from gateway.layers import members
from gateway.model import Repository
from gateway.services import Services
from gateway.web.answers import Answer, ReadyAnswer, tail
from gateway.web.asked import Asked
from gateway.web.fast import FastHandler
from gateway.web.file_answer import FileAnswer, WarmAnswer
from gateway.web.observe import Observer
from gateway.web.ready import Entry, Key, PageAnswer, Raw, Ready, entry_heads, etag_matches
from gateway.web.record import Record

_READY_SECONDS = 30.0
_LASTING_SECONDS = 600.0
_HTTP_1_1 = (1, 1)


class Glance:
    """One request as the table sees it. `answer`: what can be sent at once, or None."""

    __slots__ = ("answer", "chunk", "entry", "key", "sequence")

    def __init__(self, key: Key | None, chunk: bytes | None, sequence: int) -> None:
        """chunk: the request's very bytes where they are known. sequence: the newest generation as it came in."""
        self.key = key
        self.chunk = chunk
        self.sequence = sequence
        self.entry: Entry | None = None
        self.answer: Answer | None = None


class Shortcut:
    """The short way of one worker; `ready` is also what its connections look into before they parse anything."""

    def __init__(self, services: Services, authenticator: Authenticator, observer: Observer) -> None:
        self._services = services
        self._authenticator = authenticator
        self._observer = observer
        config = services.config
        self.ready = Ready(services.database, config.cache.memory, is_forwarded=bool(config.server.trusted_proxies))
        self.ready.on_hit = self._hit

    def look(self, request: web.BaseRequest) -> Glance:
        """Whether the table has the answer; a file of it is opened then, and is closed by sending it."""
        protocol = request.protocol
        chunk = protocol.chunk if isinstance(protocol, FastHandler) else None
        glance = Glance(self.ready.key(request), chunk, self._services.database.sequence())
        if glance.key is None:
            return glance
        entry = self.ready.find(glance.key, time.time())
        if entry is None:
            return glance
        try:
            glance.answer = _answer(entry, request.headers.get("If-None-Match"))
            glance.entry = entry
        except GatewayError:  # evicted meanwhile
            self.ready.forget(glance.key)
        return glance

    async def send(self, request: web.BaseRequest, glance: Glance, started: float) -> None:
        """Send the answer that was found."""
        answer, entry = glance.answer, glance.entry
        assert answer is not None
        assert entry is not None
        answer.request_id = self._observer.ids.take(request.headers.get("X-Request-Id"))
        raw = Raw(entry, answer.status == 304, request.raw_path, request.headers.get("User-Agent", ""))
        try:
            await answer.send(request)
        finally:
            self._used(entry)
            self._note(raw, answer.status, answer.request_id, answer.sent, (perf_counter() - started) * 1000)
        self._keep_raw(request, glance.chunk, answer, raw)

    def keep(self, request: web.BaseRequest, glance: Glance, answer: Answer, asked: Asked) -> None:
        """Remember an answer that the next request of the same kind may have as it is, if it is of that sort."""
        if glance.key is None or answer.status != 200 or glance.sequence != self._services.database.sequence():
            return  # something moved while it was made
        entry = self._entry(glance.key, answer, asked)
        if entry is not None:
            self.ready.keep(glance.key, entry)
            raw = Raw(entry, False, request.raw_path, request.headers.get("User-Agent", ""))
            self._keep_raw(request, glance.chunk, answer, raw)

    def _hit(self, raw: Raw, status: int, now: float) -> bytes:
        """Note an answer that the protocol gives by itself, and return what differs in its head."""
        request_id = self._observer.ids.take(None)
        self._services.short_answers += 1
        self._used(raw.entry)
        self._note(raw, status, request_id, len(raw.entry.body) if status == 200 else 0, 0.0, now)
        return tail(request_id, is_persistent=True, version=_HTTP_1_1)

    def _used(self, entry: Entry) -> None:
        if entry.token is not None:
            self._authenticator.touch(entry.token)
        if entry.digest:
            self._services.touched[entry.digest] = None

    def _note(
        self, raw: Raw, status: int, request_id: str, sent: int, milliseconds: float, now: float | None = None
    ) -> None:
        entry = raw.entry
        self._observer.note(
            Record(
                now or time.time(),
                request_id,
                "GET",
                raw.path,
                status,
                entry.actor,
                entry.type,
                entry.repository,
                entry.package,
                entry.layer,
                entry.freshness,
                sent,
                milliseconds,
                entry.address,
                raw.user_agent,
            )
        )

    def _keep_raw(self, request: web.BaseRequest, chunk: bytes | None, answer: Answer, raw: Raw) -> None:
        """Let the same bytes from the same address have the same answer, without being parsed again."""
        if chunk is None or request.version != _HTTP_1_1 or not answer.keep_alive or request.can_read_body:
            return
        if "X-Request-Id" in request.headers or answer.status not in {200, 304}:
            return
        if answer.status == 200 and raw.entry.file is not None:
            return  # the protocol cannot wait until a large body has gone
        self.ready.keep_raw(chunk, request.remote or "", raw)

    def _entry(self, key: Key, answer: Answer, asked: Asked) -> Entry | None:
        repository, adapter, actor = asked.repository, asked.adapter, asked.actor
        if repository is None or adapter is None or actor is None:
            return None
        now, digest, file = time.time(), "", None
        if isinstance(answer, PageAnswer):
            until, etag = now + min(_READY_SECONDS, answer.page.remaining), answer.page.etag
            start, not_modified, body = entry_heads(answer.page, key[4])
        elif isinstance(answer, FileAnswer) and (again := _again(answer)) is not None:
            until, etag = now + (_LASTING_SECONDS if answer.is_immutable else _READY_SECONDS), answer.file.etag
            start, not_modified, body = again
            file = None if body or not answer.file.size else answer.file
            if not answer.file.is_hosted and answer.file.digest is not None:
                digest = answer.file.digest.hex
        else:
            return None
        if actor.token is not None and actor.token.expires_at is not None:
            until = min(until, actor.token.expires_at)
        if until <= now:
            return None
        return Entry(
            start=start,
            not_modified=not_modified,
            etag=etag,
            body=body,
            epochs=self._epochs(repository),
            until=until,
            sequence=self._services.database.sequence(),
            actor=actor.name,
            type=adapter.type,
            repository=str(repository.key),
            package=asked.package,
            layer=answer.layer,
            freshness="fresh" if answer.freshness in {"miss", "revalidated"} else answer.freshness,
            address=asked.client.address,
            token=None if actor.token is None else actor.token.id,
            digest=digest,
            file=file,
        )

    def _epochs(self, repository: Repository) -> tuple[tuple[str, int], ...]:
        """Everything in the catalogue that the answer may depend on, as of now."""
        scopes = {"auth", "repositories", "documents"}
        scopes |= {f"repository:{id_}" for id_ in members(self._services, repository)}
        return tuple((scope, self._services.database.epoch(scope)) for scope in sorted(scopes))


def _answer(entry: Entry, if_none_match: str | None) -> Answer:
    """The entry as a response; raises FileUnknown or StoreTrouble when its file is gone."""
    answer: Answer
    if if_none_match is not None and etag_matches(if_none_match, entry.etag):
        answer = ReadyAnswer(304, entry.not_modified, b"")
    elif entry.file is None:
        answer = ReadyAnswer(200, entry.start, entry.body)
    else:
        answer = WarmAnswer(entry.start, entry.file)
    answer.layer = entry.layer
    answer.freshness = entry.freshness
    return answer


def _again(answer: FileAnswer) -> tuple[bytes, bytes, bytes] | None:
    """The file for the table, or None for one that is partial, cold or gone by now."""
    try:
        return answer.again()
    except (OSError, GatewayError):
        return None
