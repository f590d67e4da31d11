"""Watching requests at a cost of a few microseconds each: access log, metrics and the `traffic` table.

The request path appends one `Record` to a list and is done. A task owned by the app empties the list at the latest
20 ms later or at 500 records: it adds them up, formats the lines and hands them to a writer that may block in a thread
without holding up anybody. What cannot be written is dropped and counted, never waited for. Secrets are hidden here
for every line, by `gateway.redaction`; header values other than the user agent never get this far.

`Record.freshness` says how an upstream layer's answer came to be: `fresh`, `stale` and `trouble` (documents) and `hit`
(files) count as cache hits, `miss` as a miss. A hosted answer is neither, whatever it says.
"""

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import NamedTuple, Protocol, Self

import msgspec
import structlog

from gateway.errors import GatewayError
from gateway.model import HOSTED_LAYER
from gateway.redaction import scrub
from gateway.store.rows import TrafficRow
from gateway.web.access_log import LogWriter
from gateway.web.metrics import BOUNDS, Metrics, bucket

FLUSH_SECONDS = 0.02
FLUSH_RECORDS = 500
TRAFFIC_SECONDS = 10
HITS = frozenset({"fresh", "stale", "trouble", "hit"})
MISS = "miss"
GATEWAY_TYPE = "gateway"

_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"})
_CLASSES = ("other", "1xx", "2xx", "3xx", "4xx", "5xx")
_LONGEST_PATH, _LONGEST_AGENT = 512, 200
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}\Z")

_log = structlog.stdlib.get_logger(__name__)


class Record(NamedTuple):
    """One answered request. `path` is as it came, secrets and all: they are hidden before anybody reads it.

    at: POSIX seconds. type: the repository's type, "" for the gateway's own pages. repository: `type/owner/name` of one
    that exists, otherwise "" (so that strangers cannot fill the traffic table). layer: `hosted` or the upstream's name.
    bytes_sent: of the body. milliseconds: until the last byte went to the socket.
    """

    at: float
    request_id: str
    method: str
    path: str
    status: int
    actor: str
    type: str
    repository: str
    package: str
    layer: str
    freshness: str
    bytes_sent: int
    milliseconds: float
    address: str
    user_agent: str


class UpstreamState(Protocol):
    """What the metrics need of the upstream client's health, per host; numbers count since the process began."""

    name: str
    host: str
    state: str
    requests: int
    bytes: int
    errors: int


class TrafficStore(Protocol):
    """The part of `gateway.store.traffic.Traffic` that is written to."""

    async def add(self, rows: Sequence[TrafficRow]) -> None:
        """Add these sums to what is there for the same minute, type and repository."""
        ...


class RequestIds:
    """Makes request ids: unique over processes and restarts, and as cheap as counting."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(5)
        self._next = count(1)

    def take(self, incoming: str | None) -> str:
        """The client's X-Request-Id if it is a sane one (8 to 64 of `A-Za-z0-9._-`), else one of our own."""
        if incoming is not None and _REQUEST_ID.match(incoming) and scrub(incoming) is incoming:
            return incoming
        return f"{self._prefix}-{next(self._next):06x}"


