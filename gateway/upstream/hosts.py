"""What this process knows of each host that it asks: its breaker, its allowance, and counters for the dashboard."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import aiohttp
from msgspec import Struct

from gateway.errors import UpstreamTrouble
from gateway.upstream.allowance import Allowance, Budget, read_allowance
from gateway.upstream.breaker import Breaker, State

NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)


class UpstreamHealth(Struct, frozen=True):
    """One host of one upstream. Times are POSIX seconds or None; `bytes` came from it.

    failures: in a row, until it answers again. errors: failures since the process began; corrupt: how often what came
    was not what was promised. allowance: how much more it may be asked, None where nobody says.
    """

    name: str
    host: str
    state: State
    failures: int
    opened_until: float | None
    last_ok: float | None
    last_error: str | None
    requests: int
    bytes: int
    errors: int = 0
    corrupt: int = 0
    allowance: Allowance | None = None


class Host:
    """One host of one upstream. `clock` is monotonic, for the breaker; `now` is the wall clock, for people."""

    __slots__ = (
        "_clock",
        "_now",
        "_told",
        "breaker",
        "budget",
        "corrupt",
        "errors",
        "last_error",
        "last_ok",
        "name",
        "received",
        "requests",
        "upstream",
    )

    def __init__(
        self, upstream: str, name: str, clock: Callable[[], float], now: Callable[[], float], budget: int = 0
    ) -> None:
        """budget: requests an hour; 0: any number."""
        self.upstream = upstream
        self.name = name
        self.breaker = Breaker()
        self.budget = Budget(budget)
        self._told: Allowance | None = None
        self.requests = 0
        self.received = 0
        self.errors = 0
        self.corrupt = 0
        self.last_ok: float | None = None
        self.last_error: str | None = None
        self._clock = clock
        self._now = now

    def admit(self) -> None:
        """Count a request that is about to leave; raises UpstreamTrouble while the host is left alone."""
        wait = self.budget.wait(self._clock())
        if wait > 0:
            message = f"{self.upstream} was asked as often as its budget allows for this hour"
            raise UpstreamTrouble(message, retry_after=wait, host=self.name, is_limited=True)
        wait = self.breaker.admit(self._clock())
        if wait > 0:
            because = f": {self.last_error}" if self.last_error else ""
            raise UpstreamTrouble(
                f"{self.upstream} is left alone for a while{because}",
                retry_after=wait,
                host=self.name,
                is_limited=self.breaker.state(self._clock()) is State.PAUSED,
            )
        self.requests += 1
        self.budget.spend(self._clock())

    def told(self, headers: Mapping[str, str]) -> None:
        """Note what an answer says of how much more the host may be asked."""
        self._told = read_allowance(headers, self._clock()) or self._told

    def allowance(self) -> Allowance | None:
        """How much more it may be asked, by its own word or by its budget, whichever is nearer to its end."""
        now = self._clock()
        known = [one for one in (self._told, self.budget.allowance(now)) if one is not None and not one.is_over(now)]
        return min(known, key=lambda one: one.left / max(one.limit, 1), default=None)

    def thrift(self) -> float:
        """Seconds for which what is kept of it counts as fresh at least: 0.0, unless it may hardly be asked."""
        allowance = self.allowance()
        return allowance.window if allowance is not None and allowance.is_scarce else 0.0

    def succeeded(self) -> None:
        """The host answered as it should."""
        self.breaker.succeed()
        self.last_ok = self._now()

    def failed(self, why: str) -> None:
        """The host is in trouble."""
        self.breaker.fail(self._clock())
        self.errors += 1
        self.last_error = why

    def lied(self) -> None:
        """What it sent, or had sent by another host, is not what was promised."""
        self.corrupt += 1
        self.last_error = "sent something else than was promised"

    def limited(self, seconds: float | None) -> float:
        """The host asked us to come back later; returns the seconds it is paused for."""
        self.errors += 1
        self.last_error = "it asks for fewer requests"
        return self.breaker.limit(self._clock(), seconds)

    @contextmanager
    def watching(self, *, is_repeatable: bool = True) -> Iterator[None]:
        """Turn a network error inside into UpstreamTrouble and count it; leave the breaker to others if we leave.

        `is_repeatable`: whether the request may be sent again; the error's detail `is_passing` says so.
        """
        try:
            yield
        except NETWORK_ERRORS as error:
            why = said(error)
            self.failed(why)
            passing = is_repeatable or isinstance(error, aiohttp.ClientConnectorError)
            raise UpstreamTrouble(f"{self.upstream} {why}", host=self.name, is_passing=passing) from error
        except BaseException:
            self.breaker.abandon()
            raise

    def health(self) -> UpstreamHealth:
        """What the dashboard shows."""
        clock = self._clock()
        until = self.breaker.until(clock)
        return UpstreamHealth(
            name=self.upstream,
            host=self.name,
            state=self.breaker.state(clock),
            failures=self.breaker.failures,
            opened_until=None if until is None else self._now() + until - clock,
            last_ok=self.last_ok,
            last_error=self.last_error,
            requests=self.requests,
            bytes=self.received,
            errors=self.errors,
            corrupt=self.corrupt,
            allowance=self.allowance(),
        )


def said(error: BaseException) -> str:
    """A network error in words, without addresses: a signed one is a secret."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "shows a certificate that we do not trust"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return "is refused by our proxy"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "cannot be reached"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "broke off its answer"
    if isinstance(error, aiohttp.ClientResponseError):
        return "sent an answer that is no HTTP, or beyond our bounds"
    if isinstance(error, aiohttp.ClientConnectionError | ConnectionError):
        return "hung up"
    return f"failed ({type(error).__name__})"
