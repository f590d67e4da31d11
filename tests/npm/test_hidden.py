"""Who may not know of a package is told what it would be told of no package (npm.md §4)."""

import json

import pytest

from adapters.npm.routes import ROUTES
from gateway.model import Scope
from tests.conftest import Reply, StartGateway, private
from tests.fakes.artifacts import tarball
from tests.npm.conftest import ALL, Registry
from tests.npm.documents import publication

CLOSED, NOTHING = "@acme/closed", "@acme/nothing"
FILLED = {
    "filename": "{base}-1.0.0.tgz",
    "filescope:@[^/]+": "@acme",
    "revision": "1-0000000000000000",
    "tag": "beta",
    r"version:(?!-\Z)[^/]+": "1.0.0",
}
SCOPED = "{scope:@[^/]+}/{name}"


def _addresses() -> list[tuple[str, str]]:
    """Method and path, with NAME and BASE for the package, of every route about one package."""
    found = []
    for route in ROUTES:
        pattern = route.pattern.replace("{scope:@[^/]+}/{spec}", "NAME@1.0.0")
        if SCOPED in pattern or "NAME" in pattern:
            path = pattern.replace(SCOPED, "NAME")
            for name, value in FILLED.items():
                path = path.replace("{" + name + "}", value.replace("{base}", "BASE"))
            found.append((route.method, path))
    return found


def _body(method: str, path: str, name: str) -> object:
    if method not in {"PUT", "POST"}:
        return None
    if path in {"NAME", "-/stage/package/NAME"}:
        return publication(name, "2.0.0", tarball().build(name, "2.0.0"))
    if "dist-tags" in path:
        return "1.0.0"
    if path.endswith("/access"):
        return {"access": "public"}
    return {"_id": name, "name": name, "versions": {}, "dist-tags": {}}


async def _told(registry: Registry, method: str, path: str, name: str, token: str) -> tuple[int, str, str]:
    """The answer, with NAME for the package."""
    address = path.replace("NAME", name).replace("BASE", name.partition("/")[2])
    reply = await registry.send(method, address, token, _body(method, path, name))
    return reply.status, reply.reason.replace(name, "NAME"), reply.body.decode().replace(name, "NAME")


def _error(reply: Reply) -> str:
    return str(json.loads(reply.body)["error"])


async def _close(registry: Registry) -> None:
    reply, _ = await registry.publish(CLOSED, "1.0.0", await registry.gateway.token("root", ALL), access="restricted")
    assert reply.status == 201


def test_the_addresses_of_packages_are_found() -> None:
    assert {("GET", "NAME"), ("GET", "NAME/-/BASE-1.0.0.tgz"), ("PUT", "NAME"), ("GET", "NAME/1.0.0")} <= set(
        _addresses()
    )
    assert not [path for _, path in _addresses() if "{" in path]


@pytest.mark.parametrize(("method", "path"), _addresses(), ids=lambda value: value)
async def test_a_restricted_package_is_to_a_stranger_as_no_package(registry: Registry, method: str, path: str) -> None:
    await _close(registry)
    stranger = await registry.gateway.token("eve", ALL, is_admin=False)

    closed = await _told(registry, method, path, CLOSED, stranger)
    nothing = await _told(registry, method, path, NOTHING, stranger)

    assert closed == nothing
    assert closed[0] == 404 if method == "GET" else closed[0] in {403, 404}


async def test_a_package_that_one_may_read_is_refused_with_403(registry: Registry, token: str) -> None:
    await registry.publish("@acme/open", "1.0.0", token)
    stranger = await registry.gateway.token("eve", is_admin=False)

    refused, _ = await registry.publish("@acme/open", "1.1.0", stranger)

    assert refused.status == 403
    assert "write" in _error(refused)


async def test_a_restricted_package_asks_nobody_in_particular_to_sign_in(registry: Registry) -> None:
    await _close(registry)

    for path in ("@acme%2fclosed", "@acme/closed/-/closed-1.0.0.tgz", "@acme%2fclosed/1.0.0"):
        reply = await registry.get(path)
        assert reply.status == 401
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")


async def test_who_has_a_grant_reads_a_restricted_package_and_is_refused_the_rest(registry: Registry) -> None:
    await _close(registry)
    friend = await registry.gateway.token("friend", is_admin=False)
    await registry.gateway.grant("friend", "read", "npm/acme/widgets", CLOSED)

    refused, _ = await registry.publish(CLOSED, "1.1.0", friend)
    stranger = await registry.gateway.token("eve", is_admin=False)

    assert set((await registry.document(CLOSED, friend))["versions"]) == {"1.0.0"}
    for _ in range(3):  # warm answers are for whom they were made
        assert (await registry.get("@acme/closed/-/closed-1.0.0.tgz", friend)).status == 200
        assert (await registry.get("@acme/closed/-/closed-1.0.0.tgz", stranger)).status == 404
        assert (await registry.get("@acme%2fclosed", stranger)).status == 404
    assert refused.status == 403


async def test_a_writer_of_the_repository_learns_nothing_of_a_restricted_package(registry: Registry) -> None:
    await _close(registry)
    writer = await registry.gateway.token("wim", is_admin=False)
    await registry.gateway.grant("wim", "write", "npm/acme/widgets")

    assert (await registry.get("@acme%2fclosed", writer)).status == 404
    refused, _ = await registry.publish(CLOSED, "1.1.0", writer)
    assert refused.status == 404
    assert (await registry.document(CLOSED, await registry.gateway.token()))["dist-tags"] == {"latest": "1.0.0"}


async def test_in_a_private_repository_only_granted_names_are_known(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"npm": {"acme/widgets": private()}})
    admin, one = await gateway.token("root", ALL), await gateway.token("one", is_admin=False)
    for name in ("mine", "other"):
        document = publication(name, "1.0.0", tarball().build(name, "1.0.0"))
        made = await gateway.request("PUT", f"npm/acme/widgets/{name}", admin, data=json.dumps(document))
        assert made.status == 201
    await gateway.grant("one", "read", "npm/acme/widgets", "mine")

    assert (await gateway.get("npm/acme/widgets/mine", one)).status == 200
    told = [await gateway.get(f"npm/acme/widgets/{name}", one) for name in ("other", "nothing")]
    assert [reply.status for reply in told] == [404, 404]
    assert _error(told[0]).replace("other", "nothing") == _error(told[1])


async def test_a_narrow_token_is_refused_with_403_what_everybody_may_read(registry: Registry, token: str) -> None:
    await registry.publish("@acme/open", "1.0.0", token)
    narrow = await registry.gateway.token("ci", (Scope.READ,), packages=("@acme/else",))

    reply = await registry.get("@acme%2fopen", narrow)

    assert reply.status == 403
