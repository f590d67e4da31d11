"""When an upstream is asked whether a tag moved, and how long a tag is served that it no longer shows to us."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway import documents
from gateway.config import UpstreamConfig, parse
from gateway.errors import ConfigInvalid
from tests.conftest import StartGateway, public
from tests.container.talking import Registry, codes
from tests.fakes.containers import ContainerUpstream
from tests.fakes.faults import answer, slow
from tests.fakes.images import image

NAME = "library/tool"
TOOL = image({"hello": b"hello\n"})
NEWER = image({"hello": b"newer\n"})
HOUR, DAY = 3600.0, 86400.0

Later = Callable[[Registry, float], None]


@pytest.fixture
async def fake() -> AsyncIterator[ContainerUpstream]:
    async with ContainerUpstream() as fake:
        fake.push(NAME, TOOL, "1", "nightly-2", "v3")
        yield fake


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Let a gateway's documents be so many seconds older."""

    def move(registry: Registry, seconds: float) -> None:
        monkeypatch.setattr(registry.gateway.services.documents, "_clock", lambda: time.time() + seconds)

    return move


async def hub(start_gateway: StartGateway, fake: ContainerUpstream, settings: Any = None, **more: Any) -> Registry:
    """A client of a public repository that falls through to the fake, as nobody."""
    upstream = UpstreamConfig(**{"type": "container", "url": fake.url, "retries": 0, **more})
    repositories = {"container": {"acme/hub": public("hosted", "fake", settings=settings or {})}}
    gateway = await start_gateway(repositories, {"fake": upstream})
    return Registry(gateway, f"container/acme/hub/{NAME}")


async def aged(start_gateway: StartGateway, fake: ContainerUpstream, later: Later, **more: Any) -> Registry:
    """The same, which has kept tag `1` and would ask for it again."""
    registry = await hub(start_gateway, fake, **more)
    await registry.manifest("1")
    later(registry, 2 * HOUR)
    return registry


def heads(fake: ContainerUpstream) -> int:
    return sum(seen.method == "HEAD" and "authorization" in seen.headers for seen in fake.seen)


def tell_limit(fake: ContainerUpstream, left: int) -> None:
    """From now on every answer for a manifest says what is left, as Docker Hub's do."""
    for path, page in fake.pages.items():
        if "/manifests/" in path:
            told = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": f"{left};w=21600"}
            fake.serve(path, page.body, page.content_type, {**page.headers, **told})


# ── how often ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("left", "asked"), [(10, 1), (9, 0), (0, 0)])
async def test_a_kept_tag_is_not_asked_for_while_hardly_anything_is_left(
    start_gateway: StartGateway, fake: ContainerUpstream, later: Later, left: int, asked: int
) -> None:
    tell_limit(fake, left)
    registry = await hub(start_gateway, fake)
    await registry.manifest("1")
    fake.seen.clear()
    later(registry, 5 * HOUR)

    told = await registry.manifest("1")

    assert (told.status, told.body) == (200, TOOL.body)
    assert heads(fake) == asked


async def test_a_limit_never_keeps_us_from_asking_for_more_than_six_hours(
    start_gateway: StartGateway, fake: ContainerUpstream, later: Later
) -> None:
    tell_limit(fake, 0)
    registry = await hub(start_gateway, fake)
    await registry.manifest("1")
    fake.push(NAME, NEWER, "1")
    later(registry, 6.1 * HOUR)

    assert (await registry.manifest("1")).body == NEWER.body


