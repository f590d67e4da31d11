"""The ways in: by host, by path, by a host of its own, through `?ns=`; all lead to the same images."""

from dataclasses import replace

import aiohttp
import pytest

from gateway.config import ServerConfig
from tests.conftest import Gateway, StartGateway, private, public
from tests.container.talking import Registry, codes
from tests.fakes.images import image

TOOL = image({"hello": b"tool\n"})
SETTINGS = {"namespaces": ["docker.io", "quay.example"]}


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    repositories = {
        "acme/app": private("hosted"),
        "acme/hub": public("hosted", hosts=("hub.example.test",), settings=SETTINGS),
    }
    return await start_gateway({"container": repositories})


@pytest.fixture
async def token(gateway: Gateway) -> str:
    secret = await gateway.token()
    pushed = await Registry(gateway, "container/acme/hub/library/tool", secret).push(TOOL, "1")
    assert pushed.status == 201
    return secret


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("v2/container/acme/hub/library/tool/", {}),
        ("v2/docker/acme/hub/library/tool/", {}),
        ("v2/containers/acme/hub/library/tool/", {}),
        ("v2/container/acme/hub/library%2Ftool/", {}),
        ("container/acme/hub/v2/library/tool/", {}),
        ("docker/acme/hub/v2/library/tool/", {}),
        ("v2/library/tool/", {"Host": "hub.example.test"}),
    ],
)
async def test_every_way_leads_to_the_same_image(
    gateway: Gateway, token: str, path: str, headers: dict[str, str]
) -> None:
    for reference in ("1", TOOL.digest, TOOL.digest.replace(":", "%3A")):
        reply = await gateway.get(f"{path}manifests/{reference}", token, **headers)
        assert (reply.status, reply.body) == (200, TOOL.body)
        assert reply.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert (await gateway.get(f"{path}blobs/{next(iter(TOOL.blobs))}", token, **headers)).status == 200


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("v2/container/acme/app/a/b/", "/v2/container/acme/app/a/b/"),
        ("v2/docker/acme/app/a/b/", "/v2/docker/acme/app/a/b/"),
        ("container/acme/app/v2/a/b/", "/container/acme/app/v2/a/b/"),
    ],
)
async def test_addresses_are_told_by_the_root_that_was_used(gateway: Gateway, path: str, root: str) -> None:
    secret = await gateway.token()

    begun = await gateway.request("POST", f"{path}blobs/uploads/", secret)
    location = begun.headers["Location"]
    done = await gateway.request("PUT", f"{location}?digest={next(iter(TOOL.blobs))}", secret, data=b"")

    assert location.startswith(f"{root}blobs/uploads/")
    assert done.status == 400


async def test_links_to_the_next_page_keep_the_prefix_of_a_proxy(start_gateway: StartGateway) -> None:
    server = ServerConfig(public_url="https://pkg.example.test/depot")
    gateway = await start_gateway({"container": {"acme/app": private("hosted")}}, server=server)
    secret = await gateway.token()
    registry = Registry(gateway, "container/acme/app/tool", secret)
    for body in TOOL.blobs.values():
        assert (await registry.upload(body, "post")).status == 201
    for tag in ("1", "2"):
        assert (await registry.push_manifest(tag, TOOL.body, TOOL.media_type)).status == 201

    listed = await gateway.get("v2/container/acme/app/tool/tags/list?n=1", secret)

    assert listed.headers["Link"] == '</depot/v2/container/acme/app/tool/tags/list?n=1&last=1>; rel="next"'


# ── ?ns= ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("asked", ["docker.io", "index.docker.io", "DOCKER.IO", "quay.example"])
async def test_a_repository_stands_in_for_the_registries_it_lists(gateway: Gateway, token: str, asked: str) -> None:
    reply = await gateway.get(f"v2/library/tool/manifests/1?ns={asked}", token)

    assert (reply.status, reply.body) == (200, TOOL.body)
    assert reply.headers["OCI-Namespace"] == asked


@pytest.mark.parametrize(
    "path",
    [
        "v2/library/tool/manifests/1?ns=registry.example.test",
        "v2/library/tool/manifests/1?ns=http://127.0.0.1",
        "v2/library/tool/manifests/1",
        "v1/search",
        "v2/nothing",
    ],
)
async def test_what_nobody_stands_in_for_is_unknown(gateway: Gateway, token: str, path: str) -> None:
    reply = await gateway.get(path, token)

    assert (reply.status, codes(reply)) == (404, ["NAME_UNKNOWN"])


async def test_an_image_whose_name_looks_like_ours_is_found_in_its_registry(gateway: Gateway, token: str) -> None:
    await Registry(gateway, "container/acme/hub/docker/tools/cli", token).push(TOOL, "1")

    reply = await gateway.get("v2/docker/tools/cli/manifests/1?ns=docker.io", token)

    assert reply.status == 200


@pytest.mark.parametrize("path", ["v2/library/tool/", "v2/container/acme/app/tool/", "container/acme/hub/v2/x/"])
async def test_nothing_is_pushed_to_another_registry_through_us(gateway: Gateway, token: str, path: str) -> None:
    asked = "docker.io" if path == "v2/library/tool/" else "elsewhere.example"

    refused = await gateway.request("POST", f"{path}blobs/uploads/?ns={asked}", token)

    assert (refused.status, codes(refused)) == (403, ["DENIED"])


async def test_the_same_namespace_is_fine_on_the_repositorys_own_address(gateway: Gateway, token: str) -> None:
    reply = await gateway.get("v2/container/acme/hub/library/tool/manifests/1?ns=docker.io", token)

    assert (reply.status, reply.headers["OCI-Namespace"]) == (200, "docker.io")


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", ["Upper", "a__", "-a", "a//b", "a..b", "a" * 300, "%2e%2e", "a%00b", "%C3%BC"])
async def test_what_is_no_name_is_refused(gateway: Gateway, token: str, name: str) -> None:
    refused = await gateway.request("POST", f"v2/container/acme/app/{name}/blobs/uploads/", token)

    assert refused.status in {400, 404}
    assert codes(refused) in (["NAME_INVALID"], ["NAME_UNKNOWN"])


async def test_a_warm_manifest_is_answered_before_it_is_parsed(gateway: Gateway, token: str) -> None:
    newer = image({"hello": b"newer\n"})
    path = "v2/container/acme/hub/library/tool/manifests/1"
    async with aiohttp.ClientSession() as fresh:  # a connection that never carried a body
        reader = replace(gateway, session=fresh)
        for _ in range(3):
            assert (await reader.get(path, token)).body == TOOL.body
        before = gateway.services.short_answers

        again = await reader.get(path, token)
        kept = await reader.get(path, token, If_None_Match=f'"{TOOL.digest}"')
        answered = gateway.services.short_answers - before
        await Registry(gateway, "container/acme/hub/library/tool", token).push(newer, "1")
        moved = await reader.get(path, token)

    assert answered >= 1
    assert (again.body, kept.status) == (TOOL.body, 304)
    assert moved.body == newer.body
