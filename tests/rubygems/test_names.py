"""Names, versions and platforms as tables."""

import random

import pytest

from adapters.rubygems import names
from adapters.rubygems.marshal import platform_parts
from adapters.rubygems.names import GemName
from gateway.errors import Invalid


def test_versions_sort_as_rubygems_sorts_them() -> None:
    ordered = [
        "0.9",
        "1.a",
        "1.a.1",
        "1.b",
        "1.0",
        "1.0.1",
        "1.1.pre",
        "1.1.rc1",
        "1.1.rc2",
        "1.1.rc10",
        "1.1",
        "1.2",
        "1.10",
        "2",
        "10",
    ]
    shuffled = random.Random(7).sample(ordered, len(ordered))

    assert sorted(shuffled, key=names.version_key) == ordered


@pytest.mark.parametrize(("one", "other"), [("1", "1.0.0"), ("1.0", "1.0.0"), ("1.0.a", "1.a"), ("01.2", "1.2")])
def test_equal_versions_have_equal_keys(one: str, other: str) -> None:
    assert names.version_key(one) == names.version_key(other)


@pytest.mark.parametrize(("one", "other"), [("1.0", "1.0.1"), ("1.0.a", "1.0"), ("1.0.0.1", "1"), ("1.rc1", "1.rc2")])
def test_different_versions_have_different_keys(one: str, other: str) -> None:
    assert names.version_key(one) != names.version_key(other)


@pytest.mark.parametrize("name", ["a", "rack", "RedCloth", "a.b", "a-b_c", "x2", "_a", "9a"])
def test_names_are_their_own_canonical_form(name: str) -> None:
    assert names.normalize(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "a..b", "ä", "a\n", "-a", ".a", "a%2f", "x" * 300])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        names.normalize(name)


@pytest.mark.parametrize("name", ["a.gem", "a.json", "a.HTML", "a.gemspec", "-a", "_a", "a-", "a.", "123", "1.2"])
def test_what_nobody_may_publish_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        names.check_publishable(name)


@pytest.mark.parametrize(
    ("full", "readings"),
    [
        ("rack-2.0", [GemName("rack", "2.0", "ruby")]),
        ("a-b-2.0.pre", [GemName("a-b", "2.0.pre", "ruby")]),
        ("nokogiri-1.15.0-x86_64-linux", [GemName("nokogiri", "1.15.0", "x86_64-linux")]),
        ("a-1-2.0", [GemName("a", "1", "2.0"), GemName("a-1", "2.0", "ruby")]),
        ("a-1.0-x86-mswin32-60", [GemName("a", "1.0", "x86-mswin32-60"), GemName("a-1.0-x86-mswin32", "60", "ruby")]),
        ("rack", []),
        ("-1.0", []),
        ("rack-", []),
        ("../rack-1.0", []),
    ],
)
def test_a_full_name_is_read_in_every_way_that_it_may_mean(full: str, readings: list[GemName]) -> None:
    assert names.readings(full) == readings


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("java", (None, "java", None)),
        ("jruby", (None, "java", None)),
        ("x86_64-linux", ("x86_64", "linux", None)),
        ("x86_64-linux-musl", ("x86_64", "linux", "musl")),
        ("aarch64-linux-gnu", ("aarch64", "linux", "gnu")),
        ("arm64-darwin", ("arm64", "darwin", None)),
        ("x86_64-darwin-19", ("x86_64", "darwin", "19")),
        ("x86-mingw32", ("x86", "mingw32", None)),
        ("x64-mingw-ucrt", ("x64", "mingw", "ucrt")),
        ("i686-linux", ("x86", "linux", None)),
        ("x86-mswin32-60", ("x86", "mswin32", "60")),
        ("mswin32", ("x86", "mswin32", None)),
    ],
)
def test_a_platforms_text_becomes_its_parts(text: str, parts: tuple[str | None, str, str | None]) -> None:
    assert platform_parts(text) == parts
