"""Gems beside nginx over a directory: the index of one gem, the list of all, and what one publish costs.

No other gem server is to be had from a package registry, so nginx is the only peer. The goals are those of a simple
page (`cases_small`); and a publish, with the tail of the list that a client then asks for, costs the same however long
the list is: at 190,000 gems at most 1.2 times what it costs at 1,000.
"""

import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from urllib.response import addinfourl

from bench.arena import Arena, get
from bench.load import LoadFailed, Rate, Target, interleaved, middle, rate
from bench.measure import SERVER_CPU, Window
from bench.report import Check, Outcome
from bench.servers import static
from tests.clients.gateway import READ, WRITE, Gateway
from tests.data.gems import versions_file
from tests.fakes.gems import gem

PRODUCT = "product"
FEW, MANY = 1_000, 190_000
_REPOSITORY = "rubygems/bench/gems"
_VERSIONS, _PUBLISHES = 40, 40


def index(arena: Arena, outcome: Outcome) -> None:
    """`/info` of a hosted gem with 40 versions, and `/versions`, sixteen connections."""
    repositories = {"rubygems": {"bench/gems": {"layers": ["hosted"]}}}
    with Gateway(arena.folder / "gems-product", repositories, prefix=("taskset", "-c", SERVER_CPU)) as gateway:
        token = gateway.token("bench", WRITE)
        for minor in range(_VERSIONS):
            _push(gateway, token, "acme-measured", f"1.{minor}")
        headers = {"Authorization": f"Bearer {gateway.token('bench', READ)}"}
        for what in ("info/acme-measured", "versions"):
            target = Target(PRODUCT, gateway.pid, gateway.base(_REPOSITORY) + what, headers)
            targets = [arena.reference(f"gems-{what.partition('/')[0]}", get(target)), target]
            for one in targets:
                rate(one, 16, 1)
            measure = partial(rate, connections=16, seconds=arena.seconds)
            measured = interleaved(targets, arena.rounds, measure, arena.say)
            rates = {server: _median(found) for server, found in measured.items()}
            for server, (per_second, cpu) in rates.items():
                outcome.median(f"{server}, {what}, c16", f"{per_second:,.0f} req/s, {cpu:.4f} CPU-s per 1,000")
            ratio = rates[PRODUCT][0] / rates["nginx"][0]
            outcome.checks.append(Check(f"{what}: req/s ÷ nginx, c16", ratio, 0.15, 0.60))


@dataclass(slots=True)
class _Followed:
    """A gateway, and how much of its list a client holds."""

    gateway: Gateway
    token: str
    size: int = 0


def publish(arena: Arena, outcome: Outcome) -> None:
    """A gem pushed, and the tail of `/versions` that a client lacks then, behind lists of 1,000 and 190,000 gems."""
    with ExitStack() as stack:
        followed = {count: _followed(arena, stack, count) for count in (FEW, MANY)}
        for number in range(3):
            for one in followed.values():
                _publish(one, f"0.{number}")
        seconds: dict[int, list[float]] = {FEW: [], MANY: []}
        cpu: dict[int, list[float]] = {FEW: [], MANY: []}
        for number in range(_PUBLISHES):
            for count, one in followed.items():
                with Window(one.gateway.pid) as window:
                    seconds[count].append(_publish(one, f"1.{number}"))
                cpu[count].append(window.cpu)
    for count in (FEW, MANY):
        took, used = middle(seconds[count]) * 1000, sum(cpu[count]) / _PUBLISHES * 1000
        outcome.median(f"{count:,} gems", f"{took:.1f} ms, {used:.1f} CPU-ms a publish")
    ratio = middle(seconds[MANY]) / middle(seconds[FEW])
    outcome.checks.append(Check("publish and tail: 190,000 gems ÷ 1,000", ratio, 1.2, at_least=False))


def _followed(arena: Arena, stack: ExitStack, count: int) -> _Followed:
    """A gateway in front of so many gems, whose list has been asked for."""
    folder = arena.folder / f"gems-{count}"
    (folder / "far").mkdir(parents=True)
    (folder / "far" / "versions").write_bytes(versions_file(count))
    far = stack.enter_context(static(folder / "nginx", folder / "far"))
    repositories = {"rubygems": {"bench/gems": {"layers": ["hosted", "far"]}}}
    upstreams = {"far": {"type": "rubygems", "url": f"{far.url}/", "max_age": 86_400}}
    pinned = ("taskset", "-c", SERVER_CPU)
    gateway = stack.enter_context(Gateway(folder / "product", repositories, upstreams=upstreams, prefix=pinned))
    one = _Followed(gateway, gateway.token("bench", WRITE))
    one.size = len(_ask(one, "versions"))
    if one.size < count * 40:
        raise LoadFailed(f"{PRODUCT}: a list of {count} gems has only {one.size} bytes")
    return one


def _publish(one: _Followed, version: str) -> float:
    """Seconds that it took to push a gem and to read what that added; raises LoadFailed for more than a line."""
    body = gem().build("acme-measured", version).body
    began = time.perf_counter()
    _post(one.gateway, one.token, body)
    tail = _ask(one, "versions", {"Range": f"bytes={one.size - 1}-"})
    took = time.perf_counter() - began
    if tail.count(b"\n") != 2 or not tail.startswith(b"\nacme-measured "):
        raise LoadFailed(f"{PRODUCT}: a publish added {len(tail)} bytes to the list")
    one.size += len(tail) - 1
    return took


def _push(gateway: Gateway, token: str, name: str, version: str) -> None:
    _post(gateway, token, gem().build(name, version).body)


def _post(gateway: Gateway, token: str, body: bytes) -> None:
    headers = {"Authorization": token, "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(gateway.base(_REPOSITORY) + "api/v1/gems", body, headers)
    with _open(request) as response:
        response.read()


def _ask(one: _Followed, path: str, headers: dict[str, str] | None = None) -> bytes:
    told = {"Authorization": one.token, **(headers or {})}
    with _open(urllib.request.Request(one.gateway.base(_REPOSITORY) + path, headers=told)) as response:
        return response.read()


def _open(request: urllib.request.Request) -> addinfourl:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    response: addinfourl = opener.open(request, timeout=120)
    return response


def _median(rates: list[Rate]) -> tuple[float, float]:
    return middle([one.per_second for one in rates]), middle([one.cpu for one in rates])
