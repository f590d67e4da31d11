"""How much more an upstream may be asked: its own word, read with care, and the budget of its configuration."""

from collections.abc import Callable

import pytest

from gateway.config import parse
from gateway.errors import ConfigInvalid, UpstreamTrouble
from gateway.format import Ask
from gateway.upstream.allowance import LONGEST_THRIFT, Budget, read_allowance
from gateway.upstream.client import UpstreamClient
from gateway.upstream.hosts import UpstreamHealth
from gateway.upstream.registry import Upstream, build_upstreams
from tests.fakes.upstream import FaultyUpstream
from tests.upstream.conftest import Clock

Build = Callable[..., Upstream]
PAGE = Ask("acme/")
LIMIT = 1_000_000
HOURS = 3600.0


@pytest.mark.parametrize(
    ("limit", "left", "expected"),
    [
        ("100;w=21600", "76;w=21600", (100, 76, 6 * HOURS)),
        ("100", "76", (100, 76, HOURS)),
        ("100; w=60", "0", (100, 0, 60.0)),
        (" 5000, 5000;w=3600;burst=10", "12", (5000, 12, HOURS)),
        ("100;w=999999999", "76", (100, 76, LONGEST_THRIFT)),
        ("100;w=60", "999999999", (100, 100, 60.0)),
        ("0;w=60", "0", (0, 0, 60.0)),
    ],
)
def test_an_upstream_says_how_much_is_left(limit: str, left: str, expected: tuple[int, int, float]) -> None:
    told = read_allowance({"RateLimit-Limit": limit, "RateLimit-Remaining": left}, 7.0)

    assert told is not None
    assert (told.limit, told.left, told.window) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"RateLimit-Limit": "100"},
        {"RateLimit-Remaining": "1"},
        {"RateLimit-Limit": "-1", "RateLimit-Remaining": "1"},
        {"RateLimit-Limit": "100", "RateLimit-Remaining": "many"},
        {"RateLimit-Limit": "9" * 10_000, "RateLimit-Remaining": "1"},
        {"RateLimit-Limit": "\N{ARABIC-INDIC DIGIT ONE}", "RateLimit-Remaining": "1"},
    ],
)
def test_what_makes_no_sense_says_nothing(headers: dict[str, str]) -> None:
    assert read_allowance(headers, 0.0) is None


@pytest.mark.parametrize(("left", "is_scarce"), [("10", False), ("9", True), ("0", True)])
def test_less_than_a_tenth_is_scarce(left: str, is_scarce: bool) -> None:
    told = read_allowance({"RateLimit-Limit": "100", "RateLimit-Remaining": left}, 0.0)

    assert told is not None
    assert told.is_scarce is is_scarce


def test_a_budget_is_for_an_hour() -> None:
    budget = Budget(2)

    assert budget.wait(10.0) == 0.0
    budget.spend(10.0)
    budget.spend(20.0)

    assert budget.wait(30.0) == 3580.0
    assert budget.wait(10.0 + HOURS) == 0.0


def only(client: UpstreamClient) -> UpstreamHealth:
    (health,) = client.health()
    return health


async def test_what_an_upstream_said_is_shown_until_it_is_over(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, clock: Clock
) -> None:
    told = {"RateLimit-Limit": "100;w=60", "RateLimit-Remaining": "3;w=60"}
    fake.serve("/simple/acme/", b"the page", "text/html", told)
    await client.document(upstream(), PAGE, None, LIMIT)

    shown = only(client).allowance
    assert shown is not None
    assert (shown.limit, shown.left) == (100, 3)
    assert client.thrift(upstream()) == 60.0
    clock.time += 60.0

    assert only(client).allowance is None
    assert client.thrift(upstream()) == 0.0


async def test_an_upstream_is_asked_no_more_than_its_budget_allows(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, clock: Clock
) -> None:
    thrifty = upstream(budget=2)
    for _ in range(2):
        await client.document(thrifty, PAGE, None, LIMIT)

    with pytest.raises(UpstreamTrouble, match="budget") as refused:
        await client.document(thrifty, PAGE, None, LIMIT)

    assert (fake.count(), refused.value.retry_after) == (2, HOURS)
    clock.time += HOURS
    await client.document(thrifty, PAGE, None, LIMIT)
    assert fake.count() == 3


async def test_workers_share_a_budget(fake: FaultyUpstream, upstream: Build, clock: Clock) -> None:
    async with UpstreamClient(environ={}, clock=clock, sleep=clock.sleep, workers=4) as client:
        await client.document(upstream(budget=8), PAGE, None, LIMIT)

        shared = only(client).allowance

    assert shared is not None
    assert (shared.limit, shared.left) == (2, 1)


def test_a_budget_is_no_debt() -> None:
    config = parse("upstreams: {pypi: {budget: -1}}", {})

    with pytest.raises(ConfigInvalid, match=r"upstreams\.pypi\.budget"):
        build_upstreams(config)
