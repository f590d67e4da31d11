"""Numbers for people: sums of traffic, percentiles from histograms, sparklines, sizes and ages. Pure."""

from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from gateway.store.rows import TrafficRow

_WIDTH, _HEIGHT = 120, 24


class Traffic(Struct):
    """What happened in a window of time. points: requests in each of its equal parts, oldest first."""

    name: str
    requests: int = 0
    errors: int = 0
    hits: int = 0
    misses: int = 0
    bytes_sent: int = 0
    bytes_fetched: int = 0
    buckets: dict[str, int] = field(default_factory=dict)
    points: list[int] = field(default_factory=list)

    @property
    def hit_ratio(self) -> float | None:
        """Of what upstream layers answered, the part that came from the cache; None when they answered nothing."""
        answered = self.hits + self.misses
        return self.hits / answered if answered else None

    @property
    def bytes_saved(self) -> int:
        """Bytes that were sent and did not have to be fetched for it."""
        return max(0, self.bytes_sent - self.bytes_fetched)

    @property
    def p50(self) -> str:
        """Half of the requests were answered within this time."""
        return duration(percentile(self.buckets, 0.5))

    @property
    def p95(self) -> str:
        """19 of 20 requests were answered within this time."""
        return duration(percentile(self.buckets, 0.95))


class Overview(Struct, frozen=True):
    """The traffic of a window: in all, by type, and by repository, the busiest first."""

    total: Traffic
    types: list[Traffic]
    repositories: list[Traffic]


def summarise(rows: Iterable[TrafficRow], since: int, minutes: int, points: int = 60) -> Overview:
    """Add up the rows of `minutes` minutes from the minute `since` on. `points`: parts of a sparkline."""
    total = Traffic("all", points=[0] * points)
    types: dict[str, Traffic] = {}
    repositories: dict[str, Traffic] = {}
    for row in rows:
        sums = [total, types.setdefault(row.type, Traffic(row.type, points=[0] * points))]
        if row.repository:
            sums.append(repositories.setdefault(row.repository, Traffic(row.repository, points=[0] * points)))
        place = min(points - 1, max(0, (row.minute - since) * points // minutes))
        for traffic in sums:
            _add(traffic, row, place)
    busiest = sorted(repositories.values(), key=lambda traffic: (-traffic.requests, traffic.name))
    return Overview(total, [types[name] for name in sorted(types)], busiest)


def percentile(buckets: dict[str, int], part: float) -> float | None:
    """Milliseconds within which this part of the requests was answered, interpolated; None for no requests.

    Infinity where that request took longer than the last bound.
    """
    wanted = part * sum(buckets.values())
    if not wanted:
        return None
    seen, below = 0, 0.0
    for bound, count in sorted((float(name), count) for name, count in buckets.items()):
        if seen + count >= wanted:
            return bound if bound == float("inf") else below + (bound - below) * (wanted - seen) / count
        seen, below = seen + count, bound
    return below


def duration(milliseconds: float | None) -> str:
    """`12 ms`, `1.5 s`, or a dash for None."""
    if milliseconds is None:
        return "–"
    if milliseconds == float("inf"):
        return "> 10 s"
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


def sparkline(points: Sequence[int]) -> str:
    """The `points` attribute of an SVG polyline in a box of 120 by 24."""
    highest = max(points, default=0) or 1
    step = _WIDTH / max(1, len(points) - 1)
    return " ".join(
        f"{i * step:.1f},{_HEIGHT - 1 - (_HEIGHT - 2) * point / highest:.1f}" for i, point in enumerate(points)
    )


def size(count: float) -> str:
    """Bytes: `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(count) < 1024 or unit == "TiB":
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""


def ratio(part: float | None) -> str:
    """`93 %`, or a dash for None."""
    return "–" if part is None else f"{part * 100:.0f} %"


def age(at: float | None, now: float) -> str:
    """How long ago: `5 min`, `3 days`; a dash for None."""
    if at is None:
        return "–"
    seconds = max(0.0, now - at)
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (unit != "days" and seconds >= length):
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _add(traffic: Traffic, row: TrafficRow, place: int) -> None:
    traffic.requests += row.requests
    traffic.errors += row.errors
    traffic.hits += row.hits
    traffic.misses += row.misses
    traffic.bytes_sent += row.bytes_sent
    traffic.bytes_fetched += row.bytes_fetched
    traffic.points[place] += row.requests
    for bound, count in row.buckets.items():
        traffic.buckets[bound] = traffic.buckets.get(bound, 0) + count
