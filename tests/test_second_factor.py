"""One-time codes over HTTP: what every ecosystem's clients are told, and every door to a credential."""

import json
import re
from urllib.parse import urlencode

import pytest

from gateway.adapter import load_adapters
from gateway.model import Scope
from tests.conftest import Gateway, Reply, StartGateway, private
from tests.container.talking import Registry
from tests.ecosystems import ECOSYSTEMS, RUBYGEMS, Ecosystem
from tests.maven.asking import Client
from tests.second_factor import ALL, PASSWORD, Factor

EVERY = pytest.mark.parametrize("eco", ECOSYSTEMS, ids=lambda eco: eco.type)
TYPES = ("pypi", "npm", "nuget", "rubygems", "maven", "container")
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    return await start_gateway({type_: {"acme/tools": private("hosted")} for type_ in TYPES})


@pytest.fixture
async def factor(gateway: Gateway) -> Factor:
    return await Factor.begin(gateway)


def told(reply: Reply) -> str:
    return f"{reply.reason} {reply.body.decode()}"


# ── packages ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@EVERY
async def test_a_token_alone_publishes_nothing_and_is_told_why(factor: Factor, eco: Ecosystem) -> None:
    token = await factor.token()

    refused, _ = await eco.publish(factor.gateway, "acme-tool", "1.0.0", token)

    assert refused.status == (401 if eco.type in {"npm", "rubygems"} else 403)
    assert "automation token" in told(refused)
    assert (await eco.read(factor.gateway, "acme-tool", token)).status == 404


@EVERY
async def test_a_code_in_the_clients_own_header_publishes(factor: Factor, eco: Ecosystem) -> None:
    token, automation = await factor.token(), await factor.token(is_automation=True)
    header = next(one.code_header for one in load_adapters() if one.type == eco.type)

    published, artifact = await eco.publish(factor.carrying(factor.fresh(), header), "acme-tool", "1.0.0", token)

    assert published.status in {200, 201}, told(published)
    assert (await eco.read(factor.gateway, "acme-tool", token)).status == 200
    assert (await factor.gateway.get(eco.file("acme-tool", artifact), token)).body == artifact.body
    assert (await eco.withdraw(factor.gateway, "acme-tool", "1.0.0", token)).status in {401, 403}
    assert (await eco.read(factor.gateway, "acme-tool", token)).status == 200
    assert (await eco.withdraw(factor.gateway, "acme-tool", "1.0.0", automation)).status == eco.withdrawn


@EVERY
async def test_an_automation_token_publishes_without_a_code(factor: Factor, eco: Ecosystem) -> None:
    published, _ = await eco.publish(factor.gateway, "acme-tool", "1.0.0", await factor.token(is_automation=True))

    assert published.status in {200, 201}


async def test_maven_is_told_to_use_an_automation_token(factor: Factor) -> None:
    jar = "com/acme/tool/1.0/tool-1.0.pom"
    alone = Client(factor.gateway, await factor.token(), "maven/acme/tools/")
    automation = Client(factor.gateway, await factor.token(is_automation=True), "maven/acme/tools/")

    refused = await alone.put(jar, b"<project/>")

    assert refused.status == 403
    assert "automation token" in told(refused)
    assert (await automation.put(f"{jar}.sha1", "0" * 40)).status == 201


async def test_docker_pulls_with_a_token_and_pushes_with_an_automation_token(factor: Factor) -> None:
    token, automation = await factor.token(), await factor.token(is_automation=True)
    name = "container/acme/tools/app"
    scope = urlencode({"service": "x", "scope": f"repository:{name}:pull,push"})

    async def begun(secret: str) -> Reply:
        given = await factor.gateway.get(f"token?{scope}", secret)
        return await Registry(factor.gateway, name, (await given.json())["token"]).begin()

    refused, taken = await begun(token), await begun(automation)

    assert (refused.status, json.loads(refused.body)["errors"][0]["code"]) == (403, "DENIED")
    assert "automation token" in told(refused)
    assert taken.status == 202


