"""Ids, versions and ranges (nuget.md §2; checklist 2 to 4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.nuget import names
from adapters.nuget.names import Range, Version
from gateway.errors import Invalid


@pytest.mark.parametrize("id_", ["Demo.Core", "demo.core", "DEMO.CORE"])
def test_an_id_has_one_form_whatever_its_casing(id_):
    assert names.normalize(id_) == "demo.core"


@pytest.mark.parametrize(
    "id_", ["", ".a", "a.", "a..b", "a-", "a b", "a/b", "é", "a" * 101, "..", "a\n", "K\u212a", "a\0", "-a", "a%2e"]
)
def test_what_is_no_id_is_refused(id_):
    with pytest.raises(Invalid):
        names.normalize(id_)


@pytest.mark.parametrize(
    ("text", "full", "key"),
    [
        ("1", "1.0.0", "1.0.0"),
        ("1.00", "1.0.0", "1.0.0"),
        ("01.2.3", "1.2.3", "1.2.3"),
        ("1.0.0.0", "1.0.0", "1.0.0"),
        ("1.0.0.5", "1.0.0.5", "1.0.0.5"),
        ("1.0.7+r3", "1.0.7+r3", "1.0.7"),
        ("1.0.0-RC.1", "1.0.0-RC.1", "1.0.0-rc.1"),
        ("1.0-Beta+X.y", "1.0.0-Beta+X.y", "1.0.0-beta"),
        ("2147483647.0.0", "2147483647.0.0", "2147483647.0.0"),
    ],
)
def test_a_version_has_one_form(text, full, key):
    assert (Version.parse(text).full, Version.parse(text).key) == (full, key)


@pytest.mark.parametrize(
    "text",
    ["", "v1", "1.", "1.0.0.0.0", "1.0.0-", "1.0.0+", "1.0-a..b", "2147483648", "1" * 400, "1.0.0-é", " 1", "1\n", "٣"],
)
def test_what_is_no_version_is_refused(text):
    with pytest.raises(Invalid):
        Version.parse(text)


def test_versions_are_ordered_as_nuget_orders_them():
    ordered = ["0.9", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-ALPHA", "1.0.0-alpha.1", "1.0.0-beta", "1.0.0"]
    ordered += ["1.0.0.1", "1.0.1", "1.10", "2"]

    assert sorted(sorted(ordered), key=Version.parse) == ordered


def test_casing_and_metadata_do_not_tell_versions_apart():
    assert Version.parse("1.0-RC+a") == Version.parse("1.0.0.0-rc+b")
    assert len({Version.parse("1.0-RC+a"), Version.parse("1.0.0.0-rc+b")}) == 1


@pytest.mark.parametrize(
    ("text", "is_semver2"),
    [("1.0.0", False), ("1.0.0-rc", False), ("1.0.0-rc.1", True), ("1.0.0+a", True), ("1.0.0.1", False)],
)
def test_dotted_prereleases_and_metadata_are_semver2(text, is_semver2):
    assert Version.parse(text).is_semver2 is is_semver2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1.0", "[1.0.0, )"),
        ("[1.0]", "[1.0.0, 1.0.0]"),
        ("(1.0,)", "(1.0.0, )"),
        ("[1,2)", "[1.0.0, 2.0.0)"),
        ("(,1.0]", "(, 1.0.0]"),
        ("", "(, )"),
        ("( , )", "(, )"),
    ],
)
def test_a_range_is_shown_as_registrations_show_it(text, shown):
    assert str(Range.parse(text)) == shown
    assert str(Range.parse(shown)) == shown


@pytest.mark.parametrize("text", ["(1.0)", "[1.0", "[2,1]", "*", "1.*", "[a,b]", "[1,2,3]", "[]", "[1.0)"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(Invalid):
        Range.parse(text)


def test_a_range_holds_what_lies_within_it():
    assert Version.parse("1.5") in Range.parse("[1,2)")
    assert Version.parse("2") not in Range.parse("[1,2)")
    assert Version.parse("1") not in Range.parse("(1,)")
    assert Version.parse("0.1") in Range.parse("")


def test_a_file_name_may_be_spelled_in_any_way():
    assert names.is_file_of("demo.core", "1.0.0", "Demo.Core.1.0.nupkg")
    assert not names.is_file_of("demo.core", "1.0.0", "demo.core.1.0.1.nupkg")
    assert not names.is_file_of("demo.core", "1.0.0", "demo.core.1.0.0.nuspec")
    assert not names.is_file_of("demo", "1.0.0", "other.1.0.0.nupkg")


@given(st.text(max_size=30))
def test_no_text_makes_the_reader_crash(text):
    for parse in (names.normalize, Version.parse, Range.parse):
        try:
            parse(text)
        except Invalid:
            continue


@given(st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(-[0-9A-Za-z-]{1,4}(\.[0-9A-Za-z-]{1,4}){0,2})?", fullmatch=True))
def test_the_canonical_form_is_its_own(text):
    key = names.version_key(text)

    assert names.version_key(key) == key
