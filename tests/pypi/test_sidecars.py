"""What belongs to a proxied file (metadata, provenance) belongs to exactly these bytes, never to a name alone."""

import pytest

from tests.conftest import Gateway, StartGateway, public
from tests.fakes.artifacts import Artifact, wheel
from tests.fakes.upstream import FaultyUpstream
from tests.pypi.asking import get, page, publish

OTHER = "0" * 64


async def start(start_gateway: StartGateway, fake: FaultyUpstream, **more: tuple[str, ...]) -> Gateway:
    repositories = {"pypi": {"acme/tools": public("hosted", "fake", **more)}}
    return await start_gateway(repositories, {"fake": fake.config(max_age=0.0)})


def sidecar_of(artifact: Artifact, sha256: str | None = None) -> str:
    return f"files/foo/{sha256 or artifact.sha256}/{artifact.filename}.metadata"


async def test_a_cached_sidecar_is_not_given_for_other_bytes(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        (built,) = fake.pypi("foo", {"1.0": wheel()}, sidecars=True)
        gateway = await start(start_gateway, fake)

        right = await get(gateway, sidecar_of(built))
        wrong = await get(gateway, sidecar_of(built, OTHER))

        assert (right.status, right.body) == (200, built.metadata)
        assert wrong.status == 404


async def test_two_files_of_one_name_keep_each_its_own_sidecar(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        (old,) = fake.pypi("foo", {"1.0": wheel(description="old")}, sidecars=True)
        gateway = await start(start_gateway, fake)
        await get(gateway, sidecar_of(old))
        (new,) = fake.pypi("foo", {"1.0": wheel(description="new")}, sidecars=True)
        await gateway.services.document_rows.purge("fake")

        first, second = await get(gateway, sidecar_of(old)), await get(gateway, sidecar_of(new))

        assert old.metadata != new.metadata
        assert (first.body, second.body) == (old.metadata, new.metadata)


async def test_a_cached_sidecar_is_served_while_the_upstream_is_gone(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        (built,) = fake.pypi("foo", {"1.0": wheel()}, sidecars=True)
        gateway = await start(start_gateway, fake)
        await get(gateway, sidecar_of(built))
        asked = fake.count()
        await fake.stop()

        again = await get(gateway, sidecar_of(built))

        assert (again.status, again.body) == (200, built.metadata)
        assert fake.count() == asked


@pytest.mark.parametrize("address", [None, "-"])
async def test_a_hosted_file_has_no_sidecar_of_an_upstream(start_gateway: StartGateway, address: str | None) -> None:
    async with FaultyUpstream() as fake:
        fake.pypi("foo", {"1.0": wheel(description="theirs")}, sidecars=True)
        gateway = await start(start_gateway, fake, merge=("foo",))
        ours = wheel(description="ours").build("foo", "1.0")
        await publish(gateway, ours, "foo", "1.0", await gateway.token())

        found = await get(gateway, sidecar_of(ours, address))

        assert list((await page(gateway, "foo")).files) == [ours.filename]
        assert found.body == ours.metadata
