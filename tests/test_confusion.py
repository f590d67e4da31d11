"""Dependency confusion: a private name is never shadowed, and never asked about."""

import pytest

from gateway.config import RepositoryConfig
from gateway.model import Visibility
from tests.conftest import StartGateway, key, private, public
from tests.ecosystems import ECOSYSTEMS, Ecosystem
from tests.fakes.faults import answer
from tests.fakes.upstream import FaultyUpstream

pytestmark = pytest.mark.parametrize("eco", ECOSYSTEMS, ids=lambda eco: eco.type)


async def test_a_published_name_is_hosted_as_a_whole(start_gateway: StartGateway, eco: Ecosystem) -> None:
    async with FaultyUpstream() as fake:
        (evil,) = eco.serve(fake, "acme-tool", {"99.0.0": eco.recipe()})
        gateway = await start_gateway(
            {eco.type: {"acme/tools": public("hosted", "fake", reserve=("acme-*",))}}, {"fake": fake.config(eco.type)}
        )
        token = await gateway.token()
        published, mine = await eco.publish(gateway, "acme-tool", "1.0.0", token)
        assert published.status in {200, 201}, await published.text()

        for spelling in eco.spellings:
            listed = await eco.read(gateway, spelling)
            if listed.status == 200:
                assert eco.versions(await listed.read()) == {"1.0.0"}
            stolen = await gateway.get(eco.file(spelling, evil))
            assert stolen.status in {301, 404}
        kept = await gateway.get(eco.file("acme-tool", mine))

        assert kept.status == 200
        assert await kept.read() == mine.body
        assert fake.count() == 0


async def test_a_reserved_name_is_hosted_before_its_first_publish(start_gateway: StartGateway, eco: Ecosystem) -> None:
    async with FaultyUpstream() as fake:
        (evil,) = eco.serve(fake, "acme-tool", {"99.0.0": eco.recipe()})
        gateway = await start_gateway(
            {eco.type: {"acme/tools": public("hosted", "fake", reserve=("acme-*",))}}, {"fake": fake.config(eco.type)}
        )

        for spelling in eco.spellings:
            assert (await eco.read(gateway, spelling)).status in {301, 404}
            assert (await gateway.get(eco.file(spelling, evil))).status in {301, 404}

        assert fake.count() == 0


