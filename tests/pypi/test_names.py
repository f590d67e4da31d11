"""Names, versions and file names of Python packages."""

import pytest

from adapters.pypi import names
from gateway.errors import Invalid


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("requests", "requests"),
        ("Foo_Bar", "foo-bar"),
        ("zope.interface", "zope-interface"),
        ("a--b__c..d", "a-b-c-d"),
        ("A", "a"),
        ("2to3", "2to3"),
    ],
)
def test_every_spelling_of_a_name_becomes_one(text, canonical):
    assert names.normalize(text) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "_x", "x-", ".x", "a b", "a/b", "a\n", "é", "\u212aelvin", "lon\u017f", "a\0", "../x", "acme sdk", "a%20b"],
)
def test_what_is_no_name_is_refused_and_never_repaired(text):
    with pytest.raises(Invalid):
        names.normalize(text)


@pytest.mark.parametrize(
    ("filename", "package", "version", "kind"),
    [
        ("foo_bar-1.0-py3-none-any.whl", "foo-bar", "1.0", "bdist_wheel"),
        ("Foo.Bar-1.0-py3-none-any.whl", "foo-bar", "1.0", "bdist_wheel"),
        ("foo-1.0.post1-1-py2.py3-none-any.whl", "foo", "1.0.post1", "bdist_wheel"),
        ("torch-2.0.0+cu118-cp311-cp311-linux_x86_64.whl", "torch", "2.0.0+cu118", "bdist_wheel"),
        ("foo-1.0_1-py3-none-any.whl", "foo", "1.0.post1", "bdist_wheel"),
        ("foo-1!2.0-py3-none-any.whl", "foo", "1!2.0", "bdist_wheel"),
        ("foo-bar-1.0.tar.gz", "foo-bar", "1.0", "sdist"),
        ("foo_bar-1.0.zip", "foo-bar", "1.0", "sdist"),
        ("foo.bar-1.0-1.tar.gz", "foo-bar", "1.0.post1", "sdist"),
        ("foo-2-1.0.tar.gz", "foo-2", "1.0", "sdist"),
        ("foo-1.00RC1.tar.bz2", "foo", "1.0rc1", "sdist"),
    ],
)
def test_a_file_name_tells_its_version_and_kind(filename, package, version, kind):
    named = names.parse_filename(filename, package)

    assert named is not None
    assert (named.version, named.kind) == (version, kind)
    assert names.version_of(filename, package) == version


@pytest.mark.parametrize(
    ("filename", "package"),
    [
        ("bar-1.0-py3-none-any.whl", "foo"),
        ("foo-bar-1.0.tar.gz", "foo"),
        ("foo-2-1.0.tar.gz", "foo"),
        ("foo-1.0.egg", "foo"),
        ("foo-1.0.win32.exe", "foo"),
        ("foo-1.0-py3-none.whl", "foo"),
        ("foo-1.0-x-py3-none-any.whl", "foo"),
        ("foo-notaversion.tar.gz", "foo"),
        ("foo-notaversion-py3-none-any.whl", "foo"),
        ("../foo-1.0.tar.gz", "foo"),
        ("foo-1.0-py3-none-any.whl\n", "foo"),
        ("foo-1.0.tar.gz?x", "foo"),
        ("-1.0.tar.gz", "foo"),
        ("foo.tar.gz", "foo"),
        ("foo-1.0-py3-none-" + "a" * 300 + ".whl", "foo"),
        ("foo-" + "1" * 100_000 + ".tar.gz", "foo"),
    ],
)
def test_a_file_of_another_package_or_kind_has_no_version(filename, package):
    assert names.version_of(filename, package) is None
    assert names.parse_filename(filename, package) is None


def test_versions_are_the_same_when_pep_440_says_so():
    assert names.same_version("1.0", "1.0.0")
    assert not names.same_version("1.0", "1.0.post1")
    assert not names.same_version("junk", "junk")


def test_the_newest_is_final_where_there_is_a_final():
    assert names.newest({"1.0", "1.10", "1.9", "2.0rc1"}) == "1.10"
    assert names.newest({"2.0rc1", "2.0rc2"}) == "2.0rc2"
    assert names.newest(set()) is None
