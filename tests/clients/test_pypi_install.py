"""pip, uv, poetry and pdm install real trees from the public registry through the gateway, and again without it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.upstream.presets import PRESETS
from tests.clients.gateway import Gateway
from tests.clients.installers import PYTHON_INSTALLERS, installed_version, python_lock, site
from tests.clients.tools import World, tool

pytestmark = [pytest.mark.client, pytest.mark.public]

SMALL_TREE = ("flask", "httpx", "rich")
LARGE_TREE = ("jupyterlab",)
# What each client installs, and a module in it. poetry and pdm lock every file for every platform, and take minutes for
# the larger tree with any registry.
TREES = {
    "pip": (LARGE_TREE, "jupyterlab"),
    "uv pip": (LARGE_TREE, "jupyterlab"),
    "uv": (LARGE_TREE, "jupyterlab"),
    "poetry": (("fastapi[standard]",), "fastapi"),
    "pdm": (SMALL_TREE, "httpx"),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a private repository in front of the public registry; its cache is shared by these tests."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    with Gateway(folder, {"pypi": {"acme/tools": {"layers": ["hosted", "pypi"]}}}) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def index(gateway: Gateway) -> str:
    return gateway.base("pypi/acme/tools", gateway.token("acme")) + "simple/"


@pytest.mark.parametrize("client", PYTHON_INSTALLERS)
def test_a_tree_installs_and_installs_again_without_the_upstream(
    client: str, gateway: Gateway, index: str, new_world: Callable[[], World]
) -> None:
    tool(client.split(" ", maxsplit=1)[0])
    install, online, offline = PYTHON_INSTALLERS[client], new_world(), new_world()
    tree, module = TREES[client]
    install(online, index, *tree).succeeded()

    with gateway.cut_off():
        status, _ = gateway.get("/pypi/acme/tools/simple/never-asked-for-before/", token=_token(index))
        assert status == 503
        install(offline, index, *tree).succeeded()

    assert installed_version(offline, module) == installed_version(online, module)


@pytest.mark.parametrize("client", ["uv", "poetry", "pdm"])
def test_a_lock_file_made_through_the_gateway_holds_the_same_hashes(
    client: str, index: str, new_world: Callable[[], World]
) -> None:
    tool(client)
    through, direct = new_world(), new_world()

    PYTHON_INSTALLERS[client](through, index, *SMALL_TREE).succeeded()
    PYTHON_INSTALLERS[client](direct, PRESETS["pypi"].url, *SMALL_TREE).succeeded()

    assert python_lock(through) == python_lock(direct)
    assert len(python_lock(through)) > len(SMALL_TREE)


def test_an_old_uv_lock_syncs_from_an_empty_cache_without_asking_for_an_index_first(
    launch: Callable[..., Gateway], new_world: Callable[[], World]
) -> None:
    tool("uv")
    repositories = {"pypi": {"acme/tools": {"layers": ["hosted", "pypi"], "visibility": "public"}}}
    first, second = launch(repositories), new_world()
    made = new_world()
    address = first.base("pypi/acme/tools") + "simple/"
    PYTHON_INSTALLERS["uv"](made, address, *SMALL_TREE).succeeded()
    first.stop()
    empty = Gateway(first.folder.parent / "empty", repositories)
    empty.port = first.port

    with empty:
        for name in ("uv.lock", "pyproject.toml"):
            (second.work / name).write_bytes((made.work / name).read_bytes())
        second.run("uv", "sync", "--frozen", environment={"UV_DEFAULT_INDEX": address}).succeeded()

    assert (site(second) / "flask").is_dir()


def _token(index: str) -> str:
    return index.partition("__token__:")[2].partition("@")[0]
