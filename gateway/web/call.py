"""One request to one repository, as a handler sees it: decoded path, bound use cases, and ways to answer.

A handler cannot forget security, since `pull` and `publish` are already bound to actor and repository.
"""

import zlib
from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from aiohttp import web
from msgspec.structs import replace

from gateway.adapter import Adapter, Place
from gateway.addressed import Addressed
from gateway.auth.accounts import Accounts
from gateway.auth.authenticate import Authenticator
from gateway.auth.credential import Credential
from gateway.errors import Invalid, TooLarge
from gateway.graph import Graph
from gateway.graph_publish import GraphPublish
from gateway.model import Actor, Assurance, Page, Repository, Visibility
from gateway.opened import OpenFile
from gateway.publish import Publish
from gateway.pull import Pull
from gateway.roster.format import RosterFormat
from gateway.roster.roster import Roster
from gateway.services import Services
from gateway.web.answers import Answer, Headers
from gateway.web.credentials import read_code
from gateway.web.file_answer import FileAnswer
from gateway.web.grown import DigestHeaders, grown_answer
from gateway.web.ready import etag_matches, page_answer


class HostCall:
    """One request to no repository. `path`: decoded captures of the route. `root`: our external address, with slash."""

    def __init__(
        self,
        services: Services,
        adapter: Adapter,
        actor: Actor,
        request: web.BaseRequest,
        path: Mapping[str, str],
        root: str,
        request_id: str,
        authenticator: Authenticator,
    ) -> None:
        self.services = services
        self.adapter = adapter
        self.actor = actor
        self.request = request
        self.path = path
        self.root = root
        self.request_id = request_id
        self._authenticator = authenticator
        self.package = ""  # for the log: the canonical name, once a handler knows it
        self.headers = request.headers
        self.method = request.method
        self.accept = request.headers.get("Accept", "")
        self._is_awaited = request.headers.get("Expect", "").lower() == "100-continue"

    @cached_property
    def accounts(self) -> Accounts:
        """Tokens, users and organisations, as far as this actor may manage them."""
        return Accounts(self.services.identities, self.services.audit, self.actor)

    async def sign_in(self, name: str, secret: str) -> Accounts:
        """Accounts as the user of this name and password, or whoever has this token, may manage them.

        For clients that send these in a body. Raises Unauthenticated, CodeRequired or Throttled.
        """
        authenticator = self._authenticator
        actor = await authenticator.identify(Credential(secret, name), self.actor.address)
        if actor.id == self.actor.id and self.actor.assurance is Assurance.CODE:
            actor = replace(actor, assurance=Assurance.CODE)  # this request's code was taken from the same person
        else:
            actor = await authenticator.prove(actor, read_code(self.headers, self.adapter.code_header))
        return Accounts(self.services.identities, self.services.audit, actor)

    async def confirm_password(self, password: str) -> None:
        """Raise Unauthenticated or Throttled unless this is the actor's own password."""
        await self._authenticator.password_actor(self.actor.name, password, self.actor.address)

    @property
    def authenticator(self) -> Authenticator:
        """For handlers that read credentials themselves, such as a token service."""
        return self._authenticator

    def pull_from(self, repository: Repository, actor: Actor) -> Pull:
        """Reads of an actor in any repository."""
        return Pull(self.services, repository, actor)

    @cached_property
    def query(self) -> dict[str, str]:
        """The decoded query; of a repeated key the last value."""
        raw = self.request.raw_path.partition("?")[2]
        return dict(parse_qsl(raw, keep_blank_values=True, max_num_fields=100))

    def queried(self, name: str) -> list[str]:
        """All values of a repeated key of the query, in order."""
        raw = self.request.raw_path.partition("?")[2]
        return [value for key, value in parse_qsl(raw, keep_blank_values=True, max_num_fields=100) if key == name]

    # ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────
    def page(self, page: Page) -> Answer:
        """A rendered document: ETag, 304, compression and HEAD are handled here."""
        return page_answer(page, self.request)

    def answer(self, status: int, headers: Headers = ()) -> Answer:
        """An answer without a body."""
        return Answer(status, headers)

    def json(self, value: Any, status: int = 200, headers: Headers = ()) -> Answer:
        """A JSON body whose content type is exactly `application/json`."""
        return Answer(status, (("Content-Type", "application/json"), *headers), msgspec.json.encode(value))

    def text(
        self,
        text: str,
        status: int = 200,
        *,
        content_type: str = "text/plain; charset=utf-8",
        headers: Headers = (),
        reason: str | None = None,
    ) -> Answer:
        """A text body; `reason` becomes the reason phrase."""
        return Answer(status, (("Content-Type", content_type), *headers), text.encode(), reason)

    def matches(self, etag: str) -> bool:
        """Whether If-None-Match names this ETag (weak comparison, RFC 9110 §13.1.2)."""
        return etag_matches(self.headers.get("If-None-Match"), etag)

    # ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────
    async def body(self, limit: int) -> bytes:
        """The whole body, decompressed; raises TooLarge over `limit` bytes before or after decompression."""
        encoding = self.headers.get("Content-Encoding", "identity").lower()
        inflate = zlib.decompressobj(wbits=47) if encoding in {"gzip", "deflate"} else None
        if inflate is None and encoding not in {"", "identity"}:
            raise Invalid(f"content encoding {encoding[:20]!r} is not understood")
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks(limit):
            try:
                plain = chunk if inflate is None else inflate.decompress(chunk, limit + 1 - size)
            except zlib.error as error:
                raise Invalid(f"the body is not {encoding}") from error
            size += len(plain)
            if size > limit:
                raise TooLarge(f"the body has more than {limit} bytes")
            parts.append(plain)
        return b"".join(parts)

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """The raw body as it comes; raises TooLarge over `limit` bytes.

        A client that waits for leave to send (`Expect: 100-continue`) has it from here on: whoever may not write is
        refused before, and never sends the body.
        """
        declared = self.request.content_length
        if declared is not None and declared > limit:
            raise TooLarge(f"the body has {declared} bytes, more than {limit}")
        if self._is_awaited and self.request.transport is not None:
            self._is_awaited = False
            self.request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        size = 0
        async for chunk in self.request.content.iter_any():
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"the body has more than {limit} bytes")
            yield chunk

    async def drain(self) -> None:
        """Read and drop what is left of the body, so that the client sees our answer rather than a reset."""
        if self._is_awaited:
            return  # it has sent nothing yet
        limit = self.services.config.server.max_upload_size
        left = limit
        async for chunk in self.request.content.iter_any():
            left -= len(chunk)
            if left < 0:
                return


