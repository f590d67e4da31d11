"""What people feel: whole installs by pip and npm from warm caches, and how fast a server starts.

All parties share both CPUs here. Every server's upstream is the caching nginx (`servers.caching`), which fills itself
from the public registries; pip and npm run with their own caches off.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bench import peers, servers
from bench.arena import Arena, repositories
from bench.load import LoadFailed, middle
from bench.measure import Window, memory
from bench.report import Check, Outcome
from tests.clients.gateway import Gateway
from tests.clients.tools import World, find

PRODUCT = "product"
BOTH = "0,1"
Lock: TypeAlias = dict[str, dict[str, dict[str, str]]]
PACKAGES = Path(__file__).with_name("packages.txt")
NPM_TREE = Path(__file__).resolve().parents[1] / "tests" / "clients" / "data" / "npm-tree" / "package.json"


@dataclass(frozen=True, slots=True)
class Run:
    """One install: wall seconds and the server's CPU seconds."""

    seconds: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Source:
    """A server as a client configures it. address: ends with a slash; token: empty for an anonymous server."""

    server: str
    pid: int
    address: str
    token: str = ""


def pip(arena: Arena, outcome: Outcome) -> None:
    """`pip download --no-deps` of 40 wheels."""
    reference, upstream = servers.caching(arena.folder / "pip-nginx", cpu=BOTH)
    with reference:
        simple = f"{upstream}simple/"
        sources = [Source("nginx", reference.pid, f"{reference.url}/simple/")]
        with Gateway(
            arena.folder / "pip-product",
            repositories("mirror", "npm"),
            upstreams={"mirror": {"type": "pypi", "url": simple}},
            prefix=("taskset", "-c", BOTH),
            has_public_url=True,
        ) as gateway:
            address = gateway.base("pypi/bench/py", gateway.token("bench")) + "simple/"
            sources.append(Source(PRODUCT, gateway.pid, address))
            if not arena.has_peers:
                _installs(arena, outcome, sources, _pip_download)
                return
            with (
                peers.proxpi(arena.folder / "pip-proxpi", simple, cpu=BOTH) as proxpi,
                peers.devpi(arena.folder / "pip-devpi", simple, cpu=BOTH) as devpi,
            ):
                sources.append(Source("proxpi", proxpi.pid, f"{proxpi.url}/index/"))
                sources.append(Source("devpi", devpi.pid, f"{devpi.url}/root/bench/+simple/"))
                first, runs = _installs(arena, outcome, sources, _pip_download)
    ours = runs[PRODUCT]
    _check_wall(outcome, runs, "nginx", 1.1)
    _check_wall(outcome, runs, "proxpi", 1.0)
    _check_wall(outcome, runs, "devpi", 1.0)
    outcome.checks.append(Check("server CPU for one download", ours.cpu, 0.10, 0.03, at_least=False, unit="s"))
    outcome.checks.append(Check("server CPU ÷ proxpi", ours.cpu / runs["proxpi"].cpu, 0.5, at_least=False))
    for peer in ("proxpi", "devpi"):
        ratio = first[PRODUCT].seconds / first[peer].seconds
        outcome.checks.append(Check(f"first fill: wall ÷ {peer}", ratio, 0.5, at_least=False))


def npm(arena: Arena, outcome: Outcome) -> None:
    """`npm ci` of about 300 packages, with and without `resolved` addresses in the lock file."""
    reference, upstream = servers.caching(arena.folder / "npm-nginx", cpu=BOTH)
    with (
        reference,
        Gateway(
            arena.folder / "npm-product",
            repositories("pypi", "mirror"),
            upstreams={"mirror": {"type": "npm", "url": upstream}},
            prefix=("taskset", "-c", BOTH),
            has_public_url=True,
        ) as gateway,
    ):
        sources = [
            Source("nginx", reference.pid, f"{reference.url}/"),
            Source(PRODUCT, gateway.pid, gateway.base("npm/bench/js"), gateway.token("bench")),
        ]
        lock = _npm_lock(arena, sources[1])
        outcome.median("packages", str(len(lock["packages"]) - 1))
        if not arena.has_peers:
            _npm_variants(arena, outcome, sources, lock)
            return
        with peers.verdaccio(arena.folder / "npm-verdaccio", upstream, cpu=BOTH) as verdaccio:
            sources.append(Source("verdaccio", verdaccio.pid, f"{verdaccio.url}/"))
            _npm_variants(arena, outcome, sources, lock)


def startup(arena: Arena, outcome: Outcome) -> None:
    """Start to the first good answer, and the memory of an idle server."""
    gateway = Gateway(arena.folder / "startup", repositories("pypi", "npm"))
    times, sizes = [], []
    for _ in range(arena.rounds + 1):
        with gateway:
            times.append(gateway.ready_after)
            sizes.append(memory(gateway.pid) / 1e6)
    first, later = times[0], middle(times[1:])
    outcome.median(f"{PRODUCT}, start", f"{first:.2f} s with an empty folder, {later:.2f} s afterwards")
    outcome.median(f"{PRODUCT}, idle", f"{middle(sizes):.0f} MB")
    outcome.checks.append(Check("start to ready", later, 1.0, at_least=False, unit="s"))
    outcome.checks.append(Check("idle memory", middle(sizes), 90, at_least=False, unit="MB"))
    if arena.has_peers:
        seconds = arena.devpi().seconds
        outcome.median("devpi, start", f"{seconds:.2f} s")
        outcome.checks.append(Check("start ÷ devpi", later / seconds, 0.25, at_least=False))


