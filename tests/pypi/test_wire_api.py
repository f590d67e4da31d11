"""The JSON API's choice of a version and of the file whose metadata it shows."""

import json

import pytest

from adapters.pypi.metadata import parse_metadata
from adapters.pypi.wire_api import metadata_file, render_project, shown_version
from gateway.errors import PackageUnknown, VersionUnknown
from gateway.model import File, Listing

BASE = "https://pkg.example/pypi/acme/tools/"


def listing(*files, **facts):
    return Listing("foo", files, facts)


def file(version, suffix=".tar.gz", url="https://up.example/x", **facts):
    return File(f"foo-{version}{suffix}", version, {"sha256": "a" * 64}, None, None, url, "up", facts)


def test_the_newest_final_version_that_is_not_yanked_is_shown():
    value = listing(file("1.0"), file("1.10"), file("2.0", yanked="bad"), file("3.0rc1"))

    assert shown_version(value, None) == "1.10"
    assert shown_version(value, "2") == "2.0"
    assert shown_version(listing(file("1.0", yanked=True)), None) == "1.0"


def test_what_is_not_listed_is_not_shown():
    with pytest.raises(VersionUnknown):
        shown_version(listing(file("1.0")), "2.0")
    with pytest.raises(PackageUnknown):
        shown_version(listing(), None)
    with pytest.raises(PackageUnknown):
        shown_version(listing(file("1.0"), status="quarantined"), None)


def test_metadata_comes_from_where_it_is_cheap():
    sidecar = file("1.0", "-py3-none-any.whl", metadata_sha256="b" * 64)
    hosted = file("1.0", ".tar.gz", None)

    assert metadata_file(listing(file("1.0"), sidecar), "1.0") is sidecar
    assert metadata_file(listing(sidecar, hosted), "1.0") is hosted
    assert metadata_file(listing(file("1.0"), file("2.0", metadata_sha256="b" * 64)), "1.0") is None


def test_a_version_is_yanked_when_all_its_files_are():
    half = listing(file("1.0", yanked="bad"), file("1.0", "-py3-none-any.whl"))
    whole = listing(file("1.0", yanked="bad", requires_python=">=3.8"))

    def info(value):
        return json.loads(render_project(value, "1.0", None, BASE, with_releases=False))["info"]

    assert (info(half)["yanked"], info(half)["yanked_reason"]) == (False, None)
    assert (info(whole)["yanked"], info(whole)["yanked_reason"]) == (True, "bad")
    assert info(whole)["requires_python"] == ">=3.8"


def test_times_and_urls_are_as_clients_read_them():
    known = File("foo-1.0.tar.gz", "1.0", {"sha256": "a" * 64}, 7, "2024-01-02T03:04:05.123456Z")
    metadata = parse_metadata(b"Metadata-Version: 2.1\nName: Foo\nVersion: 1.0\nSummary: s\n")

    document = json.loads(render_project(listing(known), "1.0", metadata, BASE, with_releases=True))

    (url,) = document["urls"]
    assert document["releases"] == {"1.0": [url]}
    assert document["info"]["name"] == "Foo"
    assert (url["upload_time"], url["upload_time_iso_8601"]) == ("2024-01-02T03:04:05", known.uploaded_at)
    assert url["url"] == f"{BASE}files/foo/{'a' * 64}/foo-1.0.tar.gz"
    assert (url["packagetype"], url["python_version"], url["size"]) == ("sdist", "source", 7)
