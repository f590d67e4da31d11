"""When a host that fails is left alone, as a state machine. Pure: the clock is an argument (monotonic seconds).

    CLOSED ──5 failures in a row──▶ OPEN ──its time is over──▶ HALF_OPEN (one probe)
       ▲                             ▲                            │ │
       └─────────────success─────────┼──────────success───────────┘ │
                                     └──failure: twice as long──────┘

Beside it, a host that says "too many requests" is paused for as long as it asks: it is well, so no failure is counted.
"""

from enum import StrEnum

THRESHOLD = 5
FIRST_OPEN, LONGEST_OPEN = 1.0, 60.0
LONGEST_PAUSE = 300.0
_PROBE_SECONDS = 60.0  # a probe that nobody reported on is forgotten


class State(StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    PAUSED = "paused"


class Breaker:
    """The breaker of one host. `failures` counts in a row."""

    __slots__ = ("_limited", "_open_seconds", "_opened_until", "_paused_until", "_probed_until", "failures")

    def __init__(self) -> None:
        self.failures = 0
        self._open_seconds = 0.0
        self._opened_until = 0.0
        self._paused_until = 0.0
        self._probed_until = 0.0
        self._limited = 0

    def state(self, now: float) -> State:
        """The state as a caller would meet it at `now`."""
        if now < self._paused_until:
            return State.PAUSED
        if not self._open_seconds:
            return State.CLOSED
        return State.OPEN if now < self._opened_until else State.HALF_OPEN

    def until(self, now: float) -> float | None:
        """When the host may be asked again, or None where it may be asked now."""
        moment = max(self._paused_until, self._opened_until)
        return moment if moment > now else None

    def admit(self, now: float) -> float:
        """0.0 to go ahead, else the seconds to stay away. Whoever goes ahead must report how it ended."""
        state = self.state(now)
        if state is State.CLOSED:
            return 0.0
        if state is not State.HALF_OPEN:
            return max(self._paused_until, self._opened_until) - now
        if now < self._probed_until:
            return FIRST_OPEN
        self._probed_until = now + _PROBE_SECONDS
        return 0.0

    def succeed(self) -> None:
        """The host answered as it should."""
        self.failures = 0
        self._open_seconds = self._opened_until = 0.0
        self._probed_until = 0.0
        self._limited = 0

    def fail(self, now: float) -> None:
        """The host could not be reached, was too slow, or answered that it is broken."""
        self.failures += 1
        was_probed = now < self._probed_until
        self._probed_until = 0.0
        if was_probed:
            self._open(now, min(self._open_seconds * 2, LONGEST_OPEN))
        elif not self._open_seconds and self.failures >= THRESHOLD:
            self._open(now, FIRST_OPEN)

    def limit(self, now: float, seconds: float | None) -> float:
        """The host asks us to come back later; None: it does not say when. Returns the seconds it is paused for."""
        again = self._limited if now < self._paused_until else self._limited + 1  # many may be told at once
        asked = min(FIRST_OPEN * 2 ** (max(again, 1) - 1), LONGEST_OPEN) if seconds is None else seconds
        self.succeed()
        self._limited = min(again, 10)
        self._paused_until = max(self._paused_until, now + min(max(asked, FIRST_OPEN), LONGEST_PAUSE))
        return self._paused_until - now

    def abandon(self) -> None:
        """The caller left before the answer: nothing is known, and somebody else may probe."""
        self._probed_until = 0.0

    def _open(self, now: float, seconds: float) -> None:
        self._open_seconds = seconds
        self._opened_until = now + seconds
