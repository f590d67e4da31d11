"""An upstream that goes wrong in every way: nothing unverified is kept or completed, and trouble is never absence."""

import asyncio

import aiohttp
import pytest

from gateway.config import CacheConfig, Config
from tests.conftest import Gateway, StartGateway, public
from tests.ecosystems import ECOSYSTEMS, Ecosystem
from tests.fakes.artifacts import Artifact
from tests.fakes.faults import (
    Fault,
    answer,
    bomb,
    corrupt,
    down,
    endless,
    huge_header,
    huge_headers,
    limited,
    malformed,
    redirect,
    truncate,
    wrong_length,
)
from tests.fakes.upstream import FaultyUpstream

pytestmark = pytest.mark.parametrize("eco", ECOSYSTEMS, ids=lambda eco: eco.type)
MEBIBYTE = 1024 * 1024


async def begin(
    start: StartGateway, eco: Ecosystem, fake: FaultyUpstream, **upstream: float
) -> tuple[Gateway, Artifact]:
    (artifact,) = eco.serve(fake, "left", {"1.0.0": eco.recipe(size=600_000)})
    config = Config(cache=CacheConfig(max_file_size=8 * MEBIBYTE, max_document_size=4 * MEBIBYTE))
    repositories = {eco.type: {"acme/tools": public("fake")}}
    gateway = await start(repositories, {"fake": fake.config(eco.type, **upstream)}, config=config)
    return gateway, artifact


@pytest.mark.parametrize(
    "fault",
    [
        down(),
        answer(500),
        answer(502),
        limited("7"),
        limited(None, 503),
        answer(401),
        truncate(),
        endless(),
        huge_header(),
        huge_headers(),
        bomb(256 * MEBIBYTE),
        malformed(),
        redirect("http://127.0.0.1:9/elsewhere"),
    ],
    ids=lambda fault: f"{fault.kind}{fault.status or ''}",
)
async def test_trouble_with_a_listing_is_neither_absence_nor_a_page(
    start_gateway: StartGateway, eco: Ecosystem, fault: Fault
) -> None:
    async with FaultyUpstream() as fake:
        gateway, _ = await begin(start_gateway, eco, fake)
        fake.fault(fault, eco.upstream_page("left"))

        answered = await eco.read(gateway, "left")

        assert answered.status in {502, 503}
        fake.heal()
        gateway.services.client.forgive()
        assert (await eco.read(gateway, "left")).status == 200


async def test_a_listing_that_says_absent_is_absent(start_gateway: StartGateway, eco: Ecosystem) -> None:
    async with FaultyUpstream() as fake:
        gateway, _ = await begin(start_gateway, eco, fake)

        absent = await eco.read(gateway, "nobody-knows")

        assert absent.status == 404


async def test_a_refusal_by_an_upstream_is_not_absence(start_gateway: StartGateway, eco: Ecosystem) -> None:
    async with FaultyUpstream() as fake:
        gateway, _ = await begin(start_gateway, eco, fake)
        fake.fault(answer(403), eco.upstream_page("left"))

        refused = await eco.read(gateway, "left")

        assert refused.status == 403


@pytest.mark.parametrize(
    "fault", [down(), answer(500), limited("7"), malformed(), bomb(256 * MEBIBYTE)], ids=lambda fault: fault.kind
)
async def test_what_was_served_once_is_served_again(start_gateway: StartGateway, eco: Ecosystem, fault: Fault) -> None:
    async with FaultyUpstream() as fake:
        gateway, artifact = await begin(start_gateway, eco, fake, max_age=0.0)
        await eco.read(gateway, "left")
        assert await (await gateway.get(eco.file("left", artifact))).read() == artifact.body
        first = await eco.read(gateway, "left")  # of a wheel, its metadata may be listed by now
        fake.fault(fault)

        again = await eco.read(gateway, "left")
        file = await gateway.get(eco.file("left", artifact))

        assert again.status == 200
        assert await again.read() == await first.read()
        assert await file.read() == artifact.body


@pytest.mark.parametrize(
    "fault",
    [corrupt(), corrupt(0), wrong_length(10), wrong_length(-10), endless(), truncate()],
    ids=lambda fault: f"{fault.kind}{fault.size}",
)
async def test_a_file_that_is_not_what_was_promised_is_never_complete_and_never_kept(
    start_gateway: StartGateway, eco: Ecosystem, fault: Fault
) -> None:
    async with FaultyUpstream() as fake:
        gateway, artifact = await begin(start_gateway, eco, fake)
        fake.fault(fault, eco.upstream_file("left", artifact))

        got = b""
        try:
            async with gateway.session.get(gateway.url + eco.file("left", artifact)) as response:
                status = response.status
                async for chunk in response.content.iter_any():
                    got += chunk
            assert status >= 500
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            assert len(got) < len(artifact.body) or fault.kind == "endless"
            assert artifact.body.startswith(got) or fault.kind in {"corrupt", "endless"}

        assert [d for d, _, _ in gateway.services.cache.walk() if d.hex == artifact.sha256] == []
        fake.heal()
        gateway.services.client.forgive()
        healed = await gateway.get(eco.file("left", artifact))
        assert await healed.read() == artifact.body


async def test_a_body_that_breaks_off_once_is_resumed(start_gateway: StartGateway, eco: Ecosystem) -> None:
    async with FaultyUpstream() as fake:
        gateway, artifact = await begin(start_gateway, eco, fake)
        fake.fault(truncate(times=1), eco.upstream_file("left", artifact))

        whole = await gateway.get(eco.file("left", artifact))

        assert await whole.read() == artifact.body
        asked = [s for s in fake.seen if s.plain_path == eco.upstream_file("left", artifact)]
        assert ["range" in s.headers for s in asked] == [False, True]


async def test_one_listing_and_one_file_are_fetched_for_everybody_at_once(
    start_gateway: StartGateway, eco: Ecosystem
) -> None:
    async with FaultyUpstream() as fake:
        gateway, artifact = await begin(start_gateway, eco, fake)

        pages = await asyncio.gather(*(eco.read(gateway, "left") for _ in range(50)))
        files = await asyncio.gather(*(gateway.get(eco.file("left", artifact)) for _ in range(50)))

        assert {page.status for page in pages} == {200}
        assert {await file.read() for file in files} == {artifact.body}
        assert fake.count(eco.upstream_page("left")) == 1
        assert fake.count(eco.upstream_file("left", artifact)) == 1


async def test_an_upstream_in_trouble_is_not_asked_for_every_request(
    start_gateway: StartGateway, eco: Ecosystem
) -> None:
    async with FaultyUpstream() as fake:
        gateway, _ = await begin(start_gateway, eco, fake)
        fake.fault(answer(500))

        for number in range(30):
            assert (await eco.read(gateway, f"left{number}")).status == 503

        assert fake.count() <= 10
