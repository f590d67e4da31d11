"""Prometheus metrics over any number of worker processes. docs/metrics.md names them all.

Each worker keeps plain sums in memory and writes them to a small snapshot file of its own in a shared folder; whoever
is asked for `/-/metrics` writes its own snapshot and adds up all files. So counters never go back from one scrape to
the next, whichever worker answers, and survive the death of a worker; gauges count living processes only. No lock, no
environment variable, nothing on the request path.
"""

import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Upper bounds of the latency histogram in milliseconds, for Prometheus and for the `traffic` table alike.
BOUNDS: tuple[float, ...] = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)

COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "entrepot_requests": ("Requests answered.", ("type", "method", "status")),
    "entrepot_requests_short": ("Requests that were answered before they were parsed.", ()),
    "entrepot_bytes_sent": ("Bytes of response bodies.", ("type",)),
    "entrepot_bytes_fetched": ("Bytes taken from upstreams for files and documents.", ("type",)),
    "entrepot_cache_hits": ("Requests that an upstream layer answered from the cache.", ("type",)),
    "entrepot_cache_misses": ("Requests for which an upstream had to be asked for the bytes.", ("type",)),
    "entrepot_upstream_requests": ("Requests sent to an upstream's host.", ("upstream", "host")),
    "entrepot_upstream_bytes": ("Bytes received from an upstream's host.", ("upstream", "host")),
    "entrepot_upstream_errors": ("Requests to an upstream's host that failed.", ("upstream", "host")),
    "entrepot_upstream_corrupt": ("Files of an upstream that were not what was promised.", ("upstream", "host")),
    "entrepot_log_lines_dropped": ("Access-log lines lost because the log could not be written.", ()),
}
GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "entrepot_requests_in_flight": ("Requests being answered now.", ()),
    "entrepot_upstream_breaker": (
        "0 closed, 1 half open, 2 open or paused; of all workers the worst.",
        ("upstream", "host"),
    ),
    "entrepot_upstream_allowance": (
        "Requests that an upstream's host allows us in its window, or our budget for it.",
        ("upstream", "host"),
    ),
    "entrepot_upstream_allowance_left": (
        "How many of them are left; of all workers the fewest.",
        ("upstream", "host"),
    ),
    "entrepot_workers": ("Living worker processes.", ()),
}
HISTOGRAM = "entrepot_request_seconds"
_HISTOGRAM_HELP = "Time to answer a request, from its head to the last byte handed to the socket."
_MOST = frozenset({"entrepot_upstream_breaker", "entrepot_upstream_allowance"})
_FEWEST = frozenset({"entrepot_upstream_allowance_left"})


class Snapshot(msgspec.Struct):
    """The sums of one process. counters, gauges: (metric, label values, value); latency: type → (counts, seconds)."""

    pid: int
    counters: list[tuple[str, list[str], float]]
    gauges: list[tuple[str, list[str], float]]
    latency: dict[str, tuple[list[int], float]]


