"""A large file that was sent a moment ago goes out again without routing, and never when something about it moved."""

import pytest

from gateway.model import Scope
from gateway.web.credentials import KEY_HEADERS
from tests.conftest import Gateway, StartGateway, private
from tests.ecosystems import NPM, PYPI, Ecosystem
from tests.fakes.artifacts import Artifact

ECOSYSTEMS = pytest.mark.parametrize("eco", [PYPI, NPM], ids=lambda eco: eco.type)
LARGE = 400_000


async def begin(start: StartGateway, eco: Ecosystem) -> tuple[Gateway, str, Artifact]:
    gateway = await start({eco.type: {"acme/tools": private("hosted")}})
    token = await gateway.token("ada", (Scope.READ, Scope.WRITE, Scope.DELETE))
    reply, artifact = await eco.publish(gateway, "acme-tool", "1.0.0", token, eco.recipe(size=LARGE))
    assert reply.status in {200, 201}
    assert len(artifact.body) > LARGE
    return gateway, token, artifact


@ECOSYSTEMS
async def test_a_large_file_is_the_same_each_time(start_gateway: StartGateway, eco: Ecosystem) -> None:
    gateway, token, artifact = await begin(start_gateway, eco)
    path = eco.file("acme-tool", artifact)

    replies = [await gateway.get(path, token) for _ in range(3)]

    assert {reply.body for reply in replies} == {artifact.body}
    heads = [{k: v for k, v in r.headers.items() if k.lower() not in {"date", "x-request-id"}} for r in replies]
    assert heads[0] == heads[1] == heads[2]
    assert len({reply.headers["X-Request-Id"] for reply in replies}) == 3
    known = await gateway.get(path, token, **{"If-None-Match": replies[0].headers["ETag"]})
    assert (known.status, known.body) == (304, b"")
    part = await gateway.get(path, token, Range="bytes=10-19")
    assert (part.status, part.body) == (206, artifact.body[10:20])


@ECOSYSTEMS
async def test_a_large_file_is_only_for_those_who_may_read_it(start_gateway: StartGateway, eco: Ecosystem) -> None:
    gateway, token, artifact = await begin(start_gateway, eco)
    path = eco.file("acme-tool", artifact)
    for _ in range(2):
        assert (await gateway.get(path, token)).status == 200

    assert (await gateway.get(path)).status == 401
    for one in await gateway.services.identities.tokens(await gateway.user("ada")):
        await gateway.services.identities.delete_token(one.id)
    assert (await gateway.get(path, token)).status == 401


@ECOSYSTEMS
async def test_a_withdrawn_large_file_is_gone_at_once(start_gateway: StartGateway, eco: Ecosystem) -> None:
    gateway, token, artifact = await begin(start_gateway, eco)
    path = eco.file("acme-tool", artifact)
    for _ in range(2):
        assert (await gateway.get(path, token)).status == 200

    assert (await eco.withdraw(gateway, "acme-tool", "1.0.0", token)).status < 300

    assert (await gateway.get(path, token)).status == 404


@pytest.mark.parametrize("header", KEY_HEADERS)
async def test_a_token_in_a_header_of_its_own_opens_nothing_to_the_next_request(
    start_gateway: StartGateway, header: str
) -> None:
    """Behind one address there are many: what was answered to this token is not for who comes without one."""
    gateway, token, artifact = await begin(start_gateway, PYPI)
    paths = (PYPI.listing("acme-tool"), PYPI.file("acme-tool", artifact))
    for path in paths:
        for _ in range(2):
            assert (await gateway.get(path, **{header: token})).status == 200

    assert [(await gateway.get(path)).status for path in paths] == [401, 401]
    assert [(await gateway.get(path, **{header: "ent_wrong"})).status for path in paths] == [401, 401]
