"""gem and bundler install through the gateway: from another gateway, from its cache, past attacks and faults."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.gateway import DELETE, Gateway
from tests.clients.rubies import GENERATIONS, build_gem, bundle, checksums, gem, gemfile, locked, push, says, sha256
from tests.clients.served import LONG_AGO, Versions, serve_gems
from tests.clients.tools import World
from tests.fakes.faults import Fault, answer, corrupt, down, truncate
from tests.fakes.upstream import FaultyUpstream

pytestmark = pytest.mark.client

REPOSITORY, ORIGIN = "rubygems/acme/gems", "rubygems/other/origin"
PRIVATE = ("acme", "corp")
JUST_NOW = "2999-01-01T00:00:00Z"
FAULTS: dict[str, tuple[Fault, str]] = {
    "faulty-corrupt": (corrupt(position=700), "gems/{}-1.0.0.gem"),
    "faulty-truncated": (truncate(), "gems/{}-1.0.0.gem"),
    "faulty-trouble": (answer(500), "gems/{}-1.0.0.gem"),
    "faulty-down": (down(), "gems/{}-1.0.0.gem"),
}


@pytest.fixture(params=GENERATIONS)
def generation(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_a_gateway_behind_a_gateway_gives_the_same_bytes_and_goes_on_when_that_is_gone(
    generation: int, launch: Callable[..., Gateway], new_world: Callable[[], World]
) -> None:
    publisher, direct, through, later, never, old = (new_world() for _ in range(6))
    origin = launch({"rubygems": {"other/origin": {"layers": ["hosted"], "visibility": "public"}}})
    far, token = origin.base(ORIGIN), origin.token("other", DELETE)
    built = [
        build_gem(publisher, "far-base", "1.1.0"),
        build_gem(publisher, "far-tool", "2.0.0", dependencies={"far-base": "~> 1.0"}),
        build_gem(publisher, "far-late", "1.0.0"),
    ]
    for file in built:
        push(publisher, generation, file, far.rstrip("/"), token).succeeded()
    front = launch(
        {"rubygems": {"acme/gems": {"layers": ["hosted", "origin"], "visibility": "public"}}},
        upstreams={"origin": {"type": "rubygems", "url": far, "max_age": 1, "retries": 0}},
    )
    near = front.base(REPOSITORY)
    for world, source in ((direct, far), (through, near), (later, near), (never, near)):
        gemfile(world, source, '"far-late"' if world is never else '"far-tool", "~> 2.0"')
    bundle(direct, generation, "install").succeeded()
    bundle(through, generation, "install").succeeded()
    gem(old, generation, "install", "far-tool", "--no-document", source=near).succeeded()

    origin.stop()
    bundle(later, generation, "install").succeeded()
    again = gem(new_world(), generation, "install", "far-tool", "--no-document", source=near)
    bundle(never, generation, "install").failed()

    assert locked(later) == locked(through) == locked(direct) == {"far-tool": "2.0.0", "far-base": "1.1.0"}
    assert "2 gems installed" in again.succeeded().stdout
    assert says(later, generation, "far-tool") == "far-tool 2.0.0"
    assert {sha256(file) for file in later.work.rglob("cache/*.gem")} == {sha256(file) for file in built[:2]}
    assert checksums(later) == checksums(direct)


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("builder"))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, fake: FaultyUpstream, builder: World) -> Iterator[Gateway]:
    """Hosted first, then the fake; `corp-*` is reserved, and an attacker has put 99.0.0 of our names upstream."""
    names = {"acme-tool": "99.0.0", "corp-secret": "99.0.0", "open-tool": "2.0.0", **dict.fromkeys(FAULTS, "1.0.0")}
    names |= {f"refused{generation}": "1.0.0" for generation in GENERATIONS}
    gems: dict[str, Versions] = {
        name: {version: (build_gem(builder, name, version), LONG_AGO)} for name, version in names.items()
    }
    gems["ripening"] = {
        "1.0.0": (build_gem(builder, "ripening", "1.0.0"), LONG_AGO),
        "1.1.0": (build_gem(builder, "ripening", "1.1.0"), JUST_NOW),
    }
    repositories = {"rubygems": {"acme/gems": {"layers": ["hosted", "evil"], "reserve": ["corp-*"]}}}
    upstreams = {"evil": {"type": "rubygems", "url": serve_gems(fake, gems), "retries": 0, "negative_ttl": 0.1}}
    with Gateway(tmp_path_factory.mktemp("gateway"), repositories, upstreams=upstreams) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def token(gateway: Gateway) -> str:
    return gateway.token("acme", DELETE)


@pytest.fixture(scope="module")
def source(gateway: Gateway, token: str) -> str:
    return gateway.base(REPOSITORY, token)


@pytest.fixture(scope="module")
def hosted(gateway: Gateway, token: str, builder: World, fake: FaultyUpstream) -> Path:
    """acme-tool 1.0.0 is published here."""
    file = build_gem(builder, "acme-tool", "1.0.0")
    push(builder, 3, file, gateway.base(REPOSITORY).rstrip("/"), token).succeeded()
    fake.forget()
    return file


@pytest.mark.usefixtures("hosted")
def test_the_hosted_version_wins_for_every_tool_and_its_name_never_leaves(
    generation: int, source: str, fake: FaultyUpstream, world: World
) -> None:
    gemfile(world, source, '"acme-tool"', '"open-tool"')

    bundle(world, generation, "install").succeeded()
    listed = gem(world, generation, "search", "--all", "^acme-tool$", source=source).succeeded().stdout
    installed = gem(world, generation, "install", "acme-tool", "--no-document", source=source).succeeded().stdout
    gem(world, generation, "install", "acme-tool", "-v", "99.0.0", source=source).failed()
    gem(world, generation, "fetch", "acme-tool", "-v", "99.0.0", source=source)

    assert locked(world) == {"acme-tool": "1.0.0", "open-tool": "2.0.0"}
    assert "acme-tool (1.0.0)" in listed
    assert "acme-tool-1.0.0" in installed
    assert not list(world.work.glob("*-99.0.0.gem"))
    assert _private(fake) == []


@pytest.mark.usefixtures("hosted")
def test_a_reserved_name_is_not_installed_from_the_upstream(
    generation: int, source: str, fake: FaultyUpstream, world: World
) -> None:
    gemfile(world, source, '"corp-secret"')

    refused = bundle(world, generation, "install").failed().text
    gem(world, generation, "install", "corp-secret", "--no-document", source=source).failed()

    assert "corp-secret" in refused
    assert _private(fake) == []


@pytest.mark.usefixtures("hosted")
def test_nothing_wrong_is_installed_while_an_upstream_is_wrong_and_all_of_it_afterwards(
    generation: int, source: str, fake: FaultyUpstream, gateway: Gateway, token: str, new_world: Callable[[], World]
) -> None:
    if generation == GENERATIONS[0]:  # what is healed once is in the cache
        for name, (fault, path) in FAULTS.items():
            world, where = new_world(), "/gems-upstream/" + path.format(name)
            fake.fault(fault, where)
            gemfile(world, source, f'"{name}"')
            bundle(world, generation, "install").failed()
            assert not list(world.work.rglob("faulty*.gem"))
            fake.heal(where)
            assert gateway.get(f"/{REPOSITORY}/gems/{name}-1.0.0.gem", token=token)[0] == 200

    world = new_world()
    gemfile(world, source, *(f'"{name}"' for name in FAULTS))
    bundle(world, generation, "install").succeeded()

    assert locked(world) == dict.fromkeys(FAULTS, "1.0.0")


@pytest.mark.usefixtures("hosted")
def test_why_an_upstream_refuses_a_gem_is_read_in_the_terminal(
    generation: int, source: str, fake: FaultyUpstream, world: World
) -> None:
    where = f"/gems-upstream/gems/refused{generation}-1.0.0.gem"
    fake.fault(answer(403), where)
    gemfile(world, source, f'"refused{generation}"')

    said = bundle(world, generation, "install").failed().text

    assert "403" in said
    assert "refuses it" in said


@pytest.mark.usefixtures("hosted")
def test_an_index_that_is_wrong_changes_nothing_for_those_who_ask_meanwhile(
    source: str, fake: FaultyUpstream, new_world: Callable[[], World]
) -> None:
    for fault in (answer(500), truncate(), down()):
        fake.fault(fault, "/gems-upstream/versions")
        world = new_world()
        gemfile(world, source, '"open-tool"')
        bundle(world, 4, "install").succeeded()
        assert locked(world) == {"open-tool": "2.0.0"}
        fake.heal("/gems-upstream/versions")


@pytest.mark.usefixtures("hosted")
def test_bundlers_cooldown_sees_when_every_version_was_published(source: str, world: World) -> None:
    gemfile(world, source, '"ripening"')

    bundle(world, 4, "install", "--cooldown", "7").succeeded()
    waited = locked(world)["ripening"]
    (world.work / "Gemfile.lock").unlink()
    bundle(world, 4, "install").succeeded()

    assert waited == "1.0.0"
    assert locked(world)["ripening"] == "1.1.0"


@pytest.mark.usefixtures("hosted")
def test_bundlers_cooldown_holds_back_what_was_published_here_today(
    gateway: Gateway, token: str, source: str, world: World
) -> None:
    host = gateway.base(REPOSITORY).rstrip("/")
    push(world, 4, build_gem(world, "acme-young"), host, token).succeeded()
    gemfile(world, source, '"acme-young"')

    refused = bundle(world, 4, "install", "--cooldown", "7").failed().text
    bundle(world, 4, "install").succeeded()

    assert re.search("cooldown|too new|acme-young", refused)
    assert locked(world) == {"acme-young": "1.0.0"}


def _private(fake: FaultyUpstream) -> list[Any]:
    """Requests that carried a private name."""
    return [seen.path for seen in fake.seen if any(name in seen.path.lower() for name in PRIVATE)]
