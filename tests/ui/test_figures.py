"""Numbers for people."""

import pytest

from gateway.store.rows import TrafficRow
from gateway.ui.figures import age, duration, percentile, ratio, size, sparkline, summarise


@pytest.mark.parametrize(
    ("buckets", "part", "expected"),
    [
        ({}, 0.5, None),
        ({"10": 4}, 0.5, 5.0),
        ({"1": 1, "10": 1}, 0.5, 1.0),
        ({"100": 90, "1": 10}, 0.95, 1 + 99 * 85 / 90),
        ({"1": 1, "inf": 1}, 0.95, float("inf")),
    ],
)
def test_a_percentile_is_interpolated_within_its_bucket(buckets, part, expected):
    assert percentile(buckets, part) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (duration(None), "–"),
        (duration(1.25), "1.2 ms"),
        (duration(250), "250 ms"),
        (duration(2500), "2.5 s"),
        (duration(float("inf")), "> 10 s"),
        (size(0), "0 B"),
        (size(1536), "1.5 KiB"),
        (size(5 * 1024**5), "5120.0 TiB"),
        (ratio(None), "–"),
        (ratio(0.934), "93 %"),
        (age(None, 0), "–"),
        (age(100, 130), "30 s"),
        (age(0, 3600), "1 h"),
        (age(0, 3 * 86400), "3 days"),
        (age(10, 0), "0 s"),
    ],
)
def test_figures_are_written_for_people(shown, expected):
    assert shown == expected


def test_a_sparkline_stays_in_its_box():
    pairs = [tuple(map(float, pair.split(","))) for pair in sparkline([0, 5, 10]).split()]

    assert pairs == [(0.0, 23.0), (60.0, 12.0), (120.0, 1.0)]
    assert sparkline([]) == ""
    assert sparkline([0]) == "0.0,23.0"


def test_traffic_is_added_up_by_type_and_repository():
    rows = [
        TrafficRow(100, "pypi", "pypi/a/b", 3, 1, 1, 1, 500, 100, 9.0, {"10": 3}),
        TrafficRow(159, "npm", "npm/a/b", 1, 0, 0, 0, 50, 0, 1.0, {"1": 1}),
        TrafficRow(159, "gateway", "", 1, 0, 0, 0, 1, 0, 1.0, {"1": 1}),
    ]

    seen = summarise(rows, 100, 60)

    assert (seen.total.requests, seen.total.errors, seen.total.hit_ratio, seen.total.bytes_saved) == (5, 1, 0.5, 451)
    assert [traffic.name for traffic in seen.types] == ["gateway", "npm", "pypi"]
    assert [traffic.name for traffic in seen.repositories] == ["pypi/a/b", "npm/a/b"]
    assert (seen.total.points[0], seen.total.points[59], sum(seen.total.points)) == (3, 2, 5)
