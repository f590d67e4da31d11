"""One-time codes as npm speaks of them (npm.md §8): `WWW-Authenticate: OTP`, `npm-otp`, and every door to a token."""

import json
from typing import Any

import pytest

from gateway.model import Scope
from tests.conftest import Reply
from tests.fakes.artifacts import tarball
from tests.npm.conftest import Registry
from tests.npm.documents import publication
from tests.second_factor import ALL, PASSWORD, Factor

USER = "-/user/org.couchdb.user:ada"
LOGIN = {"_id": "org.couchdb.user:ada", "name": "ada", "password": PASSWORD, "type": "user"}


@pytest.fixture
async def factor(registry: Registry) -> Factor:
    return await Factor.begin(registry.gateway)


def orders(reply: Reply) -> bool:
    """Whether npm says EOTP, and on a terminal asks for a code (npm-registry-fetch, `check-response`)."""
    return reply.status == 401 and reply.headers.getall("WWW-Authenticate") == ["OTP"]


async def publish(registry: Registry, version: str, token: str, **headers: str) -> Reply:
    document = publication("@acme/lib", version, tarball().build("@acme/lib", version))
    return await registry.send("PUT", "@acme%2flib", token, document, **headers)


async def test_publishing_orders_a_code_and_takes_it(registry: Registry, factor: Factor) -> None:
    token = await factor.token()

    refused = await publish(registry, "1.0.0", token)
    wrong = await publish(registry, "1.0.0", token, npm_otp="000")
    other = await publish(registry, "1.0.0", token, OTP=factor.fresh())
    published = await publish(registry, "1.0.0", token, npm_otp=factor.fresh())

    assert [orders(reply) for reply in (refused, wrong, other)] == [True, True, True]
    assert "automation token" in json.loads(refused.body)["error"]
    assert published.status == 201


async def test_a_bad_token_is_no_order_for_a_code(registry: Registry, factor: Factor) -> None:
    refused = await publish(registry, "1.0.0", "ent_nobody", npm_otp=factor.fresh())

    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


async def test_one_code_is_enough_for_what_unpublish_sends(registry: Registry, factor: Factor) -> None:
    """It reads, writes the document without the version, reads again and deletes the tarball, each with the code."""
    token, sent = await factor.token(), {"npm_otp": factor.fresh()}
    automation = await factor.token(is_automation=True)
    for version in ("1.0.0", "1.1.0"):
        assert (await publish(registry, version, automation)).status == 201
    document = await registry.document("@acme/lib", token, **sent)
    rev = document["_rev"]
    del document["versions"]["1.1.0"]
    document["dist-tags"] = {"latest": "1.0.0"}

    unnamed = await registry.send("PUT", f"@acme%2flib/-rev/{rev}", token, document, **sent)
    rev = (await registry.document("@acme/lib", token, **sent))["_rev"]
    gone = await registry.send("DELETE", f"@acme/lib/-/lib-1.1.0.tgz/-rev/{rev}", token, **sent)

    assert unnamed.status in {200, 201}
    assert gone.status == 200
    assert list((await registry.document("@acme/lib", token))["versions"]) == ["1.0.0"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "-/package/@acme%2flib/dist-tags/beta", "1.0.0"),
        ("DELETE", "-/package/@acme%2flib/dist-tags/beta", None),
        ("POST", "-/npm/v1/tokens", {"name": "more", "password": PASSWORD}),
        ("PUT", USER, LOGIN),
    ],
)
async def test_whatever_else_changes_orders_a_code(
    registry: Registry, factor: Factor, method: str, path: str, body: Any
) -> None:
    await publish(registry, "1.0.0", await factor.token(is_automation=True))

    assert orders(await registry.send(method, path, await factor.token(ALL), body))


async def test_a_login_takes_password_and_code_and_its_token_needs_codes(registry: Registry, factor: Factor) -> None:
    code = factor.fresh()

    refused = await registry.send("PUT", USER, None, LOGIN)
    given = await registry.send("PUT", USER, None, LOGIN, npm_otp=code)
    replayed = await registry.send("PUT", USER, None, LOGIN, npm_otp=code)

    assert [orders(refused), given.status, orders(replayed)] == [True, 201, True]
    assert orders(await publish(registry, "1.0.0", json.loads(given.body)["token"]))


async def test_a_login_beside_an_old_token_uses_its_code_once(registry: Registry, factor: Factor) -> None:
    old = await factor.token()

    given = await registry.send("PUT", USER, old, LOGIN, npm_otp=factor.fresh())

    assert given.status == 201


async def test_a_token_as_password_gives_no_token_without_a_code(registry: Registry, factor: Factor) -> None:
    for is_automation in (False, True):
        body = LOGIN | {"password": await factor.token(is_automation=is_automation)}
        assert orders(await registry.send("PUT", USER, None, body))


async def test_an_automation_token_is_made_with_password_and_code(registry: Registry, factor: Factor) -> None:
    asked = {"name": "ci", "password": PASSWORD, "bypass_2fa": True}
    token, code = await factor.token(), factor.fresh()

    made = await registry.send("POST", "-/npm/v1/tokens", token, asked, npm_otp=code)
    again = await registry.send("POST", "-/npm/v1/tokens", token, asked, npm_otp=code)

    assert made.status == 201
    assert json.loads(made.body)["bypass_2fa"] is True
    assert orders(again)
    assert (await publish(registry, "1.0.0", json.loads(made.body)["token"])).status == 201


async def test_the_profile_says_that_there_is_a_second_factor(registry: Registry, factor: Factor) -> None:
    profile = json.loads((await registry.get("-/npm/v1/user", await factor.token((Scope.READ,)))).body)

    assert profile["tfa"] == {"pending": False, "mode": "auth-and-writes"}
