"""How much more an upstream may be asked: by what it says itself, and by the budget that its configuration gives it.

Docker Hub tells with every answer for a manifest what is left (`RateLimit-Limit: 100;w=21600`, `RateLimit-Remaining`).
Pure: time is an argument (monotonic seconds). What comes over the wire can make us ask less often, for hours at most.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

LONGEST_THRIFT = 6 * 3600.0  # seconds that nobody's word keeps us from asking whether a document changed
_WINDOW = 3600.0  # of a budget, and where an upstream does not name its own
_NUMBER = re.compile(r"\s*([0-9]{1,9})(?![0-9])")
_SECONDS = re.compile(r";\s*w\s*=\s*([0-9]{1,9})(?![0-9])", re.IGNORECASE)


class Allowance(Struct, frozen=True):
    """`left` of `limit` requests within `window` seconds, as it was at `at`."""

    limit: int
    left: int
    window: float
    at: float

    def is_over(self, now: float) -> bool:
        """Whether so much time passed that it says nothing any more."""
        return now - self.at >= self.window

    @property
    def is_scarce(self) -> bool:
        """Whether less than a tenth is left."""
        return self.left * 10 < self.limit


def read_allowance(headers: Mapping[str, str], now: float) -> Allowance | None:
    """What an answer says is left; None where it does not, or not in a form that we know."""
    if "RateLimit-Remaining" not in headers:
        return None
    told_limit, told_left = headers.get("RateLimit-Limit", "")[:100], headers["RateLimit-Remaining"][:100]
    limit, left = _NUMBER.match(told_limit), _NUMBER.match(told_left)
    if limit is None or left is None:
        return None
    seconds = _SECONDS.search(told_limit) or _SECONDS.search(told_left)
    window = min(float(seconds[1]), LONGEST_THRIFT) if seconds is not None else _WINDOW
    return Allowance(int(limit[1]), min(int(left[1]), int(limit[1])), window, now)


class Budget:
    """At most `limit` requests in each hour that begins with one; 0: no bound."""

    __slots__ = ("_began", "_spent", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._began = float("-inf")
        self._spent = 0

    def wait(self, now: float) -> float:
        """0.0 while a request may leave, else the seconds until one may."""
        if not self.limit or now - self._began >= _WINDOW or self._spent < self.limit:
            return 0.0
        return self._began + _WINDOW - now

    def spend(self, now: float) -> None:
        """Count a request that leaves."""
        if now - self._began >= _WINDOW:
            self._began, self._spent = now, 0
        self._spent += 1

    def allowance(self, now: float) -> Allowance | None:
        """What is left of it; None for no bound."""
        if not self.limit:
            return None
        spent = self._spent if now - self._began < _WINDOW else 0
        return Allowance(self.limit, max(0, self.limit - spent), _WINDOW, now)