async def test_what_is_not_kept_is_asked_for_with_the_last_that_is_left(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    tell_limit(fake, 0)
    registry = await hub(start_gateway, fake)

    assert [(await registry.manifest(tag)).status for tag in ("1", "v3")] == [200, 200]


async def test_limits_are_told_in_the_metrics(start_gateway: StartGateway, fake: ContainerUpstream) -> None:
    tell_limit(fake, 7)
    registry = await hub(start_gateway, fake)
    await registry.manifest("1")

    page = (await registry.gateway.request("GET", "-/metrics", await registry.gateway.token())).body.decode()

    host = f'{{host="{fake.authority}",upstream="fake"}}'
    assert f"entrepot_upstream_allowance{host} 100.0" in page
    assert f"entrepot_upstream_allowance_left{host} 7.0" in page


async def test_a_spent_budget_leaves_what_is_kept(
    start_gateway: StartGateway, fake: ContainerUpstream, later: Later
) -> None:
    fake.challenges = False
    registry = await aged(start_gateway, fake, later, budget=2)  # spent by HEAD and GET

    kept, cold = await registry.manifest("1"), await registry.manifest("v3")

    assert (kept.status, kept.body) == (200, TOOL.body)
    assert kept.headers["Warning"].startswith('299 - "stale')
    assert (cold.status, codes(cold)) == (429, ["TOOMANYREQUESTS"])
    assert int(cold.headers["Retry-After"]) > 0
    assert len(fake.seen) == 2


async def test_an_upstream_that_says_nothing_makes_one_client_wait_and_no_other(
    start_gateway: StartGateway, fake: ContainerUpstream, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = await aged(start_gateway, fake, later)
    fake.fault(slow(first_byte=60.0))

    monkeypatch.setattr(documents, "_PATIENCE", 0.05)
    first = await registry.manifest("1")
    monkeypatch.setattr(documents, "_PATIENCE", 60.0)
    async with asyncio.timeout(20):
        second = await registry.manifest("1")

    assert (first.status, first.body) == (second.status, second.body) == (200, TOOL.body)
    assert first.headers["Warning"] == second.headers["Warning"]
    assert first.headers["Warning"].startswith('299 - "stale')


async def test_an_upstream_that_speaks_again_is_waited_for_again(
    start_gateway: StartGateway, fake: ContainerUpstream, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = await aged(start_gateway, fake, later)
    fake.fault(slow(first_byte=0.5))
    monkeypatch.setattr(documents, "_PATIENCE", 0.05)
    stale = await registry.manifest("1")
    fake.heal()
    fake.push(NAME, NEWER, "1")

    async with asyncio.timeout(20):
        while registry.gateway.services.documents._silent_until:  # noqa: ASYNC110 what ends it is no event of ours
            await asyncio.sleep(0.02)
    later(registry, 4 * HOUR)
    monkeypatch.setattr(documents, "_PATIENCE", 20.0)

    assert stale.headers["Warning"].startswith('299 - "stale')
    assert (await registry.manifest("1")).body == NEWER.body


@pytest.mark.parametrize(
    ("tag", "age", "asked"),
    [("nightly-2", 59.0, 0), ("nightly-2", 61.0, 1), ("v3", 23 * HOUR, 0), ("v3", 25 * HOUR, 1), ("1", 301.0, 1)],
)
async def test_how_long_a_tag_is_believed_follows_from_its_name(
    start_gateway: StartGateway, fake: ContainerUpstream, later: Later, tag: str, age: float, asked: int
) -> None:
    registry = await hub(start_gateway, fake, {"tag_seconds": {"nightly*": 60, "v*": DAY, "*3": 0}})
    await registry.manifest(tag)
    fake.seen.clear()
    later(registry, age)

    await registry.manifest(tag)

    assert heads(fake) == asked


@pytest.mark.parametrize("wrong", [60, ["v*"], {"v*": "a day"}, {"v*": -1}, {"v*": True}])
async def test_how_long_tags_are_believed_is_numbers_by_pattern(
    start_gateway: StartGateway, fake: ContainerUpstream, wrong: Any
) -> None:
    with pytest.raises(ConfigInvalid, match=r"settings\.tag_seconds: expected numbers, 0 or more, by text"):
        await hub(start_gateway, fake, {"tag_seconds": wrong})


def test_how_long_tags_are_believed_is_configured_in_the_file() -> None:
    text = 'repositories: {container: {acme/hub: {settings: {tag_seconds: {"v*": 60}}}}}'

    assert parse(text, {}).repositories["container"]["acme/hub"].settings == {"tag_seconds": {"v*": 60}}


# ── what it does not show ────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("days", "expected"), [(0.9, 200), (1.1, 404)])
async def test_a_tag_that_is_hidden_from_who_signed_in_is_served_for_a_day(
    start_gateway: StartGateway, fake: ContainerUpstream, later: Later, days: float, expected: int
) -> None:
    registry = await hub(start_gateway, fake, {"keep_deleted": True}, username="robot", password="secret")
    await registry.manifest("1")
    hide(fake)
    later(registry, days * DAY)

    told = await registry.manifest("1")

    assert told.status == expected
    assert ("Warning" in told.headers) == (expected == 200)


@pytest.mark.parametrize(("days", "expected"), [(0.9, 200), (1.1, 503)])
async def test_a_tag_is_served_for_a_day_after_our_credentials_were_refused(
    start_gateway: StartGateway, fake: ContainerUpstream, later: Later, days: float, expected: int
) -> None:
    fake.credentials = ("robot", "secret")
    registry = await hub(start_gateway, fake, username="robot", password="secret")
    await registry.manifest("1")
    hide(fake)
    fake.credentials = ("robot", "changed")
    later(registry, days * DAY)

    for _ in range(2):  # the second is not even tried
        told = await registry.manifest("1")

        assert told.status == expected
        assert ("Warning" in told.headers) == (expected == 200)
        assert expected == 200 or b"credentials" in told.body


async def test_what_was_never_seen_says_that_it_may_be_hidden_from_us(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    registry = await hub(start_gateway, fake, username="robot", password="secret")
    hide(fake)

    for _ in range(2):  # the second from memory
        told = await registry.manifest("1")

        assert (told.status, codes(told)) == (404, ["MANIFEST_UNKNOWN"])
        assert b"fake may have it and not show it to us" in told.body


async def test_what_was_never_seen_says_that_our_credentials_were_refused(
    start_gateway: StartGateway, fake: ContainerUpstream
) -> None:
    fake.credentials = ("robot", "changed")
    registry = await hub(start_gateway, fake, username="robot", password="secret")

    told = await registry.manifest("1")

    assert (told.status, codes(told)) == (503, ["UNAVAILABLE"])
    assert b"does not take our credentials" in told.body


def hide(fake: ContainerUpstream) -> None:
    """Say 401 to whoever asks for a tag, signed in or not, with the challenge that sends them to sign in."""
    challenge = f'Bearer realm="{fake.url}token",service="fake.registry",scope="repository:{NAME}:pull"'
    fake.fault(answer(401, {"WWW-Authenticate": challenge}), fake.manifest_path(NAME, "1"))
