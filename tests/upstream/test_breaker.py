"""The breaker, with its clock as an argument."""

import pytest

from gateway.upstream.breaker import FIRST_OPEN, LONGEST_OPEN, LONGEST_PAUSE, THRESHOLD, Breaker, State


def opened(at: float = 100.0) -> Breaker:
    breaker = Breaker()
    for _ in range(THRESHOLD):
        breaker.fail(at)
    return breaker


def test_a_host_that_works_is_always_asked() -> None:
    breaker = Breaker()

    assert breaker.admit(100.0) == 0.0
    assert breaker.state(100.0) is State.CLOSED
    assert breaker.until(100.0) is None


def test_it_opens_after_five_failures_in_a_row() -> None:
    breaker = Breaker()
    for _ in range(THRESHOLD - 1):
        breaker.fail(100.0)
    assert breaker.state(100.0) is State.CLOSED

    breaker.fail(100.0)

    assert breaker.state(100.0) is State.OPEN
    assert breaker.admit(100.25) == pytest.approx(0.75)


def test_a_success_in_between_starts_the_count_anew() -> None:
    breaker = Breaker()
    for _ in range(THRESHOLD - 1):
        breaker.fail(100.0)
    breaker.succeed()

    breaker.fail(100.0)

    assert breaker.state(100.0) is State.CLOSED
    assert breaker.failures == 1


def test_half_open_lets_one_probe_through() -> None:
    breaker = opened(100.0)

    assert breaker.state(101.0) is State.HALF_OPEN
    assert breaker.admit(101.0) == 0.0
    assert breaker.admit(101.0) > 0
    assert breaker.admit(101.5) > 0


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened(100.0)
    breaker.admit(101.0)

    breaker.succeed()

    assert [breaker.admit(101.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert breaker.state(101.0) is State.CLOSED


def test_a_probe_that_fails_doubles_the_wait_up_to_a_minute() -> None:
    breaker, now, waits = opened(100.0), 101.0, []

    for _ in range(8):
        assert breaker.admit(now) == 0.0
        breaker.fail(now)
        waits.append(breaker.admit(now))
        now += waits[-1]

    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_OPEN, LONGEST_OPEN, LONGEST_OPEN]


def test_failures_of_requests_that_were_under_way_do_not_prolong_it() -> None:
    breaker = opened(100.0)

    for _ in range(20):
        breaker.fail(100.5)

    assert breaker.admit(100.5) == pytest.approx(0.5)


def test_a_probe_whose_caller_leaves_frees_the_place() -> None:
    breaker = opened(100.0)
    breaker.admit(101.0)

    breaker.abandon()

    assert breaker.admit(101.0) == 0.0


def test_a_probe_that_nobody_reports_on_is_forgotten() -> None:
    breaker = opened(100.0)
    breaker.admit(101.0)

    assert breaker.admit(101.0 + 61.0) == 0.0


@pytest.mark.parametrize(("asked", "paused"), [(30.0, 30.0), (0.0, FIRST_OPEN), (86400.0, LONGEST_PAUSE)])
def test_a_host_that_asks_for_time_gets_it_within_bounds(asked: float, paused: float) -> None:
    breaker = Breaker()

    assert breaker.limit(100.0, asked) == paused

    assert breaker.state(100.0) is State.PAUSED
    assert breaker.admit(100.0) == paused
    assert breaker.admit(100.0 + paused) == 0.0
    assert breaker.failures == 0


def test_a_limit_without_a_time_doubles_from_one_second() -> None:
    breaker, now, pauses = Breaker(), 100.0, []

    for _ in range(8):
        pauses.append(breaker.limit(now, None))
        now += pauses[-1]

    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_OPEN, LONGEST_OPEN]


def test_many_limits_at_once_count_once() -> None:
    breaker = Breaker()

    for _ in range(20):
        breaker.limit(100.0, None)

    assert breaker.admit(100.0) == FIRST_OPEN


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    breaker = Breaker()
    breaker.limit(100.0, 60.0)

    assert breaker.limit(110.0, 1.0) == 50.0
