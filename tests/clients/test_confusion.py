"""Dependency confusion, tried with real clients: a private name never comes from an upstream, and never reaches it."""

import json
from collections.abc import Callable
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


@pytest.fixture
def gateway(launch: Callable[..., Gateway], fake: FaultyUpstream) -> Gateway:
    """Hosted first, then a hostile upstream that has 99.0 of everything private; `corp-*` and `@corp/*` are reserved."""
    for name in ("acme-tool", "corp-secret"):
        fake.pypi(name, {"99.0": [wheel(), sdist()]}, sidecars=True)
    fake.pypi("open-tool", {"2.0": wheel()})
    for name in ("acme-tool", "@acme/tool", "@corp/secret"):
        fake.npm(name, {"99.0.0": tarball()})
    fake.npm("open-tool", {"2.0.0": tarball()})
    layers = {"layers": ["hosted", "evil"], "reserve": ["corp-*"]}
    gateway: Gateway = launch(
        {
            "pypi": {"acme/tools": layers},
            "npm": {"acme/js": {"layers": ["hosted", "evil-js"], "reserve": ["@corp/*"]}},
        },
        upstreams={
            "evil": {"type": "pypi", "url": fake.pypi_url},
            "evil-js": {"type": "npm", "url": fake.npm_url},
        },
    )
    return gateway


@pytest.fixture
def token(gateway: Gateway) -> str:
    return gateway.token("acme", DELETE)


@pytest.fixture
def hosted(gateway: Gateway, token: str, new_world: Callable[[], World], fake: FaultyUpstream) -> str:
    """acme-tool 1.0 and @acme/tool 1.0.0 are published here; the upstream's counters start at zero. The token."""
    tool("twine7")
    tool("npm11")
    world = new_world()
    twine("twine7")(world, make_project(world), gateway.base(PYPI), token).succeeded()
    for name in ("acme-tool", "@acme/tool"):
        publisher = new_world()
        configure_npm(publisher, gateway.base(NPM), token)
        manifest = {"name": name, "version": "1.0.0", "main": "index.js"}
        (publisher.work / "package.json").write_text(json.dumps(manifest))
        (publisher.work / "index.js").write_text('module.exports = "1.0.0";\n')
        publisher.run("npm11", "publish").succeeded()
    assert _private(fake) == []
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
    assert fake.count("/simple/open-tool/") == 1
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

    world.run("npm11", "unpublish", "@acme/tool", "--force").succeeded()

    status, body = gateway.get(f"/{NPM}/@acme%2ftool", token=hosted)
    assert status == 404 or json.loads(body).get("versions", {}) == {}
    assert _private(fake) == []


def _private(fake: FaultyUpstream) -> list[Any]:
    """Requests that carried a private name, in any spelling."""
    words = ("acme", "corp")
    return [seen.path for seen in fake.seen if any(word in seen.path.lower() for word in words)]
