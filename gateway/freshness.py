"""Whether a document that we hold may be served, must be asked for again, or both. Pure: time is an argument.

    fetched ──max_age──▶ FRESH ends ──window──▶ STALE_USABLE ends ──…──▶ max_stale after FRESH ended: gone for good

RFC 9111 §4.2 (freshness) and RFC 5861 (stale-while-revalidate, stale-if-error).
"""

from enum import StrEnum

from msgspec import Struct

SHORTEST_WINDOW = 60.0
_CLOCK_SKEW = 60.0  # seconds that a document may come from the future before its age is not believed


class Freshness(StrEnum):
    """What to do with a document: serve · serve and refresh in the background · ask with its validators · fetch."""

    FRESH = "fresh"
    STALE_USABLE = "stale-usable"
    STALE = "stale"
    ABSENT = "absent"


class Validators(Struct, frozen=True):
    """What is known of a document that we hold. fetched_at: POSIX seconds of the last answer; max_age: seconds."""

    etag: str | None
    last_modified: str | None
    fetched_at: float
    max_age: float


def judge(
    known: Validators | None, now: float, *, max_stale: float = float("inf"), window: float | None = None
) -> Freshness:
    """What to do with the document at `now` (POSIX seconds).

    window: seconds after its max_age in which it is served while it is refreshed beside; None: as long as its max_age,
    at least a minute. Never longer than `max_stale`.
    """
    if known is None:
        return Freshness.ABSENT
    age = now - known.fetched_at
    if age < -_CLOCK_SKEW:
        return Freshness.STALE
    if age < known.max_age:
        return Freshness.FRESH
    usable = max(known.max_age, SHORTEST_WINDOW) if window is None else window
    return Freshness.STALE_USABLE if age < known.max_age + min(usable, max_stale) else Freshness.STALE


def may_stand_in(known: Validators, now: float, max_stale: float) -> bool:
    """Whether the document may be served while its upstream is in trouble: `max_stale` seconds after it was fresh."""
    return now - known.fetched_at < known.max_age + max_stale


def remaining(known: Validators, now: float) -> float:
    """Seconds for which it stays fresh, 0.0 when it is not."""
    return max(0.0, known.fetched_at + known.max_age - now)
