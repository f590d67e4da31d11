"""What was taken from upstreams is counted as it comes: no more than came, no less, and documents too."""

from collections import Counter
from contextlib import suppress

import aiohttp

from tests.conftest import Gateway, StartGateway, public
from tests.fakes.artifacts import Artifact, wheel
from tests.fakes.faults import truncate
from tests.fakes.upstream import FaultyUpstream
from tests.pypi.asking import get, page


def listen(gateway: Gateway) -> Counter[str]:
    """The bytes that are reported from now on: of files by repository, of documents by type."""
    seen: Counter[str] = Counter()

    def file(_type: str, repository: str, size: int) -> None:
        seen[repository] += size

    def document(type_: str, size: int) -> None:
        seen[type_] += size

    gateway.services.fetched, gateway.services.client.on_document = file, document
    return seen


async def start(start_gateway: StartGateway, fake: FaultyUpstream) -> tuple[Gateway, Artifact]:
    (built,) = fake.pypi("foo", {"1.0": wheel(size=600_000)})
    gateway = await start_gateway({"pypi": {"acme/tools": public("fake")}}, {"fake": fake.config()})
    return gateway, built


async def test_files_count_for_their_repository_and_documents_for_their_type(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        gateway, built = await start(start_gateway, fake)
        seen = listen(gateway)

        await page(gateway, "foo")
        listed = seen["pypi"]
        for _ in range(2):
            await get(gateway, f"files/foo/{built.sha256}/{built.filename}")
            await page(gateway, "foo")

        assert listed == seen["pypi"] > 0
        assert seen["pypi/acme/tools"] == len(built.body)


async def test_of_a_body_that_breaks_off_only_what_came_is_counted(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        gateway, built = await start(start_gateway, fake)
        await page(gateway, "foo")
        seen = listen(gateway)
        fake.ranges = False
        fake.fault(truncate(), f"/files/{built.filename}")

        with suppress(aiohttp.ClientError):
            await get(gateway, f"files/foo/{built.sha256}/{built.filename}")

        times = fake.count(f"/files/{built.filename}")
        assert 0 < seen["pypi/acme/tools"] < times * len(built.body)
