"""Strict checks that need time or neighbours; the others are tested over the application."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters.pypi.archive import Contents
from adapters.pypi.metadata import parse_metadata
from adapters.pypi.names import parse_filename
from adapters.pypi.strict import check_contents, check_fields, check_name, check_release
from gateway.errors import Invalid
from gateway.model import File

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def file(filename, version, days):
    moment = (NOW - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return File(filename, version, {}, uploaded_at=moment)


def release(filename, *known):
    check_release(known, parse_filename(filename, "foo"), filename, NOW)


def test_a_release_takes_files_for_two_weeks():
    release("foo-1.0-py3-none-any.whl", file("foo-1.0.tar.gz", "1.0", 13), file("foo-0.9.tar.gz", "0.9", 400))

    with pytest.raises(Invalid, match="closed"):
        release("foo-1.0-py3-none-any.whl", file("foo-1.0.tar.gz", "1.0", 15))


def test_a_release_has_one_sdist():
    with pytest.raises(Invalid, match="second"):
        release("foo-1.0.tar.gz", file("foo-1.0.0.zip", "1.0.0", 1))


@pytest.mark.parametrize(
    ("tag", "fine"),
    [
        ("any", True),
        ("manylinux_2_28_x86_64", True),
        ("manylinux_2_17_x86_64.manylinux2014_x86_64", True),
        ("musllinux_1_2_aarch64", True),
        ("macosx_11_0_arm64", True),
        ("win_amd64", True),
        ("pyodide_2024_0_wasm32", True),
        ("linux_x86_64", False),
        ("manylinux2014_x86_64.linux_x86_64", False),
        ("linux_armv7l", True),
        ("solaris_11", False),
    ],
)
def test_platforms_are_those_that_run_elsewhere_too(tag, fine):
    filename = f"foo-1.0-cp311-cp311-{tag}.whl"
    named = parse_filename(filename, "foo")

    if fine:
        check_name(named, filename, "foo")
    else:
        with pytest.raises(Invalid, match="platform"):
            check_name(named, filename, "foo")


def test_sparse_members_and_broken_descriptions_are_refused():
    named = parse_filename("foo-1.0.tar.gz", "foo")
    head = b"Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n"
    broken = parse_metadata(
        head + b"Description-Content-Type: text/x-rst\n\n.. raw:: html\n   :file: /etc/passwd\n\n`x"
    )

    with pytest.raises(Invalid, match="sparse"):
        check_contents(named, Contents(b"", (), "foo-1.0", {}, is_sparse=True), parse_metadata(head))
    with pytest.raises(Invalid, match="rendered"):
        check_fields(broken)
