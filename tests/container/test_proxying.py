"""Images of upstreams: asked as little as can be, verified, served when the upstream is not, never for our names."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from gateway.config import UpstreamConfig
from gateway.explain import explain
from gateway.model import RepositoryKey
from tests.conftest import StartGateway, public
from tests.container.talking import Registry, codes
from tests.fakes.artifacts import noise
from tests.fakes.containers import ContainerUpstream
from tests.fakes.faults import answer, corrupt, down, limited, truncate
from tests.fakes.images import Image, artifact, digest_of, image, index
from tests.fakes.upstream import FaultyUpstream

NAME = "library/tool"
TOOL = image({"hello": noise(700_000, "layer")})


@pytest.fixture
async def fake() -> AsyncIterator[ContainerUpstream]:
    async with ContainerUpstream() as fake:
        yield fake


def through(fake: FaultyUpstream, **more: Any) -> UpstreamConfig:
    return UpstreamConfig(type="container", url=fake.url, retries=0, negative_ttl=0.05, read_timeout=3.0, **more)


async def hub(start_gateway: StartGateway, fake: ContainerUpstream, name: str = NAME, **more: Any) -> Registry:
    """A client of a public repository that falls through to the fake, as nobody."""
    settings = more.pop("settings", {})
    repositories = {"container": {"acme/hub": public("hosted", "fake", reserve=("corp/**",), settings=settings)}}
    gateway = await start_gateway(repositories, {"fake": through(fake, **more)})
    return Registry(gateway, f"container/acme/hub/{name}")


def layer_of(one: Image) -> str:
    return str(one.document["layers"][0]["digest"])


def methods(fake: ContainerUpstream, part: str) -> list[str]:
    return [seen.method for seen in fake.asked_for(part) if "authorization" in seen.headers]


async def test_a_cold_pull_asks_once_for_each_part(start_gateway: StartGateway, fake: ContainerUpstream) -> None:
    fake.push(NAME, TOOL, "1")
    registry = await hub(start_gateway, fake)

    head, whole = await registry.manifest("1", "HEAD"), await registry.manifest(TOOL.digest)
    blobs = [(await registry.blob(digest)).body for digest in TOOL.blobs]

    assert head.headers["Docker-Content-Digest"] == TOOL.digest
    assert (whole.body, whole.headers["Content-Type"]) == (TOOL.body, TOOL.media_type)
    assert blobs == list(TOOL.blobs.values())
    assert methods(fake, "/manifests/1") == ["HEAD"]
    assert methods(fake, f"/manifests/{TOOL.digest}") == ["GET"]
    assert [methods(fake, digest) for digest in TOOL.blobs] == [["GET"]] * len(TOOL.blobs)


async def test_a_warm_pull_asks_for_nothing(start_gateway: StartGateway, fake: ContainerUpstream) -> None:
    fake.push(NAME, TOOL, "1")
    registry = await hub(start_gateway, fake)
    await registry.manifest("1")
    await registry.blob(layer_of(TOOL))
    fake.seen.clear()

    assert (await registry.manifest("1")).body == TOOL.body
    assert (await registry.blob(layer_of(TOOL))).status == 200
    assert (await registry.blob(layer_of(TOOL), "HEAD")).status == 200
    assert fake.seen == []


async def test_a_tag_is_asked_for_by_head_and_fetched_only_when_it_moved(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    newer = image({"hello": b"newer\n"})
    fake.push(NAME, TOOL, "1")
    registry = await hub(start_gateway, fake, max_age=0.0)
    await registry.manifest("1")
    fake.seen.clear()

    assert (await registry.manifest("1")).body == TOOL.body
    assert methods(fake, "/manifests/") == ["HEAD"]
    fake.push(NAME, newer, "1")

    assert (await registry.manifest("1")).body == newer.body
    assert (await registry.manifest(TOOL.digest)).body == TOOL.body


async def test_many_cold_pulls_of_a_blob_make_one_request(start_gateway: StartGateway, fake: ContainerUpstream) -> None:
    fake.push(NAME, TOOL, "1")
    registry = await hub(start_gateway, fake)

    got = await asyncio.gather(*(registry.blob(layer_of(TOOL)) for _ in range(20)))

    assert {reply.body for reply in got} == {TOOL.blobs[layer_of(TOOL)]}
    assert methods(fake, layer_of(TOOL)) == ["GET"]


async def test_a_corrupt_blob_reaches_nobody_whole_and_is_not_kept(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    fake.push(NAME, TOOL, "1")
    path = fake.blob_path(NAME, layer_of(TOOL))
    fake.fault(corrupt(), path)
    registry = await hub(start_gateway, fake)

    with pytest.raises(aiohttp.ClientPayloadError):
        await registry.blob(layer_of(TOOL))
    fake.heal()

    assert (await registry.blob(layer_of(TOOL))).body == TOOL.blobs[layer_of(TOOL)]


async def test_a_corrupt_manifest_is_refused(start_gateway: StartGateway, fake: ContainerUpstream) -> None:
    fake.push(NAME, TOOL, "1")
    fake.fault(corrupt(), fake.manifest_path(NAME, TOOL.digest))
    registry = await hub(start_gateway, fake)

    assert (await registry.manifest("1")).status == 502
    assert (await registry.manifest(TOOL.digest)).status == 502


async def test_a_blob_that_breaks_off_is_resumed(start_gateway: StartGateway, fake: ContainerUpstream) -> None:
    fake.push(NAME, TOOL, "1")
    fake.fault(truncate(400_000, times=1), fake.blob_path(NAME, layer_of(TOOL)))
    registry = await hub(start_gateway, fake)

    assert (await registry.blob(layer_of(TOOL))).body == TOOL.blobs[layer_of(TOOL)]


async def test_a_range_of_a_cold_blob_has_exactly_those_bytes(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    fake.push(NAME, TOOL, "1")
    registry = await hub(start_gateway, fake)

    part = await registry.blob(layer_of(TOOL), Range="bytes=1000-1999")

    assert (part.status, part.body) == (206, TOOL.blobs[layer_of(TOOL)][1000:2000])


@pytest.mark.parametrize("fault", [down(), answer(500), limited("7")], ids=["down", "500", "429"])
async def test_a_cached_tag_survives_its_upstream_and_says_so(
    start_gateway: StartGateway, fake: ContainerUpstream, fault: Any
) -> None:
    fake.push(NAME, TOOL, "1")
    registry = await hub(start_gateway, fake, max_age=0.0)
    await registry.manifest("1")
    await registry.blob(layer_of(TOOL))
    fake.fault(fault)

    stale = await registry.manifest("1")

    assert (stale.status, stale.body) == (200, TOOL.body)
    assert re.fullmatch(r'299 - "stale[ !#-\[\]-~]{,4000}"', stale.headers["Warning"])  # c/image reads no other form
    assert (await registry.blob(layer_of(TOOL))).status == 200


async def test_a_tag_that_the_upstream_deleted_is_served_for_a_while(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    fake.push(NAME, TOOL, "1")
    registry = await hub(start_gateway, fake, max_age=0.0)
    await registry.manifest("1")
    del fake.pages[fake.manifest_path(NAME, "1")]

    assert (await registry.manifest("1")).body == TOOL.body


DAY = 86400.0


@pytest.mark.parametrize(
    ("status", "days", "settings", "expected"),
    [
        (404, 6.9, {}, 200),
        (404, 7.1, {}, 404),
        (404, 400.0, {"keep_deleted": True}, 200),
        (403, 0.9, {}, 200),
        (403, 1.1, {}, 404),
        (403, 1.1, {"keep_deleted": True}, 404),
    ],
)
async def test_how_long_a_tag_outlives_what_the_upstream_says_of_it(
    start_gateway: StartGateway,
    fake: ContainerUpstream,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    days: float,
    settings: dict[str, Any],
    expected: int,
) -> None:
    fake.push(NAME, TOOL, "1")
    registry = await hub(start_gateway, fake, settings=settings)
    await registry.manifest("1")
    fake.fault(answer(status), fake.manifest_path(NAME, "1"))
    monkeypatch.setattr(registry.gateway.services.documents, "_clock", lambda: time.time() + days * DAY)

    told = await registry.manifest("1")

    assert told.status == expected
    assert ("Warning" in told.headers) == (expected == 200)


async def test_an_upstreams_limit_is_passed_on(start_gateway: StartGateway, fake: ContainerUpstream) -> None:
    fake.fault(limited("7"))
    registry = await hub(start_gateway, fake)

    first, second = await registry.manifest("1"), await registry.manifest("2")

    assert [reply.status for reply in (first, second)] == [429, 429]
    assert codes(first) == ["TOOMANYREQUESTS"]
    assert first.headers["Retry-After"] == "7"


async def test_what_no_upstream_has_is_unknown_and_trouble_is_not(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    registry = await hub(start_gateway, fake)

    absent = await registry.manifest("1")
    fake.fault(answer(502))
    trouble = await registry.manifest("2")

    assert (absent.status, codes(absent)) == (404, ["MANIFEST_UNKNOWN"])
    assert (trouble.status, codes(trouble)) == (503, ["UNAVAILABLE"])


# ── signing in upstream ──────────────────────────────────────────────────────────────────────────────────────────────
async def test_configured_credentials_go_to_the_token_service_and_its_token_to_the_registry(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    fake.push(NAME, TOOL, "1")
    fake.credentials = ("robot", "secret")
    registry = await hub(start_gateway, fake, username="robot", password="secret")

    assert (await registry.manifest("1")).status == 200
    await asyncio.gather(*(registry.blob(digest) for digest in TOOL.blobs))

    assert len(fake.asked_for("/token")) == 1


async def test_credentials_are_not_carried_to_a_realm_elsewhere(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    fake.push(NAME, TOOL, "1")
    async with FaultyUpstream() as thief:
        thief.serve("/token", b'{"token": "x"}', "application/json")
        fake.realm = f"{thief.url}token"
        registry = await hub(start_gateway, fake, username="robot", password="secret")

        with capture_logs() as logged:
            refused = await registry.manifest("1")

        assert refused.status == 503
        assert thief.seen == []
        assert "not one of its hosts" in str(next(one for one in logged if one["event"] == "could not answer"))


async def test_a_redirect_of_a_blob_is_followed_without_our_token(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    fake.push(NAME, TOOL, "1")
    async with FaultyUpstream() as store:
        fake.blobs_at(store)
        host = store.url.removeprefix("http://").rstrip("/")
        registry = await hub(start_gateway, fake, hosts=(host,))

        assert (await registry.blob(layer_of(TOOL))).body == TOOL.blobs[layer_of(TOOL)]

        assert ["authorization" in seen.headers for seen in store.seen] == [False]


async def test_wrong_credentials_are_not_tried_again_and_again(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    fake.push(NAME, TOOL, "1")
    fake.credentials = ("robot", "secret")
    registry = await hub(start_gateway, fake, username="robot", password="wrong")

    for tag in ("1", "2", "3"):
        assert (await registry.manifest(tag)).status == 503

    assert len(fake.asked_for("/token")) == 1


# ── whose name it is ─────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_name_of_one_part_is_completed_for_the_upstream_alone(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    fake.push(NAME, TOOL, "1")
    registry = await hub(start_gateway, fake, "tool", namespace="library")

    assert (await registry.manifest("1")).body == TOOL.body
    assert (await registry.blob(layer_of(TOOL))).status == 200


@pytest.mark.parametrize("namespace", ["corp", "library"])
async def test_our_names_are_not_asked_for_by_their_short_form(
    start_gateway: StartGateway, fake: ContainerUpstream, namespace: str
) -> None:
    short = await hub(start_gateway, fake, "tool", namespace=namespace)
    if namespace == "library":  # the other one is reserved
        mine = Registry(short.gateway, f"container/acme/hub/{namespace}/tool", await short.gateway.token())
        assert (await mine.push(image({"hello": b"ours\n"}), "1")).status == 201
    fake.push(f"{namespace}/tool", TOOL, "1")
    fake.seen.clear()

    assert (await short.manifest("1")).status == 404
    assert (await short.manifest(TOOL.digest)).status == 404
    assert (await short.blob(layer_of(TOOL))).status == 404
    assert (await short.tags()).status == 404

    assert fake.seen == []


async def test_our_names_are_never_asked_for_even_when_all_is_deleted(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    registry = await hub(start_gateway, fake, "corp/tool")
    mine = Registry(registry.gateway, registry.name, await registry.gateway.token())
    fake.push("corp/tool", TOOL, "1", "2")

    assert (await mine.manifest("1")).status == 404
    assert (await mine.push(image({"hello": b"ours\n"}), "1")).status == 201
    assert (await mine.manifest("1", "DELETE")).status == 202
    for reference in ("1", "2", TOOL.digest):
        assert (await mine.manifest(reference)).status == 404
    assert (await mine.blob(layer_of(TOOL))).status == 404
    assert (await mine.referrers(TOOL.digest)).status == 200
    assert (await mine.tags()).status == 200

    assert fake.seen == []


async def test_an_upstreams_name_is_not_pushed_over(start_gateway: StartGateway, fake: ContainerUpstream) -> None:
    fake.push(NAME, TOOL, "1")
    registry = await hub(start_gateway, fake)
    mine = Registry(registry.gateway, registry.name, await registry.gateway.token())

    refused = await mine.begin()

    assert (refused.status, codes(refused)) == (403, ["DENIED"])


async def test_bytes_in_the_cache_are_no_way_to_another_packages_blob(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    secret = image({"secret": b"private\n"})
    fake.push("private/tool", secret, "1")
    registry = await hub(start_gateway, fake, "private/tool")
    assert (await registry.blob(layer_of(secret))).status == 200

    stranger = Registry(registry.gateway, "container/acme/hub/public/tool")

    assert (await stranger.blob(layer_of(secret))).status == 404
    assert (await stranger.blob(layer_of(secret), "HEAD")).status == 404


async def test_a_blob_that_two_packages_have_is_fetched_once(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    fake.push(NAME, TOOL, "1")
    fake.push("library/other", TOOL, "1")
    registry = await hub(start_gateway, fake)
    await registry.blob(layer_of(TOOL))
    other = Registry(registry.gateway, "container/acme/hub/library/other")

    assert (await other.blob(layer_of(TOOL))).body == TOOL.blobs[layer_of(TOOL)]

    assert methods(fake, f"library/other/blobs/{layer_of(TOOL)}") == ["HEAD"]


async def test_the_first_upstream_that_has_a_name_owns_it(start_gateway: StartGateway, fake: ContainerUpstream) -> None:
    async with ContainerUpstream() as second:
        other = image({"hello": b"second\n"})
        second.push(NAME, other, "1", "2")
        second.push("only/second", other, "1")
        fake.push(NAME, TOOL, "1")
        repositories = {"container": {"acme/hub": public("first", "second")}}
        gateway = await start_gateway(repositories, {"first": through(fake), "second": through(second)})
        both = Registry(gateway, f"container/acme/hub/{NAME}")
        alone = Registry(gateway, "container/acme/hub/only/second")

        assert (await both.manifest("1")).body == TOOL.body
        assert (await both.manifest("2")).status == 404
        assert (await alone.manifest("1")).body == other.body
        assert (await alone.blob(layer_of(other))).status == 200


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_tags_and_referrers_of_an_upstream_are_shown(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    fake.push(NAME, TOOL, "1", "2", "latest")
    signature = artifact("application/vnd.example.signature", b"signed", subject=TOOL.described())
    fake.attach(NAME, TOOL.digest, signature)
    registry = await hub(start_gateway, fake)

    listed = await (await registry.tags("?n=2")).json()
    found = await (await registry.referrers(TOOL.digest)).json()
    nothing = await registry.referrers(digest_of(b"nothing"))

    assert listed["tags"] == ["1", "2"]
    assert [one["digest"] for one in found["manifests"]] == [signature.digest]
    assert (nothing.status, (await nothing.json())["manifests"]) == (200, [])


async def test_an_index_and_its_children_come_byte_for_byte(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    both = index(image({"a": b"1"}), image({"a": b"2"}, architecture="arm64"))
    fake.push(NAME, both, "1")
    registry = await hub(start_gateway, fake)

    for one in both.everything:
        assert (await registry.manifest(one.digest)).body == one.body
    assert (await registry.manifest("1")).body == both.body


async def test_explain_tells_which_upstream_answers(start_gateway: StartGateway, fake: ContainerUpstream) -> None:
    fake.push(NAME, TOOL, "1", "2")
    registry = await hub(start_gateway, fake, "tool", namespace="library")

    told = await explain(registry.gateway.services, RepositoryKey.parse("container/acme/hub"), "tool")

    assert [(step.layer.partition(": ")[2], step.verdict) for step in told.steps] == [
        ("hosted", "not asked"),
        ("fake", "answers"),
    ]
    assert told.versions_seen == ("1", "2")
