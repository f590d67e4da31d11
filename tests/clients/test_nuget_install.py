"""dotnet and nuget.exe install through the gateway: from another gateway, from its cache, past attacks and faults."""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.clients.dotnets import configure, content_hashes, dotnet, locked, nuget, pack, project, push, restore
from tests.clients.gateway import WRITE, Gateway
from tests.clients.tools import World
from tests.fakes.faults import Fault, answer, corrupt, down, redirect, truncate
from tests.fakes.nuget import package
from tests.fakes.upstream import FaultyUpstream

pytestmark = pytest.mark.client

REPOSITORY, ORIGIN = "nuget/acme/net", "nuget/other/origin"
PRIVATE = ("acme.tool", "corp.secret")
FAULTS: dict[str, tuple[Fault, str]] = {
    "Faulty.Trouble": (answer(500), "index.json"),
    "Faulty.Down": (down(), "index.json"),
    "Faulty.Corrupt": (corrupt(), "nupkg"),
    "Faulty.Truncated": (truncate(), "nupkg"),
}


@dataclass(frozen=True)
class Chain:
    """A gateway in front of another one, and what was published on that."""

    front: Gateway
    origin: Gateway
    index: str
    origin_index: str


@pytest.fixture
def chain(launch: Callable[..., Gateway], world: World) -> Chain:
    origin = launch({"nuget": {"other/origin": {"layers": ["hosted"], "visibility": "public"}}})
    index = origin.base(ORIGIN) + "index.json"
    token = origin.token("other", WRITE)
    configure(world, (index, ""))
    for file in (
        pack(world, "Far.Base", "1.1.0"),
        pack(world, "Far.Tool", "2.0.0", dependencies={"Far.Base": "[1.0,2.0)"}),
        pack(world, "Far.Late", "1.0.0"),
    ):
        push(world, file, index, token).succeeded()
    front = launch(
        {"nuget": {"acme/net": {"layers": ["hosted", "origin"], "visibility": "public"}}},
        upstreams={"origin": {"type": "nuget", "url": index, "max_age": 1, "retries": 0}},
    )
    return Chain(front, origin, front.base(REPOSITORY) + "index.json", index)


def test_a_gateway_behind_a_gateway_gives_the_same_bytes_and_goes_on_when_that_is_gone(
    chain: Chain, new_world: Callable[[], World]
) -> None:
    direct, through, later, never = (new_world() for _ in range(4))
    for world, index in (
        (direct, chain.origin_index),
        (through, chain.index),
        (later, chain.index),
        (never, chain.index),
    ):
        configure(world, (index, ""))
        project(world, {"Far.Tool": "2.*"})
    project(never, {"Far.Late": "1.0.0"})
    restore(direct).succeeded()
    restore(through).succeeded()
    found = nuget(through, "search", "far.tool", "-Source", chain.index).succeeded().stdout

    chain.origin.stop()
    restore(later).succeeded()
    refused = restore(never).failed().text

    assert "Far.Tool" in found
    assert locked(later) == locked(direct) == {"Far.Tool": "2.0.0", "Far.Base": "1.1.0"}
    assert content_hashes(later) == content_hashes(through) == content_hashes(direct)
    assert "503" in refused
    assert "NU1101" not in refused, "trouble was told as absence"


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("builder"))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, fake: FaultyUpstream) -> Iterator[Gateway]:
    """Hosted first, then the fake; `corp.*` is reserved, and an attacker has put 99.0.0 of our names upstream."""
    names = {"Acme.Tool": "99.0.0", "Corp.Secret": "99.0.0", "Open.Tool": "2.0.0", **dict.fromkeys(FAULTS, "1.0.0")}
    for name, version in names.items():
        fake.nuget(name, {version: package()})
    repositories = {"nuget": {"acme/net": {"layers": ["hosted", "evil"], "reserve": ["corp.*"]}}}
    upstreams = {"evil": {"type": "nuget", "url": fake.nuget_url, "retries": 0, "negative_ttl": 0.1, "max_age": 1}}
    with Gateway(tmp_path_factory.mktemp("gateway"), repositories, upstreams=upstreams) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def token(gateway: Gateway) -> str:
    return gateway.token("acme", WRITE)


@pytest.fixture(scope="module")
def index(gateway: Gateway) -> str:
    return gateway.base(REPOSITORY) + "index.json"


@pytest.fixture(scope="module")
def hosted(gateway: Gateway, token: str, index: str, builder: World, fake: FaultyUpstream) -> None:
    """Acme.Tool 1.0.0 is published here."""
    configure(builder, (index, token))
    push(builder, pack(builder, "Acme.Tool", "1.0.0"), index, token).succeeded()
    fake.forget()


