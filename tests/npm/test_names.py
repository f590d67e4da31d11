import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.npm import names, semver
from gateway.errors import Invalid


@pytest.mark.parametrize(
    "name", ["lib", "@acme/lib", "JSONStream", "lodash.get", "@a-b/c_d", "x" * 300, "3", "~odd", "@acme/-x", "--hepl"]
)
def test_names_that_exist_upstream_stay_readable(name):
    assert names.normalize(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-",
        ".hidden",
        "_private",
        "@acme",
        "@acme/",
        "@/lib",
        "a/b",
        "@a/b/c",
        "@Acme/lib",
        "a b",
        "a%2fb",
        "ü",
        "../x",
        "@../x",
        "@acme/..",
        "a\x00",
        "a\n",
        "lib\n",
        "x" * 600,
        "@.a/b",
        "a\\b",
        "a?b",
        "a#b",
        "a:b",
    ],
)
def test_what_was_never_a_name_is_refused(name):
    with pytest.raises(Invalid):
        names.normalize(name)


@pytest.mark.parametrize(
    "name", ["Lib", "@acme/Lib", "x" * 215, "lib!", "node_modules", "-x", "@acme/favicon.ico", "~x"]
)
def test_names_of_old_cannot_be_published(name):
    with pytest.raises(Invalid):
        names.check_publishable(name)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("/@acme%2flib", "/@acme/lib"),
        ("/@acme%2Flib/-/lib-1.0.0.tgz", "/@acme/lib/-/lib-1.0.0.tgz"),
        ("/%40acme%2Flib", "/@acme/lib"),
        ("@acme%2flib", "@acme/lib"),
        ("/-/package/@acme%2flib/dist-tags", "/-/package/@acme/lib/dist-tags"),
        ("/-/npm/v1/attestations/@acme%2flib@1.0.0", "/-/npm/v1/attestations/@acme/lib@1.0.0"),
        ("/lib", "/lib"),
        ("/@acme%252flib", "/@acme%252flib"),
        ("/..%2f..%2fx", "/..%2f..%2fx"),
        ("/lib%2fx", "/lib%2fx"),
    ],
)
def test_only_a_scopes_slash_is_decoded_and_only_once(raw, expected):
    assert names.normalize_path(raw) == expected


@pytest.mark.parametrize(
    ("package", "filename", "version"),
    [("lib", "lib-1.0.0.tgz", "1.0.0"), ("@acme/lib", "lib-1.0.0-rc.1+b.tgz", "1.0.0-rc.1+b")],
)
def test_a_tarballs_name_gives_its_version(package, filename, version):
    assert names.version_of(package, filename) == version
    assert names.tarball(package, version) == filename


@pytest.mark.parametrize(
    "filename", ["other-1.0.0.tgz", "lib-.tgz", "lib-1..0.tgz", "lib-1.0.0.zip", "lib-../x.tgz", "lib.tgz"]
)
def test_other_files_are_refused(filename):
    with pytest.raises(Invalid):
        names.version_of("lib", filename)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", True),
        ("v1", True),
        ("1.x", True),
        ("^1.0", True),
        ("~1.2.3", True),
        ("*", True),
        ("x", True),
        ("", True),
        (">=1.0.0", True),
        ("1.2.3-beta.1", True),
        ("1.2.3+build", True),
        ("1 || 2", True),
        ("latest", False),
        ("beta", False),
        ("next-12", False),
        ("12-next", False),
        ("x-y", False),
        ("v2-latest", False),
    ],
)
def test_a_range_is_told_from_a_tag(text, expected):
    assert semver.is_range(text) is expected


@pytest.mark.parametrize("version", ["1.0.0", "0.0.0-alpha.1", "1.0.0+build.5", "10.20.30-x.7.z.92"])
def test_semantic_versions_are_accepted(version):
    assert semver.is_strict(version)


@pytest.mark.parametrize(
    "version",
    ["1", "1.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0 ", "not-semver", "1.0.0\n", "１.0.0", "1.0.0.0"],
)
def test_other_versions_are_not(version):
    assert not semver.is_strict(version)


def test_versions_sort_by_precedence():
    expected = [
        "junk",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0",
        "1.9.0",
        "1.10.0",
    ]

    assert sorted(expected, key=semver.sort_key) == expected


def test_latest_prefers_a_release_to_a_newer_prerelease():
    assert semver.newest(["1.0.0", "2.0.0-rc.1", "0.9.0"]) == "1.0.0"
    assert semver.newest(["2.0.0-rc.1", "1.0.0-rc.1"]) == "2.0.0-rc.1"
    assert semver.newest([]) is None


@pytest.mark.parametrize("tag", ["1.0.0", "^1", "a/b", "", "x", "a b", ".."])
def test_what_cannot_be_a_tag_is_refused(tag):
    with pytest.raises(Invalid):
        names.check_tag(tag)


@given(st.text())
@settings(deadline=None)
def test_no_text_breaks_the_name_checks(text):
    semver.is_range(text)
    semver.sort_key(text)
    names.normalize_path(text)
    for check in (names.normalize, names.check_version, names.check_tag, names.split_spec, names.check_publishable):
        try:
            check(text)
        except Invalid:
            continue


def test_a_spec_is_split_at_its_last_at():
    assert names.split_spec("@acme/lib@1.0.0") == ("@acme/lib", "1.0.0")
    with pytest.raises(Invalid):
        names.split_spec("@acme/lib")