class Metrics:
    """The sums of this process, and the page over all of them. `folder` is shared by the workers of one server."""

    def __init__(self, folder: Path) -> None:
        """Create the folder if needed; the file's name holds the start time, since process ids come again."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._path = folder / f"{time.time_ns()}-{os.getpid()}.json"
        self._counters: dict[tuple[str, tuple[str, ...]], float] = defaultdict(float)
        self._gauges: dict[tuple[str, tuple[str, ...]], float] = {}
        self._latency: dict[str, tuple[list[int], float]] = {}

    def count(self, metric: str, labels: tuple[str, ...], amount: float = 1) -> None:
        """Add to a counter of COUNTERS."""
        self._counters[metric, labels] += amount

    def reach(self, metric: str, labels: tuple[str, ...], value: float) -> None:
        """Set a counter that somebody else sums up for this process."""
        self._counters[metric, labels] = value

    def gauge(self, metric: str, labels: tuple[str, ...], value: float | None) -> None:
        """Set a gauge of GAUGES; None: there is nothing to show by now."""
        if value is None:
            self._gauges.pop((metric, labels), None)
        else:
            self._gauges[metric, labels] = value

    def time(self, type_: str, buckets: Sequence[int], milliseconds: float) -> None:
        """Add requests to the latency histogram: how many fell below each of BOUNDS and beyond, and their sum."""
        counts, total = self._latency.get(type_, ([0] * len(buckets), 0.0))
        self._latency[type_] = ([a + b for a, b in zip(counts, buckets, strict=True)], total + milliseconds / 1000)

    def save(self) -> None:
        """Write this process's snapshot for the others (a few KB, renamed into place)."""
        snapshot = Snapshot(
            os.getpid(),
            [(name, list(labels), value) for (name, labels), value in self._counters.items()],
            [(name, list(labels), value) for (name, labels), value in self._gauges.items()],
            self._latency,
        )
        aside = self._path.with_suffix(".new")
        aside.write_bytes(msgspec.json.encode(snapshot))
        aside.replace(self._path)

    def render(self) -> bytes:
        """The page for Prometheus, over all snapshots in the folder: `save` first. Reads small files."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Page(list(_snapshots(self._folder))))
        return generate_latest(registry)


def clear(folder: Path) -> None:
    """Forget the snapshots of an earlier server; only for the process that starts the workers, before it does."""
    for path in [*folder.glob("*.json"), *folder.glob("*.new")]:
        path.unlink(missing_ok=True)


def _snapshots(folder: Path) -> Iterator[Snapshot]:
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            yield msgspec.json.decode(path.read_bytes(), type=Snapshot)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class _Page(Collector):
    """The sum of snapshots in the shape that prometheus_client prints."""

    def __init__(self, snapshots: Sequence[Snapshot]) -> None:
        self._snapshots = snapshots
        self._living = [snapshot for snapshot in snapshots if _is_alive(snapshot.pid)]

    def collect(self) -> Iterable[Metric]:
        yield from self._counters()
        yield self._histogram()
        yield from self._gauges()

    def _counters(self) -> Iterator[Metric]:
        sums: dict[tuple[str, tuple[str, ...]], float] = defaultdict(float)
        for snapshot in self._snapshots:
            for name, values, amount in snapshot.counters:
                sums[name, tuple(values)] += amount
        for metric, (text, labels_of) in COUNTERS.items():
            family = CounterMetricFamily(metric, text, labels=labels_of)
            for (known, labels), amount in sorted(sums.items()):
                if known == metric:
                    family.add_metric(labels, amount)
            yield family

    def _gauges(self) -> Iterator[Metric]:
        sums: dict[tuple[str, tuple[str, ...]], float] = defaultdict(float)
        for snapshot in self._living:
            for name, values, value in snapshot.gauges:
                key = (name, tuple(values))
                if name in _FEWEST:
                    sums[key] = min(sums.get(key, value), value)
                else:
                    sums[key] = max(sums[key], value) if name in _MOST else sums[key] + value
        sums["entrepot_workers", ()] = len(self._living)
        for metric, (text, labels_of) in GAUGES.items():
            family = GaugeMetricFamily(metric, text, labels=labels_of)
            for (known, labels), value in sorted(sums.items()):
                if known == metric:
                    family.add_metric(labels, value)
            yield family

    def _histogram(self) -> Metric:
        counts: dict[str, list[int]] = {}
        seconds: dict[str, float] = defaultdict(float)
        for snapshot in self._snapshots:
            for type_, (added, total) in snapshot.latency.items():
                known = counts.setdefault(type_, [0] * (len(BOUNDS) + 1))
                counts[type_] = [a + b for a, b in zip(known, added, strict=True)]
                seconds[type_] += total
        family = HistogramMetricFamily(HISTOGRAM, _HISTOGRAM_HELP, labels=("type",))
        for type_, per_bucket in sorted(counts.items()):
            running, buckets = 0, []
            for bound, count in zip([*BOUNDS, None], per_bucket, strict=True):
                running += count
                buckets.append(("+Inf" if bound is None else repr(bound / 1000), float(running)))
            family.add_metric([type_], buckets, seconds[type_])
        return family
