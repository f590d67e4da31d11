"""The order of versions is Maven's own, as its library compared them."""

from pathlib import Path

import pytest

from adapters.maven.versions import compare, is_snapshot, ordered

PAIRS = [
    tuple(line.split())
    for line in (Path(__file__).parent.parent / "data/maven/versions.txt").read_text().splitlines()
    if not line.startswith("#")
]


def sign(number: int) -> str:
    return "<" if number < 0 else ">" if number > 0 else "="


def test_versions_compare_as_in_maven() -> None:
    wrong = [(one, other) for one, said, other in PAIRS if sign(compare(one, other)) != said]

    assert wrong == []
    assert len(PAIRS) >= 200


def test_the_order_does_not_depend_on_the_order_of_asking() -> None:
    wrong = [(one, other) for one, said, other in PAIRS if sign(-compare(other, one)) != said]

    assert wrong == []


def test_releases_candidates_and_snapshots_take_their_places() -> None:
    versions = ["1.10", "1.2", "1.2-SNAPSHOT", "1.2-rc1", "1.2-sp1", "1.2.1", "1.2-alpha-1", "2.0.0.Final"]

    expected = ["1.2-alpha-1", "1.2-rc1", "1.2-SNAPSHOT", "1.2", "1.2-sp1", "1.2.1", "1.10", "2.0.0.Final"]
    assert ordered(versions) == expected


@pytest.mark.parametrize(
    "version", ["1" + "-1" * 500, "1" + ".0" * 500, "9" * 5000, "", "-", ".", "-.-.-", "é-1", "١.٢"]
)
def test_no_version_is_too_strange_to_be_compared(version: str) -> None:
    assert compare(version, version) == 0
    assert sign(compare(version, "5")) == sign(-compare("5", version))


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.0-SNAPSHOT", True), ("1.0-20240102.030405-7", True), ("1.0", False), ("1.0-20240102", False)],
)
def test_a_snapshot_is_known_by_its_name(version: str, expected: bool) -> None:
    assert is_snapshot(version) is expected
