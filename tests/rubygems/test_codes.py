"""One-time codes as gem speaks of them (`Gem::GemcutterUtilities`): the words, the header, and every door to a key."""

from urllib.parse import urlencode

import pytest

from gateway.model import Scope
from tests.conftest import Gateway, Reply, StartGateway, public
from tests.rubygems.asking import BASE, lines, push, yank
from tests.second_factor import ALL, Factor

ORDER = b"You have enabled multifactor authentication"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
async def factor(start_gateway: StartGateway) -> Factor:
    return await Factor.begin(await start_gateway({"rubygems": {"acme/tools": public("hosted")}}))


def orders(reply: Reply) -> bool:
    """Whether gem asks its user for a code now."""
    return reply.status == 401 and reply.body.startswith(ORDER)


async def test_a_push_without_a_code_orders_one_and_with_it_goes_through(factor: Factor) -> None:
    token = await factor.token()

    refused, _ = await push(factor.gateway, token, "tool", "1.0")
    wrong, _ = await push(factor.carrying("123"), token, "tool", "1.0")
    pushed, _ = await push(factor.carrying(factor.fresh()), token, "tool", "1.0")

    assert orders(refused)
    assert orders(wrong)
    assert pushed.status == 200
    assert len(await lines(factor.gateway)) == 1


async def test_the_order_is_given_before_the_gem_is_read(factor: Factor) -> None:
    refused = await factor.gateway.request("POST", BASE + "api/v1/gems", await factor.token(), data=b"not a gem")

    assert orders(refused)


async def test_who_may_not_push_anyway_is_not_asked_for_a_code(factor: Factor) -> None:
    reader = await factor.token((Scope.READ,))

    refused, _ = await push(factor.gateway, reader, "tool", "1.0")

    assert refused.status == 403
    assert not refused.body.startswith(ORDER)


async def test_there_is_no_security_key_so_that_gem_asks_for_a_code(factor: Factor) -> None:
    token, path = await factor.token(), BASE + "api/v1/webauthn_verification"

    without = await factor.gateway.request("POST", path, token)
    refused_before = await factor.gateway.request("POST", path, token, OTP="123")

    assert (without.status, refused_before.status) == (404, 404)
    assert await factor.gateway.services.audit.list(10, action="code.refused") == []


async def test_yanking_and_owners_need_a_code_too(factor: Factor) -> None:
    gateway, token, automation = factor.gateway, await factor.token(ALL), await factor.token(is_automation=True)
    await gateway.user("bob")
    await push(gateway, automation, "tool", "1.0")
    owner = {"data": urlencode({"email": "bob"}).encode(), "Content_Type": FORM}
    path = BASE + "api/v1/gems/tool/owners"

    refused = await gateway.request("POST", path, token, **owner)
    added = await factor.carrying(factor.fresh()).request("POST", path, token, **owner)
    listed = await gateway.get(path + ".json", token)
    unremoved = await gateway.request("DELETE", path, token, **owner)
    by_automation = await gateway.request("POST", path, automation, **owner)
    kept = await yank(gateway, token, "tool", "1.0")
    yanked = await yank(factor.carrying(factor.fresh()), token, "tool", "1.0")

    assert orders(refused)
    assert added.status == 200
    assert [one["handle"] for one in await listed.json()] == ["bob"]
    assert orders(unremoved)
    assert by_automation.status == 403
    assert orders(kept)
    assert yanked.status == 200


async def signin(gateway: Gateway, authorization: str, **headers: str) -> Reply:
    form = urlencode({"name": "laptop", "push_rubygem": "true"})
    return await gateway.request(
        "POST", BASE + "api/v1/api_key", data=form, Authorization=authorization, Content_Type=FORM, **headers
    )


async def test_signin_takes_password_and_code_and_its_key_needs_codes(factor: Factor) -> None:
    code = factor.fresh()

    refused = await signin(factor.gateway, factor.basic)
    given = await signin(factor.gateway, factor.basic, OTP=code)
    replayed = await signin(factor.gateway, factor.basic, OTP=code)

    assert orders(refused)
    assert given.status == 200
    assert orders(replayed)
    assert orders((await push(factor.gateway, given.body.decode(), "tool", "1.0"))[0])


async def test_a_token_as_password_makes_no_key_without_a_code(factor: Factor) -> None:
    for is_automation in (False, True):
        token = await factor.token(is_automation=is_automation)
        assert orders(await signin(factor.gateway, token))
