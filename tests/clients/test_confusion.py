"""Dependency confusion, tried with real clients: a private name never comes from an upstream, and never reaches it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.gateway import DELETE, Gateway
from tests.clients.installers import (
    NPM_INSTALL,
    PYTHON_INSTALLERS,
    configure_npm,
    installed_version,
)
from tests.clients.publishers import make_project, twine
from tests.clients.tools import NPM_CLIENTS, World, tool
from tests.fakes.artifacts import sdist, tarball, wheel
from tests.fakes.upstream import FaultyUpstream

pytestmark = pytest.mark.client

PYPI, NPM = "pypi/acme/tools", "npm/acme/js"
SPELLINGS = ("acme-tool", "Acme.Tool", "ACME_TOOL", "acme--tool", "acme%2Dtool")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, fake: FaultyUpstream) -> Iterator[Gateway]:
    """Hosted first, then an upstream; `corp-*` and `@corp/*` are reserved."""
    fake.pypi("open-tool", {"2.0": wheel()})
    fake.pypi("corp-secret", {"99.0": [wheel(), sdist()]}, sidecars=True)
    fake.npm("open-tool", {"2.0.0": tarball()})
    fake.npm("@corp/secret", {"99.0.0": tarball()})
    repositories = {
        "pypi": {"acme/tools": {"layers": ["hosted", "evil"], "reserve": ["corp-*"]}},
        "npm": {"acme/js": {"layers": ["hosted", "evil-js"], "reserve": ["@corp/*"]}},
    }
    upstreams = {
        "evil": {"type": "pypi", "url": fake.pypi_url},
        "evil-js": {"type": "npm", "url": fake.npm_url},
    }
    with Gateway(tmp_path_factory.mktemp("gateway"), repositories, upstreams=upstreams, has_public_url=True) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def token(gateway: Gateway) -> str:
    return gateway.token("acme", DELETE)


@pytest.fixture(scope="module")
def hosted(gateway: Gateway, token: str, fake: FaultyUpstream, tmp_path_factory: pytest.TempPathFactory) -> str:
    """acme-tool, @acme/tool and @acme/short-lived are published here; then an attacker puts 99.0 upstream. The token.

    npm looks for the highest version before it publishes, so an unreserved name is asked for upstream once before its
    first publish, and never again.
    """
    tool("twine7")
    tool("npm11")
    world = World(tmp_path_factory.mktemp("publisher"))
    twine("twine7")(world, make_project(world), gateway.base(PYPI), token).succeeded()
    configure_npm(world, gateway.base(NPM), token)
    (world.work / "index.js").write_text('module.exports = "1.0.0";\n')
    for name in ("acme-tool", "@acme/tool", "@acme/short-lived"):
        manifest = {"name": name, "version": "1.0.0", "main": "index.js", "files": ["index.js"]}
        (world.work / "package.json").write_text(json.dumps(manifest))
        world.run("npm11", "publish").succeeded()
        fake.npm(name, {"99.0.0": tarball()})
    fake.pypi("acme-tool", {"99.0": [wheel(), sdist()]}, sidecars=True)
    fake.forget()
    return token


@pytest.mark.parametrize("client", PYTHON_INSTALLERS)
def test_every_python_client_gets_the_hosted_version(
    client: str, gateway: Gateway, hosted: str, fake: FaultyUpstream, world: World
) -> None:
    tool(client.split(" ", maxsplit=1)[0])
    index = gateway.base(PYPI, hosted) + "simple/"

    PYTHON_INSTALLERS[client](world, index, "acme-tool", "open-tool").succeeded()

    assert installed_version(world, "acme_tool") == "1.0"
    assert installed_version(world, "open_tool") == "2.0"
    assert _private(fake) == []


@pytest.mark.parametrize("client", NPM_CLIENTS)
def test_every_npm_client_gets_the_hosted_version(
    client: str, gateway: Gateway, hosted: str, fake: FaultyUpstream, world: World
) -> None:
    tool(client)
    configure_npm(world, gateway.base(NPM), hosted)
    wanted = {"acme-tool": "*", "@acme/tool": "*", "open-tool": "*"}
    (world.work / "package.json").write_text(json.dumps({"name": "c", "version": "1.0.0", "dependencies": wanted}))
    exempt = 'minimumReleaseAgeExclude:\n  - "@acme/*"\n  - "acme-*"\n'
    (world.work / "pnpm-workspace.yaml").write_text(exempt)

    world.run(client, *NPM_INSTALL[client]).succeeded()

    said = world.node("for (const n of ['acme-tool', '@acme/tool', 'open-tool']) console.log(require(n))").succeeded()
    assert said.stdout.split() == ["1.0.0", "1.0.0", "2.0.0"]
    assert _private(fake) == []


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_a_hosted_name_reaches_the_upstream(
    spelling: str, gateway: Gateway, hosted: str, fake: FaultyUpstream
) -> None:
    wheel_99 = "acme_tool-99.0-py3-none-any.whl"
    paths = [
        f"/{PYPI}/simple/{spelling}/",
        f"/{PYPI}/simple/{spelling}",
        f"/{PYPI}/pypi/{spelling}/json",
        f"/{PYPI}/pypi/{spelling}/99.0/json",
        f"/{PYPI}/files/{spelling}/-/{wheel_99}",
        f"/{PYPI}/files/{spelling}/-/{wheel_99}.metadata",
        f"/{PYPI}/integrity/{spelling}/99.0/{wheel_99}/provenance",
        f"/{NPM}/acme-tool",
        f"/{NPM}/acme-tool/99.0.0",
        f"/{NPM}/acme-tool/-/acme-tool-99.0.0.tgz",
        f"/{NPM}/@acme%2ftool",
        f"/{NPM}/@acme%2Ftool/99.0.0",
        f"/{NPM}/@acme/tool/-/tool-99.0.0.tgz",
    ]

    bodies = [gateway.get(path, token=hosted)[1] for path in paths]

    assert _private(fake) == []
    assert not any(b"99.0" in body and b"sha" in body for body in bodies)


@pytest.mark.parametrize("client", PYTHON_INSTALLERS)
def test_a_reserved_name_that_was_never_published_is_not_installed_from_the_upstream(
    client: str, gateway: Gateway, token: str, fake: FaultyUpstream, world: World
) -> None:
    tool(client.split(" ", maxsplit=1)[0])

    PYTHON_INSTALLERS[client](world, gateway.base(PYPI, token) + "simple/", "corp-secret").failed()

    assert _private(fake) == []


@pytest.mark.parametrize("client", NPM_CLIENTS)
def test_a_reserved_scope_is_not_installed_from_the_upstream(
    client: str, gateway: Gateway, token: str, fake: FaultyUpstream, world: World
) -> None:
    tool(client)
    configure_npm(world, gateway.base(NPM), token)
    wanted = {"@corp/secret": "*"}
    (world.work / "package.json").write_text(json.dumps({"name": "c", "version": "1.0.0", "dependencies": wanted}))

    world.run(client, *NPM_INSTALL[client]).failed()

    assert _private(fake) == []


def test_a_name_stays_ours_after_its_last_file_is_deleted(
    gateway: Gateway, hosted: str, fake: FaultyUpstream, world: World
) -> None:
    configure_npm(world, gateway.base(NPM), hosted)

    world.run("npm11", "unpublish", "@acme/short-lived", "--force").succeeded()

    status, body = gateway.get(f"/{NPM}/@acme%2fshort-lived", token=hosted)
    assert status == 404 or json.loads(body).get("versions", {}) == {}
    assert _private(fake) == []


def test_the_upstream_was_asked_for_what_is_not_ours(gateway: Gateway, token: str, fake: FaultyUpstream) -> None:
    assert b"99.0" not in gateway.get(f"/{PYPI}/simple/open-tool/", token=token)[1]

    assert fake.count("/simple/open-tool/") >= 1


def _private(fake: FaultyUpstream) -> list[Any]:
    """Requests that carried a private name, in any spelling."""
    words = ("acme", "corp")
    return [seen.path for seen in fake.seen if any(word in seen.path.lower() for word in words)]