# ── passwords ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("type_", TYPES)
async def test_a_password_alone_reads_nothing_and_gets_no_pass(factor: Factor, type_: str) -> None:
    paths = {
        "pypi": "pypi/acme/tools/simple/x/",
        "npm": "npm/acme/tools/-/whoami",
        "nuget": "nuget/acme/tools/index.json",
        "rubygems": "rubygems/acme/tools/versions",
        "maven": "maven/acme/tools/com/acme/x/maven-metadata.xml",
        "container": "token?service=x&scope=repository:container/acme/tools/app:pull",
    }
    code = factor.fresh()

    for headers in ({}, {"OTP": code}, {"npm_otp": code}):  # reading takes no code
        refused = await factor.gateway.get(paths[type_], Authorization=factor.basic, **headers)
        assert refused.status in {401, 403}
        assert "one-time code" in told(refused)


async def test_what_a_password_read_a_moment_ago_ends_when_codes_begin(gateway: Gateway) -> None:
    factor = await Factor.begin(gateway)
    actor = await gateway.user("ada")
    await gateway.services.identities.delete_code_secret(actor)
    await RUBYGEMS.publish(gateway, "acme-tool", "1.0.0", await gateway.token())
    path = "rubygems/acme/tools/info/acme-tool"
    for _ in range(3):
        assert (await gateway.get(path, Authorization=factor.basic)).status == 200

    await gateway.services.identities.put_code_secret(actor, factor.secret)

    assert (await gateway.get(path, Authorization=factor.basic)).status == 401


async def test_a_form_at_the_token_service_is_no_way_around(factor: Factor) -> None:
    form = urlencode({"grant_type": "password", "username": "ada", "password": PASSWORD, "service": "x"})

    refused = await factor.gateway.request("POST", "token", data=form, Content_Type=FORM)

    assert refused.status == 403


# ── the dashboard and the control API ────────────────────────────────────────────────────────────────────────────────
async def sign_in(gateway: Gateway, **fields: str) -> Reply:
    form = urlencode({"name": "ada", "password": PASSWORD, **fields})
    return await gateway.request("POST", "-/ui/sign-in", data=form, Content_Type=FORM)


async def session(gateway: Gateway, **fields: str) -> dict[str, str]:
    """The headers with which a page of this session changes something."""
    begun = await sign_in(gateway, **fields)
    assert begun.status == 303, begun.body
    cookie = begun.headers["Set-Cookie"].partition(";")[0]
    page = await gateway.get("-/ui/tokens", Cookie=cookie)
    found = re.search(r'name="csrf" value="(\w+)"', page.body.decode())
    assert found is not None
    return {"Cookie": cookie, "X_CSRF_Token": found[1]}


async def test_the_dashboard_asks_for_a_code(factor: Factor) -> None:
    code = factor.fresh()
    without, wrong = await sign_in(factor.gateway), await sign_in(factor.gateway, code="nonsense")
    begun = await sign_in(factor.gateway, code=code)
    again = await sign_in(factor.gateway, code=code)

    assert [reply.status for reply in (without, wrong, begun, again)] == [403, 403, 303, 403]
    assert "one-time code" in without.body.decode()
    assert "Set-Cookie" not in without.headers
    assert "Set-Cookie" not in again.headers


async def test_the_dashboard_makes_an_automation_token_with_a_code_of_its_own(factor: Factor) -> None:
    headers = await session(factor.gateway, code=factor.fresh())
    fields = {"csrf": headers["X_CSRF_Token"], "name": "ci", "scope_write": "1", "days": "7", "automation": "1"}

    async def made(**more: str) -> Reply:
        form = urlencode(fields | more)
        sent = {"Cookie": headers["Cookie"], "Content_Type": FORM}
        return await factor.gateway.request("POST", "-/ui/tokens", data=form, **sent)

    refused, given = await made(), await made(code=factor.fresh())

    assert (refused.status, given.status) == (403, 200)
    secret = re.search(r"ent_\w{36}", given.body.decode())
    assert secret is not None
    assert (await RUBYGEMS.publish(factor.gateway, "acme-tool", "1.0.0", secret[0]))[0].status == 200
    assert (await RUBYGEMS.publish(factor.gateway, "acme-tool", "1.1.0", await factor.token()))[0].status == 401


