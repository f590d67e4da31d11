"""Adds records up, for Prometheus and for the `traffic` table, a batch at a time. Does no I/O.

Most requests of a batch look alike, so a record only finds its group and adds to a few numbers there; what the numbers
mean is worked out once per group.
"""

from bisect import bisect_left
from collections.abc import Iterable

from msgspec import Struct, field
from msgspec.structs import asdict

from gateway.model import HOSTED_LAYER
from gateway.store.rows import TrafficRow
from gateway.web.metrics import BOUNDS, Metrics
from gateway.web.record import Record

HITS = frozenset({"fresh", "stale", "trouble", "hit"})
MISS = "miss"
GATEWAY_TYPE = "gateway"

_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"})
_CLASSES = ("other", "1xx", "2xx", "3xx", "4xx", "5xx")
_BOUND_NAMES = (*(f"{bound:g}" for bound in BOUNDS), "inf")
_NO_BUCKETS = (0,) * (len(BOUNDS) + 1)

_Key = tuple[int, str, str]  # minute, type, repository
_Alike = tuple[float, str, str, str, int, str, str]  # minute, type, repository, method, status, layer, freshness


class _Sum(Struct):
    """What this worker saw of one repository in one minute since it was last taken; as `TrafficRow`, but growing."""

    requests: int = 0
    errors: int = 0
    hits: int = 0
    misses: int = 0
    bytes_sent: int = 0
    bytes_fetched: int = 0
    milliseconds: float = 0.0
    buckets: dict[str, int] = field(default_factory=dict)


class _Group:
    """Requests of one batch that differ in nothing that is counted apart."""

    __slots__ = ("buckets", "bytes_sent", "milliseconds", "requests")

    def __init__(self) -> None:
        self.requests, self.bytes_sent, self.milliseconds, self.buckets = 0, 0, 0.0, list(_NO_BUCKETS)


class Tally:
    """The sums of this worker. Metrics only ever rise; traffic is taken away by `take_traffic`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._sums: dict[_Key, _Sum] = {}

    def add(self, records: Iterable[Record]) -> None:
        """Count these records."""
        groups: dict[_Alike, _Group] = {}
        for at, _, method, _, status, _, type_, repository, _, layer, freshness, size, ms, _, _ in records:
            key = (at // 60, type_, repository, method, status, layer, freshness)
            group = groups.get(key)
            if group is None:
                group = groups[key] = _Group()
            group.requests += 1
            group.bytes_sent += size
            group.milliseconds += ms
            group.buckets[bisect_left(BOUNDS, ms)] += 1
        for key, group in groups.items():
            self._add_group(key, group)

    def add_fetched(self, at: float, type_: str, repository: str, size: int) -> None:
        """Count bytes that came from an upstream."""
        self._metrics.count("entrepot_bytes_fetched", (type_ or GATEWAY_TYPE,), size)
        self._sum((int(at // 60), type_ or GATEWAY_TYPE, repository)).bytes_fetched += size

    def take_traffic(self) -> list[TrafficRow]:
        """The sums since the last time, which begin anew."""
        sums, self._sums = self._sums, {}
        return [TrafficRow(*key, **asdict(total)) for key, total in sums.items()]

    def give_back(self, rows: Iterable[TrafficRow]) -> None:
        """Take in again what could not be saved."""
        for row in rows:
            total = self._sum((row.minute, row.type, row.repository))
            total.requests += row.requests
            total.errors += row.errors
            total.hits += row.hits
            total.misses += row.misses
            total.bytes_sent += row.bytes_sent
            total.bytes_fetched += row.bytes_fetched
            total.milliseconds += row.milliseconds
            for bound, requests in row.buckets.items():
                total.buckets[bound] = total.buckets.get(bound, 0) + requests

    def _add_group(self, key: _Alike, group: _Group) -> None:
        minute, type_, repository, method, status, layer, freshness = key
        type_ = type_ or GATEWAY_TYPE
        kind = _CLASSES[status // 100 if 100 <= status < 600 else 0]
        metrics, total = self._metrics, self._sum((int(minute), type_, repository))
        metrics.count("entrepot_requests", (type_, method if method in _METHODS else "other", kind), group.requests)
        metrics.count("entrepot_bytes_sent", (type_,), group.bytes_sent)
        metrics.time(type_, group.buckets, group.milliseconds)
        total.requests += group.requests
        total.errors += group.requests if status >= 500 else 0
        total.bytes_sent += group.bytes_sent
        total.milliseconds += group.milliseconds
        for bound, requests in zip(_BOUND_NAMES, group.buckets, strict=True):
            if requests:
                total.buckets[bound] = total.buckets.get(bound, 0) + requests
        if layer in {"", HOSTED_LAYER} or status >= 400:
            return
        if freshness in HITS:
            metrics.count("entrepot_cache_hits", (type_,), group.requests)
            total.hits += group.requests
        elif freshness == MISS:
            metrics.count("entrepot_cache_misses", (type_,), group.requests)
            total.misses += group.requests

    def _sum(self, key: _Key) -> _Sum:
        known = self._sums.get(key)
        if known is None:
            known = self._sums[key] = _Sum()
        return known
