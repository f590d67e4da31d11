"""Trust on first use: where an upstream names no strong hash, what came first is what is served ever after."""

import hashlib
import json
from collections.abc import Callable

import pytest

from gateway.errors import UpstreamCorrupt
from gateway.housekeeping import Housekeeping
from gateway.model import Digest
from gateway.store.rows import CachedFile
from tests.conftest import Gateway, Reply, StartGateway, public
from tests.fakes.artifacts import sdist
from tests.fakes.upstream import FaultyUpstream

FILENAME = "left-1.0.tar.gz"
FILES = "pypi/acme/tools/files/left/"
FIRST = b"first " * 10_000
SECOND = b"other " * 10_000
LONGER = b"longer" * 100_000
PIP = "application/vnd.pypi.simple.v1+json"


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def nothing(_body: bytes) -> str:
    return ""


def weak(body: bytes) -> str:
    return f"#md5={md5(body)}"


def offer(fake: FaultyUpstream, body: bytes, promise: Callable[[bytes], str]) -> None:
    """Have the upstream list this body as the one file of `left`, and serve it."""
    page = f'<html><body><a href="{fake.url}files/{FILENAME}{promise(body)}">{FILENAME}</a></body></html>'
    fake.serve("/simple/left/", page.encode(), "text/html")
    fake.serve(f"/files/{FILENAME}", body)


async def start(start_gateway: StartGateway, fake: FaultyUpstream) -> Gateway:
    repositories = {"pypi": {"acme/tools": public("hosted", "fake")}}
    return await start_gateway(repositories, {"fake": fake.config(max_age=0.0)})


async def fetched(
    start_gateway: StartGateway, fake: FaultyUpstream, promise: Callable[[bytes], str], *, is_kept: bool = False
) -> Gateway:
    """A gateway to which FIRST came first, and which does not have it any more unless it `is_kept`."""
    offer(fake, FIRST, promise)
    gateway = await start(start_gateway, fake)
    await gateway.get(f"{FILES}-/{FILENAME}")
    if not is_kept:
        await evict(gateway)
    return gateway


async def listed(gateway: Gateway) -> dict[str, object]:
    page = await gateway.get("pypi/acme/tools/simple/left/", Accept=PIP)
    (file,) = json.loads(page.body)["files"]
    return dict(file)


async def evict(gateway: Gateway) -> None:
    """Every file that the cache holds goes, as where it is too small; a page may just be refreshed beside it."""
    services = gateway.services
    await Housekeeping(services.blob_rows, services.hosted, services.cache).evict(0)
    assert not [digest for digest, size, _ in services.cache.walk() if size >= len(FIRST)]


async def corruptions(gateway: Gateway) -> list[str]:
    await gateway.services.denials.flush()
    return [str(entry.detail["reason"]) for entry in await gateway.services.audit.list(action="upstream.corrupt")]


def is_refused(reply: Reply) -> bool:
    return reply.status == 502 and b"changed left-1.0.tar.gz" in reply.body + reply.reason.encode()


@pytest.mark.parametrize("promise", [nothing, weak])
async def test_the_hash_of_what_came_first_is_listed_and_part_of_its_address(
    start_gateway: StartGateway, promise: Callable[[bytes], str]
) -> None:
    async with FaultyUpstream() as fake:
        offer(fake, FIRST, promise)
        gateway = await start(start_gateway, fake)
        before = await listed(gateway)

        first = await gateway.get(f"{FILES}-/{FILENAME}")
        after = await listed(gateway)

        assert first.body == FIRST
        assert str(before["url"]).endswith(f"/-/{FILENAME}")
        assert after["hashes"] == {"sha256": sha256(FIRST)}
        assert after["size"] == len(FIRST)
        assert str(after["url"]).endswith(f"/{sha256(FIRST)}/{FILENAME}")
        assert (await gateway.get(f"{FILES}{sha256(FIRST)}/{FILENAME}")).body == FIRST
        assert (await gateway.get(f"{FILES}-/{FILENAME}")).body == FIRST


