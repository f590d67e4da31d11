"""An upstream that goes wrong, as each client sees it: no wrong file is installed, and nothing wrong is remembered."""

import json
import time
from collections.abc import Callable, Iterator

import pytest
import yaml

from tests.clients.gateway import Gateway
from tests.clients.installers import NPM_INSTALL, PYTHON_INSTALLERS, configure_npm, installed_version
from tests.clients.tools import NPM_CLIENTS, Ran, World, tool
from tests.fakes.artifacts import tarball, wheel
from tests.fakes.faults import Fault, answer, corrupt
from tests.fakes.upstream import FaultyUpstream

pytestmark = pytest.mark.client

PYPI, NPM = "pypi/acme/tools", "npm/acme/js"
FAULTS: dict[str, tuple[Fault, str]] = {
    "absent": (answer(404), "page"),
    "blocked": (answer(403), "page"),
    "trouble": (answer(500), "page"),
    "corrupt": (corrupt(), "file"),
}
# To who asks for the page meanwhile.
ANSWERS = {"absent": {404}, "blocked": {403}, "trouble": {502, 503}, "corrupt": {200}}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, fake: FaultyUpstream) -> Iterator[Gateway]:
    repositories = {
        "pypi": {"acme/tools": {"layers": ["fake"], "visibility": "public"}},
        "npm": {"acme/js": {"layers": ["fake-js"], "visibility": "public"}},
    }
    quick = {"retries": 0, "negative_ttl": 0.1}
    upstreams = {
        "fake": {"type": "pypi", "url": fake.pypi_url, **quick},
        "fake-js": {"type": "npm", "url": fake.npm_url, **quick},
    }
    with Gateway(tmp_path_factory.mktemp("gateway"), repositories, upstreams=upstreams) as gateway:
        yield gateway


def named(client: str, fault: str) -> str:
    """A package of this client's own for each fault, so that no cache helps another."""
    return f"{client.replace(' ', '')}-{fault}"


def break_and_heal(
    fake: FaultyUpstream, gateway: Gateway, client: str, kind: str, paths: Callable[[str], tuple[str, str]]
) -> Iterator[str]:
    """Give each name in turn while its fault lasts; afterwards everything is well, and the gateway knows."""
    names = []
    prefix = f"/{PYPI}/simple/{{}}/" if kind == "pypi" else f"/{NPM}/{{}}"
    for fault, (wrong, where) in FAULTS.items():
        name = named(client, fault)
        page, file = paths(name)
        fake.fault(wrong, page if where == "page" else file)
        yield name
        assert gateway.get(prefix.format(name))[0] in ANSWERS[fault]
        fake.heal(page)
        fake.heal(file)
        names.append(name)
    deadline = time.monotonic() + 30
    while any(gateway.get(prefix.format(name))[0] != 200 for name in names):
        assert time.monotonic() < deadline, "the gateway did not notice that the upstream is well again"
        time.sleep(0.2)


@pytest.mark.parametrize("client", PYTHON_INSTALLERS)
def test_a_python_client_installs_nothing_while_an_upstream_is_wrong_and_all_of_it_afterwards(
    client: str, gateway: Gateway, fake: FaultyUpstream, new_world: Callable[[], World]
) -> None:
    tool(client.split(" ", maxsplit=1)[0])
    for fault in FAULTS:
        fake.pypi(named(client, fault), {"1.0": wheel()})
    index = gateway.base(PYPI) + "simple/"

    def paths(name: str) -> tuple[str, str]:
        return f"/simple/{name}/", f"/files/{name.replace('-', '_')}-1.0-py3-none-any.whl"

    names = []
    for name in break_and_heal(fake, gateway, client, "pypi", paths):
        PYTHON_INSTALLERS[client](new_world(), index, name).failed()
        names.append(name)

    world = new_world()
    PYTHON_INSTALLERS[client](world, index, *names).succeeded()
    assert {installed_version(world, name.replace("-", "_")) for name in names} == {"1.0"}


@pytest.mark.parametrize("client", NPM_CLIENTS)
def test_an_npm_client_installs_nothing_while_an_upstream_is_wrong_and_all_of_it_afterwards(
    client: str, gateway: Gateway, fake: FaultyUpstream, new_world: Callable[[], World]
) -> None:
    tool(client)
    for fault in FAULTS:
        fake.npm(named(client, fault), {"1.0.0": tarball()})

    def paths(name: str) -> tuple[str, str]:
        return f"/npm/{name}", f"/npm/{name}/-/{name}-1.0.0.tgz"

    names = []
    for name in break_and_heal(fake, gateway, client, "npm", paths):
        _npm(new_world(), gateway, client, [name]).failed()
        names.append(name)

    world = new_world()
    _npm(world, gateway, client, names).succeeded()
    listed = ", ".join(f"'{name}'" for name in names)
    said = world.node(f"for (const n of [{listed}]) console.log(require(n))").succeeded()
    assert said.stdout.split() == ["1.0.0"] * len(names)


def _npm(world: World, gateway: Gateway, client: str, names: list[str]) -> Ran:
    """Install these, without the client's own patience."""
    configure_npm(world, gateway.base(NPM), "")
    with (world.home / ".npmrc").open("a") as file:
        file.write("fetch-retries=0\n")
    (world.home / ".npmrc").write_text(
        "\n".join(line for line in (world.home / ".npmrc").read_text().splitlines() if "_authToken" not in line) + "\n"
    )
    yarnrc = yaml.safe_load((world.home / ".yarnrc.yml").read_text())
    yarnrc.pop("npmAuthToken", None)
    (world.home / ".yarnrc.yml").write_text(yaml.safe_dump({**yarnrc, "npmAlwaysAuth": False, "httpRetry": 0}))
    (world.home / ".bunfig.toml").write_text(f'[install]\nregistry = "{gateway.base(NPM)}"\n')
    wanted = dict.fromkeys(names, "*")
    (world.work / "package.json").write_text(json.dumps({"name": "c", "version": "1.0.0", "dependencies": wanted}))
    return world.run(client, *NPM_INSTALL[client], timeout=180)
