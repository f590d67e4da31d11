"""Blobs of upstreams, taken by clients that leave, ask for parts or come late; and what is told the operator."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from gateway.config import UpstreamConfig
from tests.conftest import StartGateway, public
from tests.container.talking import Registry, codes
from tests.fakes.artifacts import noise
from tests.fakes.containers import ContainerUpstream
from tests.fakes.faults import corrupt, down, slow
from tests.fakes.images import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, artifact, image, index

NAME = "library/tool"
TOOL = image({"hello": noise(2_000_000, "layer")})
LAYER = TOOL.layers[0]


@pytest.fixture
async def fake() -> AsyncIterator[ContainerUpstream]:
    async with ContainerUpstream() as fake:
        fake.push(NAME, TOOL, "1")
        yield fake


async def hub(start_gateway: StartGateway, fake: ContainerUpstream, **more: Any) -> Registry:
    """A client of a public repository that falls through to the fake, as nobody."""
    upstream = UpstreamConfig(**{"type": "container", "url": fake.url, "retries": 0, **more})
    gateway = await start_gateway({"container": {"acme/hub": public("hosted", "fake")}}, {"fake": upstream})
    return Registry(gateway, f"container/acme/hub/{NAME}")


def taken(fake: ContainerUpstream, part: str) -> list[str | None]:
    """The ranges (None: the whole) in which what lies at such a path was taken."""
    asked = [seen for seen in fake.asked_for(part) if seen.method == "GET" and "authorization" in seen.headers]
    return [seen.headers.get("range") for seen in asked]


async def test_the_first_client_may_leave_early(start_gateway: StartGateway, fake: ContainerUpstream) -> None:
    fake.fault(slow(rate=4_000_000), fake.blob_path(NAME, LAYER))
    registry = await hub(start_gateway, fake)
    url = f"{registry.gateway.url}v2/{registry.name}/blobs/{LAYER}"

    async with registry.gateway.session.get(url) as first:
        await first.content.readexactly(200_000)
        others = [asyncio.ensure_future(registry.blob(LAYER)) for _ in range(3)]
        await asyncio.sleep(0)
        first.close()
    bodies = {(await other).body for other in others}

    assert bodies == {TOOL.blobs[LAYER]}
    assert (await registry.blob(LAYER)).body == TOOL.blobs[LAYER]
    assert taken(fake, LAYER) == [None]


async def test_parts_of_a_cold_blob_cost_at_most_one_whole(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    registry = await hub(start_gateway, fake)

    parts = [await registry.blob(LAYER, Range=f"bytes={start}-{start + 99}") for start in (1_900_000, 0)]
    whole = await registry.blob(LAYER)

    assert [part.status for part in parts] == [206, 206]
    assert [part.body for part in parts] == [TOOL.blobs[LAYER][1_900_000:1_900_100], TOOL.blobs[LAYER][:100]]
    assert whole.body == TOOL.blobs[LAYER]
    assert taken(fake, LAYER).count(None) <= 1


@pytest.mark.parametrize(
    ("asked", "status", "first", "end"),
    [
        ("-100", 206, -100, None),
        ("1900000-", 206, 1_900_000, None),
        ("500-1499", 206, 500, 1500),
        ("0-9,20-29", 200, 0, None),
        ("500-0", 416, 0, 0),
        ("9000000-", 416, 0, 0),
    ],
)
async def test_every_form_of_range_means_the_same_for_a_cold_blob(
    start_gateway: StartGateway, fake: ContainerUpstream, asked: str, status: int, first: int, end: int | None
) -> None:
    registry, whole = await hub(start_gateway, fake), TOOL.blobs[LAYER]

    part = await registry.blob(LAYER, Range=f"bytes={asked}")

    assert (part.status, part.body) == (status, whole[first:end])
    assert part.headers["Content-Length"] == str(len(part.body))
    if status == 416:
        assert part.headers["Content-Range"] == f"bytes */{len(whole)}"


async def test_head_of_a_cold_blob_says_its_size_without_fetching_it(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    registry = await hub(start_gateway, fake)

    head = await registry.blob(LAYER, "HEAD")

    assert (head.status, head.headers["Content-Length"]) == (200, str(len(TOOL.blobs[LAYER])))
    assert head.headers["Docker-Content-Digest"] == LAYER
    assert taken(fake, LAYER) == []


async def test_a_layer_that_was_evicted_is_fetched_again_and_nothing_else(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    registry = await pulled(start_gateway, fake)
    evict(registry, LAYER)
    fake.seen.clear()

    assert await parts_of(registry) == [200] * 3
    assert taken(fake, "/manifests/") == []
    assert taken(fake, "/blobs/") == [None]


async def test_a_layer_that_was_evicted_is_no_half_answer_while_its_upstream_is_down(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    registry = await pulled(start_gateway, fake)
    evict(registry, LAYER)
    fake.fault(down())

    lost = await registry.blob(LAYER)

    assert (lost.status, codes(lost)) == (503, ["UNAVAILABLE"])
    assert sorted(await parts_of(registry)) == [200, 200, 503]


async def test_an_upstream_that_is_too_slow_is_trouble(start_gateway: StartGateway, fake: ContainerUpstream) -> None:
    fake.fault(slow(first_byte=60.0))
    registry = await hub(start_gateway, fake, read_timeout=0.3)

    late, unseen = await registry.manifest("1"), await registry.manifest("1", "HEAD")

    assert (late.status, codes(late)) == (503, ["UNAVAILABLE"])
    assert (unseen.status, unseen.body) == (503, b"")
    assert all(int(reply.headers["Retry-After"]) > 0 for reply in (late, unseen))


async def test_an_upstream_is_asked_for_every_kind_of_manifest_whatever_the_client_takes(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    registry = await hub(start_gateway, fake)

    await registry.manifest("1", Accept=DOCKER_MANIFEST)

    asked = [seen.headers["accept"] for seen in fake.asked_for("/manifests/")]
    assert asked
    for kind in (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST):
        assert all(kind in accept for accept in asked), kind


async def test_where_an_upstream_has_no_list_of_referrers_the_tag_in_its_place_is_read(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    signature = artifact("application/vnd.example.signature", b"signed", subject=TOOL.described())
    fake.push(NAME, index(signature), TOOL.digest.replace(":", "-"))
    registry = await hub(start_gateway, fake)

    found = await (await registry.referrers(TOOL.digest)).json()

    assert [one["digest"] for one in found["manifests"]] == [signature.digest]


# ── what the operator is told ────────────────────────────────────────────────────────────────────────────────────────
async def test_a_tag_that_an_upstream_moved_is_written_down_once(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    newer = image({"hello": b"newer\n"})
    registry = await hub(start_gateway, fake, max_age=0.0)
    await registry.manifest("1")
    fake.push(NAME, newer, "1")

    for _ in range(3):
        assert (await registry.manifest("1")).body == newer.body

    assert await entries(registry, "upstream.move") == [
        ("fake", "container/acme/hub", NAME, {"digest": newer.digest, "tags": {"1": TOOL.digest}})
    ]


async def test_bytes_that_are_not_what_they_are_named_by_are_an_alarm(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    registry = await hub(start_gateway, fake)
    fake.fault(corrupt(), fake.blob_path(NAME, LAYER))
    with pytest.raises(aiohttp.ClientPayloadError):
        await registry.blob(LAYER)
    fake.heal()
    fake.fault(corrupt(), fake.manifest_path(NAME, TOOL.digest))
    assert (await registry.manifest("1")).status == 502

    page = (await registry.gateway.request("GET", "-/metrics", await registry.gateway.token())).body.decode()

    assert f'entrepot_upstream_corrupt_total{{host="{fake.authority}",upstream="fake"}} 2.0' in page
    ((upstream, repository, package, detail),) = await entries(registry, "upstream.corrupt")
    assert (upstream, repository, package, detail["filename"]) == ("fake", "container/acme/hub", NAME, LAYER)


async def pulled(start_gateway: StartGateway, fake: ContainerUpstream) -> Registry:
    """As `hub`, with the whole image in the cache."""
    registry = await hub(start_gateway, fake)
    assert await parts_of(registry) == [200] * 3
    return registry


async def parts_of(registry: Registry) -> list[int]:
    """How the manifest and each blob of the image are answered."""
    return [(await registry.manifest("1")).status, *[(await registry.blob(digest)).status for digest in TOOL.blobs]]


def evict(registry: Registry, digest: str) -> None:
    """Let a blob's bytes go, as the cache does when it is full."""
    cache = registry.gateway.services.cache
    (found,) = [one for one, _, _ in cache.walk() if str(one) == digest]
    cache.delete(found)


async def entries(registry: Registry, action: str) -> list[tuple[str, str, str, dict[str, Any]]]:
    """What the audit has of this, newest first."""
    services = registry.gateway.services
    await services.denials.flush()
    return [
        (one.actor, one.repository, one.package, dict(one.detail)) for one in await services.audit.list(action=action)
    ]
