"""Small bodies: pages, packuments and wheels in the cache, under wrk.

The goals: with authentication, log and metrics on, a cached page reaches at least 0.15 of nginx's rate (0.6 is the
stretch), 40 times devpi's and 20 times Verdaccio's; a 304 costs no more than a 200; a wheel 0.25 and 10 times proxpi.
"""

from functools import partial

from bench.arena import NPM_ACCEPT, PYPI_ACCEPT, Arena, file_of, get, headers
from bench.load import Rate, Target, interleaved, middle, rate
from bench.origin import BIG_PACKUMENT, PACKUMENT, PAGE, TARBALL, WHEEL
from bench.report import Check, Outcome

PRODUCT = "product"


def page(arena: Arena, outcome: Outcome) -> None:
    """Warm 12 KB simple page, token, access log and metrics on."""
    product = arena.product(f"/pypi/bench/py/simple/{PAGE}/", PYPI_ACCEPT)
    targets = [arena.reference("page", get(product)), product, *_python_pages(arena)]
    rates = _rates(arena, outcome, targets, (16, 64))
    _against_nginx(outcome, rates, 0.15, 0.60, 6.7, 2.0)
    _against(outcome, rates, {"proxpi": 10, "devpi": 40})
    _latency(outcome, rates)


def packument(arena: Arena, outcome: Outcome) -> None:
    """Warm 20 KB abbreviated packument."""
    product = arena.product(f"/npm/bench/js/{PACKUMENT}", NPM_ACCEPT)
    targets = [arena.reference("packument", get(product)), product, *_packuments(arena, PACKUMENT)]
    rates = _rates(arena, outcome, targets, (16, 64))
    _against_nginx(outcome, rates, 0.15, 0.60, 6.7, 2.0)
    _against(outcome, rates, {"verdaccio": 20})
    _latency(outcome, rates)


def conditional(arena: Arena, outcome: Outcome) -> None:
    """A page that the client already has: 304."""
    plain = arena.product(f"/pypi/bench/py/simple/{PAGE}/", PYPI_ACCEPT)
    known = Target("product 304", plain.pid, plain.url, {**plain.headers, "If-None-Match": _etag(plain)})
    whole = arena.reference("page", get(plain))
    reference = Target("nginx", whole.pid, whole.url, {"If-None-Match": _etag(whole)})
    targets = [reference, known, plain, *_python_pages(arena)]
    rates = _rates(arena, outcome, targets, (16,))[16]
    nginx, ours = rates["nginx"], rates["product 304"]
    outcome.checks.append(Check("304: req/s ÷ nginx 304, c16", ours.per_second / nginx.per_second, 0.12, 0.17))
    outcome.checks.append(Check("304: CPU ÷ own 200, c16", ours.cpu / rates[PRODUCT].cpu, 1.0, at_least=False))
    for peer, gate in {"proxpi": 5, "devpi": 10}.items():
        if peer in rates:
            what = f"304: req/s ÷ {peer} 200, c16"
            outcome.checks.append(Check(what, ours.per_second / rates[peer].per_second, gate))


def wheel(arena: Arena, outcome: Outcome) -> None:
    """A 60 KB wheel and a 60 KB tarball in the cache."""
    product = file_of(arena.product(f"/pypi/bench/py/simple/{PAGE}/", PYPI_ACCEPT), WHEEL)
    targets = [arena.reference("wheel", get(product)), product]
    targets += [file_of(target, WHEEL) for target in _python_pages(arena)]
    if arena.has_peers:
        server = arena.verdaccio()
        targets.append(Target("verdaccio", server.pid, f"{server.url}/{PACKUMENT}/-/{TARBALL}", {}))
    for target in targets:
        get(target)
    rates = _rates(arena, outcome, targets, (16,))
    _against_nginx(outcome, rates, 0.25, 0.50, 4.0, 2.5)
    _against(outcome, rates, {"proxpi": 10})


def big(arena: Arena, outcome: Outcome) -> None:
    """Warm abbreviated packument of 1.3 MB."""
    product = arena.product(f"/npm/bench/js/{BIG_PACKUMENT}", NPM_ACCEPT)
    body = get(product)
    outcome.median("size", f"{len(body) / 1e6:.2f} MB")
    targets = [arena.reference("big", body), product, *_packuments(arena, BIG_PACKUMENT)]
    rates = _rates(arena, outcome, targets, (4,))
    ours = rates[4]
    what = "req/s ÷ nginx, c4"
    outcome.checks.append(Check(what, ours[PRODUCT].per_second / ours["nginx"].per_second, 0.5, 0.9))
    _against(outcome, rates, {"verdaccio": 100})