async def test_codes_begin_and_end_through_the_control_api(gateway: Gateway) -> None:
    before = await Factor.begin(gateway)
    await gateway.services.identities.delete_code_secret(await gateway.user("ada"))
    headers = await session(gateway)
    path, token = "-/api/v1/me/codes", await gateway.token(scopes=ALL)

    offered = await gateway.request("POST", path, json={}, **headers)
    with_token = await gateway.request("POST", path, token, json={})
    factor = Factor(gateway, "ada", (await offered.json())["secret"])
    wrong = await gateway.request("PUT", path, json={"secret": factor.secret, "code": "nonsense"}, **headers)
    begun = await gateway.request("PUT", path, json={"secret": factor.secret, "code": factor.fresh()}, **headers)

    assert [reply.status for reply in (offered, with_token, wrong, begun)] == [200, 403, 403, 204]
    assert (await gateway.get("-/api/v1/me", Cookie=headers["Cookie"])).status == 401  # that session knew no code
    assert (await (await gateway.get("-/api/v1/me", token)).json())["needs_code"] is True
    assert before.secret != factor.secret

    headers = await session(gateway, code=factor.fresh())
    refused = await gateway.request("DELETE", path, **headers)
    assert (refused.status, (await refused.json())["code"]) == (403, "code_required")
    actions = [entry.action for entry in await gateway.services.audit.list(100)]
    assert "code.enable" in actions


async def test_an_administrators_token_reads_without_a_code_and_changes_with_one(factor: Factor) -> None:
    token, new = await factor.token(ALL), {"name": "bob"}

    read = await factor.gateway.get("-/api/v1/users", token)
    refused = await factor.gateway.request("POST", "-/api/v1/users", token, json=new)
    made = await factor.gateway.request("POST", "-/api/v1/users", token, json=new, OTP=factor.fresh())

    assert [reply.status for reply in (read, refused, made)] == [200, 403, 201]
    assert (await refused.json())["code"] == "code_required"


@pytest.mark.parametrize("is_automation", [False, True])
async def test_a_token_makes_tokens_with_a_code_only(factor: Factor, is_automation: bool) -> None:
    token = await factor.token(is_automation=is_automation)
    new = {"name": "more", "scopes": ["write:packages"]}
    ask = factor.gateway.request

    refused = await ask("POST", "-/api/v1/tokens", token, json=new)
    made = await ask("POST", "-/api/v1/tokens", token, json=new, OTP=factor.fresh())
    automation = await ask("POST", "-/api/v1/tokens", token, json=new | {"is_automation": True}, OTP=factor.fresh())

    assert [reply.status for reply in (refused, made, automation)] == [403, 201, 201]
    assert (await made.json())["token"]["is_automation"] is False
    assert (await automation.json())["token"]["is_automation"] is True


async def test_a_refused_code_is_audited_once_with_its_address(factor: Factor) -> None:
    token = await factor.token(ALL)

    await factor.gateway.request("POST", "-/api/v1/users", token, json={"name": "bob"}, OTP="nonsense")

    entries = await factor.gateway.services.audit.list(10, action="code.refused")
    assert [(entry.actor, entry.address, entry.detail) for entry in entries] == [("ada", "127.0.0.1", {"why": "wrong"})]


async def test_service_accounts_need_no_codes(factor: Factor) -> None:
    made = await factor.gateway.request(
        "POST", "-/api/v1/services", await factor.token(ALL), json={"name": "robot"}, OTP=factor.fresh()
    )
    await factor.gateway.services.identities.create_grant(
        subject_kind="service",
        subject_id=factor.gateway.services.identities.actor_by_name("robot").id,
        role="write",
        repository="rubygems/acme/tools",
        created_by="test",
    )
    new = {"name": "ci", "owner": "robot", "scopes": [str(Scope.WRITE)]}
    minted = await factor.gateway.request(
        "POST", "-/api/v1/tokens", await factor.token(ALL), json=new, OTP=factor.fresh()
    )

    assert (made.status, minted.status) == (201, 201)
    secret = (await minted.json())["secret"]
    assert (await RUBYGEMS.publish(factor.gateway, "acme-tool", "1.0.0", secret))[0].status == 200
