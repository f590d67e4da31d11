"""Responses that may be sent again as they are: ready bytes, kept under everything that selected them.

The key holds every part of a request that can change the answer (path, host, credentials, Accept, Accept-Encoding,
address); an entry also names the catalogue's epochs that it was made under and a time, and is dropped when any of them
moved. So a hit costs no routing, no token look-up, no decision and no rendering, and a publish, a grant or a revoked
token is seen by the next request all the same. Requests that ask for anything unusual never get here.

`raw` finds an entry by a request's very bytes, for `gateway.web.fast`.
"""

import time
from collections.abc import Callable

from aiohttp import web
from msgspec import Struct

from gateway.model import Page
from gateway.opened import OpenFile
from gateway.store.database import Database
from gateway.web.answers import Answer, serialise, status_line
from gateway.web.credentials import KEY_HEADERS
from gateway.web.ranges import choose

_UNUSUAL = ("Range", "If-Range", "If-Match", "If-Unmodified-Since", "Cookie", "Expect", "Upgrade", *KEY_HEADERS)
_FORWARDED = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded")

_MOST_RAW = 8192

Key = tuple[str | None, ...]


class Entry(Struct):
    """One response. start, not_modified: serialised heads of the 200 and the 304, without what differs every time.

    epochs: (scope, generation) pairs that must still hold. until: POSIX seconds, 0 once the entry was dropped.
    sequence: the newest generation when that was last checked. digest: of a cached blob, to note its use.
    file: whose bytes are the body, where they are too many to be kept here.
    The names are for the log.
    """

    start: bytes
    not_modified: bytes
    etag: str
    body: bytes
    epochs: tuple[tuple[str, int], ...]
    until: float
    sequence: int
    actor: str
    type: str
    repository: str
    package: str
    layer: str
    freshness: str
    address: str
    token: int | None = None
    digest: str = ""
    file: OpenFile | None = None


class Raw(Struct, frozen=True):
    """A request whose bytes are known, and its answer: the entry's 304 or its 200."""

    entry: Entry
    is_not_modified: bool
    path: str
    user_agent: str


