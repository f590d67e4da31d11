"""Signing in: the challenge of each root, the token service, and what a pass lets its holder do."""

import asyncio
import base64
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from gateway.config import AuthConfig, Config, RepositoryConfig
from gateway.model import Scope
from tests.conftest import Gateway, Reply, StartGateway, private, public
from tests.container.talking import Registry, challenge, codes, lines
from tests.fakes.images import image

APP = "container/acme/app"
TOOL = image({"hello": b"tool\n"})


async def start(start_gateway: StartGateway, **more: Any) -> Gateway:
    repositories: dict[str, RepositoryConfig] = {
        "acme/app": private("hosted"),
        "acme/open": public("hosted"),
        "acme/vhost": private("hosted", hosts=("hub.example.test",)),
    }
    return await start_gateway({"container": repositories}, **more)


def basic(user: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


async def ask(gateway: Gateway, scope: str = "", authorization: str = "", path: str = "token", **query: str) -> Reply:
    asked = urlencode({"service": "x", **({"scope": scope} if scope else {}), **query})
    headers = {"Authorization": authorization} if authorization else {}
    return await gateway.request("GET", f"{path}?{asked}", **headers)


async def passed(gateway: Gateway, scope: str, token: str = "", path: str = "token") -> str:
    reply = await ask(gateway, scope, basic("ada", token) if token else "", path)
    assert reply.status == 200
    return str((await reply.json())["token"])


# ── challenges ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("path", ["v2/", "v2", f"{APP}/v2/", "container/acme/open/v2/"])
async def test_a_ping_without_credentials_is_challenged_once(start_gateway: StartGateway, path: str) -> None:
    gateway = await start(start_gateway)

    refused = await gateway.get(path)

    assert refused.status == 401
    assert refused.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert len(lines(refused, "WWW-Authenticate")) == 1
    told = challenge(refused.headers)
    assert told["service"]
    below = path.partition("v2")[0]
    assert told["realm"] == f"{gateway.url}{below}token"
    assert "basic" not in refused.headers["WWW-Authenticate"].lower()
    assert codes(refused) == ["UNAUTHORIZED"]


async def test_a_query_that_nobody_reads_is_challenged_too(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)

    refused = await gateway.get(f"{APP}/v2/tool/manifests/1?" + "&".join(["n=1"] * 101))

    assert refused.status == 401
    assert challenge(refused.headers)["scope"] == "repository:tool:pull"


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", f"v2/{APP}/tool/manifests/1", f"repository:{APP}/tool:pull"),
        ("GET", f"v2/docker/acme/app/a/b/blobs/{TOOL.digest}", f"repository:{APP}/a/b:pull"),
        ("HEAD", f"v2/docker/acme/app/a/b/blobs/{TOOL.digest}", f"repository:{APP}/a/b:pull,push"),  # oras-py 0.2
        ("POST", f"v2/{APP}/tool/blobs/uploads/", f"repository:{APP}/tool:pull,push"),
        ("DELETE", f"v2/{APP}/tool/manifests/1", f"repository:{APP}/tool:pull,delete"),
        ("GET", f"{APP}/v2/tool/manifests/1", "repository:tool:pull"),
        ("GET", "v2/_catalog", "registry:catalog:*"),
        ("GET", "v2/container/nobody/knows/tool/manifests/1", "repository:container/nobody/knows/tool:pull"),
    ],
)
async def test_each_refusal_says_which_scope_would_do(
    start_gateway: StartGateway, method: str, path: str, scope: str
) -> None:
    gateway = await start(start_gateway)

    refused = await gateway.request(method, path)

    assert refused.status == 401
    assert challenge(refused.headers)["scope"] == scope


async def test_a_host_of_its_own_has_its_own_realm(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)

    told = challenge((await gateway.get("v2/tool/manifests/1", Host="hub.example.test")).headers)

    assert (told["realm"], told["scope"]) == ("http://hub.example.test/token", "repository:tool:pull")