@pytest.mark.parametrize("other", [SECOND, LONGER], ids=["as-long", "longer"])
@pytest.mark.parametrize("promise", [nothing, weak])
async def test_other_bytes_under_the_same_name_reach_nobody_once_the_first_were_evicted(
    start_gateway: StartGateway, promise: Callable[[bytes], str], other: bytes
) -> None:
    async with FaultyUpstream() as fake:
        gateway = await fetched(start_gateway, fake, promise)
        offer(fake, other, promise)

        for address in ("-", sha256(FIRST)):
            assert is_refused(await gateway.get(f"{FILES}{address}/{FILENAME}"))
        assert (await gateway.get(f"{FILES}{sha256(other)}/{FILENAME}")).status == 404
        assert (await listed(gateway))["hashes"] == {"sha256": sha256(FIRST)}
        assert gateway.services.cache.has(Digest.of(other)) is None
        (reason,) = await corruptions(gateway)
        assert sha256(FIRST) in reason


@pytest.mark.parametrize("promise", [nothing, weak])
async def test_the_first_bytes_are_fetched_again_when_the_upstream_has_them_again(
    start_gateway: StartGateway, promise: Callable[[bytes], str]
) -> None:
    async with FaultyUpstream() as fake:
        gateway = await fetched(start_gateway, fake, promise)
        offer(fake, SECOND, promise)
        await gateway.get(f"{FILES}-/{FILENAME}")
        offer(fake, FIRST, promise)

        again = await gateway.get(f"{FILES}-/{FILENAME}")

        assert (again.status, again.body) == (200, FIRST)


async def test_a_strong_hash_that_comes_later_does_not_change_the_bytes(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        gateway = await fetched(start_gateway, fake, nothing)
        offer(fake, SECOND, lambda body: f"#sha256={sha256(body)}")

        assert (await listed(gateway))["hashes"] == {"sha256": sha256(FIRST)}
        assert is_refused(await gateway.get(f"{FILES}-/{FILENAME}"))


async def test_what_one_process_saw_first_another_demands(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        offer(fake, FIRST, weak)
        one = await start(start_gateway, fake)
        other = await start(start_gateway, fake)
        assert (await listed(other))["hashes"] == {"md5": md5(FIRST)}

        await one.get(f"{FILES}-/{FILENAME}")
        seen = await listed(other)
        await evict(one)
        offer(fake, SECOND, weak)
        refused = await other.get(f"{FILES}-/{FILENAME}")

        assert seen["hashes"] == {"sha256": sha256(FIRST)}
        assert is_refused(refused)


async def test_of_two_that_were_fetched_at_once_the_second_is_refused(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        gateway = await start(start_gateway, fake)
        rows = gateway.services.blob_rows
        (repository,) = gateway.services.known().values()

        def cached(body: bytes, moment: float) -> CachedFile:
            return CachedFile(Digest.of(body), len(body), {}, "fake", moment)

        await rows.add_cached(repository.id, "left", FILENAME, cached(FIRST, 1.0), is_first=True)
        for is_first in (True, False):
            with pytest.raises(UpstreamCorrupt, match=sha256(FIRST)):
                await rows.add_cached(repository.id, "left", FILENAME, cached(SECOND, 2.0), is_first=is_first)

        kept = rows.cached(repository.id, "left", FILENAME)
        assert kept is not None
        assert kept.digest == Digest.of(FIRST)


async def test_an_operator_may_believe_the_upstream_anew(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        gateway = await fetched(start_gateway, fake, weak, is_kept=True)
        offer(fake, SECOND, weak)
        (repository,) = gateway.services.known().values()

        await gateway.services.blob_rows.purge_cached(repository.id)
        await evict(gateway)
        still = await gateway.get(f"{FILES}-/{FILENAME}")
        await gateway.services.blob_rows.purge_cached(repository.id, "left")
        await gateway.services.document_rows.purge("fake")
        anew = await gateway.get(f"{FILES}-/{FILENAME}")

        assert is_refused(still)
        assert (anew.status, anew.body) == (200, SECOND)
        assert (await listed(gateway))["hashes"] == {"sha256": sha256(SECOND)}


async def test_a_file_with_a_strong_hash_is_known_by_that_alone(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        (artifact,) = fake.pypi("left", {"1.0": sdist()})
        gateway = await start(start_gateway, fake)

        await gateway.get(f"{FILES}{artifact.sha256}/{artifact.filename}")

        (repository,) = gateway.services.known().values()
        assert gateway.services.blob_rows.first_uses(repository.id, "left", "fake") == {}
