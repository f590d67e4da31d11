"""Fresh, stale but usable, stale, absent."""

import pytest

from gateway.freshness import Freshness, Validators, judge, may_stand_in, remaining

FETCHED = 1_000_000.0


def known(max_age: float) -> Validators:
    return Validators('"a"', None, FETCHED, max_age)


def test_what_is_not_held_is_absent() -> None:
    assert judge(None, FETCHED) is Freshness.ABSENT


@pytest.mark.parametrize(
    ("max_age", "age", "verdict"),
    [
        (300, 0, Freshness.FRESH),
        (300, 299.9, Freshness.FRESH),
        (300, 300, Freshness.STALE_USABLE),
        (300, 599.9, Freshness.STALE_USABLE),
        (300, 600, Freshness.STALE),
        (10, 10, Freshness.STALE_USABLE),
        (10, 69.9, Freshness.STALE_USABLE),
        (10, 70, Freshness.STALE),
        (0, 0, Freshness.STALE_USABLE),
        (0, 60, Freshness.STALE),
        (300, -59, Freshness.FRESH),
        (300, -61, Freshness.STALE),
    ],
)
def test_the_verdict_by_age(max_age: float, age: float, verdict: Freshness) -> None:
    assert judge(known(max_age), FETCHED + age) is verdict


def test_the_window_never_outlasts_max_stale() -> None:
    assert judge(known(300), FETCHED + 310, max_stale=20) is Freshness.STALE_USABLE
    assert judge(known(300), FETCHED + 320, max_stale=20) is Freshness.STALE


def test_a_window_of_nothing_leaves_no_stale_use() -> None:
    assert judge(known(300), FETCHED + 300, window=0.0) is Freshness.STALE


def test_trouble_is_bridged_until_max_stale_after_it_was_fresh() -> None:
    assert may_stand_in(known(300), FETCHED + 300 + 999, 1000)
    assert not may_stand_in(known(300), FETCHED + 300 + 1000, 1000)


def test_what_remains_of_freshness_is_never_negative() -> None:
    assert remaining(known(300), FETCHED + 100) == 200
    assert remaining(known(300), FETCHED + 400) == 0.0
