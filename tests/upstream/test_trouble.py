"""Retries, the breaker and Retry-After, with time injected."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import UpstreamTrouble
from gateway.format import Ask
from gateway.upstream.breaker import State
from gateway.upstream.client import Status, UpstreamClient
from gateway.upstream.registry import Upstream
from tests.fakes import faults
from tests.fakes.faults import Fault
from tests.fakes.upstream import FaultyUpstream
from tests.upstream.conftest import Clock

Build = Callable[..., Upstream]
PAGE = Ask("acme/")
LIMIT = 1_000_000


@pytest.mark.parametrize(
    "fault",
    [faults.answer(500, times=2), faults.answer(408, times=2), faults.truncate(times=2)],
    ids=lambda fault: fault.kind,
)
async def test_trouble_that_passes_is_not_noticed(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, fault: Fault, clock: Clock
) -> None:
    fake.fault(fault)

    reply = await client.document(upstream(retries=2), PAGE, None, LIMIT)

    assert reply.status is Status.OK
    assert fake.count() == 3
    assert clock.slept == [pytest.approx(0.2), pytest.approx(0.4)]


async def test_a_dropped_connection_is_repeated_once_at_once(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, clock: Clock
) -> None:
    """An idle connection may be closed just as we use it (RFC 9112 §9.3.1): aiohttp repeats that by itself."""
    fake.fault(faults.down(times=3))

    reply = await client.document(upstream(retries=1), PAGE, None, LIMIT)

    assert reply.status is Status.OK
    assert (fake.count(), len(clock.slept)) == (4, 1)


async def test_it_is_asked_no_more_often_than_configured(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, clock: Clock
) -> None:
    fake.fault(faults.answer(502))

    with pytest.raises(UpstreamTrouble, match="answered 502"):
        await client.document(upstream(retries=3), PAGE, None, LIMIT)

    assert fake.count() == 4
    assert len(clock.slept) == 3


async def test_waits_between_attempts_are_uneven(fake: FaultyUpstream, upstream: Build, clock: Clock) -> None:
    fake.fault(faults.answer(500))
    chances = iter([0.0, 1.0])

    async with UpstreamClient(environ={}, clock=clock, sleep=clock.sleep, chance=lambda: next(chances)) as client:
        with pytest.raises(UpstreamTrouble):
            await client.document(upstream(retries=2), PAGE, None, LIMIT)

    assert clock.slept == [pytest.approx(0.1), pytest.approx(0.6)]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
async def test_an_answer_that_will_not_change_is_not_asked_for_again(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, status: int, clock: Clock
) -> None:
    fake.fault(faults.answer(status))

    await asyncio.gather(client.document(upstream(retries=5), PAGE, None, LIMIT), return_exceptions=True)

    assert fake.count() == 1
    assert clock.slept == []


async def test_the_head_of_a_file_is_asked_for_again_as_well(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.fault(faults.answer(503, times=2))

    async with client.stream(upstream(retries=2), f"{fake.url}files/acme.whl") as stream:
        assert stream.total == 1_024_000

    assert fake.count() == 3


async def test_a_host_that_keeps_failing_is_left_alone_until_a_probe_succeeds(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, clock: Clock
) -> None:
    asked = upstream()
    fake.fault(faults.answer(500))
    for _ in range(5):
        with pytest.raises(UpstreamTrouble, match="answered 500"):
            await client.document(asked, PAGE, None, LIMIT)
    assert client.health()[0].state is State.OPEN

    with pytest.raises(UpstreamTrouble, match="left alone for a while: answered 500") as caught:
        await client.document(asked, PAGE, None, LIMIT)
    assert caught.value.retry_after == pytest.approx(1.0)
    assert fake.count() == 5

    fake.heal()
    clock.time += 1.0
    assert client.health()[0].state is State.HALF_OPEN
    assert (await client.document(asked, PAGE, None, LIMIT)).status is Status.OK
    assert client.health()[0].state is State.CLOSED


async def test_only_one_probe_meets_a_host_that_may_still_be_down(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, clock: Clock
) -> None:
    fake.fault(faults.answer(500))
    await asyncio.gather(*(client.document(upstream(), PAGE, None, LIMIT) for _ in range(5)), return_exceptions=True)
    clock.time += 1.0
    fake.forget()

    results = await asyncio.gather(
        *(client.document(upstream(), PAGE, None, LIMIT) for _ in range(20)), return_exceptions=True
    )

    assert all(isinstance(result, UpstreamTrouble) for result in results)
    assert fake.count() == 1


async def test_a_probe_that_is_cancelled_frees_the_place(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, clock: Clock
) -> None:
    fake.fault(faults.answer(500))
    await asyncio.gather(*(client.document(upstream(), PAGE, None, LIMIT) for _ in range(5)), return_exceptions=True)
    clock.time += 1.0
    fake.fault(faults.slow(first_byte=60.0))
    fake.forget()
    probe = asyncio.ensure_future(client.document(upstream(), PAGE, None, LIMIT))
    await fake.wait_for(1)

    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    fake.heal()

    assert (await client.document(upstream(), PAGE, None, LIMIT)).status is Status.OK


async def test_hosts_of_one_upstream_fail_on_their_own(
    client: UpstreamClient, fake: FaultyUpstream, elsewhere: FaultyUpstream, upstream: Build
) -> None:
    asked = upstream(hosts=(elsewhere.authority,))
    elsewhere.fault(faults.answer(500))
    for _ in range(6):
        with pytest.raises(UpstreamTrouble):
            async with client.stream(asked, f"{elsewhere.url}files/acme.whl"):
                pass

    assert (await client.document(asked, PAGE, None, LIMIT)).status is Status.OK
    assert {health.host: health.state for health in client.health()} == {
        fake.authority: State.CLOSED,
        elsewhere.authority: State.OPEN,
    }


@pytest.mark.parametrize("status", [429, 503])
async def test_a_host_that_asks_for_time_is_not_asked_until_then(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, clock: Clock, status: int
) -> None:
    fake.fault(faults.limited("30", status, times=1))
    with pytest.raises(UpstreamTrouble, match="fewer requests") as caught:
        await client.document(upstream(retries=3), PAGE, None, LIMIT)
    assert caught.value.retry_after == 30.0

    clock.time += 29.0
    with pytest.raises(UpstreamTrouble, match="left alone"):
        await client.document(upstream(retries=3), PAGE, None, LIMIT)
    assert fake.count() == 1

    clock.time += 1.0
    assert (await client.document(upstream(), PAGE, None, LIMIT)).status is Status.OK


async def test_a_time_may_be_a_date(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, clock: Clock
) -> None:
    fake.fault(faults.limited("Thu, 01 Jan 1970 00:17:40 GMT"))

    with pytest.raises(UpstreamTrouble) as caught:
        await client.document(upstream(), PAGE, None, LIMIT)

    assert caught.value.retry_after == 1060.0 - clock.time


async def test_nobody_can_make_us_wait_for_ever(client: UpstreamClient, fake: FaultyUpstream, upstream: Build) -> None:
    fake.fault(faults.limited("99999999"))

    with pytest.raises(UpstreamTrouble) as caught:
        await client.document(upstream(), PAGE, None, LIMIT)

    assert caught.value.retry_after == 300.0


async def test_health_says_what_an_operator_needs(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, clock: Clock
) -> None:
    await client.document(upstream(), PAGE, None, LIMIT)
    fake.fault(faults.limited("30"))
    with pytest.raises(UpstreamTrouble):
        await client.document(upstream(), PAGE, None, LIMIT)

    (health,) = client.health()

    assert (health.name, health.host, health.state) == ("fake", fake.authority, State.PAUSED)
    assert (health.requests, health.bytes, health.failures) == (2, len(b"the page"), 0)
    assert (health.last_ok, health.opened_until) == (1000.0, 1030.0)
    assert health.last_error == "it asks for fewer requests"


async def test_messages_hold_no_secrets(
    client: UpstreamClient, fake: FaultyUpstream, elsewhere: FaultyUpstream, upstream: Build
) -> None:
    fake.fault(faults.redirect(f"{elsewhere.url}x?signature=hunter2"))
    elsewhere.fault(faults.huge_headers())

    with pytest.raises(UpstreamTrouble) as caught:
        await client.document(upstream(hosts=(elsewhere.authority,), token="hunter2"), PAGE, None, LIMIT)

    assert "hunter2" not in f"{caught.value.message} {caught.value.detail} {client.health()}"