class Call(HostCall):
    """One request to one repository. `base`: its external address, ending in a slash. place: see `gateway.adapter`."""

    def __init__(
        self,
        services: Services,
        adapter: Adapter,
        repository: Repository,
        actor: Actor,
        request: web.BaseRequest,
        path: Mapping[str, str],
        base: str,
        root: str,
        request_id: str,
        authenticator: Authenticator,
        place: Place | None = None,
    ) -> None:
        super().__init__(services, adapter, actor, request, path, root, request_id, authenticator)
        self.repository = repository
        self.base = base
        self.place = place

    @cached_property
    def pull(self) -> Pull:
        """Reads, bound to this actor and repository."""
        return Pull(self.services, self.repository, self.actor)

    @cached_property
    def addressed(self) -> Addressed:
        """Reads of files whose address at an upstream follows from their name."""
        return Addressed(self.services, self.repository, self.actor)

    @cached_property
    def publish(self) -> Publish:
        """Writes, bound to this actor and repository."""
        return Publish(self.services, self.repository, self.actor, self.request_id)

    @cached_property
    def graph(self) -> Graph:
        """Reads of documents that are named by their digest, and of what they name."""
        return Graph(self.services, self.repository, self.actor)

    @cached_property
    def graph_publish(self) -> GraphPublish:
        """Writes of such documents."""
        return GraphPublish(self.services, self.repository, self.actor, self.request_id)

    @property
    def is_at_public_url(self) -> bool:
        """Whether the client came by `public_url`: then `base` is sure to lead it back here."""
        public = self.services.config.server.public_url.rstrip("/")
        host = self.headers.get("Host", "").lower()
        return bool(public) and self.base.startswith(f"{public}/") and host == urlsplit(public).netloc.lower()

    def address(self, rest: str) -> str:
        """The absolute path of something below this repository, by the way the client came; `rest` is encoded."""
        if self.place is not None:
            return urlsplit(self.root).path + self.place.outer + rest.removeprefix(self.place.inner)
        return urlsplit(self.base).path + rest

    def roster(self, format_: RosterFormat) -> Roster:
        """The list of all names, bound to this actor and repository."""
        return Roster(self.services, self.repository, self.actor, format_)

    async def grown(self, roster: Roster, content_type: str, digests: DigestHeaders) -> Answer:
        """The list of all names: ETag, 304, ranges, compression and HEAD are handled here."""
        return await grown_answer(self.request, roster, await roster.view(), content_type, digests)

    def file(
        self,
        file: OpenFile,
        *,
        content_type: str = "application/octet-stream",
        headers: Headers = (),
        is_immutable: bool = True,
    ) -> Answer:
        """A file's bytes: Range, If-Range, If-None-Match and HEAD are handled here."""
        share = "private" if self.repository.visibility is not Visibility.PUBLIC else "public"
        control = ("Cache-Control", f"{share}, {'max-age=365000000, immutable' if is_immutable else 'no-cache'}")
        return FileAnswer(file, (("Content-Type", content_type), control, *headers), is_immutable=is_immutable)

    def redirect(self, location: str, status: int = 301) -> Answer:
        """A redirect; `location` is absolute, or relative to this repository's base."""
        target = location if location.startswith(("http://", "https://")) else self.base + location
        return Answer(status, (("Location", target), ("Cache-Control", "no-store")))