async def test_a_name_stays_hosted_when_every_file_is_deleted(start_gateway: StartGateway, eco: Ecosystem) -> None:
    async with FaultyUpstream() as fake:
        gateway = await start_gateway(
            {eco.type: {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config(eco.type)}
        )
        token = await gateway.token()
        await eco.publish(gateway, "acme-tool", "1.0.0", token)
        fake.forget()
        eco.serve(fake, "acme-tool", {"99.0.0": eco.recipe()})
        deleted = await eco.withdraw(gateway, "acme-tool", "1.0.0", token)
        assert deleted.status == eco.withdrawn, await deleted.text()

        listed = await eco.read(gateway, "acme-tool")

        assert b"99.0" not in await listed.read()
        assert fake.count() == 0


async def test_a_name_served_from_an_upstream_needs_a_claim_to_be_published(
    start_gateway: StartGateway, eco: Ecosystem
) -> None:
    async with FaultyUpstream() as fake:
        (theirs,) = eco.serve(fake, "requests", {"2.0.0": eco.recipe()})
        gateway = await start_gateway(
            {eco.type: {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config(eco.type)}
        )
        token = await gateway.token()
        assert (await gateway.get(eco.file("requests", theirs))).status == 200

        refused, _ = await eco.publish(gateway, "requests", "3.0.0", token)

        assert refused.status == 403
        assert b"claim" in await refused.read()
        repository = gateway.services.known()
        (row,) = repository.values()
        await gateway.services.packages.claim(row.id, "requests")
        claimed, _ = await eco.publish(gateway, "requests", "3.0.0", token)
        assert claimed.status in {200, 201}
        listed = await eco.read(gateway, "requests")
        assert eco.versions(await listed.read()) == {"3.0.0"}
        assert (await gateway.get(eco.file("requests", theirs))).status == 404


async def test_a_merged_name_shows_both_and_hosted_wins_a_tie(start_gateway: StartGateway, eco: Ecosystem) -> None:
    async with FaultyUpstream() as fake:
        eco.serve(fake, "acme-tool", {"1.0.0": eco.recipe(), "2.0.0": eco.recipe()})
        gateway = await start_gateway(
            {eco.type: {"acme/tools": public("hosted", "fake", merge=("acme-tool",))}}, {"fake": fake.config(eco.type)}
        )
        token = await gateway.token()
        published, mine = await eco.publish(gateway, "acme-tool", "1.0.0", token, eco.recipe(size=50))
        assert published.status in {200, 201}, await published.text()

        listed = await eco.read(gateway, "acme-tool")

        assert eco.versions(await listed.read()) == {"1.0.0", "2.0.0"}
        assert await (await gateway.get(eco.file("acme-tool", mine))).read() == mine.body


async def test_the_first_upstream_that_knows_a_name_owns_it(start_gateway: StartGateway, eco: Ecosystem) -> None:
    async with FaultyUpstream() as first, FaultyUpstream() as second:
        eco.serve(first, "left", {"1.0.0": eco.recipe()})
        eco.serve(second, "left", {"9.0.0": eco.recipe()})
        eco.serve(second, "right", {"2.0.0": eco.recipe()})
        gateway = await start_gateway(
            {eco.type: {"acme/tools": public("one", "two")}},
            {"one": first.config(eco.type), "two": second.config(eco.type)},
        )

        left, right = await eco.read(gateway, "left"), await eco.read(gateway, "right")

        assert eco.versions(await left.read()) == {"1.0.0"}
        assert eco.versions(await right.read()) == {"2.0.0"}


async def test_trouble_at_the_first_upstream_does_not_fall_to_the_second(
    start_gateway: StartGateway, eco: Ecosystem
) -> None:
    async with FaultyUpstream() as first, FaultyUpstream() as second:
        eco.serve(second, "left", {"9.0.0": eco.recipe()})
        first.fault(answer(500))
        gateway = await start_gateway(
            {eco.type: {"acme/tools": public("one", "two")}},
            {"one": first.config(eco.type), "two": second.config(eco.type)},
        )

        answered = await eco.read(gateway, "left")

        assert answered.status == 503
        assert "Retry-After" in answered.headers
        assert second.count() == 0


async def test_a_group_opens_no_door_to_its_members(start_gateway: StartGateway, eco: Ecosystem) -> None:
    async with FaultyUpstream() as fake:
        eco.serve(fake, "acme-tool", {"99.0.0": eco.recipe()})
        gateway = await start_gateway(
            {
                eco.type: {
                    "acme/tools": private("hosted"),
                    "acme/all": RepositoryConfig(layers=("acme/tools", "fake"), visibility=Visibility.PUBLIC),
                }
            },
            {"fake": fake.config(eco.type)},
        )
        token = await gateway.token()
        await eco.publish(gateway, "acme-tool", "1.0.0", token)
        group = eco.listing("acme-tool").replace("acme/tools", "acme/all", 1)

        outsider = await gateway.get(group, Accept=eco.accept)
        insider = await gateway.get(group, token, Accept=eco.accept)

        assert outsider.status == 404
        assert eco.versions(await insider.read()) == {"1.0.0"}
        assert fake.count() == 0


@pytest.mark.parametrize("protects", ["reserve", "claim"])
async def test_a_group_within_a_group_keeps_its_names(
    start_gateway: StartGateway, eco: Ecosystem, protects: str
) -> None:
    """The inner group has no layer of its own: what it reserves holds all the same for whoever reads the outer one."""
    async with FaultyUpstream() as fake:
        (evil,) = eco.serve(fake, "acme-tool", {"99.0.0": eco.recipe()})
        reserve = ("acme-*",) if protects == "reserve" else ()
        gateway = await start_gateway(
            {
                eco.type: {
                    "acme/ours": public("hosted"),
                    "acme/theirs": public("fake"),
                    "acme/inner": public("acme/ours", "acme/theirs", reserve=reserve),
                    "acme/tools": public("acme/inner"),
                }
            },
            {"fake": fake.config(eco.type)},
        )
        if protects == "claim":
            inner = gateway.services.known()[key(f"{eco.type}/acme/inner")]
            await gateway.services.packages.claim(inner.id, "acme-tool")

        for spelling in eco.spellings:
            assert (await eco.read(gateway, spelling)).status in {301, 404}
            assert (await gateway.get(eco.file(spelling, evil))).status in {301, 404}

        assert fake.count() == 0
