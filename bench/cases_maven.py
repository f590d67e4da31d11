"""Maven beside nginx over a directory: metadata and jars under wrk, and a whole application build by Maven 3.9.

Reposilite is not on Maven Central, so nginx is the only peer. The goals: a metadata document as a simple page has it
(`cases_small`), a jar of 1 MB at half of nginx's rate, and a build through the product within 1.1 times the same build
from plain nginx over a mirrored directory, both with everything cached.
"""

import hashlib
import shutil
import urllib.request
from functools import partial
from pathlib import Path

from bench.arena import Arena, get
from bench.cases_clients import BOTH, PRODUCT, Run, Source
from bench.load import LoadFailed, Rate, Target, interleaved, middle, rate
from bench.measure import SERVER_CPU, Window
from bench.report import Check, Outcome
from bench.servers import static
from tests.clients import jvm
from tests.clients.gateway import READ, WRITE, Gateway
from tests.clients.tools import World, find
from tests.fakes.maven import folder, library

_REPOSITORY = "maven/bench/jvm"
_NAME, _VERSIONS, _SIZE = "com.acme:measured", 40, 1_000_000
_APPLICATION = Path(__file__).resolve().parents[1] / "tests" / "clients" / "data" / "maven-app"


def artifacts(arena: Arena, outcome: Outcome) -> None:
    """Metadata of 40 hosted versions, and a jar of 1 MB, sixteen connections."""
    repositories = {"maven": {"bench/jvm": {"layers": ["hosted"]}}}
    with Gateway(arena.folder / "maven-product", repositories, prefix=("taskset", "-c", SERVER_CPU)) as gateway:
        _publish(gateway)
        headers = {"Authorization": f"Bearer {gateway.token('bench', READ)}"}
        base = gateway.base(_REPOSITORY) + folder(_NAME)
        paths = {"metadata": "maven-metadata.xml", "jar": f"1.0/{_NAME.partition(':')[2]}-1.0.jar"}
        for what, path in paths.items():
            target = Target(PRODUCT, gateway.pid, base + path, headers)
            targets = [arena.reference(f"maven-{what}", get(target)), target]
            for one in targets:
                rate(one, 16, 1)
            measure = partial(rate, connections=16, seconds=arena.seconds)
            rates = {
                server: _median(found)
                for server, found in interleaved(targets, arena.rounds, measure, arena.say).items()
            }
            for server, (per_second, cpu) in rates.items():
                outcome.median(f"{server}, {what}, c16", f"{per_second:,.0f} req/s, {cpu:.4f} CPU-s per 1,000")
            gate, stretch = (0.15, 0.60) if what == "metadata" else (0.50, 0.90)
            ratio = rates[PRODUCT][0] / rates["nginx"][0]
            outcome.checks.append(Check(f"{what}: req/s ÷ nginx, c16", ratio, gate, stretch))


def application(arena: Arena, outcome: Outcome) -> None:
    """`mvn package` of a Spring Boot application with an empty local repository."""
    repositories = {"maven": {"bench/jvm": {"layers": ["hosted", "maven-central"]}}}
    with Gateway(arena.folder / "mvn-product", repositories, prefix=("taskset", "-c", BOTH)) as gateway:
        token = gateway.token("bench", READ)
        ours = Source(PRODUCT, gateway.pid, gateway.base(_REPOSITORY), token)
        mirror = arena.folder / "mirror"
        first = _build(arena, ours, keep=mirror)
        outcome.median(f"{PRODUCT}, first fill from Maven Central (one run)", f"{first.seconds:.1f} s")
        with static(arena.folder / "mvn-nginx", mirror, cpu=BOTH) as reference:
            sources = (Source("nginx", reference.pid, f"{reference.url}/"), ours)
            runs: dict[str, list[Run]] = {source.server: [] for source in sources}
            for number in range(arena.rounds):
                for source in sources:
                    runs[source.server].append(_build(arena, source))
                    arena.say(f"  round {number + 1} {source.server}: {runs[source.server][-1]}")
    seconds = {server: middle([run.seconds for run in measured]) for server, measured in runs.items()}
    for server, measured in runs.items():
        cpu = middle([run.cpu for run in measured])
        outcome.median(f"{server}, warm", f"{seconds[server]:.1f} s, server {cpu:.2f} CPU-s")
    outcome.checks.append(Check("warm: wall ÷ nginx", seconds[PRODUCT] / seconds["nginx"], 1.1, at_least=False))


def _publish(gateway: Gateway) -> None:
    """Forty versions as Maven uploads them: POM, then jar."""
    token = gateway.token("bench", WRITE)
    for minor in range(_VERSIONS):
        version = f"1.{minor}"
        built = library(size=1000 if minor else _SIZE).build(_NAME, version)
        stem = gateway.base(_REPOSITORY) + folder(_NAME, version) + built.filename.removesuffix(".jar")
        _put(f"{stem}.pom", built.metadata or b"", token)
        _put(f"{stem}.jar", built.body, token)


def _put(url: str, body: bytes, token: str) -> None:
    request = urllib.request.Request(url, body, {"Authorization": f"Bearer {token}"}, method="PUT")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60):
        pass


def _build(arena: Arena, source: Source, keep: Path | None = None) -> Run:
    """One build with an empty local repository; `keep`: where to lay out what it needed as a mirrored directory."""
    if find("mvn39") is None:
        raise LoadFailed("Maven 3.9 is not installed: run `python -m tests.clients.install java`")
    world = World(arena.folder / "client")
    jvm.configure_maven(world, source.address, source.token)
    shutil.copytree(_APPLICATION, world.work / "app")
    with Window(source.pid) as window:
        done = jvm.mvn("mvn39", world, "package", cwd=world.work / "app", timeout=600)
    if keep is not None and done.code == 0:
        _mirror(world.home / ".m2" / "repository", keep)
    shutil.rmtree(world.root)
    if done.code != 0:
        raise LoadFailed(f"{source.server}: {done.text[-1500:]}")
    return Run(window.seconds, window.cpu)


def _mirror(local: Path, mirror: Path) -> None:
    """Every POM and jar of a local repository with its `.sha1` beside it, as a repository has them."""
    for path in local.rglob("*"):
        if path.suffix in {".pom", ".jar"}:
            copy = mirror / path.relative_to(local)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
            sha1 = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
            copy.with_name(f"{copy.name}.sha1").write_text(sha1)


def _median(rates: list[Rate]) -> tuple[float, float]:
    return middle([one.per_second for one in rates]), middle([one.cpu for one in rates])