class Observer:
    """Takes records on the request path and turns them into lines, metrics and traffic in the background.

    Use as an async context manager, entered by the app; leaving writes everything that is left. `in_flight` is raised
    and lowered by the mount.
    """

    def __init__(
        self,
        writer: LogWriter,
        metrics: Metrics,
        traffic: TrafficStore,
        upstreams: Callable[[], Iterable[UpstreamState]] = tuple,
    ) -> None:
        """`upstreams` gives the upstream client's health whenever the metrics are looked at."""
        self.in_flight = 0
        self.ids = RequestIds()
        self._writer, self._metrics, self._traffic, self._upstreams = writer, metrics, traffic, upstreams
        self._records: list[Record] = []
        self._some, self._many, self._closing = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._sums: dict[_SumKey, _Sum] = {}
        self._owner = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._owner.enter_async_context(self._writer)
        group = await self._owner.enter_async_context(asyncio.TaskGroup())
        group.create_task(self._flushing())
        group.create_task(self._saving())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._closing.set()
        self._some.set()
        self._many.set()
        await self._owner.aclose()

    def note(self, record: Record) -> None:
        """Take one record. The whole cost on the request path."""
        records = self._records
        records.append(record)
        waiting = len(records)
        if waiting == 1:
            self._some.set()
        elif waiting >= FLUSH_RECORDS:
            self._many.set()

    def note_fetched(self, type_: str, repository: str, size: int, now: float | None = None) -> None:
        """Count bytes that came from an upstream for a repository (`type/owner/name`): a file or a document."""
        self._metrics.count("entrepot_bytes_fetched", (type_ or GATEWAY_TYPE,), size)
        self._sum(time.time() if now is None else now, type_, repository).bytes_fetched += size

    def flush(self) -> None:
        """Add up and hand over what was noted so far."""
        records, self._records = self._records, []
        if not records:
            return
        for record in records:
            self._add(record)
        self._writer.put(encode_lines(records))

    def render_metrics(self) -> bytes:
        """The body of `/-/metrics`, over all workers; see `gateway.web.metrics.CONTENT_TYPE`. Reads small files."""
        self.flush()
        self._look_around()
        return self._metrics.render()

    async def save_traffic(self) -> None:
        """Add what came together since the last time to the `traffic` table; kept for the next time on failure."""
        sums, self._sums = self._sums, {}
        if not sums:
            return
        try:
            await self._traffic.add([total.row(key) for key, total in sums.items()])
        except (GatewayError, OSError) as error:
            _log.warning("traffic not saved", reason=str(error))
            for key, kept in sums.items():
                self._sums.setdefault(key, _Sum()).add(kept)

    async def _flushing(self) -> None:
        while not self._closing.is_set():
            await self._some.wait()
            self._some.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._many.wait()
            self._many.clear()
            self.flush()

    async def _saving(self) -> None:
        for tick in count(1):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._closing.wait()
            self.flush()
            self._look_around()
            try:
                self._metrics.save()
            except OSError as error:
                _log.warning("metrics not saved", reason=str(error))
            if tick % TRAFFIC_SECONDS == 0 or self._closing.is_set():
                await self.save_traffic()
            if self._closing.is_set():
                return

    def _add(self, record: Record) -> None:
        """Count one record in the metrics and in this minute's traffic."""
        metrics, status = self._metrics, record.status
        type_ = record.type or GATEWAY_TYPE
        method = record.method if record.method in _METHODS else "other"
        metrics.count("entrepot_requests", (type_, method, _CLASSES[status // 100 if 100 <= status < 600 else 0]))
        metrics.count("entrepot_bytes_sent", (type_,), record.bytes_sent)
        metrics.time(type_, record.milliseconds)
        sums = self._sum(record.at, record.type, record.repository)
        sums.requests += 1
        sums.errors += status >= 500
        sums.bytes_sent += record.bytes_sent
        sums.milliseconds += record.milliseconds
        place = bucket(record.milliseconds)
        bound = _BOUND_NAMES[place]
        sums.buckets[bound] = sums.buckets.get(bound, 0) + 1
        if record.layer not in {"", HOSTED_LAYER} and status < 400:
            if record.freshness in HITS:
                metrics.count("entrepot_cache_hits", (type_,))
                sums.hits += 1
            elif record.freshness == MISS:
                metrics.count("entrepot_cache_misses", (type_,))
                sums.misses += 1

    def _sum(self, at: float, type_: str, repository: str) -> "_Sum":
        key = (int(at // 60), type_ or GATEWAY_TYPE, repository)
        known = self._sums.get(key)
        if known is None:
            known = self._sums[key] = _Sum()
        return known

    def _look_around(self) -> None:
        """Copy what others count into the metrics."""
        metrics = self._metrics
        metrics.gauge("entrepot_requests_in_flight", (), self.in_flight)
        metrics.reach("entrepot_log_lines_dropped", (), self._writer.dropped)
        for upstream in self._upstreams():
            labels = (upstream.name, upstream.host)
            metrics.reach("entrepot_upstream_requests", labels, upstream.requests)
            metrics.reach("entrepot_upstream_bytes", labels, upstream.bytes)
            metrics.reach("entrepot_upstream_errors", labels, upstream.errors)
            metrics.gauge("entrepot_upstream_breaker", labels, _BREAKER.get(upstream.state, 0))


_SumKey = tuple[int, str, str]  # minute, type, repository


@dataclass(slots=True)
class _Sum:
    """What this worker saw of one repository in one minute since it was last saved; as `TrafficRow`, but growing."""

    requests: int = 0
    errors: int = 0
    hits: int = 0
    misses: int = 0
    bytes_sent: int = 0
    bytes_fetched: int = 0
    milliseconds: float = 0.0
    buckets: dict[str, int] = field(default_factory=dict)

    def add(self, other: "_Sum") -> None:
        """Take in the numbers of another sum of the same minute and repository."""
        self.requests += other.requests
        self.errors += other.errors
        self.hits += other.hits
        self.misses += other.misses
        self.bytes_sent += other.bytes_sent
        self.bytes_fetched += other.bytes_fetched
        self.milliseconds += other.milliseconds
        for bound, requests in other.buckets.items():
            self.buckets[bound] = self.buckets.get(bound, 0) + requests

    def row(self, key: _SumKey) -> TrafficRow:
        return TrafficRow(*key, **asdict(self))


_BOUND_NAMES = (*(f"{bound:g}" for bound in BOUNDS), "inf")
_BREAKER: Mapping[str, int] = {"closed": 0, "half_open": 1, "half-open": 1, "open": 2}


class _Line(msgspec.Struct, rename={"milliseconds": "ms", "bytes_sent": "bytes"}):
    """One line of the access log, in this order; docs/metrics.md lists the keys."""

    timestamp: str
    level: str
    event: str
    request_id: str
    method: str
    path: str
    status: int
    actor: str
    type: str
    repository: str
    package: str
    layer: str
    freshness: str
    bytes_sent: int
    milliseconds: float
    address: str
    user_agent: str


_ENCODER = msgspec.json.Encoder()


def encode_lines(records: Iterable[Record]) -> bytes:
    """JSON lines of these records, each with its newline; secrets hidden, long texts cut."""
    lines: list[_Line] = []
    second, stamp = -1, ""
    for record in records:
        at, status = record.at, record.status
        if int(at) != second:
            second = int(at)
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        lines.append(
            _Line(
                f"{stamp}.{int(at % 1 * 1000):03d}Z",
                "error" if status >= 500 else "info",
                "request",
                record.request_id,
                record.method[:20],
                _shown(record.path, _LONGEST_PATH),
                status,
                record.actor,
                record.type,
                record.repository,
                record.package,
                record.layer,
                record.freshness,
                record.bytes_sent,
                round(record.milliseconds, 2),
                record.address,
                _shown(record.user_agent, _LONGEST_AGENT),
            )
        )
    return _ENCODER.encode_lines(lines)


def _shown(text: str, longest: int) -> str:
    """The text without secrets, cut, and with what is not Unicode (raw bytes in a path) made visible."""
    text = scrub(text)[:longest]
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text
