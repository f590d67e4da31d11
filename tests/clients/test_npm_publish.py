"""npm, pnpm and yarn publish, deprecate, tag and unpublish, and say in our words why they may not."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.clients.gateway import DELETE, READ, WRITE, Gateway
from tests.clients.installers import NPM_INSTALL, configure_npm
from tests.clients.tools import NPM_CLIENTS, Ran, World, tool

pytestmark = pytest.mark.client

REPOSITORY = "npm/acme/js"
PUBLISH: Mapping[str, tuple[str, ...]] = {
    "npm10": ("publish",),
    "npm11": ("publish",),
    "npm12": ("publish",),
    "pnpm10": ("publish", "--no-git-checks"),
    "pnpm12": ("publish", "--no-git-checks"),
    "yarn4": ("npm", "publish"),
    "bun": ("publish",),
}
# pnpm 12 and bun print neither the body nor the reason of an answer, only its status.
WITHOUT_WORDS = {"pnpm12", "bun"}


# What a client says that would ask for a one-time code, and has nobody to ask.
_ASKED_FOR_A_CODE = {
    **dict.fromkeys(("npm10", "npm11", "npm12", "pnpm10"), "EOTP"),
    "pnpm12": "ERR_PNPM_OTP_NON_INTERACTIVE",
    "yarn4": "requires additional authentication",
    "bun": "requires a one-time password",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a private hosted repository; every test publishes a name of its own."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    with Gateway(folder, {"npm": {"acme/js": {"layers": ["hosted"]}}}) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def owner(gateway: Gateway) -> str:
    return gateway.token("acme", DELETE)


@pytest.fixture(params=PUBLISH)
def client(request: pytest.FixtureRequest) -> str:
    """Each client that publishes; skips where it is missing."""
    name = str(request.param)
    tool(name)
    return name


@pytest.fixture(scope="module")
def published(gateway: Gateway, owner: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name → version of one package from each client that publishes."""
    found = {}
    for client in PUBLISH:
        tool(client)
        world = World(tmp_path_factory.mktemp(f"publisher-{client}"))
        configure_npm(world, gateway.base(REPOSITORY), owner)
        _package(world, f"@acme/lib-{client}", "1.0.0")
        _publish(world, client).succeeded()
        found[f"@acme/lib-{client}"] = "1.0.0"
    return found


@pytest.mark.parametrize("consumer", NPM_CLIENTS)
def test_every_client_installs_what_every_client_published(
    consumer: str, published: dict[str, str], gateway: Gateway, owner: str, world: World
) -> None:
    tool(consumer)
    configure_npm(world, gateway.base(REPOSITORY), owner)
    _consumer(world, published)

    world.run(consumer, *NPM_INSTALL[consumer]).succeeded()

    for name, version in published.items():
        assert world.node(f"console.log(require('{name}'))").succeeded().stdout == f"{version}\n", name


def test_a_version_cannot_be_published_twice(client: str, gateway: Gateway, owner: str, world: World) -> None:
    configure_npm(world, gateway.base(REPOSITORY), owner)
    name = f"@acme/twice-{client}"
    _package(world, name, "1.0.0", "one")
    _publish(world, client).succeeded()
    before = _packument(gateway, owner, name)
    _package(world, name, "1.0.0", "two")

    ran = _publish(world, client).failed()

    assert _packument(gateway, owner, name) == before
    words = "403" if client in WITHOUT_WORDS else "previously published"
    assert words in ran.text


def test_a_read_only_token_is_refused_in_words(client: str, gateway: Gateway, world: World) -> None:
    configure_npm(world, gateway.base(REPOSITORY), gateway.token("acme", READ))
    _package(world, f"@acme/denied-{client}", "1.0.0")

    ran = _publish(world, client).failed()

    assert ("403" if client in WITHOUT_WORDS else "write:packages") in ran.text


def test_an_expired_token_is_refused(client: str, gateway: Gateway, world: World) -> None:
    configure_npm(world, gateway.base(REPOSITORY), gateway.token("acme", WRITE, "--expires-in", "1e-9"))
    _package(world, f"@acme/expired-{client}", "1.0.0")

    ran = _publish(world, client).failed()

    assert "401" in ran.text or "expired" in ran.text or "authenticat" in ran.text.lower()


