"""An upstream that goes wrong, as Maven sees it: no wrong file is kept, and nothing wrong is remembered by anybody."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients import jvm
from tests.clients.gateway import Gateway
from tests.clients.tools import World, tool
from tests.fakes.faults import Fault, answer, corrupt, down, limited, truncate
from tests.fakes.maven import library
from tests.fakes.upstream import FaultyUpstream

pytestmark = [pytest.mark.client, pytest.mark.public]

REPOSITORY = "maven/acme/libs"
Warm = Callable[[str], Path]
# What goes wrong with the jar, and a word that the user reads.
FAULTS: dict[str, tuple[Fault, str]] = {
    "blocked": (answer(403), "403"),
    "corrupt": (corrupt(), "502"),
    "truncated": (truncate(), "50"),
    "limited": (limited("1"), "503"),
    "unavailable": (limited("1", 503), "503"),
    "down": (down(), "503"),
}
ALL = tuple(FAULTS)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, fake: FaultyUpstream) -> Iterator[Gateway]:
    repositories = {"maven": {"acme/libs": {"layers": ["fake"], "visibility": "public"}}}
    upstreams = {"fake": {"type": "maven", "url": fake.maven_url, "retries": 0, "negative_ttl": 0.1}}
    with Gateway(tmp_path_factory.mktemp("gateway"), repositories, upstreams=upstreams) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("client", "faults"), [("mvn38", ("corrupt", "limited")), ("mvn39", ALL), ("mvn4", ("truncated", "limited"))]
)
def test_a_build_fails_while_an_upstream_is_wrong_and_succeeds_afterwards_without_being_forced(
    client: str, faults: tuple[str, ...], gateway: Gateway, fake: FaultyUpstream, warm: Warm, world: World
) -> None:
    tool(client)
    jvm.configure_maven(world, gateway.base(REPOSITORY), warm=warm(client))
    names = [f"com.{client}:{fault}" for fault in faults]
    for name, fault in zip(names, faults, strict=True):
        fake.maven(name, {"1.0": library()})
        wrong, word = FAULTS[fault]
        jar = _jar(name)
        fake.fault(wrong, f"/maven2/{jar}")

        ran = jvm.copy_dependencies(client, world, f"{name}:1.0").failed()

        assert word in ran.text
        assert not list((world.home / ".m2" / "repository").rglob(Path(jar).name))
        fake.heal(f"/maven2/{jar}")
        _wait_until_served(gateway, jar)

    jvm.copy_dependencies(client, world, *(f"{name}:1.0" for name in names)).succeeded()

    for name in names:
        artifact = name.partition(":")[2]
        assert jvm.said(world, f"{artifact}-1.0.jar", f"com/{client}/{artifact}.txt") == "1.0"


def test_a_build_goes_on_while_the_upstream_is_gone(
    gateway: Gateway, fake: FaultyUpstream, warm: Warm, new_world: Callable[[], World]
) -> None:
    tool("mvn39")
    name = "org.kept:kept"
    fake.maven(name, {"1.0": library(), "1.1": library()})
    before, during = new_world(), new_world()
    for world in (before, during):
        jvm.configure_maven(world, gateway.base(REPOSITORY), warm=warm("mvn39"))
    jvm.copy_dependencies("mvn39", before, f"{name}:[1.0,)").succeeded()
    fake.fault(down())

    try:
        jvm.copy_dependencies("mvn39", during, f"{name}:[1.0,)").succeeded()
    finally:
        fake.heal()

    assert jvm.said(during, "kept-1.1.jar", "org/kept/kept.txt") == "1.1"


def test_maven_asks_for_each_file_once_and_for_no_checksums(
    gateway: Gateway, fake: FaultyUpstream, warm: Warm, world: World
) -> None:
    tool("mvn39")
    fake.maven("org.once:once", {"1.0": library()})
    jvm.configure_maven(world, gateway.base(REPOSITORY), warm=warm("mvn39"))

    jvm.copy_dependencies("mvn39", world, "org.once:once:1.0").succeeded()

    asked = [line for line in gateway.log.splitlines() if "org/once/once" in line]
    assert len(asked) == 2, asked
    assert not any(".sha1" in line or ".md5" in line for line in asked)


def _jar(name: str) -> str:
    group, _, artifact = name.partition(":")
    return f"{group.replace('.', '/')}/{artifact}/1.0/{artifact}-1.0.jar"


def _wait_until_served(gateway: Gateway, path: str) -> None:
    """The gateway leaves an upstream that asked for it, or fell silent, alone for a moment."""
    deadline = time.monotonic() + 60
    while gateway.get(f"/{REPOSITORY}/{path}")[0] != 200:
        assert time.monotonic() < deadline, "the gateway did not notice that the upstream is well again"
        time.sleep(0.2)