class PageAnswer(Answer):
    """A page as sent once; `page` and `gzip` let the mount keep it for the next request."""

    __slots__ = ("page",)

    def __init__(self, page: Page, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
        super().__init__(status, headers, body)
        self.page = page
        self.layer = page.layer
        self.freshness = page.freshness


Hit = Callable[[Raw, int, float], bytes]


class Ready:
    """The table of one process, bounded by the bytes it keeps; the oldest entries go first."""

    def __init__(self, database: Database, memory: int, *, is_forwarded: bool) -> None:
        """`memory`: bytes. `is_forwarded`: whether a trusted proxy may tell us who asks."""
        self._database = database
        self._memory = memory
        self._size = 0
        self._entries: dict[Key, Entry] = {}
        self._raw: dict[tuple[bytes, str], Raw] = {}
        self._is_forwarded = is_forwarded
        self.on_hit: Hit | None = None

    def key(self, request: web.BaseRequest) -> Key | None:
        """What selects the answer, or None for a request that the table does not serve."""
        headers = request.headers
        if request.method != "GET":
            return None
        for name in _UNUSUAL:
            if name in headers:
                return None
        seen = (
            request.raw_path,
            headers.get("Host"),
            headers.get("Authorization"),
            headers.get("Accept"),
            headers.get("Accept-Encoding"),
            request.remote,
        )
        return seen if not self._is_forwarded else (*seen, *(headers.get(name) for name in _FORWARDED))

    def find(self, key: Key, now: float) -> Entry | None:
        """The entry for this key if nothing that it depends on has moved."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._holds(entry, now):
            return entry
        self._drop(key)
        return None

    def raw(self, data: bytes, peer: str) -> tuple[bytes, ...] | None:
        """The whole response to a request of exactly these bytes from this address, in parts, or None."""
        known = self._raw.get((data, peer))
        if known is None or self.on_hit is None:
            return None
        now = time.time()
        if not self._holds(known.entry, now):
            del self._raw[data, peer]
            return None
        if known.is_not_modified:
            return known.entry.not_modified, self.on_hit(known, 304, now)
        return known.entry.start, self.on_hit(known, 200, now), known.entry.body

    def keep(self, key: Key, entry: Entry) -> None:
        """Keep an entry, unless it alone would fill the table."""
        size = _weigh(entry)
        if size > self._memory // 4:
            return
        self._drop(key)
        self._entries[key] = entry
        self._size += size
        while self._size > self._memory:
            self._drop(next(iter(self._entries)))

    def forget(self, key: Key) -> None:
        """Drop the entry for this key."""
        self._drop(key)

    def keep_raw(self, data: bytes, peer: str, raw: Raw) -> None:
        """Find the entry by these bytes from now on; it must be one that the table keeps."""
        if len(self._raw) >= _MOST_RAW:
            del self._raw[next(iter(self._raw))]
        self._raw[data, peer] = raw

    def _holds(self, entry: Entry, now: float) -> bool:
        if now >= entry.until:
            return False
        sequence = self._database.sequence()
        if entry.sequence != sequence:
            if any(self._database.epoch(scope) != value for scope, value in entry.epochs):
                return False
            entry.sequence = sequence
        return True

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= _weigh(entry)
            entry.until = 0.0


def _weigh(entry: Entry) -> int:
    return len(entry.body) + 2000


def page_answer(page: Page, request: web.BaseRequest) -> Answer:
    """The page for this request: 304 where the client has it, compressed where the client takes it."""
    headers = page_headers(page)
    if page.is_ranged and "Range" in request.headers:
        return _part_answer(page, request, headers)
    if etag_matches(request.headers.get("If-None-Match"), page.etag):
        return PageAnswer(page, 304, headers, b"")
    body, encoding = body_for(page, request.headers.get("Accept-Encoding"))
    return PageAnswer(page, 200, (*headers, *encoding), body)


def _part_answer(page: Page, request: web.BaseRequest, headers: tuple[tuple[str, str], ...]) -> Answer:
    """What a range of the uncompressed body gets; the compressed one has no ranges here."""
    portion = choose(request.method, request.headers, etag=page.etag, size=len(page.body))
    body = page.body[portion.start : portion.end] if portion.status in {200, 206} else b""
    extra = () if portion.content_range is None else (("Content-Range", portion.content_range),)
    return PageAnswer(page, portion.status, (*headers, *extra), body)


def page_headers(page: Page) -> tuple[tuple[str, str], ...]:
    """The headers of a 200 and a 304 alike."""
    return (
        ("Content-Type", page.content_type),
        ("ETag", page.etag),
        ("Vary", "Accept, Accept-Encoding"),
        *((("Accept-Ranges", "bytes"),) if page.is_ranged else ()),
        *page.headers,
    )


def body_for(page: Page, accept_encoding: str | None) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """The body that suits `Accept-Encoding`, with its header; gzip or nothing (RFC 9110 §12.5.3)."""
    if page.gzip is not None and takes_gzip(accept_encoding):
        return page.gzip, (("Content-Encoding", "gzip"),)
    return page.body, ()


def takes_gzip(accept_encoding: str | None) -> bool:
    """Whether gzip is acceptable; an absent header and `gzip;q=0` mean no."""
    for part in (accept_encoding or "").lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in {"gzip", "x-gzip"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def etag_matches(if_none_match: str | None, etag: str) -> bool:
    """Weak comparison with a list or `*` (RFC 9110 §13.1.2)."""
    if not if_none_match or not etag:
        return False
    bare = etag.removeprefix("W/")
    if if_none_match in (etag, bare):
        return True
    return any(part.strip().removeprefix("W/") in {bare, "*"} for part in if_none_match.split(","))


def entry_heads(page: Page, accept_encoding: str | None) -> tuple[bytes, bytes, bytes]:
    """Serialised starts of the 200 and the 304, and the body."""
    headers = page_headers(page)
    body, encoding = body_for(page, accept_encoding)
    length = b"Content-Length: %d\r\n" % len(body)
    return (
        status_line(200) + serialise((*headers, *encoding)) + length,
        status_line(304) + serialise(headers),
        body,
    )