@pytest.mark.parametrize("client", ["npm10", "npm11", "npm12", "pnpm10", "pnpm12"])
def test_deprecating_shows_the_message_and_undeprecating_ends_it(
    client: str, gateway: Gateway, owner: str, world: World
) -> None:
    tool(client)
    configure_npm(world, gateway.base(REPOSITORY), owner)
    name = f"@acme/old-{client}"
    _package(world, name, "1.0.0")
    _publish(world, client).succeeded()
    before = _packument(gateway, owner, name)

    world.run(client, "deprecate", f"{name}@1.0.0", "use another one").succeeded()

    assert _packument(gateway, owner, name)["versions"]["1.0.0"]["deprecated"] == "use another one"
    undo = ("undeprecate", f"{name}@1.0.0") if client == "pnpm12" else ("deprecate", f"{name}@1.0.0", "")
    world.run(client, *undo).succeeded()
    after = _packument(gateway, owner, name)
    assert after["versions"] == before["versions"]


@pytest.mark.parametrize("client", ["npm10", "npm11", "npm12", "pnpm10", "pnpm12"])
def test_an_unpublished_version_is_gone_and_its_number_is_never_used_again(
    client: str, gateway: Gateway, owner: str, world: World
) -> None:
    tool(client)
    configure_npm(world, gateway.base(REPOSITORY), owner)
    name = f"@acme/gone-{client}"
    for version in ("1.0.0", "1.1.0"):
        _package(world, name, version)
        _publish(world, client).succeeded()
    tarball = f"/{REPOSITORY}/{name}/-/gone-{client}-1.1.0.tgz"
    assert gateway.get(tarball, token=owner)[0] == 200

    world.run(client, "unpublish", f"{name}@1.1.0", "--force").succeeded()

    assert list(_packument(gateway, owner, name)["versions"]) == ["1.0.0"]
    assert _packument(gateway, owner, name)["dist-tags"]["latest"] == "1.0.0"
    assert gateway.get(tarball, token=owner)[0] == 404
    _publish(world, client).failed()
    assert list(_packument(gateway, owner, name)["versions"]) == ["1.0.0"]


@pytest.mark.parametrize("client", ["npm10", "npm11", "npm12"])
def test_unpublishing_works_where_only_the_scope_names_the_registry(
    client: str, gateway: Gateway, owner: str, world: World
) -> None:
    tool(client)
    base = gateway.base(REPOSITORY)
    default = gateway.base("npm/acme/elsewhere")
    lines = [f"registry={default}", f"@acme:registry={base}", f"{base.partition(':')[2]}:_authToken={owner}"]
    (world.home / ".npmrc").write_text("\n".join(lines) + "\n")
    name = f"@acme/scoped-{client}"
    for version in ("1.0.0", "1.1.0"):
        _package(world, name, version)
        world.run(client, "publish").succeeded()

    world.run(client, "unpublish", f"{name}@1.1.0", "--force").succeeded()

    assert list(_packument(gateway, owner, name)["versions"]) == ["1.0.0"]
    assert gateway.get(f"/{REPOSITORY}/{name}/-/scoped-{client}-1.1.0.tgz", token=owner)[0] == 404


def test_a_write_token_may_not_unpublish(gateway: Gateway, world: World) -> None:
    tool("npm11")
    configure_npm(world, gateway.base(REPOSITORY), gateway.token("acme", WRITE))
    _package(world, "@acme/kept", "1.0.0")
    world.run("npm11", "publish").succeeded()

    ran = world.run("npm11", "unpublish", "@acme/kept@1.0.0", "--force").failed()

    assert "delete:packages" in ran.text


def test_tags_are_listed_added_and_removed(gateway: Gateway, owner: str, world: World) -> None:
    tool("npm12")
    tool("yarn4")
    configure_npm(world, gateway.base(REPOSITORY), owner)
    name = "@acme/tagged"
    _package(world, name, "1.0.0-beta.1")
    world.run("npm12", "publish", "--tag", "beta").succeeded()
    assert _packument(gateway, owner, name)["dist-tags"] == {"beta": "1.0.0-beta.1", "latest": "1.0.0-beta.1"}

    world.run("npm12", "dist-tag", "add", f"{name}@1.0.0-beta.1", "stable").succeeded()

    listed = world.run("npm12", "dist-tag", "ls", name).succeeded().stdout
    assert "stable: 1.0.0-beta.1" in listed
    assert "stable" in world.run("yarn4", "npm", "tag", "list", name).succeeded().stdout
    world.run("npm12", "dist-tag", "rm", name, "stable").succeeded()
    assert "stable" not in _packument(gateway, owner, name)["dist-tags"]
    world.run("npm12", "dist-tag", "rm", name, "latest").failed()
    assert "latest" in _packument(gateway, owner, name)["dist-tags"]