def _installs(
    arena: Arena, outcome: Outcome, sources: Sequence[Source], install: Callable[[Arena, Source], Run]
) -> tuple[dict[str, Run], dict[str, Run]]:
    """The first fill of each server, then the medians of interleaved warm runs."""
    first: dict[str, Run] = {}
    for source in sources:
        first[source.server] = install(arena, source)
        outcome.median(f"{source.server}, first fill (one run)", f"{first[source.server].seconds:.2f} s")
        arena.say(f"  first fill {source.server}: {first[source.server]}")
    for source in sources:
        install(arena, source)  # what the first fill taught a server (the metadata in wheels) is in its pages by now
    return first, _warm_runs(arena, outcome, sources, install, "warm")


def _warm_runs(
    arena: Arena,
    outcome: Outcome,
    sources: Sequence[Source],
    install: Callable[[Arena, Source], Run],
    what: str,
) -> dict[str, Run]:
    """Twice as many rounds as other cases, for clients vary more than servers; each begins with another server."""
    runs: dict[str, list[Run]] = {source.server: [] for source in sources}
    for number in range(2 * arena.rounds + 1):
        for at in range(len(sources)):
            source = sources[(number + at) % len(sources)]
            runs[source.server].append(install(arena, source))
            arena.say(f"  round {number + 1} {source.server}, {what}: {runs[source.server][-1]}")
    medians = {
        server: Run(middle([run.seconds for run in measured]), middle([run.cpu for run in measured]))
        for server, measured in runs.items()
    }
    for server, run in medians.items():
        outcome.median(f"{server}, {what}", f"{run.seconds:.2f} s, server {run.cpu:.2f} CPU-s")
    return medians


def _pip_download(arena: Arena, source: Source) -> Run:
    world = World(arena.folder / "client")
    options = ["--no-deps", "--no-cache-dir", "--quiet", "--only-binary", ":all:", "--dest", "wheels"]
    with Window(source.pid) as window:
        done = world.run("pip", "download", *options, "--index-url", source.address, "-r", PACKAGES, timeout=300)
    shutil.rmtree(world.root)
    if done.code != 0:
        raise LoadFailed(f"{source.server}: {done.text[-1500:]}")
    return Run(window.seconds, window.cpu)


def _npm_variants(
    arena: Arena, outcome: Outcome, sources: Sequence[Source], lock: dict[str, dict[str, dict[str, str]]]
) -> None:
    resolved = json.dumps(lock)
    bare = json.dumps({**lock, "packages": {path: _without(entry) for path, entry in lock["packages"].items()}})
    ours = sources[1].address
    for what, text, wall, cpu in (("with resolved", resolved, 1.1, 0.15), ("without resolved", bare, 1.1, 0.25)):

        def install(arena: Arena, source: Source, text: str = text) -> Run:
            return _npm_ci(arena, source, text.replace(ours, source.address))

        for source in sources:
            install(arena, source)
        runs = _warm_runs(arena, outcome, sources, install, what)
        _check_wall(outcome, runs, "nginx", wall, what)
        outcome.checks.append(Check(f"{what}: server CPU", runs[PRODUCT].cpu, cpu, at_least=False, unit="s"))
        if "verdaccio" in runs:
            _check_wall(outcome, runs, "verdaccio", 1.0, what)
            ratio = runs[PRODUCT].cpu / runs["verdaccio"].cpu
            outcome.checks.append(Check(f"{what}: server CPU ÷ verdaccio", ratio, 0.25, at_least=False))


def _npm_world(arena: Arena, source: Source) -> World:
    world = World(arena.folder / "client")
    shutil.copy(NPM_TREE, world.work / "package.json")
    lines = [f"registry={source.address}"]
    if source.token:
        lines.append(f"{source.address.partition(':')[2]}:_authToken={source.token}")
    (world.home / ".npmrc").write_text("\n".join(lines) + "\n")
    return world


def _npm_lock(arena: Arena, source: Source) -> Lock:
    """A lock file made through the product, so that its addresses are the product's."""
    world = _npm_world(arena, source)
    world.run("npm11", "install", "--package-lock-only", "--ignore-scripts", timeout=600).succeeded()
    lock: Lock = json.loads((world.work / "package-lock.json").read_text())
    shutil.rmtree(world.root)
    return lock


def _npm_ci(arena: Arena, source: Source, lock: str) -> Run:
    if find("npm11") is None:
        raise LoadFailed("npm is not installed: run `python -m tests.clients.install node`")
    world = _npm_world(arena, source)
    (world.work / "package-lock.json").write_text(lock)
    with Window(source.pid) as window:
        done = world.run("npm11", "ci", "--ignore-scripts", "--no-audit", "--no-fund", timeout=300)
    shutil.rmtree(world.root)
    if done.code != 0:
        raise LoadFailed(f"{source.server}: {done.text[-1500:]}")
    return Run(window.seconds, window.cpu)


def _without(entry: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in entry.items() if key != "resolved"}


def _check_wall(outcome: Outcome, runs: dict[str, Run], peer: str, gate: float, what: str = "warm") -> None:
    if peer in runs:
        ratio = runs[PRODUCT].seconds / runs[peer].seconds
        outcome.checks.append(Check(f"{what}: wall ÷ {peer}", ratio, gate, at_least=False))