# ── passes ───────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_pass_answers_as_the_specification_says(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    token = await gateway.token()

    reply = await ask(gateway, f"repository:{APP}/tool:push,pull", basic("ada", token))

    told = await reply.json()
    assert told["token"] == told["access_token"]
    assert told["expires_in"] >= 60
    assert told["issued_at"].endswith("Z")
    assert told["scope"] == f"repository:{APP}/tool:pull,push"
    assert "refresh_token" not in told
    assert len(told["token"]) < 1000
    assert (await gateway.get("v2/", told["token"])).status == 200


async def test_a_wrong_secret_gets_no_pass(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    await gateway.token()

    for secret in ("ent_nonsense", "password"):
        refused = await ask(gateway, "", basic("ada", secret))
        assert (refused.status, codes(refused)) == (401, ["UNAUTHORIZED"])


async def test_a_token_under_another_persons_name_gets_none(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    token = await gateway.token()
    await gateway.user("bob")

    assert (await ask(gateway, "", basic("bob", token))).status == 401
    assert (await ask(gateway, "", basic("anything", token))).status == 200


async def test_a_pass_does_what_it_was_asked_for_and_no_more(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    token = await gateway.token()
    await Registry(gateway, f"{APP}/tool", token).push(TOOL, "1")
    pull = await passed(gateway, f"repository:{APP}/tool:pull", token)

    assert (await Registry(gateway, f"{APP}/tool", pull).manifest("1")).status == 200
    assert (await gateway.get(f"{APP}/v2/tool/manifests/1", pull)).status == 200
    for name, method in ((f"{APP}/tool", "DELETE"), (f"{APP}/other", "GET"), ("container/acme/open/x", "GET")):
        refused = await Registry(gateway, name, pull).manifest("1", method)
        assert refused.status == 401
        assert challenge(refused.headers)["error"] == "insufficient_scope"


async def test_what_was_asked_for_and_is_not_granted_is_denied(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    reader = await gateway.token("bob", (Scope.READ,), is_admin=False)
    await gateway.grant("bob", "read", APP)
    reply = await ask(gateway, f"repository:{APP}/tool:pull,push,delete", basic("bob", reader))
    given = (await reply.json())["token"]

    assert (await reply.json())["scope"] == f"repository:{APP}/tool:pull"
    refused = await Registry(gateway, f"{APP}/tool", given).begin()
    assert (refused.status, codes(refused)) == (403, ["DENIED"])


async def test_a_pass_ends_with_its_token_and_with_its_rights(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    token = await gateway.token()
    await Registry(gateway, f"{APP}/tool", token).push(TOOL, "1")
    registry = Registry(gateway, f"{APP}/tool", await passed(gateway, f"repository:{APP}/tool:pull", token))
    assert (await registry.manifest("1")).status == 200

    (row,) = await gateway.services.identities.tokens()
    await gateway.services.identities.delete_token(row.id)

    assert (await registry.manifest("1")).status == 401


async def test_a_pass_is_good_for_images_alone(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"container": {"acme/app": private()}, "pypi": {"acme/tools": private()}})
    given = await passed(gateway, f"repository:{APP}/tool:pull", await gateway.token())

    assert (await gateway.get("pypi/acme/tools/simple/", given)).status == 401
    assert (await gateway.get("-/api/v1/tokens", given)).status == 401


async def test_a_forged_pass_is_refused(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    given = await passed(gateway, f"repository:{APP}/tool:pull", await gateway.token())

    for forged in (given[:-2] + "AA", given.replace("entp_", "entp_A"), "entp_", "entp_AAAA", "entp_" + "A" * 9000):
        assert (await gateway.get("v2/", forged)).status == 401


async def test_foreign_scopes_are_ignored(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    token = await gateway.token()
    scopes = ["repository:library/ml:pull", f"repository:{APP}/tool:pull", "bogus", "repository(plugin):x:pull"]
    query = "&".join(f"scope={quote(scope)}" for scope in scopes)

    reply = await gateway.request("GET", f"token?{query}", Authorization=basic("ada", token))

    assert reply.status == 200
    assert (await reply.json())["scope"] == f"repository:{APP}/tool:pull"


async def test_a_scope_below_a_repository_is_named_from_there(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    token = await gateway.token()
    await Registry(gateway, f"{APP}/tool", token).push(TOOL, "1")

    given = await passed(gateway, "repository:tool:pull", token, f"{APP}/token")

    assert (await gateway.get(f"{APP}/v2/tool/manifests/1", given)).body == TOOL.body
    assert (await Registry(gateway, f"{APP}/tool", given).manifest("1")).body == TOOL.body


async def test_a_star_asks_for_all_that_the_caller_has(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    token = await gateway.token()
    await Registry(gateway, f"{APP}/tool", token).push(TOOL, "1")

    given = await passed(gateway, f"repository:{APP}/tool:*", token)

    assert (await Registry(gateway, f"{APP}/tool", given).manifest("1", "DELETE")).status == 202


# ── nobody ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("authorization", ["", "Basic Og=="])
async def test_nobody_gets_a_pass_for_what_is_public(start_gateway: StartGateway, authorization: str) -> None:
    gateway = await start(start_gateway)
    await Registry(gateway, "container/acme/open/tool", await gateway.token()).push(TOOL, "1")

    reply = await ask(gateway, "repository:container/acme/open/tool:pull,push", authorization)
    given = Registry(gateway, "container/acme/open/tool", (await reply.json())["token"])

    assert (await reply.json())["scope"] == "repository:container/acme/open/tool:pull"
    assert (await given.manifest("1")).body == TOOL.body
    assert (await given.begin()).status == 401
    assert (await gateway.get("v2/", given.token)).status == 200


async def test_what_nobody_may_see_looks_like_what_is_not_there(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    await Registry(gateway, f"{APP}/tool", await gateway.token()).push(TOOL, "1")
    stranger = await gateway.token("eve", is_admin=False)

    for token, status in ((None, 401), (stranger, 403)):
        seen = {
            (await Registry(gateway, name, token).manifest("1")).status
            for name in (f"{APP}/tool", f"{APP}/nothing", "container/acme/missing/tool", "container/no/body/tool")
        }
        assert seen == {status}


async def test_no_address_tells_nobody_which_repositories_there_are(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    stranger = await gateway.token("eve", is_admin=False)

    for path in ("v2/", "v2", "token?scope=repository:tool:pull"):
        for token in (None, stranger):
            answers = [await gateway.get(f"container/acme/{name}/{path}", token) for name in ("app", "missing")]
            assert len({reply.status for reply in answers}) == 1
            assert len({(await reply.json()).get("scope") for reply in answers}) == 1


# ── grants of OAuth ──────────────────────────────────────────────────────────────────────────────────────────────────
async def post(gateway: Gateway, **form: str) -> Reply:
    return await gateway.request("POST", "token", data=form)


async def test_a_password_grant_and_a_refresh_grant_give_passes(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    token = await gateway.token()
    scope = f"repository:{APP}/tool:pull"

    signed_in = await post(
        gateway, grant_type="password", username="ada", password=token, scope=scope, access_type="offline"
    )
    refresh = (await signed_in.json())["refresh_token"]
    again = await post(gateway, grant_type="refresh_token", refresh_token=refresh, scope=scope)

    assert (signed_in.status, again.status) == (200, 200)
    for reply in (signed_in, again):
        told = await reply.json()
        assert (told["scope"], told["access_token"]) == (scope, told["token"])
        assert told["expires_in"] >= 60
    await Registry(gateway, f"{APP}/tool", token).push(TOOL, "1")
    assert (await Registry(gateway, f"{APP}/tool", (await again.json())["token"]).manifest("1")).status == 200


async def test_a_refresh_pass_is_no_pass_and_ends_with_its_token(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    token = await gateway.token()
    reply = await ask(gateway, "", basic("ada", token), offline_token="true")
    refresh = (await reply.json())["refresh_token"]
    assert (await gateway.get("v2/", refresh)).status == 401

    (row,) = await gateway.services.identities.tokens()
    await gateway.services.identities.delete_token(row.id)

    assert (await post(gateway, grant_type="refresh_token", refresh_token=refresh)).status == 401
    assert (await post(gateway, grant_type="refresh_token", refresh_token="nonsense")).status == 401


async def test_what_a_refresh_pass_gives_is_as_narrow_as_its_token_and_ends_with_it(
    start_gateway: StartGateway,
) -> None:
    gateway = await start(start_gateway)
    await Registry(gateway, f"{APP}/tool", await gateway.token()).push(TOOL, "1")
    reader = await gateway.token("eve", (Scope.READ,))
    refresh = (await (await ask(gateway, "", basic("eve", reader), offline_token="true")).json())["refresh_token"]
    scope = f"repository:{APP}/tool:pull,push"
    reply = await post(gateway, grant_type="refresh_token", refresh_token=refresh, scope=scope)
    given = Registry(gateway, f"{APP}/tool", (await reply.json())["token"])

    assert (await reply.json())["scope"] == f"repository:{APP}/tool:pull"
    assert ((await given.manifest("1")).status, (await given.begin()).status) == (200, 403)
    (row,) = [one for one in await gateway.services.identities.tokens() if one.scopes == {Scope.READ}]
    await gateway.services.identities.delete_token(row.id)

    assert (await given.manifest("1")).status == 401


async def test_refresh_passes_can_be_switched_off(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway, config=Config(auth=AuthConfig(refresh_passes=False)))

    reply = await ask(gateway, "", basic("ada", await gateway.token()), offline_token="true")

    assert "refresh_token" not in await reply.json()


async def test_other_grants_are_refused(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)

    assert (await post(gateway, grant_type="authorization_code")).status == 400


# ── mirrors ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_credentials_of_the_mirrored_registry_are_dropped_where_everybody_may_pull(
    start_gateway: StartGateway,
) -> None:
    """dockerd sends a mirror what its user has for Docker Hub."""
    gateway = await start(start_gateway)
    await Registry(gateway, "container/acme/open/tool", await gateway.token()).push(TOOL, "1")
    foreign = basic("hub-user", "hub-password")

    mirrored = await ask(gateway, "repository:tool:pull", foreign, "container/acme/open/token")
    private_ = await ask(gateway, "repository:tool:pull", foreign, f"{APP}/token")
    pushing = await ask(gateway, "repository:tool:pull,push", foreign, "container/acme/open/token")

    given = (await mirrored.json())["token"]
    assert (await gateway.get("container/acme/open/v2/tool/manifests/1", given)).status == 200
    assert (private_.status, pushing.status) == (401, 401)


# ── the list of images ───────────────────────────────────────────────────────────────────────────────────────────────
async def test_the_catalogue_lists_what_the_caller_may_pull(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    token = await gateway.token()
    for name in (f"{APP}/one", f"{APP}/two", "container/acme/open/three"):
        await Registry(gateway, name, token).push(TOOL, "1")

    mine = await gateway.get("v2/_catalog", await passed(gateway, "registry:catalog:*", token))
    nobodys = await gateway.get("v2/_catalog", await passed(gateway, "registry:catalog:*"))
    first = await gateway.get("v2/_catalog?n=2", token)
    rest = await gateway.get(first.headers["Link"].partition("<")[2].partition(">")[0], token)

    everything = ["container/acme/app/one", "container/acme/app/two", "container/acme/open/three"]
    assert (await mine.json())["repositories"] == everything
    assert (await nobodys.json())["repositories"] == ["container/acme/open/three"]
    assert (await first.json())["repositories"] + (await rest.json())["repositories"] == everything
    assert (await gateway.get("v2/_catalog", await passed(gateway, f"repository:{APP}/one:pull", token))).status == 401
    assert (await (await gateway.get(f"{APP}/v2/_catalog", token)).json())["repositories"] == ["one", "two"]


async def test_many_passes_at_once_are_all_good(start_gateway: StartGateway) -> None:
    gateway = await start(start_gateway)
    token = await gateway.token()

    given = await asyncio.gather(*(passed(gateway, f"repository:{APP}/t{n}:pull", token) for n in range(20)))

    assert {(await gateway.get("v2/", one)).status for one in given} == {200}
