"""Watching requests at a cost of a few microseconds each: access log, metrics and the `traffic` table.

The request path appends one `Record` to a list and is done. A task owned by the app empties the list at the latest
20 ms later or at 500 records: it adds them up, formats the lines and hands them to a writer that may block in a thread
without holding up anybody. What cannot be written is dropped and counted, never waited for. Secrets are hidden before
a line is formatted, by `gateway.redaction`; header values other than the user agent never get this far.
"""

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Protocol, Self

import structlog

from gateway.errors import GatewayError
from gateway.redaction import scrub
from gateway.store.rows import TrafficRow
from gateway.web.access_log import LogWriter
from gateway.web.metrics import Metrics
from gateway.web.record import Record, encode_lines
from gateway.web.tally import Tally

FLUSH_SECONDS = 0.02
FLUSH_RECORDS = 500
TRAFFIC_SECONDS = 10

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}\Z")

_log = structlog.stdlib.get_logger(__name__)


class UpstreamState(Protocol):
    """What the metrics need of the upstream client's health, per host; numbers count since the process began."""

    @property
    def name(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def requests(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def corrupt(self) -> int: ...
    @property
    def allowance(self) -> "UpstreamAllowance | None": ...


class UpstreamAllowance(Protocol):
    """How much more a host may be asked."""

    @property
    def limit(self) -> int: ...
    @property
    def left(self) -> int: ...


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
        short_answers: Callable[[], int] = int,
    ) -> None:
        """Whenever the metrics are looked at, `upstreams` gives the upstream client's health.

        short_answers: how many requests were answered before they were parsed.
        """
        self._short_answers = short_answers
        self.in_flight = 0
        self.ids = RequestIds()
        self._writer, self._metrics, self._traffic, self._upstreams = writer, metrics, traffic, upstreams
        self._records: list[Record] = []
        self._some, self._many, self._closing = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._tally = Tally(metrics)
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
        self._tally.add_fetched(time.time() if now is None else now, type_, repository, size)

    def flush(self) -> None:
        """Add up and hand over what was noted so far."""
        records, self._records = self._records, []
        if records:
            self._tally.add(records)
            if not self._writer.is_off:
                self._writer.put(encode_lines(records))

    async def render_metrics(self) -> bytes:
        """The body of `/-/metrics`, over all workers; see `gateway.web.metrics.CONTENT_TYPE`."""
        self.flush()
        self._look_around()
        self._metrics.save()
        return await asyncio.to_thread(self._metrics.render)

    async def save_traffic(self) -> None:
        """Add what came together since the last time to the `traffic` table; kept for the next time on failure."""
        rows = self._tally.take_traffic()
        if not rows:
            return
        try:
            await self._traffic.add(rows)
        except (GatewayError, OSError) as error:
            _log.warning("traffic not saved", reason=str(error))
            self._tally.give_back(rows)

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

    def _look_around(self) -> None:
        """Copy what others count into the metrics."""
        metrics = self._metrics
        metrics.gauge("entrepot_requests_in_flight", (), self.in_flight)
        metrics.reach("entrepot_requests_short", (), self._short_answers())
        metrics.reach("entrepot_log_lines_dropped", (), self._writer.dropped)
        for upstream in self._upstreams():
            labels = (upstream.name, upstream.host)
            metrics.reach("entrepot_upstream_requests", labels, upstream.requests)
            metrics.reach("entrepot_upstream_bytes", labels, upstream.bytes)
            metrics.reach("entrepot_upstream_errors", labels, upstream.errors)
            metrics.reach("entrepot_upstream_corrupt", labels, upstream.corrupt)
            metrics.gauge("entrepot_upstream_breaker", labels, _BREAKER.get(upstream.state, 0))
            allowance = upstream.allowance
            metrics.gauge("entrepot_upstream_allowance", labels, None if allowance is None else allowance.limit)
            metrics.gauge("entrepot_upstream_allowance_left", labels, None if allowance is None else allowance.left)


_BREAKER: Mapping[str, int] = {"closed": 0, "half-open": 1, "paused": 2, "open": 2}
