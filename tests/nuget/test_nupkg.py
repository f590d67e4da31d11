"""Looking into archives that strangers made (nuget.md §10; checklist 9)."""

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.nuget import nupkg
from adapters.nuget.nupkg import inspect
from gateway.errors import Invalid
from tests.fakes.artifacts import zip_of
from tests.fakes.nuget import nuspec, package

SPEC = nuspec("Demo.Core", "1.0.0")
GOOD = {"Demo.Core.nuspec": SPEC, "lib/net45/a.dll": b"MZ", "_rels/.rels": b"<x/>", "[Content_Types].xml": b"<x/>"}


@pytest.fixture
def read(tmp_path: Path):
    def inspected(body: bytes):
        path = tmp_path / "package"
        path.write_bytes(body)
        return inspect(path)

    return inspected


def zipped(*members: tuple[zipfile.ZipInfo | str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for member, body in (("a.nuspec", SPEC), *members):
            archive.writestr(member, body)
    return target.getvalue()


def named(name: str, mode: int = 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename = name
    info.external_attr = mode << 16
    return info


def test_a_package_is_read(read):
    contents = read(zip_of(GOOD))

    assert (contents.nuspec.id, contents.nuspec.version.key) == ("Demo.Core", "1.0.0")
    assert contents.text == SPEC
    assert set(contents.members) == set(GOOD)


def test_names_are_judged_as_the_client_reads_them(read):
    contents = read(zipped(("lib/My%20File%2B.dll", b"x"), ("lib\\net45\\b.dll", b"x")))

    assert {"lib/My File+.dll", "lib/net45/b.dll"} <= set(contents.members)


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "lib/../../evil",
        "..\\evil",
        "lib\\..\\..\\evil",
        "lib/%2e%2e/%2e%2e/evil",
        "lib/..%2f..%2fevil",
        "lib/..%5cevil",
        "/etc/passwd",
        "\\\\server\\share",
        "%2fetc/passwd",
        "C:/evil",
        "C:evil",
        "c%3a/evil",
        "./a",
        "lib//a",
        "a\x01b",
        "a%00b",
        "a%0ab",
        "a.nuspec",
        "A.NUSPEC",
        "%61.nuspec",
        "b.nuspec",
        "",
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_could_mean_harm_is_refused(read, name):
    with pytest.raises(Invalid):
        read(zipped((named(name), b"x")))


def test_links_are_refused(read):
    with pytest.raises(Invalid, match="link"):
        read(zipped((named("lib/link", stat.S_IFLNK | 0o777), b"/etc/passwd")))


def test_an_encrypted_member_is_refused(read):
    body = bytearray(zipped(("lib/a", b"x")))
    at = body.rindex(b"PK\1\2")
    body[at + 8] |= 1

    with pytest.raises(Invalid, match="encrypted"):
        read(bytes(body))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_deflated_members_are_read(read, method):
    with pytest.raises(Invalid, match="deflated"):
        read(zipped(("lib/a", b"x" * 100), method=method))


def test_two_names_for_one_member_are_refused(read):
    body = bytearray(zipped(("lib/good", b"x")))
    at = body.index(b"lib/good")
    body[at : at + 8] = b"lib/evil"  # in the member's own header, not in the directory

    with pytest.raises(Invalid, match="two ways"):
        read(bytes(body))


@pytest.mark.parametrize(
    "change",
    [
        lambda body: b"MZ" + body,
        lambda body: body + b"more",
        lambda body: body[:-1],
        lambda body: body[: len(body) // 2],
        lambda body: body[:-22] + body[-22:].replace(b"PK\5\6\0\0", b"PK\5\6\1\0"),
        lambda _: b"",
        lambda _: b"PK\5\6" + bytes(18),
        lambda body: body[:-10] + struct.pack("<L", 2**31) + body[-6:],
    ],
    ids=["before", "after", "cut", "half", "disks", "empty", "nothing", "directory"],
)
def test_a_file_that_is_more_or_less_than_an_archive_is_refused(read, change):
    with pytest.raises(Invalid):
        read(change(zip_of(GOOD)))


def test_a_nuspec_that_inflates_without_end_is_refused(read):
    with pytest.raises(Invalid, match="more than"):
        read(zip_of({"a.nuspec": SPEC + b" " * (50 * 1024**2)}))


def test_a_size_that_the_directory_understates_does_not_count(read):
    body = bytearray(zip_of({"a.nuspec": SPEC + b" " * (4 * 1024**2)}))
    at = body.rindex(b"PK\1\2")
    struct.pack_into("<L", body, at + 24, 100)

    with pytest.raises(Invalid):
        read(bytes(body))


def test_an_archive_that_inflates_to_gigabytes_is_refused_without_inflating_it(read):
    body = bytearray(zip_of(GOOD))
    at = body.index(b"PK\1\2")
    struct.pack_into("<L", body, at + 24, 0xFFFFFFF0)

    with pytest.raises(Invalid, match="inflates"):
        read(bytes(body))


def test_more_members_than_any_package_has_are_refused(read, monkeypatch):
    monkeypatch.setattr(nupkg, "MAX_MEMBERS", 10)

    with pytest.raises(Invalid, match="more than 10 members"):
        read(zip_of({**GOOD, **{f"{i}.txt": b"" for i in range(20)}}))


def test_an_icon_larger_than_any_icon_is_refused(read):
    png = b"\x89PNG\r\n\x1a\n" + bytes(2 * 1024**2)

    with pytest.raises(Invalid):
        read(package(metadata={"icon": "i.png"}, files={"i.png": png}).build("Demo.Core", "1.0.0").body)


WHOLE = zip_of(GOOD)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_makes_the_reader_crash(read, data):
    body = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))

    try:
        read(bytes(body))
    except Invalid:
        return
