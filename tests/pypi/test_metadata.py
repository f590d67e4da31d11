"""Core metadata: what we rely on, and what we tolerate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.pypi.metadata import MAX_SIZE, check_metadata, info, parse_metadata
from gateway.errors import GatewayError, Invalid, NameMismatch

FULL = b"""Metadata-Version: 2.4\r
Name: Foo.Bar\r
Version: 1.0\r
Summary: sums things\r
Requires-Python: >=3.9\r
Author-email: "A" <a@example.org>\r
License: line one\r
        line two\r
Keywords: a,b\r
Home-page: UNKNOWN\r
Classifier: A :: B\r
Classifier: C :: D\r
Project-URL: Home Page, https://example.org/?a,b\r
Requires-Dist: idna>=2; extra == "x"\r
Provides-Extra: x\r
Platform: UNKNOWN\r
\r
# Title: not a header\r
\xc3\xa9\r
"""


def test_headers_lists_folded_lines_and_the_body_are_read():
    metadata = parse_metadata(FULL)

    assert metadata.text("license") == "line one\n        line two"
    assert metadata.text("home_page") is None
    assert metadata.texts("platform") == []
    assert metadata.description == "# Title: not a header\r\né\r\n"
    assert info(metadata) | {"description": ""} == {
        "author": "",
        "author_email": '"A" <a@example.org>',
        "classifiers": ["A :: B", "C :: D"],
        "description": "",
        "description_content_type": None,
        "download_url": None,
        "dynamic": None,
        "home_page": None,
        "keywords": "a,b",
        "license": "line one\n        line two",
        "license_expression": None,
        "license_files": None,
        "maintainer": None,
        "maintainer_email": None,
        "platform": None,
        "project_urls": {"Home Page": "https://example.org/?a,b"},
        "provides_extra": ["x"],
        "requires_dist": ['idna>=2; extra == "x"'],
        "requires_python": ">=3.9",
        "summary": "sums things",
    }
    check_metadata(metadata, "foo-bar", "1.0.0")


def test_a_description_folded_into_a_header_is_unfolded():
    body = b"Metadata-Version: 1.0\nName: foo\nVersion: 1\nDescription: one\n        two\n       |three\n"

    assert parse_metadata(body).description == "one\ntwo\nthree"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", Invalid),
        (b"Metadata-Version: 3.0\nName: foo\nVersion: 1.0\n", Invalid),
        (b"Metadata-Version: 2.1\nName: bar\nVersion: 1.0\n", NameMismatch),
        (b"Metadata-Version: 2.1\nName: foo\nVersion: 1.1\n", NameMismatch),
        (b"Metadata-Version: 2.1\nName: foo\nVersion: junk\n", NameMismatch),
        (b"Metadata-Version: 2.1\nName: foo\nName: bar\nVersion: 1.0\n", Invalid),
        (b"Metadata-Version: 2.1\nName: foo\nVersion: 1.0\nversion: 2.0\n", Invalid),
        (b"\nMetadata-Version: 2.1\nName: foo\nVersion: 1.0\n", Invalid),
        (b"Metadata-Version: 2.1\nName: f oo\nVersion: 1.0\n", NameMismatch),
    ],
)
def test_metadata_of_something_else_is_refused(body, error):
    with pytest.raises(error):
        check_metadata(parse_metadata(body), "foo", "1.0")


def test_a_minor_version_from_the_future_is_accepted():
    check_metadata(parse_metadata(b"Metadata-Version: 2.99\nName: foo\nVersion: 1.0\n"), "foo", "1.0")


def test_metadata_of_any_size_is_bounded():
    with pytest.raises(Invalid, match="more than"):
        parse_metadata(b"x" * (MAX_SIZE + 1))
    with pytest.raises(Invalid, match="headers"):
        parse_metadata(b"A: b\n" * 30_000)


@given(st.binary(max_size=300) | st.text(alphabet="ab: \n\r\t-", max_size=100).map(str.encode))
def test_no_bytes_make_the_reader_crash(body):
    metadata = parse_metadata(body)

    info(metadata)
    try:
        check_metadata(metadata, "foo", "1.0")
    except GatewayError:
        return
