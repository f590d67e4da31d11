"""How many failures an address may have. However many addresses fail, the table keeps only the newest few thousand."""

import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from cachetools import LRUCache
from msgspec import Struct

from gateway.errors import Throttled

_MAX_ADDRESSES = 10_000


class _Failures(Struct):
    """Failures since `started`."""

    started: float
    count: int = 0


class Throttle:
    """Failures by client address; after `limit` within `window` seconds the address has to wait for the window's end.

    An IPv6 client is its /64, since that is what one gets from a provider. `place` makes another key, as for accounts.
    """

    def __init__(
        self,
        limit: int,
        window: float,
        clock: Callable[[], float] = time.monotonic,
        place: Callable[[str], str] | None = None,
    ) -> None:
        self._place = place or _place
        self._limit = limit
        self._window = window
        self._clock = clock
        self._table: LRUCache[str, _Failures] = LRUCache(_MAX_ADDRESSES)

    def note(self, address: str) -> None:
        """Count a failure."""
        now = self._clock()
        place = self._place(address)
        failures = self._table.get(place)
        if failures is None or now - failures.started >= self._window:
            failures = self._table[place] = _Failures(now)
        failures.count += 1

    def check(self, address: str) -> None:
        """Raise Throttled, with the seconds left in the window, once the address had its failures."""
        failures = self._table.get(self._place(address))
        if failures is None or failures.count < self._limit:
            return
        left = failures.started + self._window - self._clock()
        if left > 0:
            raise Throttled("too many failed sign-ins", retry_after=left)

    def __len__(self) -> int:
        return len(self._table)


def _place(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    return str(int(found) >> 64) if isinstance(found, IPv6Address) else address
