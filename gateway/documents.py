"""Upstream documents: small, mutable, revalidated. One flight per document, fresh and stale by rule, kept raw.

A document is asked for with its validators; served while fresh, refreshed beside the answer for a while after, and
kept for as long as `max_stale` when its upstream is in trouble. Absent is only what an upstream said is absent: a plain
404 or 410 becomes a short negative entry, and trouble never does (DESIGN section 3).
"""

import asyncio
import fcntl
import hashlib
import os
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from cachetools import LRUCache
from msgspec import Struct
from msgspec.structs import replace

from gateway.document_proof import proven
from gateway.errors import Blocked, FileUnknown, Invalid, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Ask, Document
from gateway.freshness import Freshness, Validators, judge, may_stand_in, remaining
from gateway.model import Digest, Listing
from gateway.store.blobs import FileBlobs
from gateway.store.database import Database
from gateway.store.documents import DocumentRows
from gateway.store.rows import DocumentRow
from gateway.tasks import Flights, Tasks
from gateway.upstream.client import Reply, Status, UpstreamClient
from gateway.upstream.registry import Upstream

Parse = Callable[[Document], Listing]
Moved = Callable[[str, str], None]
"""Told once of a document whose digest is another one by now: the old and the new."""

_BIG = 256 * 1024  # bytes of a document from which parsing leaves the loop
_FOR_GOOD = 100 * 365 * 86400.0  # seconds
_REFUSED = 401  # the status of a row for what the upstream does not show to us
_REFUSED_SECONDS = 86400.0  # that a tag is served which the upstream refuses to show by now
_PATIENCE = 2.0  # seconds a client waits for an upstream while a stale copy is at hand
_SILENT_SECONDS = 30.0  # that nobody waits so again for an upstream which did not answer in that time


class Held(Struct, frozen=True):
    """A document that is in the cache store.

    freshness: `fresh`; `miss` or `revalidated`, when the upstream was asked just now; `stale`, being refreshed beside;
    `trouble`, served because the upstream cannot be asked. remaining: seconds for which it stays fresh.
    """

    upstream: Upstream
    row: DocumentRow
    freshness: str
    remaining: float