def workers(arena: Arena, outcome: Outcome) -> None:
    """One against two workers on both CPUs, which the generator shares; with and without the fast path.

    What a second worker brings is bounded by the generator: with s CPU seconds a request here and g there, two workers
    that lose nothing reach 2s/(s+g) times one, so the less the cheaper a request is here. The bound is measured along,
    and what two workers bring to requests that are parsed, which cost several times the generator's part.
    """
    path = f"/pypi/bench/py/simple/{PAGE}/"
    parsed = {"server": {"fast_path": False}}
    both = [arena.product(path, PYPI_ACCEPT, name=f"product-{n}", cpu="0,1", workers=n) for n in (1, 2)]
    both += [
        arena.product(path, PYPI_ACCEPT, name=f"product-{n} parsing", cpu="0,1", workers=n, settings=parsed)
        for n in (1, 2)
    ]
    reference = arena.two_workers("page", get(both[0]))
    for target in both:
        get(target)
    rates = _rates(arena, outcome, [reference, *both], (64,), cpu="0,1", threads=2, rounds=2 * arena.rounds + 1)[64]
    two = rates["product-2"]
    what = "2 workers: req/s ÷ nginx with 2 workers, c64"
    outcome.checks.append(Check(what, two.per_second / rates["nginx"].per_second, 0.5, 0.8))
    for kind, prefix in (("", ""), (" parsing", "parsing: ")):
        one, two = rates[f"product-1{kind}"], rates[f"product-2{kind}"]
        generator = max(0.0, 2000 / two.per_second - two.cpu)
        bound = 2 * one.cpu / (one.cpu + generator)
        outcome.median(
            f"product{kind}, bound for two workers",
            f"{bound:.2f} times one ({generator:.4f} CPU-s per 1,000 elsewhere)",
        )
        what = f"{prefix}req/s of 2 workers ÷ 1 worker, c64"
        outcome.checks.append(Check(what, two.per_second / one.per_second, 1.4))
        what = f"{prefix}the same ÷ its bound, c64"
        outcome.checks.append(Check(what, two.per_second / one.per_second / bound, 0.9))


def _python_pages(arena: Arena) -> list[Target]:
    if not arena.has_peers:
        return []
    accept = {"Accept": PYPI_ACCEPT}
    devpi, proxpi = arena.devpi(), arena.proxpi()
    found = [
        Target("proxpi", proxpi.pid, f"{proxpi.url}/index/{PAGE}/", accept),
        Target("devpi", devpi.pid, f"{devpi.url}/root/bench/+simple/{PAGE}/", accept),
    ]
    for target in found:
        get(target)
    return found


def _packuments(arena: Arena, package: str) -> list[Target]:
    if not arena.has_peers:
        return []
    server = arena.verdaccio()
    target = Target("verdaccio", server.pid, f"{server.url}/{package}", {"Accept": NPM_ACCEPT})
    get(target)
    return [target]


def _etag(target: Target) -> str:
    return headers(target)["etag"]


def _rates(
    arena: Arena, outcome: Outcome, targets: list[Target], connections: tuple[int, ...], **settings: str | int
) -> dict[int, dict[str, Rate]]:
    """connections → server → medians; the first visit of each server is a warm-up that does not count."""
    cpu, threads = str(settings.get("cpu", "1")), int(settings.get("threads", 1))
    rounds = int(settings.get("rounds", arena.rounds))
    for target in targets:
        rate(target, connections[0], 1, cpu=cpu, threads=threads)
    found: dict[int, dict[str, Rate]] = {}
    for count in connections:
        measure = partial(rate, connections=count, seconds=arena.seconds, cpu=cpu, threads=threads)
        measured = interleaved(targets, rounds, measure, arena.say)
        found[count] = {server: _median(rates) for server, rates in measured.items()}
        for server, one in found[count].items():
            text = f"{one.per_second:,.0f} req/s, {one.cpu:.4f} CPU-s per 1,000, p50 {one.p50:.2f} p99 {one.p99:.2f} ms"
            outcome.median(f"{server}, c{count}", text)
    return found


def _median(rates: list[Rate]) -> Rate:
    names = ("per_second", "cpu", "p50", "p99", "other")
    return Rate(*(middle([getattr(one, name) for one in rates]) for name in names))


def _against_nginx(
    outcome: Outcome, rates: dict[int, dict[str, Rate]], gate: float, stretch: float, cpu: float, cpu_stretch: float
) -> None:
    for count, servers in rates.items():
        ours, nginx = servers[PRODUCT], servers["nginx"]
        what = f"req/s ÷ nginx, c{count}"
        outcome.checks.append(Check(what, ours.per_second / nginx.per_second, gate, stretch))
        what = f"CPU per request ÷ nginx, c{count}"
        outcome.checks.append(Check(what, ours.cpu / nginx.cpu, cpu, cpu_stretch, at_least=False))


def _against(outcome: Outcome, rates: dict[int, dict[str, Rate]], gates: dict[str, float]) -> None:
    for count, servers in rates.items():
        for peer, gate in gates.items():
            if peer in servers:
                ratio = servers[PRODUCT].per_second / servers[peer].per_second
                outcome.checks.append(Check(f"req/s ÷ {peer}, c{count}", ratio, gate))


def _latency(outcome: Outcome, rates: dict[int, dict[str, Rate]]) -> None:
    servers = rates[16]
    bound = max(5.0, 5 * servers["nginx"].p99)
    outcome.checks.append(Check("p99 latency, c16", servers[PRODUCT].p99, bound, at_least=False, unit="ms"))