def test_whoami_names_the_user_and_refuses_strangers(
    gateway: Gateway, owner: str, new_world: Callable[[], World]
) -> None:
    tool("npm12")
    known, stranger = _world(new_world, gateway, owner), _world(new_world, gateway, "ent_nobody")

    assert known.run("npm12", "whoami").succeeded().stdout.strip() == "acme"
    assert "401" in stranger.run("npm12", "whoami").failed().text


def test_a_new_version_is_seen_by_the_next_install(
    gateway: Gateway, owner: str, new_world: Callable[[], World]
) -> None:
    tool("npm12")
    world, consumer = _world(new_world, gateway, owner), _world(new_world, gateway, owner)
    _package(world, "@acme/moving", "1.0.0")
    world.run("npm12", "publish").succeeded()
    _consumer(consumer, {"@acme/moving": "^1.0.0"})
    consumer.run("npm12", "install").succeeded()
    _package(world, "@acme/moving", "1.1.0")

    world.run("npm12", "publish").succeeded()

    consumer.run("npm12", "update").succeeded()
    assert consumer.node("console.log(require('@acme/moving'))").succeeded().stdout == "1.1.0\n"


def test_publishing_with_a_one_time_code(client: str, gateway: Gateway, world: World) -> None:
    token, code = gateway.one_time_codes(f"cody-{client}", "write", REPOSITORY)
    configure_npm(world, gateway.base(REPOSITORY), token)
    name = f"@acme/coded-{client}"
    _package(world, name, "1.0.0")

    refused = _publish(world, client).failed()
    world.run(client, *PUBLISH[client], "--otp", code(0)).succeeded()

    assert _ASKED_FOR_A_CODE[client] in refused.text
    assert list(_packument(gateway, token, name)["versions"]) == ["1.0.0"]


@pytest.mark.parametrize("client", ["npm10", "npm11", "npm12"])
def test_unpublishing_sends_one_code_with_all_that_it_writes(
    client: str, gateway: Gateway, owner: str, world: World
) -> None:
    tool(client)
    token, code = gateway.one_time_codes(f"curt-{client}", "delete", REPOSITORY)
    gateway.cli("grant", "add", f"curt-{client}", "write", REPOSITORY, "--data", str(gateway.data)).succeeded()
    name = f"@acme/retracted-{client}"
    configure_npm(world, gateway.base(REPOSITORY), owner)
    for version in ("1.0.0", "1.1.0"):
        _package(world, name, version)
        _publish(world, client).succeeded()
    configure_npm(world, gateway.base(REPOSITORY), token)

    world.run(client, "unpublish", f"{name}@1.1.0", f"--otp={code(0)}").succeeded()

    assert list(_packument(gateway, token, name)["versions"]) == ["1.0.0"]


def _world(new_world: Callable[[], World], gateway: Gateway, token: str) -> World:
    world = new_world()
    configure_npm(world, gateway.base(REPOSITORY), token)
    return world


def _publish(world: World, client: str) -> Ran:
    """Publish the package in the work folder; yarn 4 wants a lock file first."""
    if client == "yarn4":
        world.run(client, "install").succeeded()
    return world.run(client, *PUBLISH[client])


def _package(world: World, name: str, version: str, content: str = "") -> None:
    """A package's sources in the work folder."""
    manifest = {"name": name, "version": version, "license": "Apache-2.0", "main": "index.js"}
    (world.work / "package.json").write_text(json.dumps(manifest))
    (world.work / "index.js").write_text(f"// {content}\nmodule.exports = {json.dumps(version)};\n")
    (world.work / "README.md").write_text(f"# {name}\n")


def _consumer(world: World, dependencies: Mapping[str, str]) -> None:
    manifest = {"name": "consumer", "version": "1.0.0", "private": True, "dependencies": dict(dependencies)}
    (world.work / "package.json").write_text(json.dumps(manifest))
    workspace = 'minimumReleaseAgeExclude:\n  - "@acme/*"\n  - "acme-*"\n'
    (world.work / "pnpm-workspace.yaml").write_text(workspace)


def _packument(gateway: Gateway, token: str, name: str) -> Any:
    status, body = gateway.get(f"/{REPOSITORY}/{name}", token=token)
    assert status == 200
    return json.loads(body)