class Documents:
    """The document pipeline, over one catalogue and one cache store."""

    def __init__(
        self,
        database: Database,
        rows: DocumentRows,
        blobs: FileBlobs,
        client: UpstreamClient,
        tasks: Tasks,
        leases: Path,
        limit: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`leases`: a folder for the locks that make a flight single over all workers. `limit`: bytes of a document."""
        self._database = database
        self._rows = rows
        self._blobs = blobs
        self._client = client
        self._tasks = tasks
        self._flights = Flights(tasks)
        self._leases = leases
        self._limit = limit
        self._clock = clock
        self._recent: LRUCache[tuple[str, str], DocumentRow] = LRUCache(20_000)
        self._recent_epoch = -1
        self._parsed: LRUCache[object, Listing] = LRUCache(64)
        self._silent_until: dict[str, float] = {}

    async def get(
        self,
        upstream: Upstream,
        ask: Ask,
        parse: Parse | None = None,
        since: float = 0.0,
        moved: Moved | None = None,
    ) -> Held | None:
        """The document, or None where the upstream says it is absent.

        parse: reads a document that is new, and raises UpstreamCorrupt for one that must not replace what we hold;
        what it returns is kept for `read`. since: a copy that was confirmed before (POSIX seconds) is not fresh.
        Raises Blocked, UpstreamTrouble or UpstreamCorrupt when there is no copy that may still be served.
        """
        key = f"{ask.accept} {ask.path}"
        row = self._row(upstream, ask, key)
        verdict = self._judge(upstream, ask, row)
        if row is not None and row.fetched_at < since:
            verdict = Freshness.STALE
        if verdict is Freshness.FRESH:
            return self._held(upstream, ask, row, "fresh")
        flight = self._flights.join(
            (upstream.name, key), lambda: self._refresh(upstream, ask, key, parse, moved), f"refresh {upstream.name}"
        )
        if verdict is Freshness.STALE_USABLE and not ask.digest_header:
            return self._held(upstream, ask, row, "stale")
        if row is None or row.status != 200:
            return self._held(upstream, ask, *await asyncio.shield(flight))
        return await self._refreshed_or_stale(upstream, ask, row, flight)

    def kept(self, upstream: Upstream, ask: Ask) -> Held | None:
        """The copy that we hold, however old: only for who can prove that it is still right."""
        return self._held(upstream, ask, self._row(upstream, ask, f"{ask.accept} {ask.path}"), "trouble")

    def is_refused(self, upstream: Upstream, ask: Ask) -> bool:
        """Whether the upstream last said that we may not see it, rather than that there is none."""
        row = self._row(upstream, ask, f"{ask.accept} {ask.path}")
        return row is not None and row.status == _REFUSED

    async def load(self, held: Held) -> Document:
        """The raw document. Raises FileUnknown when the cache lost or spoilt it: ask again after `forget`."""
        assert held.row.digest is not None
        body = await asyncio.to_thread(self._blobs.read, held.row.digest)
        return Document(body, held.row.content_type, held.row.url, held.row.headers)

    async def read(self, held: Held, parse: Parse) -> Listing:
        """The parsed document, from memory where it was parsed before. Raises FileUnknown and UpstreamCorrupt."""
        key = (held.row.upstream, held.row.key, held.row.digest)
        known = self._parsed.get(key)
        if known is None:
            known = self._parsed[key] = await _parsed(await self.load(held), parse)
        return known

    async def forget(self, held: Held) -> None:
        """Drop a document whose bytes are gone, so that the next `get` fetches it again."""
        await self._rows.purge(held.row.upstream, held.row.key)

    async def _refreshed_or_stale(
        self, upstream: Upstream, ask: Ask, row: DocumentRow, flight: "asyncio.Task[tuple[DocumentRow, str]]"
    ) -> Held | None:
        """What the flight brings, unless that is trouble or takes too long while our copy may stand in."""
        now = self._clock()
        may = may_stand_in(_known(row, ask), now, upstream.config.max_stale)
        if may and now < self._silent_until.get(upstream.name, 0.0):
            return self._held(upstream, ask, row, "trouble")
        try:
            async with asyncio.timeout(_PATIENCE if may else None):
                return self._held(upstream, ask, *await asyncio.shield(flight))
        except (UpstreamTrouble, UpstreamCorrupt, TimeoutError) as error:
            if isinstance(error, TimeoutError):
                self._silent_until[upstream.name] = self._clock() + _SILENT_SECONDS
            if not (error.detail.get("outlives", may) if isinstance(error, UpstreamTrouble) else may):
                raise
            return self._held(upstream, ask, row, "trouble")

    def _row(self, upstream: Upstream, ask: Ask, key: str) -> DocumentRow | None:
        """The newest row known: this process's memory while fresh, else the catalogue, where others write too."""
        epoch = self._database.epoch("documents")
        if epoch != self._recent_epoch:
            self._recent.clear()
            self._recent_epoch = epoch
        row = self._recent.get((upstream.name, key))
        if row is not None and self._judge(upstream, ask, row) is Freshness.FRESH:
            return row
        row = self._rows.get(upstream.name, key)
        if row is not None:
            self._recent[upstream.name, key] = row
        return row

    def _judge(self, upstream: Upstream, ask: Ask, row: DocumentRow | None) -> Freshness:
        if row is None:
            return Freshness.ABSENT
        known, now = _known(row, ask), self._clock()
        verdict = judge(known, now, max_stale=upstream.config.max_stale)
        if verdict is Freshness.FRESH:
            return verdict
        if row.status != 200:
            return Freshness.STALE
        thrift = self._client.thrift(upstream)
        return judge(replace(known, max_age=max(known.max_age, thrift)), now, max_stale=upstream.config.max_stale)

    def _held(self, upstream: Upstream, ask: Ask, row: DocumentRow | None, freshness: str) -> Held | None:
        if row is None or row.status != 200:
            return None
        return Held(upstream, row, freshness, remaining(_known(row, ask), self._clock()))

    async def _refresh(
        self, upstream: Upstream, ask: Ask, key: str, parse: Parse | None, moved: Moved | None
    ) -> tuple[DocumentRow, str]:
        """Ask the upstream, unless another worker did while we waited for the lease; the row and how it came."""
        before = self._rows.get(upstream.name, key)
        async with _lease(self._leases, f"{upstream.name} {key}"):
            row = self._rows.get(upstream.name, key)
            if row is not None and row != before and self._judge(upstream, ask, row) is Freshness.FRESH:
                return self._remember(row), "fresh"
            last = row
            if row is not None and (row.digest is None or self._blobs.has(row.digest) is None):
                row = None
            known = None if row is None else _known(row, ask)
            reply = await self._ask(upstream, ask, row, known)
            parsed = await _parsed(reply.document, parse) if reply.document is not None and parse is not None else None
            kept = await self._keep(upstream, key, row, reply)
            if moved is not None and last is not None and last.status == kept.status == 200 and last.etag != kept.etag:
                moved(last.etag, kept.etag)
            if parsed is not None:
                self._parsed[upstream.name, key, kept.digest] = parsed
            return self._remember(kept), "revalidated" if reply.status is Status.NOT_MODIFIED else "miss"

    async def _ask(self, upstream: Upstream, ask: Ask, row: DocumentRow | None, known: Validators | None) -> Reply:
        if ask.digest_header:
            reply = await self._ask_signed_in(upstream, ask, row)
        else:
            reply = await self._whole_or_rest(upstream, ask, row, known)
        if ask.proof is not None:
            reply = await proven(self._client, upstream, ask, reply, self._limit)
        if reply.status is Status.ABSENT and row is not None and row.status == 200:
            outlives = min(ask.outlives, _REFUSED_SECONDS) if reply.is_refused else ask.outlives
            if self._clock() - row.fetched_at < outlives:
                what = "shows it to us" if reply.is_refused else "has it"
                message = f"{upstream.name} no longer {what}; what it had is served for a while"
                raise UpstreamTrouble(message, outlives=True)
        elif reply.document is not None and ask.digest:
            await self._require(upstream, ask.digest, reply.document.body)
            return replace(reply, etag=ask.digest, max_age=_FOR_GOOD)
        return reply

    async def _ask_signed_in(self, upstream: Upstream, ask: Ask, row: DocumentRow | None) -> Reply:
        """As `_ask_by_digest`; a copy that we hold does not outlive a refusal for as long as other trouble.

        Refused credentials say nothing of the document, so after that time it is not absent but still in trouble.
        """
        try:
            return await self._ask_by_digest(upstream, ask, row)
        except Blocked:
            if row is None or row.status != 200:
                raise
            return Reply(Status.ABSENT, is_refused=True)
        except UpstreamTrouble as trouble:
            if row is None or row.status != 200 or not trouble.detail.get("is_refused"):
                raise
            outlives = self._clock() - row.fetched_at < _REFUSED_SECONDS
            raise UpstreamTrouble(trouble.message, retry_after=trouble.retry_after, outlives=outlives) from trouble

    async def _ask_by_digest(self, upstream: Upstream, ask: Ask, row: DocumentRow | None) -> Reply:
        """Ask what the document's digest is by now, and only for a new one for the document."""
        digest = ""
        try:
            head = await self._client.head(upstream, ask)
        except UpstreamTrouble as trouble:
            if trouble.detail.get("answered") not in {405, 501}:
                raise
        else:
            if head.document is None:
                return head
            digest = head.document.headers.get(ask.digest_header.lower(), "")
        if digest and row is not None and row.etag == digest:
            return Reply(Status.NOT_MODIFIED)
        if not digest:
            reply = await self._client.document(upstream, replace(ask, digest_header=""), None, self._limit)
            told = "" if reply.document is None else reply.document.headers.get(ask.digest_header.lower(), "")
            if reply.document is None:
                return reply
            digest = told or f"sha256:{hashlib.sha256(reply.document.body).hexdigest()}"
            await self._require(upstream, digest, reply.document.body)
            return replace(reply, etag=digest, max_age=None)
        path = ask.at_digest.replace("{digest}", _checked_digest(upstream, digest))
        held = await self.get(upstream, Ask(path, ask.accept, ask.scope, digest))
        if held is None:
            raise UpstreamTrouble(f"{upstream.name} names {digest} and does not have it")
        return Reply(Status.OK, await self.load(held), etag=digest)

    async def _require(self, upstream: Upstream, digest: str, body: bytes) -> None:
        try:
            await asyncio.to_thread(_require_digest, upstream, digest, body)
        except UpstreamCorrupt:
            self._client.distrust(upstream)
            raise

    async def _whole_or_rest(
        self, upstream: Upstream, ask: Ask, row: DocumentRow | None, known: Validators | None
    ) -> Reply:
        """Of a long document that only grows, what we lack is asked for first."""
        if ask.grows and row is not None and row.digest is not None and row.size > _BIG:
            try:
                held = await asyncio.to_thread(self._blobs.read, row.digest)
            except FileUnknown:  # spoilt on our disk
                return await self._client.document(upstream, ask, None, self._limit)
            reply = await self._client.rest(upstream, ask, known, held, self._limit)
            if reply is not None:
                return reply
        return await self._client.document(upstream, ask, known, self._limit)

    async def _keep(self, upstream: Upstream, key: str, row: DocumentRow | None, reply: Reply) -> DocumentRow:
        now = self._clock()
        max_age = upstream.config.max_age if reply.max_age is None else reply.max_age
        if reply.status is Status.NOT_MODIFIED and row is not None:
            await self._rows.touch(upstream.name, key, now, max_age)
            return replace(row, fetched_at=now, max_age=max_age)
        if reply.document is None:
            ttl = upstream.config.negative_ttl
            status = _REFUSED if reply.is_refused else 404
            kept = DocumentRow(upstream.name, key, status, None, 0, "", "", "", "", {}, now, ttl)
        else:
            document = reply.document
            kept = DocumentRow(
                upstream=upstream.name,
                key=key,
                status=200,
                digest=await asyncio.to_thread(self._blobs.put, document.body),
                size=len(document.body),
                content_type=document.content_type,
                url=document.url,
                etag=reply.etag or "",
                last_modified=reply.last_modified or "",
                headers=dict(document.headers),
                fetched_at=now,
                max_age=max_age,
            )
        await self._rows.put(kept)
        return kept

    def _remember(self, row: DocumentRow) -> DocumentRow:
        self._silent_until.pop(row.upstream, None)
        self._recent[row.upstream, row.key] = row
        return row


def _checked_digest(upstream: Upstream, digest: str) -> str:
    try:
        return str(Digest.parse(digest))
    except Invalid as error:
        raise UpstreamCorrupt(f"{upstream.name} names a document by something that is no digest") from error


def _require_digest(upstream: Upstream, expected: str, body: bytes) -> None:
    """Raise UpstreamCorrupt unless these bytes have the digest. Blocks for large ones."""
    digest = Digest.parse(_checked_digest(upstream, expected))
    if hashlib.new(digest.algorithm, body).hexdigest() != digest.hex:
        raise UpstreamCorrupt(f"{upstream.name} sent other bytes than {expected}")


async def _parsed(document: Document, parse: Parse) -> Listing:
    if len(document.body) <= _BIG:
        return parse(document)
    return await asyncio.to_thread(parse, document)


def _known(row: DocumentRow, ask: Ask) -> Validators:
    """What is known of a document. "There is none" is believed for as long as its row says, whatever is asked."""
    max_age = row.max_age if ask.max_age is None or row.status != 200 else ask.max_age
    return Validators(row.etag or None, row.last_modified or None, row.fetched_at, max_age)


@asynccontextmanager
async def _lease(folder: Path, key: str) -> AsyncIterator[None]:
    """Hold the lock for `key` over all processes of this data folder; the system frees it when a process dies."""
    path = folder / hashlib.sha256(key.encode()).hexdigest()[:2]
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        start, length = int.from_bytes(hashlib.sha256(key.encode()).digest()[1:8], "big") % (2**62), 1
        while not _try_lock(descriptor, start, length):  # noqa: ASYNC110 another process gives no event
            await asyncio.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, start: int, length: int) -> bool:
    """Take an open-file-description lock on one byte that stands for the key; False when another holds it."""
    request = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    try:
        fcntl.fcntl(descriptor, _OFD_SETLK, request)
    except BlockingIOError:
        return False
    return True


_OFD_SETLK = 37  # fcntl(2): locks owned by the open file, not the process
