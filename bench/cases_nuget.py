"""NuGet beside nginx over a directory: what a restore asks for, a flat container's versions and a package.

No other NuGet server is to be had from a package registry, so nginx is the only peer. The goals are those of a simple
page and of a wheel (`cases_small`).
"""

import urllib.request
from functools import partial

from bench.arena import Arena, get
from bench.load import LoadFailed, Rate, Target, interleaved, middle, rate
from bench.measure import SERVER_CPU
from bench.report import Check, Outcome
from tests.clients.gateway import READ, WRITE, Gateway
from tests.fakes.artifacts import noise, zip_of

PRODUCT = "product"
_REPOSITORY = "nuget/bench/net"
_ID, _VERSIONS, _SIZE = "Acme.Measured", 40, 60_000
_NUSPEC = """<?xml version="1.0"?>
<package><metadata><id>{id}</id><version>{version}</version><authors>Acme</authors><description>for the benchmark\
</description></metadata></package>"""


def packages(arena: Arena, outcome: Outcome) -> None:
    """The versions of a hosted package, 40 of them, and a package of 60 KB, sixteen connections."""
    repositories = {"nuget": {"bench/net": {"layers": ["hosted"]}}}
    with Gateway(arena.folder / "nuget-product", repositories, prefix=("taskset", "-c", SERVER_CPU)) as gateway:
        _publish(gateway)
        headers = {"Authorization": f"Bearer {gateway.token('bench', READ)}"}
        flat, lower = gateway.base(_REPOSITORY) + f"flat/{_ID.lower()}/", _ID.lower()
        for what, path in {"versions": "index.json", "nupkg": f"1.0.0/{lower}.1.0.0.nupkg"}.items():
            target = Target(PRODUCT, gateway.pid, flat + path, headers)
            rates = _rates(arena, outcome, what, target)
            gate, stretch = (0.15, 0.60) if what == "versions" else (0.25, 0.50)
            ratio = rates[PRODUCT][0] / rates["nginx"][0]
            outcome.checks.append(Check(f"{what}: req/s ÷ nginx, c16", ratio, gate, stretch))


def _rates(arena: Arena, outcome: Outcome, what: str, target: Target) -> dict[str, tuple[float, float]]:
    """server → requests per second and CPU seconds per thousand of them; a first window is a warm-up."""
    targets = [arena.reference(f"nuget-{what}", get(target)), target]
    for one in targets:
        rate(one, 16, 1)
    measure = partial(rate, connections=16, seconds=arena.seconds)
    measured = interleaved(targets, arena.rounds, measure, arena.say)
    rates = {server: _median(found) for server, found in measured.items()}
    for server, (per_second, cpu) in rates.items():
        outcome.median(f"{server}, {what}, c16", f"{per_second:,.0f} req/s, {cpu:.4f} CPU-s per 1,000")
    return rates


def _publish(gateway: Gateway) -> None:
    """Forty versions, as a plain body."""
    token = gateway.token("bench", WRITE)
    for minor in range(_VERSIONS):
        version = f"1.{minor}.0"
        nuspec = _NUSPEC.format(id=_ID, version=version).encode()
        body = zip_of({f"{_ID}.nuspec": nuspec, "ballast.bin": noise(1000 if minor else _SIZE, version)})
        request = urllib.request.Request(gateway.base(_REPOSITORY) + "package/", body, method="PUT")
        request.add_header("X-NuGet-ApiKey", token)
        request.add_header("Content-Type", "application/octet-stream")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
            if response.status != 201:
                raise LoadFailed(f"{PRODUCT}: a push was answered with {response.status}")


def _median(rates: list[Rate]) -> tuple[float, float]:
    return middle([one.per_second for one in rates]), middle([one.cpu for one in rates])