@pytest.mark.usefixtures("hosted")
def test_the_hosted_version_wins_and_its_name_never_leaves(
    index: str, token: str, fake: FaultyUpstream, world: World
) -> None:
    configure(world, (index, token))
    project(world, {"ACME.Tool": "*", "Open.Tool": "*"})

    restore(world).succeeded()
    nuget(world, "install", "acme.tool", "-Source", index, "-OutputDirectory", "installed").succeeded()
    for words in ("tool", "acme.tool", "corp.secret"):
        nuget(world, "search", words, "-Source", index).succeeded()
        nuget(world, "list", words, "-Source", index).succeeded()

    assert {name.lower(): version for name, version in locked(world).items()} == {
        "acme.tool": "1.0.0",
        "open.tool": "2.0.0",
    }
    assert [folder.name for folder in (world.work / "installed").iterdir()] == ["Acme.Tool.1.0.0"]
    assert _private(fake) == []


@pytest.mark.parametrize("version", ["*", "99.0.0"])
@pytest.mark.usefixtures("hosted")
def test_a_reserved_name_is_not_restored_from_the_upstream(
    version: str, index: str, token: str, fake: FaultyUpstream, world: World
) -> None:
    configure(world, (index, token))
    project(world, {"Corp.Secret": version})

    assert "NU1101" in restore(world).failed().text
    assert _private(fake) == []


@pytest.mark.usefixtures("hosted")
def test_nothing_is_restored_while_an_upstream_is_wrong_and_all_of_it_afterwards(
    index: str, token: str, fake: FaultyUpstream, new_world: Callable[[], World]
) -> None:
    said = {}
    for name, (fault, where) in FAULTS.items():
        world, lower = new_world(), name.lower()
        flat = f"/nuget/files/{lower}/"
        paths = [f"{flat}1.0.0/{lower}.1.0.0.nupkg"]
        if where == "index.json":
            paths = [f"{flat}index.json", f"/nuget/registration/{lower}/index.json"]
        for path in paths:
            fake.fault(fault, path)
        configure(world, (index, token))
        project(world, {name: "1.0.0"})
        said[name] = restore(world).failed().text
        assert not list((world.home / "packages").glob("faulty*/1.0.0/*.nupkg"))
        for path in paths:
            fake.heal(path)

    world = new_world()
    configure(world, (index, token))
    project(world, dict.fromkeys(FAULTS, "1.0.0"))
    restore(world).succeeded()

    assert set(locked(world)) == set(FAULTS)
    assert "503" in said["Faulty.Trouble"]
    assert "NU1101" not in said["Faulty.Trouble"] + said["Faulty.Down"]


def test_why_an_upstream_refuses_a_package_is_read_in_the_terminal(
    index: str, token: str, fake: FaultyUpstream, world: World
) -> None:
    fake.nuget("Open.Refused", {"1.0.0": package()})
    fake.fault(answer(403), "/nuget/files/open.refused/1.0.0/open.refused.1.0.0.nupkg")
    configure(world, (index, token))
    project(world, {"Open.Refused": "1.0.0"})

    said = restore(world).failed().text

    assert "403" in said
    assert "refuses" in said


def test_dotnet_restores_what_the_upstream_keeps_in_an_object_store(
    launch: Callable[..., Gateway], fake: FaultyUpstream, fake_store: FaultyUpstream, world: World
) -> None:
    (theirs,) = fake.nuget("Stored.Tool", {"1.0.0": package(size=300_000)})
    fake_store.serve("/bucket/4f1e", theirs.body)
    path = f"/nuget/files/stored.tool/1.0.0/{theirs.filename}"
    fake.fault(redirect(f"{fake_store.url}bucket/4f1e?signature=abc"), path)
    feed = {"type": "nuget", "url": fake.nuget_url, "username": "me", "password": "secret"}
    front = launch(
        {"nuget": {"acme/net": {"layers": ["feed"]}}}, upstreams={"feed": {**feed, "hosts": [fake_store.authority]}}
    )
    configure(world, (front.base(REPOSITORY) + "index.json", front.token("acme")))
    project(world, {"Stored.Tool": "1.0.0"})

    restore(world).succeeded()

    assert content_hashes(world) == {"Stored.Tool": b64encode(hashlib.sha512(theirs.body).digest()).decode()}
    assert [seen.has_credentials for seen in fake.seen if seen.path == path] == [True]
    assert [seen.has_credentials for seen in fake_store.seen] == [False]


def test_dotnet_says_which_packages_of_the_upstream_are_deprecated(
    index: str, token: str, fake: FaultyUpstream, world: World
) -> None:
    other = {"id": "Open.Tool", "range": "*"}
    deprecation = {"reasons": ["Legacy"], "message": "use the other one", "alternatePackage": other}
    fake.nuget("Open.Old", {"1.0.0": package(deprecation=deprecation)})
    configure(world, (index, token))
    project(world, {"Open.Old": "1.0.0"})
    restore(world).succeeded()

    said = dotnet(world, "list", "App.csproj", "package", "--deprecated").succeeded().stdout

    assert "Legacy" in said
    assert "Open.Tool" in said


def _private(fake: FaultyUpstream) -> list[Any]:
    """Requests that carried a private name."""
    return [seen.path for seen in fake.seen if any(name in seen.path.lower() for name in PRIVATE)]
