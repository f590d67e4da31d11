"""npm, pnpm, yarn and bun install a tree of some 300 packages from the public registry through the gateway."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.gateway import Gateway
from tests.clients.installers import NPM_FROZEN, NPM_INSTALL, NPM_LOCKS, configure_npm
from tests.clients.tools import NPM_CLIENTS, World, tool

pytestmark = [pytest.mark.client, pytest.mark.public]

REPOSITORY = "npm/acme/js"
TREE = Path(__file__).parent / "data" / "npm-tree" / "package.json"
SMALL_TREE = {"name": "small-tree", "private": True, "version": "1.0.0", "dependencies": {"express": "4.19.2"}}
SIZE = 250  # packages in the tree, at least
SMALL_SIZE = 50


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a private repository in front of the public registry; its cache is shared by these tests."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    with Gateway(folder, {"npm": {"acme/js": {"layers": ["hosted", "npm"]}}}) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def token(gateway: Gateway) -> str:
    return gateway.token("acme")


@pytest.fixture(params=NPM_CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    """Each npm client; skips where it is missing."""
    name = str(request.param)
    tool(name)
    return name


def test_a_large_tree_installs_and_its_lock_installs_again_without_the_upstream(
    client: str, gateway: Gateway, token: str, new_world: Callable[[], World]
) -> None:
    online, offline = new_world(), new_world()
    for world in (online, offline):
        configure_npm(world, gateway.base(REPOSITORY), token)
        shutil.copy(TREE, world.work)
    online.run(client, *NPM_INSTALL[client]).succeeded()
    lock = NPM_LOCKS[client]
    shutil.copy(online.work / lock, offline.work)

    with gateway.cut_off():
        status, _ = gateway.get(f"/{REPOSITORY}/never-asked-for-before", token=token)
        assert status == 503
        offline.run(client, *NPM_FROZEN[client]).succeeded()

    assert offline.node("console.log(require('express/package.json').version)").succeeded().stdout == "4.19.2\n"
    assert (offline.work / lock).read_text() == (online.work / lock).read_text()
    assert len(_integrities(online.work / lock)) >= SIZE


def test_a_tree_resolves_from_the_cache_alone(
    client: str, gateway: Gateway, token: str, new_world: Callable[[], World]
) -> None:
    online, offline = new_world(), new_world()
    for world in (online, offline):
        configure_npm(world, gateway.base(REPOSITORY), token)
        (world.work / "package.json").write_text(json.dumps(SMALL_TREE))
    online.run(client, *NPM_INSTALL[client]).succeeded()

    with gateway.cut_off():
        offline.run(client, *NPM_INSTALL[client]).succeeded()

    lock = NPM_LOCKS[client]
    assert _integrities(offline.work / lock) == _integrities(online.work / lock)


@pytest.mark.parametrize("client", ["npm12", "pnpm12", "yarn1", "yarn4", "bun"])
def test_a_lock_file_made_through_the_gateway_holds_the_same_integrity(
    client: str, gateway: Gateway, token: str, new_world: Callable[[], World]
) -> None:
    tool(client)
    through, direct = new_world(), new_world()
    configure_npm(through, gateway.base(REPOSITORY), token)
    configure_npm(direct, "", "")
    for world in (through, direct):
        (world.work / "package.json").write_text(json.dumps(SMALL_TREE))
        world.run(client, *NPM_INSTALL[client]).succeeded()

    lock = NPM_LOCKS[client]
    assert _integrities(through.work / lock) == _integrities(direct.work / lock)
    assert len(_integrities(direct.work / lock)) > SMALL_SIZE


def test_yarn_keeps_the_lock_file_free_of_our_address(gateway: Gateway, token: str, world: World) -> None:
    tool("yarn4")
    configure_npm(world, gateway.base(REPOSITORY), token)
    (world.work / "package.json").write_text(json.dumps(SMALL_TREE))

    world.run("yarn4", *NPM_INSTALL["yarn4"]).succeeded()

    text = (world.work / "yarn.lock").read_text()
    assert "__archiveUrl" not in text
    assert "127.0.0.1" not in text


def _integrities(lock: Path) -> list[str]:
    """Every digest of a lock file, sorted: Subresource Integrity, or yarn 4's checksums of its own archives."""
    return sorted(re.findall(r"sha512-[A-Za-z0-9+/]+=*|checksum: \S+", lock.read_text()))
